"""A finished submission in the readers that people have: each opens it without options or warnings, and finds the same.

What they find is held against the plain bytes of the files (netCDF4), the units of the MIP tables and the protocol's
months.
"""

import json
import shutil
import subprocess
import warnings

import cftime
import netCDF4
import numpy as np
import pytest
import xarray as xr

from tests.helpers import submission_files
from tests.helpers.edit_netcdf import rebuild
from tests.helpers.project import load_config
from workflow.scripts.common.mip_tables import read_entries
from workflow.scripts.common.months import month_range

ENTRIES = read_entries(submission_files.FACTS)
MONTHS = [str(month)[:7] for month in month_range(*load_config("test")["periods"]["simulation"])]
GRIDS = load_config("test")["submission"]["grids"]


def needs(tool):
    return pytest.mark.skipif(shutil.which(tool) is None, reason=f"{tool} is not installed")


def files(finished, variable, grid, member="r1i1p1f1"):
    """Files of one variable of the control, in order of members."""
    return sorted(finished.run.glob(f"results/submission/*/*/aimip/{member}/Amon/{variable}/{grid}/*/*.nc"))


def plain(path, variable):
    """Values as they are stored."""
    with netCDF4.Dataset(path) as data:
        data.set_auto_mask(False)
        return data[variable][:]


def said(path, *command):
    """What a program prints of a file, if it ends well and warns of nothing."""
    # In its folder, since CDO takes a path with a space in it for two.
    done = subprocess.run([*command, path.name], cwd=path.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "warning" not in (done.stdout + done.stderr).lower(), done.stderr
    return done.stdout


def with_xarray(path, variable):
    with xr.open_dataset(path) as data:
        return data[variable].values, data[variable].units, data.time.dt.strftime("%Y-%m").values.tolist()


def with_iris(path, variable):
    iris = pytest.importorskip("iris")
    cube = iris.load_cube(path)
    assert cube.var_name == variable and not np.ma.is_masked(cube.data)
    time = cube.coord("time")
    # Without iris's own dates, which warn of a coming change of theirs whatever the file.
    dates = cftime.num2date(time.points, time.units.origin, time.units.calendar)
    return cube.data, str(cube.units), [f"{date:%Y-%m}" for date in dates]


def with_cdo(path, variable):
    lines = said(path, "cdo", "outputf,%.9g,1").split()
    assert said(path, "cdo", "showname").split() == [variable]
    months = [date[:7] for date in said(path, "cdo", "showdate").split()]
    return np.array(lines, float), said(path, "cdo", "showunit").strip(), months


def with_nco(path, variable):
    found = json.loads(said(path, "ncks", "--json", "--cal", "-C", "-v", f"{variable},time"))["variables"]
    return found[variable]["data"], found[variable]["attributes"]["units"], [day[:7] for day in found["time"]["data"]]


READERS = [
    with_xarray,
    with_iris,
    pytest.param(with_cdo, marks=needs("cdo")),
    pytest.param(with_nco, marks=needs("ncks")),
]


@pytest.mark.parametrize("variable", ENTRIES)
@pytest.mark.parametrize("reader", READERS)
def test_a_reader_finds_values_units_and_months(finished, reader, variable):
    for grid in GRIDS:
        (path,) = files(finished, variable, grid)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            values, units, months = reader(path, variable)
        stored = plain(path, variable)
        np.testing.assert_allclose(np.reshape(values, stored.shape), stored, rtol=1e-6)
        assert units == ENTRIES[variable]["units"]
        assert months == MONTHS


@pytest.mark.parametrize("variable", ENTRIES)
def test_xarray_opens_the_members_of_a_variable_as_one(finished, variable):
    paths = files(finished, variable, "gn", "*")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        opened = xr.open_mfdataset(paths, combine="nested", concat_dim="member_id")
    with opened as members:
        assert members[variable].dims[:2] == ("member_id", "time") and len(members[variable]) == len(paths) == 2
        for field, path in zip(members[variable], paths, strict=True):
            assert np.array_equal(field, plain(path, variable))


@needs("cdo")
@pytest.mark.parametrize("variable", ENTRIES)
def test_cdo_knows_the_grid_and_means_over_it(finished, variable):
    """Also that on 1 degree, or what stands for it here: the bounds of both grids are cells to CDO."""
    for grid in GRIDS:
        (path,) = files(finished, variable, grid)
        told = said(path, "cdo", "sinfon")
        assert "lonlat" in told and "cellbounds" in told and f"{len(MONTHS)} steps" in told and "Bounds = true" in told
        stored = plain(path, variable)
        # CDO takes the cells' edges for great circles, which shifts its weights a little on so coarse a grid.
        with xr.open_dataset(path) as data:
            weights = np.diff(np.sin(np.deg2rad(data.lat_bnds.values)))[:, 0]
        means = np.average(stored.mean(axis=-1), axis=-1, weights=weights)
        found = np.reshape(said(path, "cdo", "outputf,%.9g,1", "-fldmean").split(), means.shape).astype(float)
        np.testing.assert_allclose(found, means, atol=0.01 * np.ptp(stored))


@needs("ncra")
@pytest.mark.parametrize("variable", ENTRIES)
def test_nco_means_over_the_months(finished, tmp_path, variable):
    for grid in GRIDS:
        (path,) = files(finished, variable, grid)
        said(path, "ncra", "--output", str(tmp_path / f"{grid}.nc"))
        stored, mean = plain(path, variable).astype(float), plain(tmp_path / f"{grid}.nc", variable)[0]
        np.testing.assert_allclose(mean, stored.mean(axis=0), rtol=1e-6, atol=1e-6 * np.ptp(stored))


def unknown_units(plain):
    plain.variables["tas"][2]["units"] = "furlongs of nothing"


def unknown_calendar(plain):
    plain.variables["time"][2]["calendar"] = "nonsense"


@pytest.mark.parametrize(("reader", "edit"), [(with_xarray, unknown_calendar), (with_iris, unknown_units)])
def test_what_a_reader_does_not_like_is_found(finished, tmp_path, reader, edit):
    """CDO's warnings: ``tests/check/test_third_party.py``. NCO keeps silent on units and calendars."""
    shutil.copy(files(finished, "tas", "gn")[0], tmp_path / "tas.nc")
    rebuild(tmp_path / "tas.nc", edit)
    with warnings.catch_warnings(), pytest.raises((Warning, ValueError)):
        warnings.simplefilter("error")
        reader(tmp_path / "tas.nc", "tas")
