"""The forcing of an experiment: a pattern added to the water, and ice that follows it by the published relation."""

import netCDF4
import numpy as np
import pytest

from tests.helpers import submission_files
from tests.helpers.patterns import write_pattern
from workflow.scripts.aggregate.experiment import change_sea, followed_ice, main
from workflow.scripts.common.grids import centres

GRID = centres(15)
ZERO = 273.15


def read(path, *names):
    with netCDF4.Dataset(path) as file:
        return [np.ma.filled(file[name][:].astype("f8"), np.nan) for name in names]


@pytest.fixture
def forcing(tmp_path):
    return submission_files.write_aggregated_forcing(tmp_path / "simulation.nc")


def test_twelve_maps_are_added_each_to_its_month_and_nothing_else_changes(forcing, tmp_path):
    maps = np.arange(1, 13)[:, None, None] * 0.1 + np.cos(np.deg2rad(GRID[0]))[None, :, None] + np.zeros(24)
    pattern = write_pattern(tmp_path / "wave.nc", maps, *GRID)
    change_sea(forcing, tmp_path / "out.nc", 3.0, pattern)
    before, after = (read(path, "sst", "siconc", "lsm", "time", "lat") for path in (forcing, tmp_path / "out.nc"))
    months = (np.arange(12) + 9) % 12  # the simulation begins in October
    np.testing.assert_allclose(after[0], before[0] + maps[months], atol=4e-5)
    for one, other in zip(before[1:], after[1:], strict=True):
        np.testing.assert_array_equal(one, other)


def test_without_a_pattern_water_keeps_its_bits(forcing, tmp_path):
    change_sea(forcing, tmp_path / "out.nc", -4.0, ice="follow")
    (before,), (after, ice) = read(forcing, "sst"), read(tmp_path / "out.nc", "sst", "siconc")
    np.testing.assert_array_equal(before, after)
    assert not np.array_equal(ice, read(forcing, "siconc")[0])


def test_the_warmest_water_beside_the_ice_that_is_left_is_that_of_the_relation():
    """Hurrell et al. (2008): 9.328 (0.729 - C^3) - 1.8 degC, solved here for C by bisection."""
    water = ZERO + np.array([-1.79, -1.0, 0.0, 1.5, 3.0, 4.5, 4.96])[None]
    low, high = np.zeros_like(water), np.full_like(water, 0.9)
    for _ in range(60):
        middle = (low + high) / 2
        allowed = 9.328 * (0.729 - middle**3) - 1.8 + ZERO >= water
        low, high = np.where(allowed, middle, low), np.where(allowed, high, middle)
    full = np.ones_like(water)
    np.testing.assert_allclose(followed_ice(full, water, 2.0, np.zeros(7)), low, atol=1e-5)
    np.testing.assert_allclose(followed_ice(0.7 * full, water, 2.0, np.full(7, 0.3)), 0.7 * low, atol=1e-5)


def test_ice_goes_above_five_degrees_and_comes_where_water_freezes():
    water = ZERO + np.array([5.0, 20.0, -1.81, -1.79, 4.0])[None]
    np.testing.assert_array_equal(followed_ice(np.full((1, 5), 0.4), water, 1.0, np.zeros(5))[0, :2], 0)
    cooled = followed_ice(np.array([[0.0, 0.0, 0.2, 0.2, 0.0]]), water, -2.0, np.array([0, 0, 0.4, 0, 0]))
    np.testing.assert_allclose(cooled[0], [0, 0, 0.9 * 0.6, 0.2, 0], atol=1e-6)


def test_ice_stays_where_nothing_is_added_and_never_grows_by_warming_nor_melts_by_cooling():
    random = np.random.default_rng(3)
    land = random.uniform(0, 1, (20, 30))
    ice = (random.uniform(0, 1, (5, 20, 30)) * (1 - land)).astype(np.float32)
    water = ZERO + random.uniform(-3, 8, ice.shape)
    np.testing.assert_array_equal(followed_ice(ice, water, np.zeros_like(water), land), ice)
    warmed, cooled = followed_ice(ice, water, 1.0, land), followed_ice(ice, water, -1.0, land)
    assert (warmed <= ice).all() and (cooled >= ice).all() and (cooled <= 1 - land + 1e-6).all()
    assert (warmed < ice).any() and (cooled > ice).any()
    np.testing.assert_array_equal(followed_ice(warmed, water, 1.0, land), warmed)


def test_ice_follows_the_water_with_the_offset_which_stays_out_of_the_file(forcing, tmp_path):
    pattern = write_pattern(tmp_path / "wave.nc", np.full((13, 24), 1.0), *GRID)
    change_sea(forcing, tmp_path / "out.nc", 3.0, pattern, "follow")
    sst, ice, land = read(forcing, "sst", "siconc", "lsm")
    warm, left = read(tmp_path / "out.nc", "sst", "siconc")
    np.testing.assert_allclose(warm, sst + 1, atol=4e-5)
    np.testing.assert_allclose(left, followed_ice(ice, sst + 4, np.full_like(sst, 4.0), land), atol=1e-6)
    assert np.nansum(left) < 0.9 * np.nansum(ice)


def test_a_pattern_without_a_value_over_the_sea_is_refused_and_over_land_it_is_not(forcing, tmp_path):
    (sst,) = read(forcing, "sst")
    values = np.where(np.isnan(sst[0]), np.nan, 1.0)
    change_sea(forcing, tmp_path / "good.nc", 0.0, write_pattern(tmp_path / "a.nc", values, *GRID))
    values[4, 0] = np.nan
    path = write_pattern(tmp_path / "b.nc", values, *GRID)
    with pytest.raises(
        ValueError, match="b.nc has no value in 1 cells of the sea, the first at latitude -30, longitude 0"
    ):
        change_sea(forcing, tmp_path / "bad.nc", 0.0, path)
    assert not (tmp_path / "bad.nc").exists()


def test_the_command_line_writes_what_the_function_writes(forcing, tmp_path):
    pattern = write_pattern(tmp_path / "wave.nc", np.full((13, 24), 1.0), *GRID)
    change_sea(forcing, tmp_path / "a.nc", -4.0, pattern, "follow")
    words = ["--forcing", forcing, "--sst-offset=-4", "--sst-pattern", pattern, "--ice", "follow"]
    assert main(list(map(str, [*words, "--out", tmp_path / "b.nc"]))) == 0
    assert (tmp_path / "a.nc").read_bytes() == (tmp_path / "b.nc").read_bytes()
