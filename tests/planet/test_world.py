"""The synthetic planet keeps its promises: ERA5's means and spreads, known responses, one truth on every grid."""

import csv

import numpy as np
import pytest

from tests.helpers.project import ROOT
from workflow.scripts.common.grids import area_mean, centres
from workflow.scripts.planet.climate import land_fraction
from workflow.scripts.planet.grid import (
    LAT,
    geostrophic_wind,
    smooth,
)
from workflow.scripts.planet.modes import SST_DECORRELATION, nino34, red_noise
from workflow.scripts.planet.world import CHANNELS, SURFACE, Planet

STATISTICS = ROOT / "model/data/era5_channel_statistics.csv"
SHORT = {
    "surface_pressure": "sp",
    "skin_temperature": "skt",
    "2m_temperature": "t2m",
    "2m_dewpoint_temperature": "d2m",
    "10m_u_component_of_wind": "u10",
    "10m_v_component_of_wind": "v10",
    "sea_surface_temperature": "sst",
    "sea_ice_cover": "siconc",
    "mean_total_precipitation_rate": "avg_tprate",
    "mean_sea_level_pressure": "msl",
    "temperature": "t",
    "specific_humidity": "q",
    "u_component_of_wind": "u",
    "v_component_of_wind": "v",
    "geopotential": "z",
}


def months_of(*years):
    return np.concatenate([np.arange(f"{year}-01", f"{year + 1}-01", dtype="datetime64[M]") for year in years])


def statistics():
    """{channel: (transform, mean, std)} of ERA5."""
    with open(STATISTICS, newline="") as file:
        for row in csv.DictReader(line for line in file if not line.startswith("#")):
            name, _, level = row["field"].rpartition("_")
            channel = SHORT[name] + level if level.isdigit() else SHORT[row["field"]]
            yield channel, (row["transform"], float(row["mean"]), float(row["std"]))


def transformed(field, transform):
    if transform == "sqrt":
        return np.sqrt(field)
    if transform == "logit":
        field = np.clip(field, 0.001, 0.999)
        return np.log(field / (1 - field))
    return field


@pytest.fixture(scope="module")
def grid():
    return centres(4.5)


@pytest.fixture(scope="module", params=[1978, 5])
def climate(request, grid):
    """All channels of six years spread over 1979-2014 on a grid of 4.5 degrees, and SST and sea ice, as float64."""
    planet, months = Planet(request.param), months_of(1980, 1987, 1994, 2001, 2008, 2014)
    fields = {name: field.astype(np.float64) for name, field in planet.fields(months, *grid)}
    sst, ice = planet.sea(months, *grid)
    return fields | {"sst": sst[~np.isnan(sst)], "siconc": np.nan_to_num(ice), "siconc at sea": ice[~np.isnan(ice)]}


def test_every_channel_has_the_mean_and_the_spread_of_era5(climate):
    reference = dict(statistics())
    assert set(reference) == {*CHANNELS, "sst", "siconc"}
    reference["siconc at sea"] = reference["siconc"]  # whether land counts as free of ice or not at all
    wrong = []
    for channel, (transform, mean, deviation) in reference.items():
        field = transformed(climate[channel].astype(np.float64), transform)
        off, ratio = (field.mean() - mean) / deviation, field.std() / deviation
        if not (abs(off) < 0.25 and 0.75 < ratio < 1.25):
            wrong.append(f"{channel}: mean off by {off:.2f} std, std {ratio:.2f} times")
    assert not wrong


def test_humidity_rain_and_ice_stay_within_bounds(climate):
    assert (climate["d2m"] <= climate["t2m"]).all()
    assert climate["avg_tprate"].min() >= 0
    assert 0 < climate["q1000"].max() < 0.025
    assert all(climate[name].min() >= 0 for name in climate if name[0] == "q")
    assert 0 <= climate["siconc"].min() and climate["siconc"].max() <= 1
    assert climate["sst"].min() >= 271.34 and climate["sst"].max() < 306


