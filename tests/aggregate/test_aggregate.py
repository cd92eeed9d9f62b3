"""Monthly means: of hours, days and months as they are, of the forcing, and the check that no month is missing."""

import filecmp
import json

import cftime
import netCDF4
import numpy as np
import pytest

from tests.helpers import cds_replies
from workflow.scripts.aggregate.complete import check_complete
from workflow.scripts.aggregate.era5 import aggregate_era5
from workflow.scripts.aggregate.forcing import aggregate_forcing, month_means
from workflow.scripts.aggregate.static import aggregate_static
from workflow.scripts.common.months import CALENDAR, TIME_UNITS, time_bounds
from workflow.scripts.regrid.era5 import regrid_era5
from workflow.scripts.regrid.forcing import regrid_forcing
from workflow.scripts.regrid.static import regrid_static
from workflow.scripts.regrid.weights import write_weights

VARIABLES = cds_replies.VARIABLES
UNITS = {"t2m": "K", "avg_tprate": "kg m-2 s-1"}


def months_of(year, *numbers):
    return np.array([f"{year}-{number:02d}" for number in numbers], "datetime64[M]")


def write_regridded(path, fields, times, hours=True, calendar=CALENDAR):
    """A regridded file of (time, lat, lon) fields on a 90-degree grid; ``times`` are datetime64 or numbers."""
    unit = "h" if hours else "D"
    if np.asarray(times).dtype.kind == "M":
        times = (times.astype(f"datetime64[{unit}]") - np.datetime64("1978-10-01")).astype(float)
    with netCDF4.Dataset(path, "w") as file:
        for name, values in (("time", times), ("lat", [-90, 0, 90]), ("lon", [0, 90, 180, 270])):
            file.createDimension(name, len(values))
            file.createVariable(name, "f8", (name,))[:] = values
        file["time"].units = f"{'hours' if hours else 'days'} since 1978-10-01"
        file["time"].calendar = calendar
        for name, values in fields.items():
            variable = file.createVariable(name, "f4", ("time", "lat", "lon"), fill_value=np.float32(np.nan))
            variable.setncatts({"units": UNITS[name], "long_name": name})
            variable.stamp = "end of the hour" if name == "avg_tprate" else "instant"
            variable[:] = values
    return path


def noise(count, seed=0):
    return np.random.default_rng(seed).normal(280, 10, (count, 3, 4)).astype(np.float32)


def read(path, name):
    with netCDF4.Dataset(path) as file:
        return np.ma.filled(file[name][:], np.nan)


def test_the_mean_of_hours_is_that_of_the_month_in_leap_februaries_too(tmp_path):
    for year in (1980, 1979, 2000, 1900):
        times = np.arange(f"{year}-02-01", f"{year}-03-01", dtype="datetime64[h]")
        values = noise(len(times), year)
        write_regridded(tmp_path / "in.nc", {"t2m": values}, times)
        aggregate_era5([tmp_path / "in.nc"], tmp_path / "out.nc", months_of(year, 2), "hourly")
        truth = values.astype(np.float64).mean(axis=0)
        np.testing.assert_allclose(read(tmp_path / "out.nc", "t2m")[0], truth, rtol=6e-8)


def test_an_hour_that_ends_on_the_first_belongs_to_the_month_before(tmp_path):
    times = np.arange("1979-01-01", "1979-03-01T01", dtype="datetime64[h]")
    rain = np.zeros((len(times), 3, 4), np.float32)
    rain[times == np.datetime64("1979-02-01T00")] = 744.0  # the hour from 23 UTC on 31 January
    rain[times == np.datetime64("1979-01-01T00")] = 1e6  # the last hour of 1978
    rain[times == np.datetime64("1979-03-01T00")] = 672.0  # the last hour of February
    warmth = np.where(times < np.datetime64("1979-02-01"), 280, 290)[:, None, None] + rain * 0
    write_regridded(tmp_path / "in.nc", {"avg_tprate": rain, "t2m": warmth}, times)
    aggregate_era5([tmp_path / "in.nc"], tmp_path / "out.nc", months_of(1979, 1, 2), "hourly")
    np.testing.assert_array_equal(read(tmp_path / "out.nc", "avg_tprate"), 1.0)
    np.testing.assert_array_equal(read(tmp_path / "out.nc", "t2m")[:, 0, 0], [280, 290])


