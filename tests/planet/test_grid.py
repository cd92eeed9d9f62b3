"""The planet's grid: noise, interpolation, means over cells, and the ground below."""

import numpy as np
import pytest

from workflow.scripts.common.grids import centres
from workflow.scripts.planet.climate import land_fraction, orography
from workflow.scripts.planet.grid import (
    LAT,
    LON,
    Interpolator,
    cubic_weights,
    random_fields,
    to_planet,
)


@pytest.fixture(scope="module")
def grid():
    return centres(4.5)


def test_noise_is_isotropic_of_unit_variance_and_correlation_length():
    fields = random_fields(np.random.default_rng(1), 400, 10.0)
    assert np.abs(fields.std(axis=(0, 2)) - 1).max() < 0.15
    middle, lag = LAT.size // 2, 4  # 4 columns of 3 degrees
    along = (fields[:, middle] * np.roll(fields[:, middle], lag, axis=-1)).mean()
    across = (fields[:, middle] * fields[:, middle + lag]).mean()
    expected = np.exp(-((12 / 10) ** 2) / 4)  # white noise smoothed with a Gaussian of 10 degrees
    assert along == pytest.approx(expected, abs=0.06) and across == pytest.approx(expected, abs=0.06)


def test_interpolation_is_exact_at_its_own_points_for_lines_and_at_the_poles():
    field = np.sin(np.deg2rad(LAT))[:, None] + np.cos(np.deg2rad(LAT))[:, None] * np.cos(np.deg2rad(LON))
    np.testing.assert_allclose(Interpolator(LAT, LON)(field), field, atol=1e-5)
    lat, lon = centres(2.25)
    expected = np.sin(np.deg2rad(lat))[:, None] + np.cos(np.deg2rad(lat))[:, None] * np.cos(np.deg2rad(lon))
    np.testing.assert_allclose(Interpolator(lat, lon)(field), expected, atol=1e-3)
    np.testing.assert_allclose(cubic_weights([3.3], 9) @ np.arange(9.0), [3.3])


def test_means_over_the_planet_cells_leave_land_out_and_fill_it():
    lat, lon = centres(1.5)
    field = np.where(np.abs(lat)[:, None] > 30, np.nan, 2.0) * np.ones(lon.size)
    np.testing.assert_allclose(to_planet(field, lat, lon), 2.0)


def test_the_ground_is_flat_at_sea_and_the_land_where_it_should_be():
    land = {"Sahara": (23, 10), "Amazon": (-5, 295), "Siberia": (62, 110), "Antarctica": (-85, 100)}
    assert all(land_fraction([lat], [lon])[0, 0] == 1 for lat, lon in land.values())
    sea = {"Pacific": (0, 200), "Atlantic": (30, 320), "Arctic": (87, 180), "Indian": (-20, 80)}
    for lat, lon in sea.values():
        assert land_fraction([lat], [lon])[0, 0] == 0 and orography([lat], [lon])[0, 0] == 0