@pytest.mark.parametrize(
    ("lat", "lon", "hectopascal"), [(33, 88, 570), (72, 322, 690), (-75, 123, 640), (40, 252, 830)]
)
def test_mountains_have_the_given_surface_pressure(lat, lon, hectopascal):
    pressure = dict(Planet(0).fields(months_of(1990), [lat], [lon], ["sp"]))["sp"].mean() / 100
    assert pressure == pytest.approx(hectopascal, rel=0.1)


def test_geopotential_is_that_of_the_air_below_it(grid):
    fields = dict(
        Planet(3).fields(
            months_of(1999)[:2],
            *grid,
            ["t1000", "t850", "t700", "t500", "q1000", "q850", "q700", "q500", "msl", "z500"],
        )
    )
    virtual = {level: fields[f"t{level}"] * (1 + 0.6078 * fields[f"q{level}"]) for level in (1000, 850, 700, 500)}
    expected = 287.06 * virtual[1000] * np.log(fields["msl"] / 1e5)
    for below, above in ((1000, 850), (850, 700), (700, 500)):
        expected += 287.06 * (virtual[below] + virtual[above]) / 2 * np.log(below / above)
    np.testing.assert_allclose(fields["z500"], expected, atol=10)  # m2 s-2, of a spread of 3000: interpolation


def test_winds_blow_along_the_isobars():
    state = Planet(3).state(months_of(1999))
    u, v = geostrophic_wind(smooth(state["z250"], 4))
    outside = np.abs(LAT) > 25
    for wind, name in ((u, "u250"), (v, "v250")):
        assert np.corrcoef(wind[:, outside].ravel(), state[name][:, outside].ravel())[0, 1] > 0.7


def test_one_month_alone_is_the_same_month_in_any_period_on_any_grid():
    planet, months = Planet(11), months_of(2003, 2004)
    fine, coarse = centres(2.25), centres(4.5)
    channels = ("t850", "v50", "q500", "z500", *SURFACE)
    alone = dict(planet.fields(months[17:18], *fine, channels))
    for name, field in planet.fields(months, *coarse, channels):
        scale = np.abs(field).max()
        np.testing.assert_allclose(alone[name][0, ::2, ::2], field[17], atol=2e-6 * scale, err_msg=name)


def test_a_longer_period_changes_no_earlier_value_and_seeds_differ(grid):
    early = np.array(["1985-06"], "datetime64[M]")
    before = red_noise(4, "test", early, 3, 5.0)
    red_noise(4, "test", np.array(["2090-01"], "datetime64[M]"), 3, 5.0)
    np.testing.assert_array_equal(red_noise(4, "test", early, 3, 5.0), before)
    one, other = (dict(Planet(seed).fields(early, *grid, ["t850"]))["t850"] for seed in (4, 5))
    assert np.abs(one - other).max() > 1
    with pytest.raises(ValueError, match="starts in 1940-01: 1939-12"):
        Planet(1).sea(np.array(["1939-12"], "datetime64[M]"), *grid)


def test_a_month_of_the_sea_is_the_mean_of_its_ends_and_open_sea_has_its_skin(grid):
    planet, months = Planet(7), months_of(1997)
    starts = planet.month_starts(np.append(months, months[-1] + 1), *grid)
    sst, ice = planet.sea(months, *grid)
    for mean, start in zip((sst, ice), starts, strict=True):
        np.testing.assert_allclose(mean, (start[:-1] + start[1:]) / 2, atol=1e-4)
    open_sea = (land_fraction(*grid) < 0.01) & (ice < 0.01)
    skin = dict(planet.fields(months, *grid, ["skt"]))["skt"]
    assert open_sea.sum() > 10000
    np.testing.assert_allclose(skin[open_sea], sst[open_sea], atol=0.06)