def test_the_hour_that_ends_december_is_found_in_the_next_years_file(tmp_path):
    times = np.arange("1979-12-01", "1980-02-01", dtype="datetime64[h]")
    rain = noise(len(times))
    for year in (1979, 1980):
        inside = times.astype("datetime64[Y]").astype(int) + 1970 == year
        write_regridded(tmp_path / f"{year}.nc", {"avg_tprate": rain[inside]}, times[inside])
    december = months_of(1979, 12)
    # Without 1980 both the first hour, which is November's, and the last are not December's: 743 of 744.
    with pytest.raises(ValueError, match="1979-12 is not whole: 'avg_tprate' has 743 of its 744 hours"):
        aggregate_era5([tmp_path / "1979.nc"], tmp_path / "out.nc", december, "hourly")
    aggregate_era5([tmp_path / "1979.nc", tmp_path / "1980.nc"], tmp_path / "out.nc", december, "hourly")
    np.testing.assert_allclose(
        read(tmp_path / "out.nc", "avg_tprate")[0], rain[1:745].mean(axis=0, dtype=float), rtol=1e-7
    )


@pytest.mark.parametrize("lost", [0, 100, 743])
def test_an_incomplete_month_is_refused_and_named(lost, tmp_path):
    times = np.arange("1979-01-01", "1979-02-01", dtype="datetime64[h]")
    keep = np.arange(744) != lost
    write_regridded(tmp_path / "in.nc", {"t2m": noise(743)}, times[keep])
    with pytest.raises(ValueError, match="1979-01 is not whole: 't2m' has 743 of its 744 hours; give the rest"):
        aggregate_era5([tmp_path / "in.nc"], tmp_path / "out.nc", months_of(1979, 1), "hourly")
    values = noise(744)
    values[lost] = np.nan
    write_regridded(tmp_path / "in.nc", {"t2m": values}, times)
    with pytest.raises(ValueError, match="1979-01 is not whole: 't2m' lacks values"):
        aggregate_era5([tmp_path / "in.nc"], tmp_path / "out.nc", months_of(1979, 1), "hourly")
    assert not (tmp_path / "out.nc").exists()


def test_days_count_alike_whatever_hour_they_are_stamped(tmp_path):
    days = np.arange("1980-01-01", "1980-03-01", dtype="datetime64[D]")
    values = noise(len(days))
    write_regridded(tmp_path / "in.nc", {"t2m": values, "avg_tprate": values}, days, hours=False)
    aggregate_era5([tmp_path / "in.nc"], tmp_path / "out.nc", months_of(1980, 1, 2), "daily")
    for name in ("t2m", "avg_tprate"):
        for month, part in enumerate((values[:31], values[31:])):
            np.testing.assert_allclose(
                read(tmp_path / "out.nc", name)[month], part.mean(axis=0, dtype=float), rtol=6e-8
            )


@pytest.mark.parametrize(("calendar", "days"), [("noleap", 28), ("360_day", 30), ("standard", 29)])
def test_other_calendars_have_their_own_whole_months(calendar, days, tmp_path):
    start = cftime.datetime(1980, 2, 1, calendar=calendar)
    first = cftime.date2num(start, "hours since 1978-10-01", calendar)
    times = first + np.arange(24.0 * days)
    write_regridded(tmp_path / "in.nc", {"t2m": noise(len(times))}, times, calendar=calendar)
    aggregate_era5([tmp_path / "in.nc"], tmp_path / "out.nc", months_of(1980, 2), "hourly")
    write_regridded(tmp_path / "short.nc", {"t2m": noise(len(times) - 24)}, times[:-24], calendar=calendar)
    with pytest.raises(ValueError, match=f"has {24 * days - 24} of its {24 * days} hours"):
        aggregate_era5([tmp_path / "short.nc"], tmp_path / "out2.nc", months_of(1980, 2), "hourly")


