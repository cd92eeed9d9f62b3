"""The surface that drives the GCM: means of months kept, ice apart from water, offsets on open water only."""

import numpy as np
import pytest

from tests.helpers.gcm_data import LATITUDE, anomalies, climatology, land, write_boundary
from workflow.scripts.gcm import boundary
from workflow.scripts.gcm.boundary import FREEZING, Boundary, between_middles, month_nodes


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return Boundary(write_boundary(tmp_path_factory.mktemp("boundary")))


def test_interpolated_days_have_the_means_of_months():
    means = np.random.default_rng(1).normal(280, 8, (12, 3))
    nodes = month_nodes(means)
    place = (np.arange(12 * 400) + 0.5) / 400 - 0.5  # in months from the middle of January
    around = np.concatenate([nodes[-1:], nodes, nodes[:1]])
    days = np.stack([np.interp(place, np.arange(-1, 13), around[:, column]) for column in range(3)], axis=1)
    np.testing.assert_allclose(days.reshape(12, 400, 3).mean(axis=1), means, atol=1e-4)


@pytest.mark.parametrize(
    ("time", "month", "share"),
    [
        ("1990-01-16T12", "1990-01", 0.0),
        ("1990-02-15T00", "1990-02", 0.0),
        ("1992-02-15T12", "1992-02", 0.0),  # of a leap year
        ("1990-01-01T00", "1989-12", 0.5),
        ("1992-03-01T00", "1992-02", 14.5 / 30),
        ("1990-12-31T23", "1990-12", (15.5 - 1 / 24) / 31),
    ],
)
def test_a_day_lies_between_the_middles_of_two_months(time, month, share):
    found = between_middles(np.datetime64(time))
    assert found[0] == np.datetime64(month) and found[1] == pytest.approx(share, abs=1e-9)


def test_water_and_ice_together_have_the_temperature_of_the_climatology(made):
    middle = np.datetime64("1979-01-16T12")  # of the first month, whose anomaly is zero
    found = made.surface(middle)
    expected = month_nodes(climatology())[0]
    np.testing.assert_allclose(found.sea, expected, atol=1e-4)
    assert (found.ice[expected > FREEZING] <= 0.5).all() and (found.ice[expected < FREEZING] >= 0.5).all()
    assert (found.water >= FREEZING).all() and (found.ice_temperature <= FREEZING).all()
    assert found.ice.max() == 1 and (found.ice_temperature < FREEZING - 5).any()


def test_anomalies_belong_to_the_middle_of_their_month_and_stay_beyond_the_ends(made):
    open_water = np.abs(LATITUDE) < 40
    number = (1990 - 1979) * 12 + 6
    climate = made.surface(np.datetime64("1979-07-16T12"))
    found = made.surface(np.datetime64("1990-07-16T12"))
    change = (found.water - climate.water)[:, open_water]
    np.testing.assert_allclose(change, (anomalies()[number] - anomalies()[6])[:, open_water], atol=1e-4)
    last = made.surface(np.datetime64("2013-12-16T12")).water - made.surface(np.datetime64("1979-12-16T12")).water
    np.testing.assert_allclose(last[:, open_water], (anomalies()[-1] - anomalies()[11])[:, open_water], atol=1e-4)
    after = made.surface(np.datetime64("2014-01-16T12")).water - made.surface(np.datetime64("1979-01-16T12")).water
    np.testing.assert_allclose(after[:, open_water], anomalies()[-1][:, open_water], atol=1e-4)


def test_an_offset_warms_open_water_and_nothing_else(made):
    time = np.datetime64("2000-03-10T06")
    control, warm = made.surface(time), made.surface(time, 4.0)
    np.testing.assert_allclose(warm.water - control.water, 4.0, rtol=1e-12)
    for name in ("ice", "ice_temperature", "land", "snow", "soil"):
        np.testing.assert_array_equal(getattr(warm, name), getattr(control, name), err_msg=name)
    np.testing.assert_allclose(warm.sea - control.sea, 4 * (1 - control.ice), atol=1e-9)


def test_coasts_are_fractions_and_little_land_is_sea(made):
    share = land()
    assert set(np.unique(made.land[(share < 0.1) | (share > 0.9)])) == {0.0, 1.0}
    middle = (share > 0.11) & (share < 0.89)
    np.testing.assert_allclose(made.land[middle], share[middle], rtol=1e-6)


def test_data_of_another_period_and_an_interpreter_without_jcm_are_told(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="100 months .* 420 months"):
        Boundary(write_boundary(tmp_path, months=100))
    monkeypatch.setattr(boundary, "find_spec", lambda name: None)
    with pytest.raises(OSError, match="GCM_PYTHON"):
        Boundary()
