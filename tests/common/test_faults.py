"""What the machine lacks is said as that: no room on the disk, no locks; never as damage to a file."""

import errno
import fcntl
import os
import subprocess
import sys
from types import SimpleNamespace

import netCDF4
import pytest

from tests.helpers import refusing
from tests.helpers.project import ROOT
from workflow.scripts.common.faults import explained

refuses = pytest.mark.skipif(not refusing.available(), reason="this kernel refuses a process no calls")
HDF_ERROR = "NetCDF: HDF error"
CURE = "set HDF5_USE_FILE_LOCKING=FALSE in the environment and start again"


@pytest.fixture
def file(tmp_path):
    """A sound netCDF file."""
    with netCDF4.Dataset(tmp_path / "a.nc", "w") as data:
        data.createDimension("x", 3)
        data.createVariable("v", "f4", ("x",))[:] = 1
    return tmp_path / "a.nc"


@pytest.fixture
def refuse_lock(monkeypatch):
    """Let locks fail in this process."""

    def fail(number):
        def flock(*_):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(fcntl, "flock", flock)

    return fail


def run_with(calls, code, *arguments, **environment):
    """Run Python ``code`` with ``arguments`` while the kernel refuses ``calls``."""
    command = [sys.executable, ROOT / "tests/helpers/refusing.py", *calls, sys.executable, "-c", code, *arguments]
    return subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False, env=os.environ | environment, cwd=ROOT
    )


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
@pytest.mark.parametrize(
    "raised",
    [
        lambda path, number: OSError(-101, HDF_ERROR, str(path)),  # opened
        lambda path, number: RuntimeError(HDF_ERROR),  # read, written or closed
        lambda path, number: PermissionError(errno.EACCES, "Permission denied", str(path)),  # made
        lambda path, number: OSError(f"Unable to synchronously open file ({os.strerror(number)})"),
        lambda path, number: OSError(
            f"Unable to open file (unable to lock file, errno = {number}, error message = '{os.strerror(number)}')"
        ),
    ],
)
def test_a_file_system_without_locks_is_named_with_its_cure(raised, number, file, refuse_lock):
    refuse_lock(number)
    sentence = str(explained(raised(file, number), file))
    assert sentence == (
        f"{file} is on a file system without locks ({os.strerror(number)}), which HDF5 asks for; {CURE}"
    )
    assert explained(raised(file.with_name("new.nc"), number), file.with_name("new.nc")) is not None


def test_a_lock_that_failed_for_no_said_reason_is_one_all_the_same():
    assert str(explained(OSError("Unable to lock file"))).startswith("a file is on a file system without locks")


def test_a_file_that_another_program_locks_is_told_from_a_damaged_one(file, refuse_lock):
    refuse_lock(errno.EAGAIN)
    sentence = str(explained(OSError(-101, HDF_ERROR, str(file))))
    assert sentence.startswith(f"{file} is locked by another program")
    assert sentence.endswith(f"if there is none, {CURE}")


def test_where_hdf5_does_not_lock_locks_are_not_the_fault(file, refuse_lock, monkeypatch):
    refuse_lock(errno.ENOLCK)
    monkeypatch.setenv("HDF5_USE_FILE_LOCKING", "FALSE")
    assert explained(OSError(-101, HDF_ERROR, str(file))) is None


@pytest.mark.parametrize(
    "error",
    [
        OSError(-101, HDF_ERROR),
        RuntimeError(HDF_ERROR),
        PermissionError(errno.EACCES, "Permission denied"),
        OSError(
            "Unable to synchronously open file (truncated file: eof = 96, sblock->base_addr = 0, stored_eof = 2048)"
        ),
        OSError(-51, "NetCDF: Unknown file format"),
        ValueError("'t2m' is not among the fields"),
        FileNotFoundError(errno.ENOENT, "No such file or directory"),
        BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"),
    ],
)
def test_a_fault_of_another_kind_is_left_to_whoever_met_it(error, file):
    assert explained(error) is None
    assert explained(error, file) is None


@pytest.mark.parametrize(
    "error",
    [RuntimeError(HDF_ERROR), PermissionError(errno.EACCES, "Permission denied"), OSError(-101, HDF_ERROR)],
)
def test_a_full_disk_is_seen_behind_what_netcdf_says_of_it(error, file, monkeypatch):
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_bavail=10, f_frsize=4096))
    for path in (file, file.with_name("new.nc")):
        assert str(explained(error, path)) == (
            f"the disk of {path} is full; make room, or have the run in another folder, and start again"
        )


def test_a_full_disk_that_the_system_names_itself(tmp_path):
    assert str(explained(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))).startswith("the disk is full; make room")
    sentence = str(explained(OSError(errno.EDQUOT, os.strerror(errno.EDQUOT), str(tmp_path / "a.nc"))))
    assert sentence.startswith(f"your quota on the disk of {tmp_path / 'a.nc'} is used up; make room")


READ = """
import sys
import netCDF4
from workflow.scripts.common.faults import explained
try:
    netCDF4.Dataset(sys.argv[1], sys.argv[2])
except OSError as error:
    print(error, "|", explained(error))
"""


@refuses
@pytest.mark.parametrize("mode", ["r", "a", "w"])
@pytest.mark.parametrize("number", ["ENOLCK", "EOPNOTSUPP"])
def test_what_the_real_library_says_without_locks_is_understood(number, mode, file):
    path = file if mode != "w" else file.with_name("new.nc")
    done = run_with([f"flock={number}"], READ, path, mode)
    said, _, sentence = done.stdout.partition("|")
    assert "HDF error" in said or "Permission denied" in said, done.stdout + done.stderr
    assert "without locks" in sentence and CURE in sentence
    assert run_with([f"flock={number}"], READ, path, mode, HDF5_USE_FILE_LOCKING="FALSE").stdout == ""


@refuses
@pytest.mark.parametrize(("number", "words"), [("ENOSPC", "is full;"), ("EDQUOT", "your quota on the disk of")])
def test_what_the_real_library_says_on_a_full_disk_is_understood(number, words, tmp_path):
    done = run_with([f"pwrite64={number}", f"write={number}"], READ, tmp_path / "a.nc", "w")
    said, _, sentence = done.stdout.partition("|")
    assert "Permission denied" in said, done.stdout + done.stderr
    assert words in sentence and f"{tmp_path}/a.nc" in sentence


def test_damage_stays_damage(file):
    file.write_bytes(file.read_bytes()[:-2000])
    with pytest.raises(OSError) as caught:
        netCDF4.Dataset(file)
    assert caught.value.errno == -101
    assert explained(caught.value, file) is None
