"""The slab below the GCM's land: heat warms it, forty days let it forget."""

import numpy as np
import pytest

from workflow.scripts.gcm.ground import Ground

LAND, ALBEDO = np.array([[1.0, 1.0, 0.5, 0.2, 0.0]]), np.array([[0.2, 0.6, 0.2, 0.2, 0.1]])


def test_a_constant_flux_ends_where_loss_and_gain_are_even():
    ground, flux = Ground(LAND, ALBEDO), np.full((1, 5), 10.0)
    for _ in range(1000):
        ground.step(flux)
    # Gain of a day: 864000 J in 2.5 MJ/K of soil or 9.65 MJ/K of ice; after it a 41st part is lost.
    soil, ice = 40 * 864000 / 2.5e6, 40 * 864000 / 9.65e6
    np.testing.assert_allclose(ground.anomaly, [[soil, ice, soil, 0, 0]], rtol=1e-6)
    np.testing.assert_allclose(ground.temperature(np.full((1, 5), 280.0)) - 280, ground.anomaly)


def test_without_heat_an_anomaly_fades_in_forty_days():
    ground = Ground(LAND, ALBEDO)
    ground.anomaly = np.ones((1, 5))
    for _ in range(40):
        ground.step(np.zeros((1, 5)))
    assert ground.anomaly[0, 0] == pytest.approx(np.exp(-1), abs=0.01)


def test_the_flux_is_that_of_the_land_alone():
    """A skin 3 K above its ground on half of a cell is 1.5 K above the cell's surface: 21 W/m2 at 7 W/m2/K."""
    flux = Ground(LAND, ALBEDO).flux(np.array([[3.0, 3.0, 1.5, 0.6, 0.0]]))
    np.testing.assert_allclose(flux, [[21.0, 21.0, 21.0, 21.0, 0.0]])
