"""Statistics from the training period alone, and files from which the physical fields come back."""

import filecmp
import shutil

import netCDF4
import numpy as np
import pytest
import torch

from model.data import INVERSE
from tests.helpers import cds_replies
from workflow.scripts.aggregate.forcing import aggregate_forcing
from workflow.scripts.aggregate.static import aggregate_static
from workflow.scripts.common.grids import cell_areas, centres
from workflow.scripts.common.months import month_range, months_from_times
from workflow.scripts.common.ncfiles import add_coordinate, add_field, add_grid, add_months, new_file
from workflow.scripts.common.variables import read_variables
from workflow.scripts.normalize.forcing import write_forcing
from workflow.scripts.normalize.initial import write_initial
from workflow.scripts.normalize.training import write_training
from workflow.scripts.normalize.training_statistics import write_statistics
from workflow.scripts.normalize.transforms import transform
from workflow.scripts.regrid.forcing import regrid_forcing
from workflow.scripts.regrid.static import regrid_static
from workflow.scripts.regrid.weights import write_weights

VARIABLES = cds_replies.VARIABLES
ROWS = read_variables(VARIABLES, role="field")
LAT, LON = centres(30)
TRAINING, VALIDATION, SIMULATION = ("1980-01", "1981-12"), ("1979-01", "1979-12"), ("1978-10", "1981-12")
PERIODS = {"training": TRAINING, "validation": VALIDATION}


def inverse(values, name):
    """The inverse that the model applies."""
    return values if name == "none" else INVERSE[name](torch.tensor(values, dtype=torch.float64)).numpy()


def physical(months, row, seed=0):
    """Fields of one channel with a trend, a season and noise, float32 (time, lat, lon)."""
    mean, amplitude = cds_replies.SCALES[row.short_name]
    rng = np.random.default_rng([seed, *row.channel.encode(), int(months[0].astype(int))])
    season = np.cos(2 * np.pi * months.astype(int) / 12)[:, None, None] * np.sin(np.deg2rad(LAT))[:, None]
    return (mean + amplitude * (0.4 * season + 0.1 * rng.normal(size=(len(months), 7, 12)))).astype(np.float32)


def write_year(path, months, change=None):
    """An aggregated file of one year; ``change(channel, values)`` may replace values."""
    levels = sorted({row.level for row in ROWS if row.level}, reverse=True)
    with new_file(path, "test") as file:
        add_grid(file, LAT, LON)
        add_coordinate(file, "level", levels)
        add_months(file, months)
        for row in ROWS:
            dims = ("time", "lat", "lon") if row.level is None else ("time", "level", "lat", "lon")
            if row.short_name not in file.variables:
                add_field(file, row.short_name, dims, units=row.units)
            values = physical(months, row)
            values = values if change is None else change(row.channel, values)
            index = slice(None) if row.level is None else (slice(None), levels.index(row.level))
            file[row.short_name][index] = values
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    cds_replies.write_static(folder / "static")
    cds_replies.write_forcing(folder / "forcing")
    write_weights(folder / "static", folder / "weights.nc", 30)
    regrid_static(folder / "static", folder / "weights.nc", VARIABLES, folder / "r_static.nc")
    aggregate_static(folder / "r_static.nc", folder / "static.nc")
    regrid_forcing(folder / "forcing", folder / "weights.nc", VARIABLES, folder / "r_forcing.nc")
    aggregate_forcing(folder / "r_forcing.nc", folder / "simulation.nc", *SIMULATION)
    aggregate_forcing(folder / "r_forcing.nc", folder / "training.nc", "1979-01", "1981-12")
    for year in (1978, 1979, 1980, 1981):
        write_year(folder / f"{year}.nc", month_range(f"{year}-{10 if year == 1978 else 1:02d}", f"{year}-12"))
    return folder


def years(folder, *numbers):
    return [folder / f"{number}.nc" for number in numbers]


def run(data, folder, reference="climatology", era5=(1979, 1980, 1981)):
    """statistics.nc and training.nc in ``folder``."""
    shared = data / "training.nc", data / "static.nc"
    write_statistics(years(data, *era5), *shared, VARIABLES, folder / "statistics.nc", TRAINING, reference)
    made = folder / "training.nc"
    write_training(years(data, 1979, 1980, 1981), *shared, folder / "statistics.nc", VARIABLES, made, PERIODS)
    return folder / "statistics.nc", made


