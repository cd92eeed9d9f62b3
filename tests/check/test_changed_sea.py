"""An experiment with a pattern and ice that follows, through CMOR and the checks: they know what was added."""

import shutil
import subprocess

import netCDF4
import numpy as np
import pytest

from tests.helpers import submission_files
from tests.helpers.checking import MODEL
from tests.helpers.edit_netcdf import rebuild
from tests.helpers.patterns import write_pattern
from workflow.scripts.aggregate.experiment import change_sea
from workflow.scripts.check.across import check_across
from workflow.scripts.check.rules import expectation
from workflow.scripts.check.simulation import check_files
from workflow.scripts.cmorize.tables import write_tables
from workflow.scripts.common.grids import centres

NAME, OFFSET = "aimip-wave", -0.5
LAT, LON = centres(15)
WAVE = 2 + np.sin(np.deg2rad(LON)) * np.cos(np.deg2rad(LAT))[:, None]


@pytest.fixture(scope="module")
def wave(tmp_path_factory):
    """A folder like that of ``tree`` with one member of the control and of the experiment, and the forcing of both."""
    work = tmp_path_factory.mktemp("wave")
    shutil.copytree(
        submission_files.tree() / f"submission/{MODEL}/aimip/r1i1p1f1", work / f"submission/{MODEL}/aimip/r1i1p1f1"
    )
    pattern = write_pattern(work / "wave.nc", WAVE, LAT, LON)
    change_sea(submission_files.tree() / "forcing.nc", work / f"{NAME}.nc", OFFSET, pattern, "follow")
    sea = {"pattern": pattern, "ice": "follow"}
    tables = work / "tables" / NAME
    write_tables(
        tables,
        submission_files.FACTS,
        submission_files.VARIABLES,
        NAME,
        OFFSET,
        submission_files.SUBMISSION,
        15.0,
        submission_files.PERIOD,
        **sea,
    )
    (work / "rollout" / NAME).mkdir(parents=True)
    submission_files.write_rollout(work / f"rollout/{NAME}/r1.nc", 1, OFFSET, seed=8)
    command = submission_files.cmorize_command(work, NAME, forcing=work / f"{NAME}.nc")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return work


def check(folder, experiment, tables, forcing):
    """(summary, report) of one member."""
    expected = expectation(submission_files.FACTS, submission_files.FACTS / "ranges.csv", tables)
    paths = list((folder / "submission" / MODEL / experiment / "r1i1p1f1").rglob("*.nc"))
    return check_files(paths, folder / "submission", expected, forcing, conformance=False)


def both(folder, wave):
    """Summaries of control and experiment in a copy ``folder`` of ``wave``."""
    control, _ = check(
        folder, "aimip", submission_files.tree() / "tables/aimip", submission_files.tree() / "forcing.nc"
    )
    changed, report = check(folder, NAME, wave / "tables" / NAME, wave / f"{NAME}.nc")
    return [control, changed], report


def test_the_submitted_sea_is_the_controls_with_offset_and_pattern(wave):
    (path,) = (wave / "submission" / MODEL / NAME).glob("*/*/ts/gn/*/*.nc")
    with netCDF4.Dataset(path) as file, netCDF4.Dataset(submission_files.tree() / "forcing.nc") as forcing:
        ts, title = file["ts"][:].data, file.experiment
        sst, ice, land = (np.ma.filled(forcing[name][:].astype("f8"), np.nan) for name in ("sst", "siconc", "lsm"))
    open_before = (ice < 0.01) & (land < 0.01)
    water = sst + WAVE + OFFSET
    # The made ice covers 0.9 of water above the freezing point; what the relation leaves of it covers more than 0.01.
    assert open_before.any() and (water[open_before] > 271.35).all()
    np.testing.assert_allclose(ts[open_before], water[open_before], atol=1e-4)
    assert title.endswith("lowered by 0.5 K everywhere and changed by the pattern wave.nc, sea ice following it")


def test_a_changed_sea_passes_the_checks_that_read_what_was_added(wave):
    simulations, report = both(wave, wave)
    assert report.gates == [] and report.checked["prescribed-sea"] == 2
    assert simulations[1]["sst_offset"] == OFFSET
    assert simulations[1]["sea"] == {"sst_pattern": "wave.nc", "ice": "follow"} and simulations[0]["sea"] == {}
    forcing, root = submission_files.tree() / "forcing.nc", wave / "submission"
    report = check_across(simulations, root, forcing, conformance=False, changed=[wave / f"{NAME}.nc"])
    assert report.gates == [] and report.checked["sea-offset"] == 2
    assert not [finding for finding in report.findings if finding.rule == "response-plausible"]
    unknown = check_across(simulations, root, forcing, conformance=False)
    assert "sea-offset" not in unknown.checked, "without its forcing nobody knows what was added"


@pytest.mark.parametrize("grid", ["gn", "gr"])
def test_a_sea_without_the_pattern_is_named(wave, tmp_path, grid):
    shutil.copytree(wave / "submission", tmp_path / "submission")
    (path,) = (tmp_path / "submission" / MODEL / NAME).glob(f"*/*/ts/{grid}/*/*.nc")
    rebuild(path, lambda plain: plain.set("ts", plain.values("ts") + np.float32(0.25)))
    simulations, report = both(tmp_path, wave)
    assert "prescribed-sea" in {finding.rule for finding in report.gates}
    forcing, changed = submission_files.tree() / "forcing.nc", [wave / f"{NAME}.nc"]
    report = check_across(simulations, tmp_path / "submission", forcing, conformance=False, changed=changed)
    (finding,) = [finding for finding in report.gates if finding.rule == "sea-offset"]
    assert finding.subject.endswith(path.name)
    assert "from ts of the control + -0.5 K + the pattern by up to 0.25" in finding.message


def test_a_pattern_under_a_name_of_aimips_is_named(wave, tmp_path):
    source = next((wave / "submission" / MODEL / NAME).glob("*/*/tas/gn/*/*.nc"))
    path = tmp_path / str(source.relative_to(wave)).replace(NAME, "aimip")
    path.parent.mkdir(parents=True)
    shutil.copy(source, path)
    rebuild(path, lambda plain: plain.attributes.update(history=plain.attributes["history"].replace("=-0.5 K", "=0 K")))
    expected = expectation(
        submission_files.FACTS, submission_files.FACTS / "ranges.csv", period=submission_files.PERIOD
    )
    _, report = check_files([path], tmp_path / "submission", expected, conformance=False)
    (finding,) = [finding for finding in report.gates if finding.rule == "stated-offset"]
    assert "states sst_pattern=wave.nc, ice=follow, but aimip means an SST offset alone" in finding.message
