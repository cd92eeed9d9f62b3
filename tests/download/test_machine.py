"""Downloads to a full disk and to a file system without locks: no request is made in vain, and none is lost."""

import errno
import os
from types import SimpleNamespace

import netCDF4
import pytest

from tests.common.test_faults import CURE, refuses, run_with
from tests.helpers.cds_faults import covers
from tests.helpers.downloads import LIMITS, MONTHS, SETTINGS, VARIABLES, get
from tests.helpers.project import left_over
from workflow.scripts.common.faults import MachineFault
from workflow.scripts.common.variables import read_variables
from workflow.scripts.download import cds


def program(folder):
    """What follows Python's -c for the program of a download."""
    settings = str(SETTINGS).replace("'", '"').replace("False", "false")
    words = ["--dataset", "single-levels", "--months", *MONTHS, "--variables", VARIABLES, "--settings", settings]
    code = "import sys; from workflow.scripts.download.era5 import main; sys.exit(main(sys.argv[1:]))"
    return [code, *words, "--out", folder / "1979.era5", "--record", folder / "1979.json"]


@refuses
@covers("machine")
def test_where_the_reply_could_not_be_read_for_want_of_locks_none_is_asked_for(stand_in, tmp_path):
    done = run_with(["flock=ENOLCK"], *program(tmp_path))
    assert done.returncode == 1 and CURE in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert stand_in.calls == [] and left_over(tmp_path) == []


@covers("machine")
def test_where_there_is_no_room_for_the_reply_none_is_asked_for(stand_in, tmp_path, monkeypatch):
    def full(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")  # netCDF's word for it

    monkeypatch.setattr(netCDF4, "Dataset", full)
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_bavail=0, f_frsize=4096))
    with pytest.raises(MachineFault, match="is full; make room"):
        get(tmp_path)
    assert stand_in.calls == [] and left_over(tmp_path) == []


@covers("machine")
@pytest.mark.parametrize(
    "raised", [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))]
)
def test_a_disk_that_fills_up_loses_no_request(raised, stand_in, tmp_path, monkeypatch):
    def full(self, target):
        raise raised

    with monkeypatch.context() as patch:
        patch.setattr(cds.Job, "download", full)
        with pytest.raises(MachineFault, match="/1979.era5 is (full|used up); make room"):
            get(tmp_path)
    assert [name for name in left_over(tmp_path) if not name.endswith(".job")] == []
    assert get(tmp_path).is_file()
    assert len(stand_in.requests) == 1, "the request was queued a second time"


@covers("machine")
def test_a_reply_that_could_not_be_looked_at_is_not_taken_for_damaged(stand_in, tmp_path):
    def cannot_look(path):
        raise MachineFault("no locks")

    rows = read_variables(VARIABLES, dataset="single-levels")
    ((collection, request),) = cds.requests_for("single-levels", rows, MONTHS)
    with pytest.raises(MachineFault, match="no locks"):
        cds.retrieve(collection, request, tmp_path / "out", cannot_look, LIMITS, tmp_path / "job")
    assert stand_in.count("asset", "GET") == 1 and (tmp_path / "job").exists()