@pytest.fixture(scope="module", params=["climatology", "channel"])
def made(request, data, tmp_path_factory):
    return run(data, tmp_path_factory.mktemp(request.param), request.param)


def arrays(path, *names):
    with netCDF4.Dataset(path) as file:
        return [file[name][...] if file[name].dtype is str else np.ma.filled(file[name][...], np.nan) for name in names]


def test_physical_fields_come_back_in_every_month_and_channel(made, data):
    fields, center, scale, channels = arrays(made[1], "fields", "center", "scale", "channel")
    months = month_range("1979-01", "1981-12")
    assert list(channels) == [row.channel for row in ROWS] and fields.shape == (36, len(ROWS), 7, 12)
    season = months.astype(int) % 12 % len(center)
    for number, row in enumerate(ROWS):
        truth = np.concatenate([physical(months[year * 12 : year * 12 + 12], row) for year in range(3)])
        back = inverse(fields[:, number] * scale[number] + center[season, number], row.transform)
        truth = np.maximum(truth, 0) if row.transform == "sqrt" else truth
        np.testing.assert_allclose(back, truth, rtol=1e-6, atol=2e-6 * np.abs(truth).max())


def test_training_months_have_mean_zero_and_unit_spread_weighted_by_area(made):
    fields, split = arrays(made[1], "fields", "split")
    area = cell_areas(LAT, LON)
    inside = fields[split == 0].astype(np.float64)
    assert inside.shape[0] == 24 and (split[:12] == 1).all()
    np.testing.assert_allclose(np.einsum("tcyx,yx->c", inside, area) / 24, 0, atol=1e-4)
    np.testing.assert_allclose(np.sqrt(np.einsum("tcyx,yx->c", inside**2, area) / 24), 1, rtol=1e-4)


def test_the_climatology_is_that_of_each_cell_and_calendar_month(data, tmp_path):
    statistics, _ = run(data, tmp_path)
    center, scale = arrays(statistics, "center", "scale")
    number = [row.channel for row in ROWS].index("t850")
    both = [physical(month_range(f"{year}-01", f"{year}-12"), ROWS[number]).astype(float) for year in (1980, 1981)]
    np.testing.assert_allclose(center[:, number], (both[0] + both[1]) / 2, rtol=1e-6)
    left = np.concatenate(both) - np.tile((both[0] + both[1]) / 2, (2, 1, 1))
    assert scale[number] == pytest.approx(np.sqrt((left**2 * cell_areas(LAT, LON)).sum() / 24), rel=1e-5)


