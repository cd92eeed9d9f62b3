"""From the Gaussian to the regular grid: smooth fields survive, winds cross the poles, bounded fields stay bounded."""

import numpy as np

from tests.helpers.gcm_data import LATITUDE, X, Y
from workflow.scripts.gcm.regular import Regular

GRID = Regular(LATITUDE)
LAT, LON = np.deg2rad(GRID.latitude)[:, None], np.deg2rad(GRID.longitude)[None, :]


def test_the_grid_has_poles_north_first():
    assert GRID.latitude[0] == 90 and GRID.latitude[-1] == -90 and len(GRID.latitude) == 49
    np.testing.assert_allclose(np.diff(GRID.longitude), 3.75)


def test_smooth_fields_are_kept_up_to_the_poles():
    def field(x, y):  # of degrees up to 6
        return 280 + 20 * np.sin(y) + 5 * np.cos(y) ** 4 * np.cos(4 * x) + 3 * np.cos(y) * np.sin(y) * np.sin(x)

    found = GRID(field(X, Y))
    assert np.abs(found - field(LON, LAT)).max() < 2e-3
    assert np.ptp(found[0]) < 1e-9 and np.ptp(found[-1]) < 1e-9, "a pole is one place"


def test_a_wind_across_the_poles_keeps_its_direction():
    # Rotation of the whole air about an axis in the equator: nothing is special at the poles.
    east, north = GRID(-np.sin(Y) * np.cos(X), vector=True), GRID(np.sin(X) + 0 * Y, vector=True)
    np.testing.assert_allclose(east, -np.sin(LAT) * np.cos(LON), atol=1e-3)
    np.testing.assert_allclose(north, np.sin(LON) + 0 * LAT, atol=1e-3)


def test_a_bounded_field_goes_nowhere_beyond_its_values():
    step = (Y > 0.3) * (X > 2) * 1.0
    found = GRID(step, bounded=True)
    assert found.min() == 0 and found.max() == 1
    assert GRID(step).max() > 1.01, "which cubics do not keep"
