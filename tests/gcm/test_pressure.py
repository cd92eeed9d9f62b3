"""Pressure levels and stations: exact where the profile is known, and what a book says."""

import numpy as np
import pytest

from tests.helpers.gcm_data import SIGMA, made_day
from workflow.scripts.gcm import pressure

LEVELS = [1000, 850, 700, 500, 250, 100, 50]


def test_a_temperature_linear_in_the_logarithm_of_pressure_is_exact_with_its_geopotential():
    day = made_day()
    found = pressure.on_levels(SIGMA, LEVELS[1:], day.fields, day.surface_pressure)
    height = np.log(np.array(LEVELS[1:]) / 1000)
    np.testing.assert_allclose(found["t"][:, 3, 5], 288 + 30 * height, rtol=1e-12)
    np.testing.assert_allclose(found["u"][:, 3, 5], 10 - 10 * height, rtol=1e-12)
    np.testing.assert_allclose(found["z"][:, 3, 5], -287.04 * (288 * height + 15 * height**2), rtol=1e-9)


def test_below_the_ground_the_air_warms_at_a_constant_rate():
    """Of a standard atmosphere: temperature, height and pressure at sea level, from plateaus of any height."""
    height = np.array([0.0, 800.0, 3000.0])
    lapse, power = pressure.LAPSE, pressure.EXPONENT
    ground = 101325 * (1 - lapse * height / 288.15) ** (1 / power)

    def temperature(pressures):
        return 288.15 * (pressures / 101325) ** power

    at = SIGMA[:, None] * ground
    state = {name: 0 * at for name in "quv"} | {"t": temperature(at)}
    state["z"] = pressure.GRAVITY / lapse * (288.15 - state["t"])
    found = pressure.on_levels(SIGMA, [1000], state, ground)
    np.testing.assert_allclose(found["t"][0], temperature(1e5), rtol=1e-9)
    np.testing.assert_allclose(found["z"][0], pressure.GRAVITY / lapse * (288.15 - temperature(1e5)), rtol=1e-9)
    sea = pressure.sea_level_pressure(state["t"][-1], SIGMA[-1], ground, pressure.GRAVITY * height)
    np.testing.assert_allclose(sea, 101325, rtol=1e-9)


def test_the_stratosphere_has_the_least_humidity_and_it_grows_with_temperature():
    day, warm = made_day(), made_day(5.0)
    dry = day._replace(fields=day.fields | {"q": 0 * day.fields["q"]})
    found = pressure.on_levels(SIGMA, LEVELS, dry.fields, dry.surface_pressure)["q"][:, 0, 0]
    assert (found > 0).all() and found[0] < 2e-5
    wet, wetter = (
        pressure.on_levels(SIGMA, LEVELS, one.fields, one.surface_pressure)["q"][:, 0, 0] for one in (day, warm)
    )
    np.testing.assert_allclose(wetter[5:] / wet[5:], np.exp(0.1), rtol=1e-9)
    np.testing.assert_allclose(wetter[:4], wet[:4], rtol=1e-12)


def test_hydrostatic_balance_holds_for_air_of_one_temperature_and_of_a_slope():
    edges = np.array([0, 0.05, 0.14, 0.26, 0.42, 0.6, 0.77, 0.9, 1.0])
    weights, height = pressure.hydrostatic(edges), np.log((edges[1:] + edges[:-1]) / 2)
    np.testing.assert_allclose(weights @ np.full(8, 250.0), -287.04 * 250 * height, rtol=1e-12)
    # Where the temperature is linear in ln p, the mean between a level and the ground is that of both.
    sloped = weights @ (288 + 30 * height)
    np.testing.assert_allclose(sloped, -287.04 * height * (288 + 15 * height), rtol=3e-3)


@pytest.mark.parametrize(("celsius", "vapor"), [(0.0, 6.1078), (20.0, 23.373), (30.0, 42.430)])
def test_dew_points_are_those_of_the_tables(celsius, vapor):
    """Vapor pressure of saturated air over water, hPa (Smithsonian Meteorological Tables, 1951, table 94)."""
    humidity = 0.62198 * vapor / (1013.25 - 0.37802 * vapor)
    assert pressure.dew_point(humidity, 101325.0) == pytest.approx(celsius + 273.15, abs=0.05)
