"""Files and trees that are right in another way than ours: no rule may find fault with them."""

import os
import shutil

import cftime
import netCDF4
import numpy as np
import pytest

from tests.helpers import submission_files
from tests.helpers.checking import MODEL, check
from workflow.scripts.check.submission import main
from workflow.scripts.common.months import TIME_UNITS

PERIOD = ["--period", *submission_files.PERIOD]


@pytest.mark.parametrize("calendar", ["proleptic_gregorian", "standard"])
@pytest.mark.parametrize(
    "units",
    [
        "days since 0001-01-01",
        "days since 1850-1-1 00:00:00",
        "days since 1978-10-16 12:00:00",
        "days since 1979-01-01T00:00:00Z",
    ],
)
def test_any_start_of_the_count_of_days_is_fine(copy, units, calendar):
    path = submission_files.submission_file(copy, "tas")
    shift = cftime.date2num(cftime.num2date(0, TIME_UNITS, calendar), units, calendar)
    with netCDF4.Dataset(path, "a") as file:
        file["time"].setncatts({"units": units, "calendar": calendar})
        for name in ("time", "time_bnds"):
            file[name][:] = file[name][:] + shift
    rules = {finding.rule for finding in check(copy, [path])[1].findings}
    assert not rules & {"time-units", "time-count", "time-bounds-contiguous", "time-middle"}
    with netCDF4.Dataset(path, "a") as file:
        file["time"][:] = file["time"][:] + np.float64(0.5)
    assert "time-middle" in {finding.rule for finding in check(copy, [path])[1].findings}


def test_a_tree_of_version_links_passes_as_the_files_themselves(work, capsys):
    """As a data node of ESGF lays it out: versions hold links to files/, and latest is a link to a version."""
    tree = work / "submission" / MODEL
    shutil.rmtree(tree / "aimip-p4k")
    for version in sorted(tree.rglob("v20261122")):
        real = version.parent / "files" / "d20261122"
        real.parent.mkdir()
        version.rename(real)
        version.mkdir()
        for file in real.iterdir():
            (version / file.name).symlink_to(os.path.relpath(file, version))
        (version.parent / "latest").symlink_to("v20261122")
    (work / "linked").mkdir()
    (work / "linked" / "UMD-PARETO").symlink_to(work / "submission" / "UMD-PARETO")
    for root in (work / "submission", work / "linked", tree / "aimip"):
        assert main([str(root), "--no-cf", *PERIOD]) == 0, capsys.readouterr().out
        assert "on 56 files of 2 simulations: 0 findings" in capsys.readouterr().out
