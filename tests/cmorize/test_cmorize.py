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

from tests.helpers import made
from workflow.scripts.common.grids import area_mean, cell_areas, centres
from workflow.scripts.common.months import mid_times, month_range, time_bounds

VARIABLES = "ta hus ua va zg ps psl ts tas huss tdas uas vas pr".split()


def read(path, name):
    with netCDF4.Dataset(path) as file:
        return np.asarray(file[name][:], np.float64)


def submitted(variable, grid="gn", experiment="aimip"):
    return read(made.submission_file(made.tree(), variable, grid, experiment), variable)


def rollout(channel, experiment="aimip"):
    return read(made.tree() / f"rollout/{experiment}/r1.nc", channel)


@pytest.fixture
def work(tmp_path):
    """Inputs of one simulation to break, without the files made from them."""
    shutil.copytree(made.tree() / "tables", tmp_path / "tables")
    shutil.copytree(made.tree() / "rollout", tmp_path / "rollout")
    shutil.copy(made.tree() / "forcing.nc", tmp_path / "forcing.nc")
    return tmp_path


def run(*arguments, **options):
    return subprocess.run(made.cmorize_command(*arguments, **options), capture_output=True, text=True, check=False)


def files_below(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file()) if folder.exists() else []


def test_a_simulation_is_exactly_its_files():
    found = files_below(made.tree() / "submission/UMD-PARETO/MD-1p5/aimip/r1i1p1f1")
    assert found == sorted(made.submission_file(made.tree(), name, grid) for name in VARIABLES for grid in ("gn", "gr"))


def test_nothing_stands_beside_the_institution():
    assert [path.name for path in (made.tree() / "submission").iterdir()] == ["UMD-PARETO"]


@pytest.mark.parametrize(("variable", "channel"), [("ta", "t"), ("ua", "u"), ("va", "v")])
def test_fields_on_levels_are_the_channels_from_the_surface_up(variable, channel):
    wanted = np.stack([rollout(f"{channel}{level}") for level in (1000, 850, 700, 500, 250, 100, 50)], axis=1)
    assert np.array_equal(submitted(variable), wanted)


@pytest.mark.parametrize(
    ("variable", "channel"), [("tas", "t2m"), ("uas", "u10"), ("vas", "v10"), ("ps", "sp"), ("psl", "msl")]
)
def test_fields_at_the_surface_are_the_channels(variable, channel):
    assert np.array_equal(submitted(variable), rollout(channel))


def test_humidity_and_precipitation_lose_what_is_negative_only():
    for values, channel in ((submitted("pr"), "avg_tprate"), (submitted("hus")[:, 3], "q500")):
        made_values = rollout(channel)
        assert made_values.min() < 0
        assert np.array_equal(values, np.where(made_values < 0, 0, made_values))


def test_height_is_in_meters_on_one_level():
    values = submitted("zg")
    assert values.shape[1] == 1
    assert values[:, 0] == pytest.approx(rollout("z500") / 9.80665, rel=1e-6)


def test_dewpoint_is_never_above_temperature_on_either_grid():
    assert (rollout("d2m") > rollout("t2m")).any(), "the made rollout must be supersaturated somewhere"
    for grid in ("gn", "gr"):
        assert (submitted("tdas", grid) <= submitted("tas", grid)).all()


def test_near_surface_humidity_follows_the_evaluations_formula():
    dewpoint, pressure = np.minimum(rollout("d2m"), rollout("t2m")), rollout("sp")
    vapor = 611.21 * np.exp(17.502 * (dewpoint - 273.16) / (dewpoint - 32.19))
    wanted = 0.621981 * vapor / (pressure - 0.378019 * vapor)
    assert submitted("huss") == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize(("experiment", "offset"), made.EXPERIMENTS.items())
def test_surface_temperature_is_the_prescribed_sea(experiment, offset):
    values = submitted("ts", experiment=experiment)
    with netCDF4.Dataset(made.tree() / "forcing.nc") as file:
        sst, ice, land = (np.ma.filled(file[name][:].astype("f8"), np.nan) for name in ("sst", "siconc", "lsm"))
    sea = (np.broadcast_to(land, sst.shape) < 0.01) & (ice < 0.01)
    assert 0.2 < sea.mean() < 0.8
    assert values[sea] == pytest.approx(sst[sea] + offset, abs=1e-4)
    assert np.array_equal(values[~sea], rollout("skt", experiment)[~sea])


