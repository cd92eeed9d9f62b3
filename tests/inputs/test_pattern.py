"""A pattern of sea-surface temperature: conservative on the model's grid, and refused in one sentence if it is none."""

import numpy as np
import pytest

from tests.helpers.patterns import write_pattern
from workflow.scripts.common.grids import area_mean, centres
from workflow.scripts.inputs.pattern import read_pattern

LAT, LON = centres(15)
FINE = centres(2.5, poles=False)


def wave(lat, lon):
    return 2 * np.cos(np.deg2rad(lat))[:, None] * np.sin(np.deg2rad(lon))[None, :]


def test_one_map_keeps_its_integral_and_its_shape(tmp_path):
    values = wave(*FINE) + 0.5
    found = read_pattern(write_pattern(tmp_path / "a.nc", values, *FINE), LAT, LON)
    assert found.shape == (1, 13, 24)
    assert area_mean(found[0], LAT, LON) == pytest.approx(area_mean(values, *FINE), abs=1e-12)
    inner = slice(1, -1)
    # The mean of cos(lat) sin(lon) over a box of 15 degrees, weighted by cos(lat), in closed form.
    step = np.deg2rad(7.5)
    low, high = np.deg2rad(LAT[inner]) - step, np.deg2rad(LAT[inner]) + step
    rows = ((high - low) / 2 + (np.sin(2 * high) - np.sin(2 * low)) / 4) / (np.sin(high) - np.sin(low))
    columns = np.sin(np.deg2rad(LON)) * np.sin(step) / step
    np.testing.assert_allclose(found[0, inner], 0.5 + 2 * rows[:, None] * columns, atol=3e-3)


@pytest.mark.parametrize("units", ["K", "degC", "kelvin", "Celsius"])
def test_a_difference_of_one_degree_is_one_kelvin(tmp_path, units):
    path = write_pattern(tmp_path / "a.nc", np.full((72, 144), 1.5), *FINE, units=units)
    np.testing.assert_allclose(read_pattern(path, LAT, LON), 1.5)


def test_fahrenheit_is_scaled_and_not_shifted(tmp_path):
    path = write_pattern(tmp_path / "a.nc", np.full((72, 144), 9.0), *FINE, units="degF")
    np.testing.assert_allclose(read_pattern(path, LAT, LON), 5.0)


@pytest.mark.parametrize(
    ("dims", "axis"),
    [
        (("month",), None),
        (("month",), (np.arange(1, 13), None)),
        (("time",), (np.arange(12) * 30.4 + 15, "days since 2001-01-01")),
    ],
)
def test_twelve_maps_are_the_months_from_january(tmp_path, dims, axis):
    values = np.arange(1, 13)[:, None, None] + np.zeros((72, 144))
    found = read_pattern(write_pattern(tmp_path / "a.nc", values, *FINE, dims=dims, axis=axis), LAT, LON)
    np.testing.assert_allclose(found[:, 3, 5], np.arange(1, 13))


def test_the_way_the_axes_run_changes_nothing(tmp_path):
    values = wave(*FINE)
    one = write_pattern(tmp_path / "one.nc", values, *FINE)
    turned = np.roll(values[::-1], 72, axis=1)
    other = write_pattern(tmp_path / "other.nc", turned, FINE[0][::-1], np.roll(FINE[1], 72) - 180 + 180)
    np.testing.assert_allclose(read_pattern(one, LAT, LON), read_pattern(other, LAT, LON), atol=1e-12)


def test_a_cell_has_the_mean_of_its_part_with_values_or_none(tmp_path):
    values = np.where(np.abs(FINE[0])[:, None] < 60, 3.0, np.nan) + np.zeros(144)
    found = read_pattern(write_pattern(tmp_path / "a.nc", values, *FINE), LAT, LON)[0]
    known = np.abs(LAT) - 7.5 < 60
    np.testing.assert_allclose(found[known], 3.0)
    assert np.isnan(found[~known]).all()


def test_a_band_without_the_poles_has_nothing_there(tmp_path):
    inside = np.abs(FINE[0]) < 60
    path = write_pattern(tmp_path / "a.nc", np.full((inside.sum(), 144), 3.0), FINE[0][inside], FINE[1])
    found = read_pattern(path, LAT, LON)[0]
    np.testing.assert_allclose(found[np.abs(LAT) <= 60], 3.0)
    assert np.isnan(found[np.abs(LAT) > 70]).all()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"units": "m"}, ["'sst_anomaly' is in 'm'", "cannot be converted to 'K'"]),
        ({"units": None}, ["'sst_anomaly' states no units", "K is wanted"]),
        ({"shape": (3,)}, ["has 3 maps (3 month)", "one, or twelve"]),
        ({"shape": (12, 2), "dims": ("month", "member")}, ["24 maps (12 month x 2 member)", "one, or twelve"]),
        ({"shape": (3, 4), "dims": ("year", "season")}, ["12 maps (3 year x 4 season)", "of one dimension"]),
        ({"shape": (12,), "axis": (np.roll(np.arange(1, 13), 3), None)}, ["10, 11, 12, 1", "January first"]),
        (
            {"shape": (12,), "dims": ("time",), "axis": (np.arange(12) * 30.4 + 100, "days since 2001-01-01")},
            ["4, 5, 6", "January first"],
        ),
        ({"value": 290.0}, ["reaches 290 K", "differences", "at most 20 K"]),
        ({"lon": FINE[1] / 2}, ["longitudes do not go round the globe", "global grid"]),
    ],
)
def test_what_is_no_pattern_gets_one_sentence(tmp_path, changes, words):
    shape, value, lon = changes.pop("shape", ()), changes.pop("value", 1.0), changes.pop("lon", FINE[1])
    path = write_pattern(tmp_path / "a.nc", np.full((*shape, 72, 144), value), FINE[0], lon, **changes)
    with pytest.raises(ValueError) as error:
        read_pattern(path, LAT, LON)
    sentence = str(error.value)
    assert sentence.startswith(str(path)) and "\n" not in sentence
    assert all(word in sentence for word in words), sentence
