"""The process that makes the files of one simulation: all of them or none, and one sentence for each fault."""

import hashlib
import json
import re
import shutil
import signal
import subprocess
import time

import netCDF4
import numpy as np
import pytest

from tests.helpers import submission_files
from workflow.scripts.cmorize.tables import write_tables

VARIABLES = "ta hus ua va zg ps psl ts tas huss tdas uas vas pr".split()


@pytest.fixture
def work(tmp_path):
    """Inputs of one simulation to break, without the files made from them."""
    shutil.copytree(submission_files.tree() / "tables", tmp_path / "tables")
    shutil.copytree(submission_files.tree() / "rollout", tmp_path / "rollout")
    shutil.copy(submission_files.tree() / "forcing.nc", tmp_path / "forcing.nc")
    return tmp_path


def run(*arguments, **options):
    return subprocess.run(
        submission_files.cmorize_command(*arguments, **options), capture_output=True, text=True, check=False
    )


def files_below(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file()) if folder.exists() else []


def test_a_simulation_is_exactly_its_files():
    found = files_below(submission_files.tree() / "submission/UMD-PARETO/MD-1p5/aimip/r1i1p1f1")
    assert found == sorted(
        submission_files.submission_file(submission_files.tree(), name, grid)
        for name in VARIABLES
        for grid in ("gn", "gr")
    )