def test_sst_has_the_observed_enso_warming_and_memory(grid):
    planet, months = Planet(2), np.arange("1979-01", "2025-01", dtype="datetime64[M]")
    sst, _ = planet.sea(months, *grid)
    lat, lon = grid
    box = np.nanmean(sst[:, np.abs(lat) < 5][:, :, (lon > 190) & (lon < 240)], axis=(1, 2))
    tropics = area_mean(np.where(np.abs(lat)[:, None] < 20, sst, np.nan), lat, lon)
    index = (box - tropics).reshape(-1, 12)
    index = (index - index.mean(axis=0)).ravel()
    assert np.corrcoef(index, nino34(months))[0, 1] > 0.9
    globe = area_mean(sst, lat, lon).reshape(-1, 12).mean(axis=1)
    assert 0.35 < globe[36:].mean() - globe[:36].mean() < 0.6
    series = red_noise(2, "memory", np.arange("1940-01", "2140-01", dtype="datetime64[M]"), 40, SST_DECORRELATION)
    lagged = (series[8:] * series[:-8]).mean() / (series**2).mean()
    assert lagged == pytest.approx(np.exp(-8 / SST_DECORRELATION), abs=0.05)


def test_sea_ice_follows_season_and_warmth(grid):
    _, ice = Planet(1978).sea(months_of(1981, 2023), *grid)
    extent = {
        name: area_mean(np.nan_to_num(ice) * rows[:, None], *grid)
        for name, rows in (("n", grid[0] > 0), ("s", grid[0] < 0))
    }
    for name, most, least in (("n", 2, 8), ("s", 8, 2)):
        assert extent[name][most] > 1.5 * extent[name][least]
    assert extent["n"][12:].mean() < 0.95 * extent["n"][:12].mean()


@pytest.mark.parametrize("offset", [2, 4])
def test_uniform_warming_has_a_realistic_response(grid, offset):
    planet, months = Planet(1978), months_of(2000)
    response = planet.forced_response(months, *grid, offset, ["t2m", "skt", "avg_tprate", "t250", "t500", "q850"])
    mean = {name: area_mean(field.mean(axis=0), *grid) / offset for name, field in response.items()}
    assert 1.1 < mean["t2m"] < 1.2
    assert 0.5e-7 < mean["avg_tprate"] < 1.5e-6
    warmer = response["t2m"].mean(axis=0) / offset
    land = land_fraction(*grid)
    low = np.abs(grid[0])[:, None] < 60
    assert 1.35 < warmer[(land > 0.95) & low].mean() / warmer[(land < 0.05) & low].mean() < 1.6
    assert warmer[grid[0] > 75].mean() > 1.4
    assert (response["t250"].mean(axis=0)[np.abs(grid[0]) < 20] / offset).mean() > 1.9
    _, ice = planet.sea(months, *grid)
    open_sea = (land < 0.01) & (ice < 1e-4)
    np.testing.assert_allclose(response["skt"][open_sea], offset, atol=2e-3)


def test_the_response_to_sst_is_a_function_of_any_sst_field(grid):
    """Twice the anomaly has twice the effect on temperature; a map of it, without land, acts as the number does."""
    planet, months = Planet(1978), months_of(2000)[:1]
    land = land_fraction(*grid) >= 0.5
    one = planet.forced_response(months, *grid, 1.0, ["t700", "t2m"])
    mapped = planet.forced_response(months, *grid, np.where(land, np.nan, 1.0), ["t700", "t2m"])
    twice = planet.forced_response(months, *grid, 2.0, ["t700", "t2m"])
    for name in one:
        np.testing.assert_allclose(mapped[name], one[name], atol=2e-3)
        np.testing.assert_allclose(twice[name], 2 * one[name], atol=0.02 if name == "t700" else 0.4)  # inversions melt
    east_pacific = np.exp(-(((grid[0][:, None]) / 8) ** 2) - ((grid[1] - 220) / 30) ** 2)
    enso = planet.forced_response(months, *grid, np.where(land, np.nan, 2 * east_pacific), ["msl", "avg_tprate", "t2m"])
    rows, columns = np.abs(grid[0]).argmin(), np.abs(grid[1] - 207).argmin()
    assert enso["avg_tprate"][0, rows, columns] * 86400 > 2  # mm/day more rain in the central Pacific
    aleutian = np.abs(grid[0] - 49.5).argmin(), np.abs(grid[1] - 189).argmin()
    assert enso["msl"][0][aleutian] < -300  # Pa: a deeper Aleutian low in January
    assert enso["t2m"][0, rows, columns] == pytest.approx(2 * east_pacific[rows, columns], abs=0.2)
    with pytest.raises(ValueError, match="all points are NaN"):
        planet.forced_response(months, *grid, np.full(land.shape, np.nan))