def test_years_outside_the_training_period_change_no_statistic(data, tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    one, _ = run(data, tmp_path / "one", era5=(1979, 1980, 1981))
    two, _ = run(data, tmp_path / "two", era5=(1980, 1981))
    assert filecmp.cmp(one, two, shallow=False)


def test_the_same_data_give_the_same_bytes(data, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        run(data, tmp_path / name)
    assert filecmp.cmp(tmp_path / "one/training.nc", tmp_path / "two/training.nc", shallow=False)


def test_the_file_says_what_every_channel_is(made):
    names = ("short_name", "level", "transform", "units", "valid_min", "valid_max", "forcing", "static")
    short, level, transforms, units, low, high, forcing, static = arrays(made[1], *names)
    for number, row in enumerate(ROWS):
        assert (short[number], transforms[number], units[number]) == (row.short_name, row.transform, row.units)
        assert (low[number], high[number]) == (row.valid_min, row.valid_max)
        assert np.isnan(level[number]) if row.level is None else level[number] == row.level
    assert list(forcing) == ["sst", "siconc", "lsm"]
    assert list(static) == [row.channel for row in read_variables(VARIABLES, role="static")]
    with netCDF4.Dataset(made[1]) as file:
        assert file["fields"].dtype == file["forcings"].dtype == np.float32 and file["split"].dtype == np.int8
        assert file["split"].flag_meanings == "training validation"
        dates = netCDF4.num2date(file["time"][:], file["time"].units, file["time"].calendar)
        assert [(date.month, date.day) for date in dates[:2]] == [(1, 16), (2, 15)]


def test_forcings_are_normalized_over_the_sea_and_zero_elsewhere(made, data):
    forcings, statics = arrays(made[1], "forcings", "statics")
    sst, ice, land = arrays(data / "training.nc", "sst", "siconc", "lsm")
    sea = np.isfinite(sst[0])
    assert (forcings[:, :2][:, :, ~sea] == 0).all() and (~sea).any()
    np.testing.assert_array_equal(forcings[:, 2], np.broadcast_to(land, sst.shape))
    area = np.where(sea, cell_areas(LAT, LON), 0)
    area = area / area.sum()
    for number in (0, 1):
        inside = forcings[12:, number].astype(np.float64)  # the training months
        assert (inside * area).sum() / 24 == pytest.approx(0, abs=1e-4)
        assert np.sqrt((inside**2 * area).sum() / 24) == pytest.approx(1, rel=1e-4)
    whole = cell_areas(LAT, LON)
    np.testing.assert_allclose((statics * whole).sum(axis=(1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose((statics**2 * whole).sum(axis=(1, 2)), 1, rtol=1e-4)
    assert np.isfinite(ice[:, sea]).all()


def test_an_sst_offset_is_added_in_kelvin_over_the_sea_only(made, data, tmp_path):
    results = {}
    for offset in (0, 2):
        write_forcing(data / "simulation.nc", made[0], tmp_path / f"{offset}.nc", offset)
        results[offset], (scale, *_), (center, *_) = arrays(
            tmp_path / f"{offset}.nc", "forcings", "forcing_scale", "forcing_center"
        )
    (sst,) = arrays(data / "simulation.nc", "sst")
    sea = np.isfinite(sst[0])
    np.testing.assert_allclose(results[2][:, 0, sea] - results[0][:, 0, sea], 2 / scale, rtol=1e-4)
    np.testing.assert_allclose(results[0][:, 0, sea] * scale + center, sst[:, sea], rtol=1e-5)
    np.testing.assert_array_equal(results[2][:, 0, ~sea], 0)
    np.testing.assert_array_equal(results[2][:, 1:], results[0][:, 1:])
    assert results[0].shape[0] == 39
    with netCDF4.Dataset(tmp_path / "2.nc") as file:
        assert file.sst_offset == 2 and len(file["time"]) == 39


def test_rollouts_and_training_see_the_same_forcing_in_the_same_month(made, data, tmp_path):
    write_forcing(data / "simulation.nc", made[0], tmp_path / "forcing.nc", 0)
    (rollout,), (training,) = arrays(tmp_path / "forcing.nc", "forcings"), arrays(made[1], "forcings")
    np.testing.assert_array_equal(rollout[3:], training)


def test_the_initial_month_is_laid_out_like_the_training_file(made, data, tmp_path):
    common = data / "static.nc", made[0], VARIABLES
    write_initial(data / "1978.nc", data / "simulation.nc", *common, tmp_path / "initial.nc", "1978-10")
    with netCDF4.Dataset(tmp_path / "initial.nc") as one, netCDF4.Dataset(made[1]) as many:
        assert set(many.variables) - set(one.variables) == {"split"}
        for name in one.variables:
            assert one[name].dimensions == many[name].dimensions and one[name].dtype == many[name].dtype
        epoch = np.datetime64(one["time"].units.split()[-1])
        assert str(months_from_times(epoch + one["time"][:].data.astype("timedelta64[D]"))[0]) == "1978-10"
    fields, center, scale = arrays(tmp_path / "initial.nc", "fields", "center", "scale")
    number = [row.channel for row in ROWS].index("msl")
    truth = physical(month_range("1978-10", "1978-12"), ROWS[number])[0]
    back = fields[0, number] * scale[number] + center[9 % len(center), number]
    np.testing.assert_allclose(back, truth, rtol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_named_by_channel_and_month(bad, data, tmp_path):
    def change(channel, values):
        if channel == "q500":
            values[7, 2, 3] = bad
        return values

    write_year(tmp_path / "1980.nc", month_range("1980-01", "1980-12"), change)
    paths = [tmp_path / "1980.nc", data / "1981.nc"]
    with pytest.raises(ValueError, match="'q500' is not finite in 1980-08"):
        shared = data / "training.nc", data / "static.nc", VARIABLES
        write_statistics(paths, *shared, tmp_path / "statistics.nc", TRAINING, "climatology")
    assert not (tmp_path / "statistics.nc").exists()


def test_a_channel_that_does_not_vary_is_named(data, tmp_path):
    for year in (1980, 1981):
        months = month_range(f"{year}-01", f"{year}-12")
        write_year(
            tmp_path / f"{year}.nc", months, lambda channel, values: values * 0 + 5 if channel == "u10" else values
        )
    for reference in ("climatology", "channel"):
        with pytest.raises(ValueError, match="'u10' does not vary in the training period 1980-01..1981-12"):
            shared = data / "training.nc", data / "static.nc", VARIABLES
            write_statistics(years(tmp_path, 1980, 1981), *shared, tmp_path / "s.nc", TRAINING, reference)


def test_a_sea_without_any_ice_is_no_division_by_zero(data, tmp_path):
    with netCDF4.Dataset(data / "training.nc") as source, new_file(tmp_path / "iceless.nc", "test") as file:
        add_grid(file, LAT, LON)
        add_months(file, month_range("1979-01", "1981-12"))
        for name in ("sst", "siconc", "lsm"):
            variable = add_field(file, name, source[name].dimensions, units=source[name].units)
            variable[:] = source[name][:] * (name != "siconc")
    made = tmp_path / "statistics.nc"
    write_statistics(
        years(data, 1980, 1981), tmp_path / "iceless.nc", data / "static.nc", VARIABLES, made, TRAINING, "climatology"
    )
    write_forcing(tmp_path / "iceless.nc", made, tmp_path / "forcing.nc", 0)
    (forcings,) = arrays(tmp_path / "forcing.nc", "forcings")
    assert (forcings[:, 1] == 0).all() and np.isfinite(forcings).all() and forcings[:, 0].std() > 0.1


def test_a_sea_of_one_temperature_is_still_sea(data, tmp_path):
    """An aquaplanet's control may be as warm everywhere; 0 is what land has."""
    with netCDF4.Dataset(shutil.copy(data / "training.nc", tmp_path / "one.nc"), "a") as file:
        sst = np.ma.filled(file["sst"][:], np.nan)
        file["sst"][:] = np.where(np.isfinite(sst), np.float32(300.15), sst)
    shared = tmp_path / "one.nc", data / "static.nc"
    write_statistics(
        years(data, 1979, 1980, 1981), *shared, VARIABLES, tmp_path / "statistics.nc", TRAINING, "climatology"
    )
    write_forcing(tmp_path / "one.nc", tmp_path / "statistics.nc", tmp_path / "forcing.nc", 0)
    (forcings,) = arrays(tmp_path / "forcing.nc", "forcings")
    np.testing.assert_array_equal(forcings[:, 0] != 0, np.isfinite(sst))


def test_too_little_training_data_is_refused_with_the_cure(data, tmp_path):
    shared = data / "training.nc", data / "static.nc", VARIABLES, tmp_path / "s.nc"
    with pytest.raises(ValueError, match="calendar month 1 has 1 years .* set it to channel"):
        write_statistics(years(data, 1980), *shared, ("1980-01", "1980-12"), "climatology")
    write_statistics(years(data, 1980), *shared, ("1980-01", "1980-12"), "channel")
    with pytest.raises(ValueError, match="has 24 months, found 12"):
        write_statistics(years(data, 1980), *shared, TRAINING, "climatology")


def test_a_month_that_no_file_holds_is_named(made, data, tmp_path):
    shared = data / "training.nc", data / "static.nc", made[0], VARIABLES, tmp_path / "t.nc"
    with pytest.raises(ValueError, match="no aggregated file holds 1981-01, 1981-02"):
        write_training(years(data, 1979, 1980), *shared, PERIODS)
    assert not (tmp_path / "t.nc").exists()


@pytest.mark.parametrize("name", ["none", "sqrt", "logit"])
def test_each_transform_is_undone_by_its_inverse(name):
    values = np.linspace(0.001, 0.999, 50)
    np.testing.assert_allclose(inverse(transform(values, name), name), values, rtol=1e-12)
    with pytest.raises(ValueError, match="transform is 'cube', allowed are none, sqrt, logit"):
        transform(values, "cube")


def test_transforms_stay_finite_beyond_their_range():
    assert transform(np.array([-1e-9]), "sqrt") == 0
    np.testing.assert_allclose(transform(np.array([0, 1]), "logit"), [-np.log(999), np.log(999)])
    assert inverse(np.array([-3.0]), "sqrt") == 0