def test_means_of_hourly_files_equal_the_monthly_file(tmp_path):
    """The whole way from CDS-shaped hourly replies, precipitation as an accumulation among them, to monthly means."""
    lat, lon = cds_replies.grid(30)
    hours = np.arange("1980-02-01", "1980-03-01T01", dtype="datetime64[h]")
    spread = {
        "t2m": cds_replies.fake("t2m", hours, lat, lon, seed=3),
        "sp": cds_replies.fake("sp", hours, lat, lon, seed=3),
    }
    rain = np.abs(cds_replies.fake("avg_tprate", hours, lat, lon, seed=3))
    table = tmp_path / "variables.csv"
    lines = VARIABLES.read_text().splitlines()
    table.write_text(
        "\n".join([lines[0], *(line for line in lines if line.split(",")[3] in ("t2m", "sp", "avg_tprate"))])
    )
    instant = {name: values[:-1] for name, values in spread.items()}
    parts = {"instant": (instant, hours[:-1]), "accum": ({"tp": rain[1:] * np.float32(3.6)}, hours[1:])}
    cds_replies.write_zip(tmp_path / "hourly", parts, lat, lon)
    means = {name: values[:-1].mean(axis=0, dtype=float)[None] for name, values in spread.items()}
    monthly = means | {"avg_tprate": rain[1:].mean(axis=0, dtype=float)[None]}
    cds_replies.write_member(tmp_path / "monthly", monthly, cds_replies.month_starts(1980, [2]), lat, lon)
    cds_replies.write_static(tmp_path / "static", resolution=30)
    write_weights(tmp_path / "static", tmp_path / "weights.nc", 45)
    for product in ("hourly", "monthly"):
        source = {"single-levels": tmp_path / product}
        regrid_era5(source, tmp_path / "weights.nc", table, tmp_path / f"r_{product}.nc", product)
        aggregate_era5([tmp_path / f"r_{product}.nc"], tmp_path / f"a_{product}.nc", months_of(1980, 2), product)
    for name in ("t2m", "sp", "avg_tprate"):
        ours, truth = (read(tmp_path / f"a_{product}.nc", name) for product in ("hourly", "monthly"))
        np.testing.assert_allclose(ours, truth, rtol=5e-7)


def test_monthly_files_are_described_as_cf_wants(tmp_path):
    values = noise(12)
    write_regridded(tmp_path / "in.nc", {"t2m": values}, cds_replies.month_starts(1980), hours=False)
    months = months_of(1980, *range(1, 13))
    aggregate_era5([tmp_path / "in.nc"], tmp_path / "out.nc", months)
    with netCDF4.Dataset(tmp_path / "out.nc") as file:
        assert file.Conventions.startswith("CF-1.") and file["t2m"].cell_methods == "time: mean"
        assert file["t2m"].units == "K" and file["time"].units == TIME_UNITS and file["time"].calendar == CALENDAR
        for name in ("time", "lat", "lon"):
            edges, middle = file[file[name].bounds][:], file[name][:]
            assert (edges[:, 0] < edges[:, 1]).all() and (edges[1:, 0] == edges[:-1, 1]).all()
            assert ((edges[:, 0] <= middle) & (middle <= edges[:, 1])).all()
        np.testing.assert_array_equal(file["time_bnds"][:], time_bounds(months))
        assert np.diff(file["time_bnds"][:], axis=1).ravel().tolist() == [
            31,
            29,
            31,
            30,
            31,
            30,
            31,
            31,
            30,
            31,
            30,
            31,
        ]
        assert file["lat_bnds"][0, 0] == -90 and file["lat_bnds"][-1, 1] == 90
        np.testing.assert_array_equal(file["t2m"][:], values)
    # The last three months of a longer file, as the first year of the simulation takes them.
    aggregate_era5([tmp_path / "in.nc"], tmp_path / "late.nc", months[9:])
    np.testing.assert_array_equal(read(tmp_path / "late.nc", "t2m"), values[9:])
    with pytest.raises(ValueError, match="1981-01 is there 0 times"):
        aggregate_era5([tmp_path / "in.nc"], tmp_path / "none.nc", months_of(1981, 1))


def test_the_same_data_give_the_same_bytes(tmp_path):
    write_regridded(tmp_path / "in.nc", {"t2m": noise(12)}, cds_replies.month_starts(1980), hours=False)
    for name in ("one.nc", "two.nc"):
        aggregate_era5([tmp_path / "in.nc"], tmp_path / name, months_of(1980, *range(1, 13)))
    assert filecmp.cmp(tmp_path / "one.nc", tmp_path / "two.nc", shallow=False)