def test_nothing_stands_beside_the_institution():
    assert [path.name for path in (submission_files.tree() / "submission").iterdir()] == ["UMD-PARETO"]


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a file system of its own that holds less than a simulation's files."""
    folder = tmp_path / "small"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("only root may mount a file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_is_full_while_cmor_writes_is_told_as_that(work, small_disk):
    done = run(work, out=small_disk / "submission")
    assert done.returncode == 1
    assert re.fullmatch(r"cmorize: the disk of \S+ is full; make room, or .* and start again\n", done.stderr), (
        done.stderr
    )
    assert files_below(small_disk) == []


def digests(folder):
    found = {}
    for path in files_below(folder):
        with netCDF4.Dataset(path) as file:
            found[path.name] = hashlib.sha256(file[path.name.split("_")[0]][:].tobytes()).hexdigest()
    return found


def test_two_runs_give_identical_values_and_different_tracking_ids(work):
    assert run(work).returncode == 0
    first, second = (
        folder / "submission/UMD-PARETO/MD-1p5/aimip/r1i1p1f1" for folder in (submission_files.tree(), work)
    )
    assert digests(first) == digests(second)
    ids = []
    for folder in (submission_files.tree(), work):
        with netCDF4.Dataset(submission_files.submission_file(folder, "pr")) as file:
            ids.append(file.tracking_id)
    assert ids[0] != ids[1]


def test_a_scratch_folder_is_worked_in_and_left_empty(work, tmp_path):
    """CMOR writes there: with a scratch folder that nothing can be made in, nothing is made at all."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    assert run(work, scratch=scratch).returncode == 0
    first, second = (
        folder / "submission/UMD-PARETO/MD-1p5/aimip/r1i1p1f1" for folder in (submission_files.tree(), work)
    )
    assert digests(first) == digests(second)
    assert not list(scratch.iterdir()) and not list((work / "submission").glob(".*"))
    shutil.rmtree(work / "submission")
    done = run(work, scratch=tmp_path / "missing")
    assert done.returncode == 1 and str(tmp_path / "missing") in done.stderr and done.stderr.count("\n") == 1
    assert files_below(work / "submission") == []
    assert run(work, scratch="/tmp").returncode == 0


def test_an_older_run_of_the_simulation_leaves_nothing_behind(work):
    old = work / "submission/UMD-PARETO/MD-1p5/aimip/r1i1p1f1/Amon/tas/gn/v20200101/tas_old.nc"
    other = work / "submission/UMD-PARETO/MD-1p5/aimip/r2i1p1f1/Amon/tas/gn/v20200101/tas_old.nc"
    for path in (old, other):
        path.parent.mkdir(parents=True)
        path.write_text("old")
    assert run(work).returncode == 0
    assert not old.parent.exists()
    assert other.exists(), "another member's files are not this run's to remove"


def edit(path, change):
    with netCDF4.Dataset(path, "r+") as file:
        change(file)


def spoil(file):
    file["t2m"][5, 3, 4] = np.nan


def scale(file):
    file["z500"].units = "m"


def shift(file):
    file["time"][:] = file["time"][:] + 31


def shift_last(file):
    file["time"][-1] = 380


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (spoil, "tas has 1 values that are not finite in months 0..11"),
        (scale, "channel 'z500' is in 'm', the table of variables says 'm2 s-2'"),
        (lambda file: file.renameVariable("sp", "pressure"), "has no channel 'sp'"),
        (shift, "has the time 46.5 days since 1978-10-01 at index 0, not 15.5, the middle of 1978-10"),
        (shift_last, "has the time 380 days since 1978-10-01 at index 11, not 350, the middle of 1979-09"),
    ],
)
def test_a_bad_rollout_stops_in_one_sentence_and_leaves_no_file(work, change, words):
    edit(work / "rollout/aimip/r1.nc", change)
    done = run(work)
    assert done.returncode == 1
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert files_below(work / "submission") == []


@pytest.mark.parametrize(
    ("resolution", "period", "words"),
    [
        (15.0, ("1978-10", "1979-08"), "r1.nc has 11 months, not the 12 of 1978-10..1979-09"),
        (9.0, submission_files.PERIOD, "r1.nc and the forcing file differ in lat: regrid both to the same grid"),
    ],
)
def test_a_rollout_of_another_size_stops_in_one_sentence(work, resolution, period, words):
    submission_files.write_rollout(work / "rollout/aimip/r1.nc", resolution=resolution, period=period)
    done = run(work)
    assert done.returncode == 1
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def change_settings(folder, key, value):
    path = folder / "submission.json"
    content = json.loads(path.read_text())
    content["attributes"][key] = value
    path.write_text(json.dumps(content))


def change_units(folder, key, value):
    path = folder / "AIMIP_Amon.json"
    content = json.loads(path.read_text())
    content["variable_entry"][key]["units"] = value
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda folder: change_settings(folder, "institution_id", "umd-pareto"), "umd-pareto"),
        (lambda folder: change_settings(folder, "license", "CC BY-SA 4.0"), "license"),
        (lambda folder: change_settings(folder, "source_type", ""), "source type"),
        (lambda folder: change_units(folder, "pr", "mm day-1"), "units are incompatible"),
        (lambda folder: change_units(folder, "zg", "m2 s-2"), "units are incompatible"),
    ],
)
def test_cmor_refuses_what_the_vocabulary_does_not_hold(work, change, words):
    change(work / "tables/aimip")
    done = run(work)
    assert done.returncode == 1
    assert re.match(r"cmorize: aimip member 1: .*", done.stderr)
    assert words in done.stderr
    assert files_below(work / "submission") == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"experiment": "aimip-2k", "tables": "aimip"}, "experiment 'aimip-2k' is not in the tables"),
        ({"grids": ("gn", "g2")}, "grid 'g2' is not in the tables"),
    ],
)
def test_an_unknown_experiment_or_grid_stops_before_a_file_is_written(work, options, words):
    options = dict(options)
    if "tables" in options:
        options["tables"] = work / "tables" / options["tables"]
    done = run(work, **options)
    assert done.returncode == 1
    assert words in done.stderr
    assert not (work / "submission").exists()


def test_a_stopped_run_leaves_no_file_and_the_next_one_clears_what_a_killed_one_left(work):
    stray = work / "submission/.aimip.r1i1p1f1.part/ta_PHPlEe758.nc"
    stray.parent.mkdir(parents=True)
    stray.write_text("left by a killed run")
    submission_files.write_rollout(work / "long.nc", period=("1978-10", "2017-09"))
    submission_files.write_aggregated_forcing(work / "forcing.nc", period=("1978-10", "2017-09"))
    path = work / "tables/aimip/submission.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"period": ["1978-10", "2017-09"]}))
    command = submission_files.cmorize_command(work, rollout=work / "long.nc")
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    end = time.monotonic() + 300  # ends a hung run only
    while not list(stray.parent.rglob("*_gn*.nc")) and time.monotonic() < end:
        time.sleep(0.01)
    assert not stray.exists()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=300)
    assert process.returncode == 143
    assert files_below(work / "submission") == []


PEAK = (
    "import os, subprocess, sys; process = subprocess.Popen(sys.argv[1:]); print(os.wait4(process.pid, 0)[2].ru_maxrss)"
)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_months(tmp_path):
    submission_files.tree()
    peaks = []
    for name, period in (("short", ("1978-10", "1980-09")), ("long", ("1978-10", "1998-09"))):
        work = tmp_path / name
        (work / "rollout/aimip").mkdir(parents=True)
        write_tables(
            work / "tables/aimip",
            submission_files.FACTS,
            submission_files.VARIABLES,
            "aimip",
            0,
            submission_files.SUBMISSION,
            3.0,
            period,
        )
        submission_files.write_rollout(work / "rollout/aimip/r1.nc", resolution=3.0, period=period)
        submission_files.write_aggregated_forcing(work / "forcing.nc", 3.0, period)
        command = submission_files.cmorize_command(work, grids=("gn",))
        done = subprocess.run(
            [submission_files.CMOR_PYTHON, "-c", PEAK, *command], capture_output=True, text=True, check=True
        )
        peaks.append(int(done.stdout))
    # A variable on seven levels has 5 MB in the short run, 49 MB in the long one.
    assert peaks[1] - peaks[0] < 30_000, peaks
