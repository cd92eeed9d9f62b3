"""The one reader of files from outside: what a file states of its values, times, axes and units is what is read."""

import cftime
import netCDF4
import numpy as np
import pytest

from tests.common.test_faults import refuses, run_with
from workflow.scripts.common.units import conversion
from workflow.scripts.inputs.labelled import load, months, open_labelled, ordered, times

LAT, LON = np.array([-60.0, 0.0, 60.0]), np.arange(0, 360, 90.0)
VALUES = np.linspace(270, 300, 2 * 3 * 4).reshape(2, 3, 4)
HOLE = 1, 2, 3  # one value is missing in every file


def write(path, values=VALUES, axes=None, dims=("time", "lat", "lon"), time=None, **attributes):
    """A file of one field ``x`` with a hole; ``attributes`` of the field, ``fill`` its filler, ``dtype`` its type."""
    kind, fill = attributes.pop("dtype", "f4"), attributes.pop("fill", None)
    numbers, about = time or ([15.5, 45.0], {"units": "days since 1979-01-01"})
    with netCDF4.Dataset(path, "w") as file:
        axes = axes or {"lat": (LAT, {"units": "degrees_north"}), "lon": (LON, {"units": "degrees_east"})}
        for name, (points, said) in {"time": (numbers, about), **axes}.items():
            file.createDimension(name, len(points))
            file.createVariable(name, "f8", (name,))[:] = points
            file[name].setncatts(said)
        variable = file.createVariable("x", kind, dims, fill_value=fill)
        variable.setncatts(attributes)
        scale, offset = attributes.get("scale_factor", 1), attributes.get("add_offset", 0)
        packed = (values - offset) / scale
        packed[HOLE] = attributes.get("missing_value", np.nan) if fill is None else fill
        variable.set_auto_maskandscale(False)
        variable[:] = np.round(packed) if np.dtype(kind).kind == "i" else packed
    return path


def read(path):
    with open_labelled(path) as dataset:
        return load(dataset["x"])


PACKED = {"dtype": "i2", "scale_factor": 30 / 65000, "add_offset": 285.0}


@pytest.mark.parametrize(
    "stored",
    [
        {"fill": np.nan},
        {"fill": 1e20},
        {"fill": -9e33},
        {"fill": -9999.0},
        {"fill": 9.969209968386869e36},
        {"missing_value": np.float32(-999)},
        {"missing_value": np.float32(1e20)},
        {"missing_value": np.float64(-999.9)},
        {"missing_value": "-9999"},
        {"fill": -32767, **PACKED},
        {"fill": -32768, **PACKED},
        {"missing_value": np.int16(-32767), **PACKED},
        {"fill": 0.0, "valid_range": np.array([200, 400], "f4")},
        {"fill": None, "dtype": "f8"},
    ],
    ids=str,
)
def test_a_missing_value_is_missing_however_the_file_says_so(tmp_path, stored):
    found = read(write(tmp_path / "x.nc", **stored))
    assert np.isnan(found[HOLE]) and np.isnan(found).sum() == 1
    rest = np.isfinite(found)
    np.testing.assert_allclose(found[rest], VALUES[rest], atol=3e-4)


def test_values_outside_the_valid_range_are_missing_in_packed_units_too(tmp_path):
    wrong = VALUES.copy()
    wrong[0, 0, 0] = 284.0
    turned = {"valid_max": np.int16(30400), **PACKED, "scale_factor": -30 / 65000}
    for stored in ({"valid_min": np.float32(271)}, {"valid_range": np.array([-30400, 32000], "i2"), **PACKED}, turned):
        values = wrong.copy()
        values[0, 0, 0] = 270.5
        found = read(write(tmp_path / "x.nc", values, fill=-32767 if "dtype" in stored else np.nan, **stored))
        assert np.isnan(found[0, 0, 0]) and np.isnan(found).sum() == 2


NAMES = [
    ("latitude", "longitude", {}),
    ("lat", "lon", {}),
    ("y", "x_axis", {"standard_name": True}),
    ("rows", "columns", {"units": True}),
    ("j", "i", {"axis": True, "units": True}),
]


