"""Readers that are not ours: the way the AIMIP evaluation opens a submission, and CDO."""

import shutil
import subprocess

import numpy as np
import pytest
import xarray as xr

from tests.helpers import submission_files
from tests.helpers.edit_netcdf import rebuild

VARIABLES = "ta hus ua va zg ps psl ts tas huss tdas uas vas pr".split()
PATH = (
    "{institute}/{model}/{experiment}/{member}/Amon/{variable}/{grid}/{version}/"
    "{variable}_Amon_{model}_{experiment}_{member}_{grid}_{period}.nc"
)
NAMES = {"institute": "UMD-PARETO", "model": "MD-1p5", "version": "v20261122", "period": "197810-197909"}
EVALUATED_LEVELS = [1e5, 8.5e4, 7e4, 5e4, 2.5e4, 1e4, 5e3]
needs_cdo = pytest.mark.skipif(shutil.which("cdo") is None, reason="cdo is not installed")


def open_member(experiment, member, grid, work=None):
    """One member as the evaluation opens it: every variable by the path template, merged without conflicts."""
    root = (work or submission_files.tree()) / "submission"
    fields = []
    for variable in VARIABLES:
        path = root / PATH.format(experiment=experiment, member=member, variable=variable, grid=grid, **NAMES)
        dataset = xr.open_dataset(path)
        if variable == "zg":
            dataset = dataset.sel(plev=50000, method="nearest").rename(zg="zg500").drop_vars("plev")
        elif "plev" in dataset.dims:
            dataset = dataset.interp(plev=EVALUATED_LEVELS, method="linear")
        fields.append(dataset.drop_vars("height", errors="ignore"))
    return xr.merge(fields, compat="no_conflicts", join="outer")


@pytest.mark.parametrize("grid", ["gn", "gr"])
@pytest.mark.parametrize("experiment", submission_files.EXPERIMENTS)
def test_the_evaluations_loader_opens_the_submission(experiment, grid):
    members = [open_member(experiment, f"r{member}i1p1f1", grid) for member in submission_files.MEMBERS]
    whole = xr.concat(members, dim="realization", join="exact")
    lat, lon = (13, 24) if grid == "gn" else (18, 36)
    assert dict(whole.sizes) == {"realization": 2, "time": 12, "lat": lat, "lon": lon, "bnds": 2, "plev": 7}
    for name in ("lat_bnds", "lon_bnds", "time_bnds"):
        assert name in whole
    assert str(whole.time.dt.strftime("%Y-%m-%dT%H").values[0]) == "1978-10-16T12"
    for name in (set(VARIABLES) - {"zg"}) | {"zg500"}:
        assert not whole[name].isnull().any(), name
        assert whole[name].attrs["units"]
    heights = whole.zg500.mean().item()
    assert 5200 < heights < 6100, "the evaluation divides by g what is not in meters"


def scalar_level(plain):
    plain.variables["plev"][:2] = [(), np.float64(50000)]
    plain.variables["zg"][:2] = [("time", "lat", "lon"), plain.values("zg")[:, 0]]
    plain.variables["zg"][2]["coordinates"] = "plev"


def other_bounds(plain):
    plain.set("lat_bnds", plain.values("lat_bnds") * 0.99)


@pytest.mark.parametrize(
    ("variable", "edit", "error"),
    [("zg", scalar_level, (KeyError, ValueError)), ("pr", other_bounds, xr.MergeError)],
)
def test_what_stops_the_evaluations_loader_stops_this_one(tmp_path, variable, edit, error):
    shutil.copytree(
        submission_files.tree() / "submission/UMD-PARETO/MD-1p5/aimip", tmp_path / "submission/UMD-PARETO/MD-1p5/aimip"
    )
    open_member("aimip", "r1i1p1f1", "gn", tmp_path)
    rebuild(submission_files.submission_file(tmp_path, variable), edit)
    with pytest.raises(error):
        open_member("aimip", "r1i1p1f1", "gn", tmp_path)


def test_level_interpolation_returns_the_submitted_levels_unchanged():
    path = submission_files.submission_file(submission_files.tree(), "ta")
    with xr.open_dataset(path) as file:
        found = file.ta.interp(plev=EVALUATED_LEVELS, method="linear")
        assert np.allclose(found, file.ta, rtol=1e-6)
        assert not found.isnull().any()


CDO_CALLS = (["sinfon"], ["outputf,%.9g", "-timmean", "-fldmean"])


def call_cdo(operator, path):
    """One call of CDO, without -s, which would silence its warnings too."""
    return subprocess.run(["cdo", *operator, path], capture_output=True, text=True, check=False)


def warnings_of(done):
    return [line for line in done.stderr.splitlines() if "warning" in line.lower()]


@needs_cdo
@pytest.mark.parametrize("grid", ["gn", "gr"])
@pytest.mark.parametrize("variable", VARIABLES)
def test_cdo_reads_every_variable_without_a_warning(variable, grid):
    path = submission_files.submission_file(submission_files.tree(), variable, grid)
    for operator in CDO_CALLS:
        done = call_cdo(operator, path)
        assert done.returncode == 0, done.stderr
        assert warnings_of(done) == []
    means = [float(word) for word in done.stdout.split()]
    with xr.open_dataset(path) as file:
        wanted = file[variable].mean("time").weighted(np.cos(np.deg2rad(file.lat))).mean(("lat", "lon")).values
        spread = float(file[variable].max() - file[variable].min())
    # CDO takes the cells' edges for great circles, which shifts its weights a little on so coarse a grid.
    assert means == pytest.approx(np.atleast_1d(wanted).tolist(), abs=0.02 * spread)


def wrong_calendar(plain):
    plain.variables["time"][2]["calendar"] = "nonsense"


def wrong_units(plain):
    plain.variables["lat"][2]["units"] = "furlongs"


@needs_cdo
@pytest.mark.parametrize(("edit", "operator"), [(wrong_calendar, CDO_CALLS[0]), (wrong_units, CDO_CALLS[1])])
def test_a_warning_of_cdo_is_found(tmp_path, edit, operator):
    path = tmp_path / "tas.nc"
    shutil.copy(submission_files.submission_file(submission_files.tree(), "tas"), path)
    rebuild(path, edit)
    assert warnings_of(call_cdo(operator, path))


@needs_cdo
def test_bounds_are_enough_for_cdos_conservative_regridding(tmp_path):
    """gr as CDO makes it from gn: it draws the same boxes from the files' own bounds."""
    target = tmp_path / "psl.nc"
    grid = submission_files.submission_file(submission_files.tree(), "psl", "gr")
    source = submission_files.submission_file(submission_files.tree(), "psl")
    subprocess.run(["cdo", "-s", "-O", f"remapcon,{grid}", source, target], check=True, capture_output=True)
    with xr.open_dataset(target) as theirs, xr.open_dataset(grid) as ours:
        assert np.abs(theirs.psl.values - ours.psl.values).max() < 0.05