def test_regridding_is_conservative_and_exact():
    """Against sampling on boxes of 2.5 degrees, which both grids (15 degrees with poles, 10 without) consist of."""
    fine_lat = np.arange(-90, 90, 2.5)
    weights = np.diff(np.sin(np.deg2rad(np.append(fine_lat, 90))))
    rows = np.round((fine_lat + 1.25 + 90) / 15 + 1e-9).astype(int)
    columns = np.round((np.arange(0, 360, 2.5) + 1.25) / 15).astype(int) % 24
    native = submitted("psl")
    fine = native[:, rows][:, :, columns] * weights[:, None]
    coarse = fine.reshape(len(native), 18, 4, 36, 4).sum(axis=(2, 4)) / (
        4 * weights.reshape(18, 4).sum(axis=1)[:, None]
    )
    found = submitted("psl", "gr")
    assert found == pytest.approx(coarse, rel=1e-6)
    assert area_mean(found, *centres(10, poles=False)) == pytest.approx(area_mean(native, *centres(15)), rel=1e-7)
    assert cell_areas(*centres(10, poles=False)).sum() == pytest.approx(1)


def test_time_is_the_middle_of_each_month_with_contiguous_bounds():
    months = month_range(*made.PERIOD)
    path = made.submission_file(made.tree(), "tas")
    with netCDF4.Dataset(path) as file:
        assert file["time"].units == "days since 1978-10-01"
        assert file["time"].calendar == "proleptic_gregorian"
        assert np.array_equal(file["time"][:], mid_times(months))
        assert np.array_equal(file["time_bnds"][:], time_bounds(months))
        assert file["lat_bnds"][0, 0] == -90
        assert file["lat_bnds"][-1, 1] == 90


def test_files_carry_the_configs_metadata():
    with netCDF4.Dataset(made.submission_file(made.tree(), "huss", "gr", "aimip-p4k", 2)) as file:
        for key in (
            "institution_id",
            "institution",
            "source_id",
            "source",
            "contact",
            "references",
            "further_info_url",
        ):
            assert file.getncattr(key) == made.SUBMISSION[key]
        assert file.variant_label == "r2i1p1f1"
        assert file.realization_index == 2
        assert file.experiment_id == "aimip-p4k"
        assert file.nominal_resolution == "1000 km"
        assert file.cmor_version
        assert file["huss"].dtype == np.float32
        assert file["huss"].filters()["complevel"] == 1
        assert file["huss"].filters()["shuffle"]


def test_history_says_what_made_the_file():
    with netCDF4.Dataset(made.submission_file(made.tree(), "ta", "gn", "aimip-p4k", 2)) as file:
        for text in (
            "checkpoint_sha256=" + "c" * 64,
            "forcing_sha256=" + "f" * 64,
            "seed=7",
            "member=2",
            "sst_offset=4 K",
            "period=1978-10..1979-09",
            "grid=gn 15 degrees",
        ):
            assert text in file.history


def digests(folder):
    found = {}
    for path in files_below(folder):
        with netCDF4.Dataset(path) as file:
            found[path.name] = hashlib.sha256(file[path.name.split("_")[0]][:].tobytes()).hexdigest()
    return found


def test_two_runs_give_identical_values_and_different_tracking_ids(work):
    assert run(work).returncode == 0
    first, second = (folder / "submission/UMD-PARETO/MD-1p5/aimip/r1i1p1f1" for folder in (made.tree(), work))
    assert digests(first) == digests(second)
    ids = []
    for folder in (made.tree(), work):
        with netCDF4.Dataset(made.submission_file(folder, "pr")) as file:
            ids.append(file.tracking_id)
    assert ids[0] != ids[1]