@pytest.mark.parametrize(("north", "east", "said"), NAMES)
@pytest.mark.parametrize("order", ["time y x", "time x y", "x y time"])
def test_axes_are_found_by_what_they_say_in_any_order(tmp_path, north, east, said, order):
    about = {north: {}, east: {}}
    if said.get("standard_name"):
        about = {north: {"standard_name": "latitude"}, east: {"standard_name": "longitude"}}
    if said.get("units"):
        about = {north: {"units": "degrees_north"}, east: {"units": "degrees_east"}}
    if said.get("axis"):
        about[north]["axis"], about[east]["axis"] = "Y", "X"
    names = {"time": "time", "y": north, "x": east}
    place = [["time", "y", "x"].index(one) for one in order.split()]
    with netCDF4.Dataset(tmp_path / "x.nc", "w") as file:
        for name, points in (("time", [0.0, 31.0]), (north, LAT[::-1]), (east, LON - 180)):
            file.createDimension(name, len(points))
            file.createVariable(name, "f8", (name,))[:] = points
            file[name].setncatts(about.get(name, {"units": "days since 1979-01-01"}))
        moved = np.roll(VALUES[:, ::-1], 2, axis=2).transpose(place)
        file.createVariable("x", "f4", [names[one] for one in order.split()])[:] = moved
    with open_labelled(tmp_path / "x.nc") as dataset:
        dataset = ordered(dataset, latitude=1)
        assert (
            dataset["latitude"].values.tolist() == LAT.tolist() and dataset["longitude"].values.tolist() == LON.tolist()
        )
        found = load(dataset["x"].transpose("time", "latitude", "longitude"))
    np.testing.assert_allclose(found, VALUES, rtol=1e-6)


def test_time_beside_valid_time_is_the_time_of_reference(tmp_path):
    """As cfgrib writes it: the dimension is called time, the validity stands beside it."""
    path = write(tmp_path / "x.nc", time=([0.0, 0.0], {"units": "days since 1978-12-01"}), fill=np.nan)
    with netCDF4.Dataset(path, "a") as file:
        file.createVariable("valid_time", "f8", ("time",))[:] = [0.0, 31.0]
        file["valid_time"].setncatts({"units": "days since 1979-01-01", "standard_name": "time"})
    with open_labelled(path) as dataset:
        assert months(dataset, path).astype(str).tolist() == ["1979-01", "1979-02"]
        assert dataset["x"].dims == ("time", "latitude", "longitude")


def test_levels_are_in_hectopascal_and_heights_are_no_levels(tmp_path):
    with netCDF4.Dataset(tmp_path / "x.nc", "w") as file:
        for name, points, units in (("plev", [100000.0, 85000.0], "Pa"), ("lat", LAT, ""), ("lon", LON, "")):
            file.createDimension(name, len(points))
            file.createVariable(name, "f8", (name,))[:] = points
            file[name].units = units
        file.createVariable("height", "f8", ())[:] = 2.0
        file["height"].setncatts({"units": "m", "axis": "Z", "positive": "up"})
        file.createVariable("x", "f4", ("plev", "lat", "lon"))[:] = VALUES
    with open_labelled(tmp_path / "x.nc") as dataset:
        assert dataset["level"].values.tolist() == [1000, 850]


def test_a_grid_without_latitude_is_refused_with_what_it_has(tmp_path):
    with netCDF4.Dataset(tmp_path / "x.nc", "w") as file:
        file.createDimension("cell", 12)
        for name in ("lat", "lon", "x"):
            file.createVariable(name, "f4", ("cell",))[:] = np.arange(12)
        file["lat"].units, file["lon"].units = "degrees_north", "degrees_east"
    with pytest.raises(ValueError, match=r"x.nc .*\(cell\): regrid it to a latitude-longitude grid first"):
        open_labelled(tmp_path / "x.nc")


