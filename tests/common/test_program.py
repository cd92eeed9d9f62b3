"""The frame of the programs: whatever befalls one, it ends in one sentence."""

import errno
import os
from types import SimpleNamespace

import netCDF4
import pytest

from tests.common.test_faults import CURE, refuses, run_with
from workflow.scripts.common import program
from workflow.scripts.common.ncfiles import new_file

FULL = SimpleNamespace(f_bavail=0, f_frsize=4096)


def run(work, folder, capsys):
    """The sentence on the terminal, and at the end of the log, of a program that does ``work`` and fails."""
    parser = program.command_line("a program")
    parser.add_argument("--out")
    assert program.run(parser, work, ["--out", str(folder / "out.nc"), "--log", str(folder / "logs/a.log")]) == 1
    printed = capsys.readouterr().err.strip()
    assert "\n" not in printed
    assert (folder / "logs/a.log").read_text().strip().endswith(printed)
    return printed


def test_a_full_disk_is_told_on_the_terminal_and_in_the_log(tmp_path, capsys, monkeypatch):
    def work(given):
        monkeypatch.setattr(os, "statvfs", lambda path: FULL)
        raise RuntimeError("NetCDF: HDF error")

    printed = run(work, tmp_path, capsys)
    assert printed.startswith(f"MachineFault: the disk of {tmp_path / 'out.nc'} is full; make room")


def test_a_file_that_a_full_disk_cut_short_names_the_file_that_was_to_be(tmp_path, capsys, monkeypatch):
    def work(given):
        with new_file(given.out, "a file") as file:
            file.createDimension("x", 3)
            monkeypatch.setattr(os, "statvfs", lambda path: FULL)
            raise RuntimeError("NetCDF: HDF error")

    assert f"the disk of {tmp_path / 'out.nc'} is full" in run(work, tmp_path, capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["logs"]


def test_a_fault_of_the_input_keeps_its_own_sentence(tmp_path, capsys):
    def work(given):
        with new_file(given.out, "a file"):
            netCDF4.Dataset(tmp_path / "none.nc")

    printed = run(work, tmp_path, capsys)
    assert printed == f"FileNotFoundError: [Errno {errno.ENOENT}] No such file or directory: '{tmp_path}/none.nc'"


WRITE = """
import sys
from workflow.scripts.common import program
from workflow.scripts.common.ncfiles import add_grid, new_file
def work(given):
    with new_file(given.out, "a file") as file:
        add_grid(file, [-90, 0, 90], [0, 90, 180, 270])
parser = program.command_line("a program")
parser.add_argument("--out")
sys.exit(program.run(parser, work, sys.argv[1:]))
"""


@refuses
@pytest.mark.parametrize(
    ("calls", "words"),
    [
        (["flock=ENOLCK"], ["without locks (No locks available)", CURE]),
        (["flock=EAGAIN"], ["is locked by another program", CURE]),
        (["pwrite64=EDQUOT", "write=EDQUOT"], ["your quota on the disk of", "is used up"]),
        (["pwrite64=ENOSPC", "write=ENOSPC"], ["the disk of", "is full"]),
    ],
)
@pytest.mark.parametrize("logged", [False, True])
def test_the_real_library_on_a_lacking_file_system_ends_in_one_sentence(logged, calls, words, tmp_path):
    log = ["--log", tmp_path / "a.log"] if logged else []
    done = run_with(calls, WRITE, "--out", tmp_path / "a.nc", *log)
    assert done.returncode == 1
    assert (
        done.stderr.startswith("MachineFault: ") and f"{tmp_path}/a." in done.stderr and done.stderr.count("\n") == 1
    ), done.stderr
    assert all(word in done.stderr for word in words), done.stderr
    assert not (tmp_path / "a.nc").exists()