def test_a_scratch_folder_is_worked_in_and_left_empty(work, tmp_path):
    """CMOR writes there: with a scratch folder that nothing can be made in, nothing is made at all."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    assert run(work, scratch=scratch).returncode == 0
    first, second = (folder / "submission/UMD-PARETO/MD-1p5/aimip/r1i1p1f1" for folder in (made.tree(), work))
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
        (scale, "channel 'z500' is in 'm', config/variables.csv says 'm2 s-2'"),
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
        (9.0, made.PERIOD, "r1.nc and the forcing file differ in lat: regrid both to the same grid"),
    ],
)
def test_a_rollout_of_another_size_stops_in_one_sentence(work, resolution, period, words):
    made.write_rollout(work / "rollout/aimip/r1.nc", resolution=resolution, period=period)
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
    made.write_rollout(work / "long.nc", period=("1978-10", "2017-09"))
    made.write_forcing(work / "forcing.nc", period=("1978-10", "2017-09"))
    path = work / "tables/aimip/submission.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"period": ["1978-10", "2017-09"]}))
    command = made.cmorize_command(work, rollout=work / "long.nc")
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    end = time.monotonic() + 300  # ends a hung run only
    while not list(stray.parent.rglob("*_gn*.nc")) and time.monotonic() < end:
        time.sleep(0.01)
    assert not stray.exists()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=300)
    assert process.returncode == 143
    assert files_below(work / "submission") == []


class RecordedCmor:
    """Stands in for the module cmor, newer or older, and notes what is asked of it in which order."""

    CMOR_REPLACE, CMOR_NORMAL = 1, 0
    CMOR_VERSION_MAJOR, CMOR_VERSION_MINOR, CMOR_VERSION_PATCH = 3, 11, 0

    def __init__(self):
        self.calls, self.axes = [], {}

    def __getattr__(self, name):
        def call(*arguments, **options):
            self.calls.append((name, arguments, options))
            return len(self.calls)

        return call

    def named(self, name):
        return [(arguments, options) for each, arguments, options in self.calls if each == name]


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """The calls for one simulation of 30 months on both grids, made under this Python and its numpy."""
    from workflow.scripts.cmorize import simulation as cmorize
    from workflow.scripts.cmorize.tables import write_tables

    period = ("1978-10", "1981-03")
    write_tables(tmp_path / "tables", made.FACTS, "aimip", 0, made.SUBMISSION, 15.0, period)
    rollout = made.write_rollout(tmp_path / "r1.nc", period=period)
    forcing = made.write_forcing(tmp_path / "forcing.nc", period=period)
    recorder = RecordedCmor()
    monkeypatch.setattr(cmorize, "import_cmor", lambda: recorder)
    cmorize.cmorize(rollout, forcing, made.VARIABLES, tmp_path / "tables", "aimip", 1, ["gn", "gr"], tmp_path)
    return recorder


def test_every_variable_is_declared_before_one_is_written(recorded):
    names = [name for name, _, _ in recorded.calls if name in ("variable", "write", "setup")]
    half = ["setup"] + ["variable"] * 14 + ["write"] * 14 * 3
    assert names == half * 2


def test_time_goes_to_cmor_in_slabs_of_a_year_without_a_gap(recorded):
    writes = recorded.named("write")[:3]
    assert [arguments[2] for arguments, _ in writes] == [12, 12, 6]
    bounds = np.concatenate([options["time_bnds"] for _, options in writes])
    assert np.array_equal(bounds, time_bounds(month_range("1978-10", "1981-03")))
    assert {arguments[1].dtype for arguments, _ in recorded.named("write")} == {np.dtype("f4")}
    assert {arguments[1].flags.c_contiguous for arguments, _ in recorded.named("write")} == {True}


def test_deflate_and_shuffle_are_asked_for(recorded):
    assert {arguments[1:] for arguments, _ in recorded.named("set_deflate")} == {(1, 1, 1)}


PEAK = (
    "import os, subprocess, sys; process = subprocess.Popen(sys.argv[1:]); print(os.wait4(process.pid, 0)[2].ru_maxrss)"
)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_months(tmp_path):
    from workflow.scripts.cmorize.tables import write_tables

    made.tree()
    peaks = []
    for name, period in (("short", ("1978-10", "1980-09")), ("long", ("1978-10", "1998-09"))):
        work = tmp_path / name
        (work / "rollout/aimip").mkdir(parents=True)
        write_tables(work / "tables/aimip", made.FACTS, "aimip", 0, made.SUBMISSION, 3.0, period)
        made.write_rollout(work / "rollout/aimip/r1.nc", resolution=3.0, period=period)
        made.write_forcing(work / "forcing.nc", 3.0, period)
        command = made.cmorize_command(work, grids=("gn",))
        done = subprocess.run([made.CMOR_PYTHON, "-c", PEAK, *command], capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout))
    # A variable on seven levels has 5 MB in the short run, 49 MB in the long one.
    assert peaks[1] - peaks[0] < 30_000, peaks