CALENDARS = [
    "standard",
    "proleptic_gregorian",
    "gregorian",
    "julian",
    "noleap",
    "365_day",
    "366_day",
    "all_leap",
    "360_day",
]
UNITS = [
    "days since 1850-01-01",
    "days since 1850-1-1 00:00:00",
    "days since 1978-10-16 12:00:00",
    "hours since 1970-01-01T00:00:00Z",
    "seconds since 1979-01-01 00:00:0.0",
    "minutes since 0001-01-01",
]


@pytest.mark.parametrize("calendar", CALENDARS)
@pytest.mark.parametrize("units", UNITS)
def test_months_are_right_in_every_calendar_and_unit(tmp_path, calendar, units):
    dates = [cftime.datetime(1979 + number // 12, number % 12 + 1, 15, 12, calendar=calendar) for number in (0, 1, 13)]
    numbers = cftime.date2num(dates, units, calendar)
    path = write(
        tmp_path / "x.nc",
        np.concatenate([VALUES, VALUES[:1]]),
        time=(numbers, {"units": units, "calendar": calendar}),
        fill=np.nan,
    )
    with open_labelled(path) as dataset:
        assert months(dataset, path).astype(str).tolist() == ["1979-01", "1979-02", "1980-02"]
        assert times(dataset, path)[0] == np.datetime64("1979-01-15T12:00:00")


@pytest.mark.parametrize("stamp", ["start", "middle", "end"])
def test_the_month_of_a_mean_comes_from_its_bounds(tmp_path, stamp):
    starts, ends = np.array([0.0, 31.0]), np.array([31.0, 59.0])
    numbers = {"start": starts, "middle": (starts + ends) / 2, "end": ends}[stamp]
    time = (numbers, {"units": "days since 1979-01-01", "bounds": "time_bnds"})
    path = write(tmp_path / "x.nc", time=time, fill=np.nan)
    with netCDF4.Dataset(path, "a") as file:
        file.createDimension("bnds", 2)
        file.createVariable("time_bnds", "f8", ("time", "bnds"))[:] = np.stack([starts, ends], axis=1)
    with open_labelled(path) as dataset:
        assert months(dataset, path).astype(str).tolist() == ["1979-01", "1979-02"]


@pytest.mark.parametrize(
    ("units", "words"),
    [("moons since 1979-01-01", "moons since 1979-01-01"), ("days", "without units"), ("", "without units")],
)
def test_times_that_cannot_be_read_are_refused_with_their_units(tmp_path, units, words):
    path = write(tmp_path / "x.nc", time=([0.0, 31.0], {"units": units} if units else {}), fill=np.nan)
    with open_labelled(path) as dataset, pytest.raises(ValueError, match=words) as refused:
        months(dataset, path)
    assert str(path) in str(refused.value)


@pytest.mark.parametrize(
    ("found", "wanted", "value", "expected"),
    [
        ("K", "K", 280, 280),
        ("degC", "K", 7, 280.15),
        ("C", "K", 7, 280.15),
        ("celsius", "K", 7, 280.15),
        ("degF", "K", 32, 273.15),
        ("mbar", "Pa", 1000, 1e5),
        ("hPa", "Pa", 1000, 1e5),
        ("mm/day", "kg m-2 s-1", 86.4, 1e-3),
        ("m day-1", "kg m-2 s-1", 0.0864, 1e-3),
        ("kg m**-2 s**-1", "kg m-2 s-1", 3, 3),
        ("g kg-1", "1", 10, 0.01),
        ("kg kg**-1", "1", 0.01, 0.01),
        ("%", "1", 50, 0.5),
        ("(0 - 1)", "1", 0.5, 0.5),
        ("m2 s-2", "m", 9.80665, 1),
        ("m**2 s**-2", "m", 9.80665, 1),
        ("dam", "m", 550, 5500),
        ("gpm", "m", 5500, 5500),
        ("km h-1", "m s-1", 3.6, 1),
        ("knots", "m s-1", 1, 1852 / 3600),
    ],
)
def test_units_are_converted_by_what_they_mean(found, wanted, value, expected):
    factor, offset = conversion(found, wanted, "x", "file.nc")
    assert value * factor + offset == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("found", "wanted"), [("K", "m"), ("kg", "kg m-2 s-1"), ("furlongs per moon", "m s-1"), ("1", "K")]
)
def test_a_unit_without_a_way_is_refused_by_file_variable_and_both_units(found, wanted):
    with pytest.raises(ValueError) as refused:
        conversion(found, wanted, "tas", "tree/tas.nc")
    for word in ("tree/tas.nc", "'tas'", f"'{found}'", f"'{wanted}'"):
        assert word in str(refused.value)


def test_integers_have_missing_values_too(tmp_path):
    """The library's own filler where a packed field states none, and a valid range of whole numbers."""
    path = write(tmp_path / "x.nc", missing_value=np.int16(-30000), **PACKED)
    with netCDF4.Dataset(path, "a") as file:
        file["x"].set_auto_maskandscale(False)
        file["x"][0, 0, 0] = netCDF4.default_fillvals["i2"]
    assert np.isnan(read(path)[0, 0, 0]) and np.isnan(read(path)).sum() == 2
    path = write(tmp_path / "y.nc", np.round(VALUES), dtype="i2", missing_value=np.int16(-1), valid_min=np.int16(271))
    assert np.isnan(read(path)).sum() == 1 + (np.round(VALUES) < 271).sum()


@pytest.mark.parametrize(("north", "units"), [("rlat", "degrees"), ("lat", "radians")])
def test_latitudes_are_degrees_on_earth(tmp_path, north, units):
    with netCDF4.Dataset(tmp_path / "x.nc", "w") as file:
        for name, points, said in (
            (north, np.deg2rad(LAT) if units == "radians" else LAT, units),
            ("lon", LON, "degrees"),
        ):
            file.createDimension(name, len(points))
            file.createVariable(name, "f8", (name,))[:] = points
            file[name].units = said
        file.createVariable("x", "f4", (north, "lon"))[:] = VALUES[0]
    if north == "rlat":
        with pytest.raises(ValueError, match="no latitude and longitude"):
            open_labelled(tmp_path / "x.nc")
    else:
        with open_labelled(tmp_path / "x.nc") as dataset:
            np.testing.assert_allclose(dataset["latitude"], LAT, atol=1e-6)


def test_hybrid_levels_and_levels_left_over_are_no_levels(tmp_path):
    path = write(tmp_path / "x.nc", fill=np.nan)
    with netCDF4.Dataset(path, "a") as file:
        for name, said in (("lev", {"formula_terms": "a: a b: b"}), ("plev", {"standard_name": "air_pressure"})):
            file.createDimension(name, 2)
            file.createVariable(name, "f8", (name,))[:] = [1000, 500]
            file[name].setncatts({"units": "hPa", **said})
    with open_labelled(path) as dataset:
        assert "level" not in dataset.variables


@pytest.mark.parametrize("numbers", [[np.nan, 31.0], [9.96921e36, 31.0]])
def test_times_that_were_never_written_are_refused_by_name(tmp_path, numbers):
    path = write(tmp_path / "x.nc", time=(numbers, {"units": "days since 1979-01-01"}), fill=np.nan)
    with open_labelled(path) as dataset, pytest.raises(ValueError, match=r"x.nc has no times, or some that were never"):
        months(dataset, path)


CONVERT = """
import sys
from workflow.scripts.common import program
from workflow.scripts.common.units import conversion
sys.exit(program.run(program.command_line("a program"), lambda given: conversion("degC", "K", "tas"), []))
"""


@refuses
def test_units_on_a_disk_without_room_end_in_one_sentence():
    """The units library writes a temporary file before it reads any unit."""
    done = run_with(["write=ENOSPC", "pwrite64=ENOSPC"], CONVERT)
    assert done.returncode == 1
    assert done.stderr.startswith("MachineFault: no temporary file can be written in any of ['/"), done.stderr
    assert done.stderr.endswith("make room there, or set TMPDIR\n") and done.stderr.count("\n") == 1