@pytest.fixture
def forcing(tmp_path):
    cds_replies.write_static(tmp_path / "static")
    cds_replies.write_forcing(tmp_path / "forcing.nc")
    write_weights(tmp_path / "static", tmp_path / "weights.nc", 30)
    regrid_forcing(tmp_path / "forcing.nc", tmp_path / "weights.nc", VARIABLES, tmp_path / "starts.nc")
    return tmp_path


def test_the_forcing_of_a_month_is_the_mean_of_its_linear_course(forcing):
    aggregate_forcing(forcing / "starts.nc", forcing / "out.nc", "1979-01", "1980-12")
    starts = read(forcing / "starts.nc", "sst")
    sst = read(forcing / "out.nc", "sst")
    assert sst.shape == (24, 7, 12)
    # Independently: the mean over a fine linear interpolation from the start of March 1979 to that of April.
    steps = (np.arange(1000) + 0.5) / 1000
    course = starts[5] * (1 - steps[:, None, None]) + starts[6] * steps[:, None, None]
    np.testing.assert_allclose(sst[2], course.mean(axis=0), rtol=1e-6)
    with netCDF4.Dataset(forcing / "out.nc") as file:
        assert file["sst"].cell_methods == "time: mean" and file["lsm"].dimensions == ("lat", "lon")
        with netCDF4.Dataset(forcing / "starts.nc") as regridded:
            for name, said in (("standard_name", "land_area_fraction"), ("long_name", "land fraction (land_sea_mask)")):
                assert file["lsm"].getncattr(name) == regridded["lsm"].getncattr(name) == said
        np.testing.assert_array_equal(file["time_bnds"][0], time_bounds(months_of(1979, 1))[0])
    ice, land = read(forcing / "out.nc", "siconc"), read(forcing / "out.nc", "lsm")
    assert np.nanmax(ice + land) <= 1 + 1e-6


def test_the_forcing_of_one_period_is_part_of_that_of_a_longer_one(forcing):
    aggregate_forcing(forcing / "starts.nc", forcing / "long.nc", "1978-10", "1981-12")
    aggregate_forcing(forcing / "starts.nc", forcing / "short.nc", "1979-01", "1980-12")
    for name in ("sst", "siconc"):
        np.testing.assert_array_equal(read(forcing / "long.nc", name)[3:27], read(forcing / "short.nc", name))


def test_a_forcing_that_ends_too_early_is_refused(forcing):
    with pytest.raises(ValueError, match="starts.nc: the start of 1982-02 is missing"):
        aggregate_forcing(forcing / "starts.nc", forcing / "out.nc", "1978-10", "1982-01")


def test_static_fields_keep_their_values(forcing):
    regrid_static(forcing / "static", forcing / "weights.nc", VARIABLES, forcing / "r.nc")
    aggregate_static(forcing / "r.nc", forcing / "a.nc")
    for name in ("sdor", "lsm"):
        np.testing.assert_array_equal(read(forcing / "a.nc", name), read(forcing / "r.nc", name))


def test_a_series_is_complete_or_its_gap_is_named(tmp_path):
    paths = []
    for year in (1979, 1980, 1981):
        paths.append(tmp_path / f"{year}.nc")
        write_regridded(tmp_path / "in.nc", {"t2m": noise(12)}, cds_replies.month_starts(year), hours=False)
        aggregate_era5([tmp_path / "in.nc"], paths[-1], months_of(year, *range(1, 13)))
    check_complete(paths, tmp_path / "complete.json", "1979-01", "1981-12")
    assert json.loads((tmp_path / "complete.json").read_text()) == {"months": 36, "first": "1979-01", "last": "1981-12"}
    with pytest.raises(ValueError, match="not complete: 1980-01, .*1980-06 and 6 more missing"):
        check_complete([paths[0], paths[2]], tmp_path / "no.json", "1979-01", "1981-12")
    with pytest.raises(ValueError, match="1981-01, .* there twice"):
        check_complete([*paths, paths[2]], tmp_path / "no.json", "1979-01", "1981-12")
    assert not (tmp_path / "no.json").exists()


def test_month_means_are_half_way_between_month_starts():
    np.testing.assert_array_equal(month_means(np.array([1.0, 3.0, 11.0])), [2.0, 7.0])