def test_most_of_the_warming_of_the_test_decade_is_the_forced_response(grid):
    """What an emulator that follows SST can gain over climatology: the forced state explains the decade's change."""
    planet, lat, lon = Planet(1978), *grid
    train, test = months_of(1980, 1987, 1994, 2001, 2008), months_of(2016, 2018, 2020, 2022, 2024)

    def change(**options):
        means = [dict(planet.fields(period, lat, lon, ["t2m", "z500"], **options)) for period in (train, test)]
        return {name: means[1][name].mean(axis=0) - means[0][name].mean(axis=0) for name in means[0]}

    whole, forced = change(), change(noise=False, modes={})
    assert 0.4 < area_mean(whole["t2m"], lat, lon) < 0.7
    for name in whole:
        assert area_mean((whole[name] - forced[name]) ** 2, lat, lon) < 0.5 * area_mean(whole[name] ** 2, lat, lon)


def test_modes_have_their_stated_memory_and_pattern(grid):
    planet = Planet(9)
    months = np.arange("1940-01", "2140-01", dtype="datetime64[M]")
    for name, mode in planet.modes().items():
        index = planet.mode_index(name, months)
        assert index.mean() == pytest.approx(0, abs=0.12) and index.std() == pytest.approx(1, abs=0.1)
        if mode.period:
            cycle = int(mode.period)
            np.testing.assert_allclose(index[cycle:], index[:-cycle], atol=1e-9)
            assert np.abs(index[cycle // 2 :] + index[: -(cycle // 2)]).max() < 1e-9
        else:
            lagged = (index[1:] * index[:-1]).mean() / (index**2).mean()
            assert lagged == pytest.approx(np.exp(-1 / mode.decorrelation), abs=0.05)
    lat, lon = grid
    january = np.array(["2001-01"], "datetime64[M]")
    nao = planet.mode_response("nao", january, lat, lon, channels=["msl", "u850"])
    iceland, azores = (
        (np.abs(lat - 63).argmin(), np.abs(lon - 333).argmin()),
        (np.abs(lat - 40.5).argmin(), np.abs(lon - 333).argmin()),
    )
    assert nao["msl"][0][iceland] < -350 and nao["msl"][0][azores] > 200  # Pa
    assert nao["u850"][0][np.abs(lat - 54).argmin(), iceland[1]] > 2  # m s-1: westerlies between them
    qbo = planet.mode_response("qbo", january, lat, lon, channels=["u50", "u850"])
    assert qbo["u50"][0][np.abs(lat).argmin()].mean() == pytest.approx(11, abs=0.5)
    assert np.abs(qbo["u850"]).max() < 0.5


def test_the_modes_can_be_found_in_the_fields(grid):
    """Regression of sea-level pressure on an index gives the mode's response: what an evaluation does."""
    planet, lat, lon = Planet(9), *grid
    months = months_of(*range(1979, 2015))
    winter = months[months.astype(int) % 12 == 0]
    index = planet.mode_index("sam", winter)[:, 0]
    fields = dict(planet.fields(winter, lat, lon, ["msl"], modes={"sam": index[:, None]}))["msl"]
    slope = np.tensordot(index - index.mean(), fields, 1) / ((index - index.mean()) ** 2).sum()
    truth = planet.mode_response("sam", winter[:1], lat, lon, channels=["msl"])["msl"][0]
    south = lat < -30
    assert np.corrcoef(slope[south].ravel(), truth[south].ravel())[0, 1] > 0.9


def test_an_unknown_channel_is_named(grid):
    with pytest.raises(ValueError, match="no channel 'u300'"):
        list(Planet(0).fields(months_of(2000)[:1], *grid, ["u300"]))
