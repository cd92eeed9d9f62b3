"""The month of a mean from bounds that count in units of their own, as xarray writes them unless told otherwise."""

import warnings
from types import SimpleNamespace

import netCDF4
import numpy as np
import pytest
import xarray as xr

from workflow.scripts.check.axes import days, time_units
from workflow.scripts.check.files import CmorFile
from workflow.scripts.common.months import month_range, months_from_times, time_bounds
from workflow.scripts.common.ncfiles import add_field, add_grid, add_months, new_file
from workflow.scripts.inputs.era5 import open_era5
from workflow.scripts.inputs.labelled import months, open_labelled

MONTHS = month_range("1979-01", "1980-03")
STARTS, ENDS = MONTHS.astype("datetime64[s]"), (MONTHS + 1).astype("datetime64[s]")
STAMPS = {
    "end of month": ENDS - np.timedelta64(1, "D"),
    "first of the next": ENDS,
    "middle in hours": STARTS + (ENDS - STARTS) // 2,
    "15th": STARTS + np.timedelta64(14, "D"),
}


def write(path, stamps, **encoding):
    """Monthly means with ``stamps`` and bounds, written by xarray, in units that it chooses unless told."""
    data = xr.Dataset(
        {"x": (("time", "lat", "lon"), np.zeros((len(stamps), 3, 4), np.float32))},
        {"time": stamps.astype("datetime64[ns]"), "lat": [-60.0, 0.0, 60.0], "lon": np.arange(0, 360, 90.0)},
    )
    data["time_bnds"] = ("time", "bnds"), np.stack([STARTS, ENDS], axis=1)[: len(stamps)].astype("datetime64[ns]")
    data["time"].attrs["bounds"] = "time_bnds"
    with warnings.catch_warnings():
        # That units are chosen independently is what is tried.
        warnings.filterwarnings("ignore", message=".*will be determined independently", category=UserWarning)
        data.to_netcdf(path, encoding=encoding)
    return path


@pytest.mark.parametrize("stamp", STAMPS)
def test_bounds_in_units_of_their_own_say_the_month(tmp_path, stamp):
    path = write(tmp_path / "x.nc", STAMPS[stamp])
    with netCDF4.Dataset(path) as file:
        assert file["time_bnds"].units != file["time"].units, "the test shows nothing"
    with open_labelled(path) as dataset:
        np.testing.assert_array_equal(months(dataset, path), MONTHS)


def test_bounds_in_a_calendar_of_their_own_say_the_month(tmp_path):
    path = write(tmp_path / "x.nc", STAMPS["15th"], time_bnds={"units": "hours since 1600-01-01", "calendar": "julian"})
    with netCDF4.Dataset(path) as file:
        assert file["time_bnds"].calendar != file["time"].calendar
    with xr.open_dataset(path, decode_times=xr.coders.CFDatetimeCoder(use_cftime=True)) as data:
        middles = [f"{one.year}-{one.month:02d}" for one in data.time_bnds.values[:, 0]]
    with open_labelled(path) as dataset:
        assert months(dataset, path).astype(str).tolist() == middles


@pytest.mark.parametrize("shape", ["(bnds)", "(time, bnds)"])
def test_a_time_without_a_dimension_has_bounds_too(tmp_path, shape):
    path = write(tmp_path / "all.nc", STAMPS["first of the next"][:1])
    with xr.open_dataset(path, decode_times=False) as data:
        one = data.isel(time=0)
        if shape == "(time, bnds)":
            one["time_bnds"] = ("one", "bnds"), data.time_bnds.values, data.time_bnds.attrs
        one.to_netcdf(tmp_path / "one.nc")
    with open_labelled(tmp_path / "one.nc") as dataset:
        assert dataset["time"].ndim == 0
        assert months(dataset, "one.nc").astype(str).tolist() == ["1979-01"]


@pytest.mark.parametrize("stamp", STAMPS)
def test_the_checks_read_bounds_in_units_of_their_own(tmp_path, stamp):
    encoding = {} if stamp != "middle in hours" else {"time": {"units": "days since 1850-01-01", "dtype": "f8"}}
    path = write(tmp_path / "x.nc", STAMPS[stamp], **encoding)
    with netCDF4.Dataset(path) as opened:
        names = "time", "time_bnds"
        headers = {name: SimpleNamespace(attributes=opened[name].__dict__) for name in names}
        found = {name: opened[name][:].data for name in names}
    file = CmorFile(path, path.name, {}, None, variables=headers, coordinates=found)
    np.testing.assert_allclose(days(file, "time_bnds"), time_bounds(MONTHS), atol=1e-9)
    assert not list(time_units(file, None))
    headers["time_bnds"].attributes["units"] = "moons since 1979-01-01"
    assert ["time_bnds has the units 'moons since 1979-01-01'" in one for one in time_units(file, None)] == [True]


@pytest.mark.parametrize("year", [1, 1581, 1979, 2300])
def test_years_may_be_those_that_a_model_counts(tmp_path, year):
    wanted = month_range(f"{year:04d}-01", f"{year:04d}-12")
    with new_file(tmp_path / "x.nc", "a test") as file:
        add_months(file, wanted)
        add_grid(file, np.array([-45.0, 45.0]), np.arange(0, 360, 90.0))
        add_field(file, "t2m", ("time", "lat", "lon"), units="K")[:] = 280
    with open_era5(tmp_path / "x.nc") as found:
        assert months_from_times(found["time"].values).tolist() == wanted.tolist()
