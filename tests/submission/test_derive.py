import numpy as np
import pytest

from workflow.scripts.submission import derive


def test_specific_humidity_of_saturated_air_matches_published_tables():
    # Saturation mixing ratio at 1000 hPa from the Smithsonian Meteorological Tables: 3.84, 14.95, 27.69 g/kg dry air.
    dewpoint, mixing = np.array([273.15, 293.15, 303.15]), np.array([3.84e-3, 14.95e-3, 27.69e-3])
    found = derive.specific_humidity(dewpoint, 1e5)
    assert found == pytest.approx(mixing / (1 + mixing), rel=0.01)


def test_specific_humidity_inverts_the_definition_of_vapor_pressure():
    humidity = derive.specific_humidity(287.0, 98000.0)
    vapor = humidity * 98000.0 / (0.62198 + 0.37802 * humidity)
    assert vapor == pytest.approx(611.21 * np.exp(17.502 * (287.0 - 273.16) / (287.0 - 32.19)), rel=1e-4)


def test_geopotential_height_of_one_geopotential_meter():
    assert derive.geopotential_height(9.80665) == 1.0


def test_negative_amounts_become_zero_and_others_stay():
    assert derive.non_negative(np.array([-1e-9, 0.0, 2.5])).tolist() == [0.0, 0.0, 2.5]


def test_dewpoint_is_limited_by_the_temperature():
    assert derive.dewpoint_below(np.array([290.0, 280.0]), np.array([285.0, 285.0])).tolist() == [285.0, 280.0]


@pytest.mark.parametrize(
    ("land", "ice", "sst", "expected"),
    [
        (0.0, 0.0, 300.0, 302.0),  # open sea: prescribed, warmed
        (0.009, 0.009, 300.0, 302.0),
        (0.02, 0.0, 300.0, 280.0),  # coast
        (0.0, 0.02, 271.0, 280.0),  # ice
        (0.0, np.nan, 300.0, 280.0),  # no sea in the ice field
        (0.0, 0.0, np.nan, 280.0),  # no sea in the SST
    ],
)
def test_surface_temperature_is_the_prescribed_sea_only_over_open_sea(land, ice, sst, expected):
    found = derive.surface_temperature(np.float32(280), np.float32(sst), np.float32(land), np.float32(ice), offset=2.0)
    assert float(found) == pytest.approx(expected)


def test_surface_temperature_keeps_single_precision():
    sst = np.full((2, 3), 290.1, np.float32)
    found = derive.surface_temperature(sst, sst, np.zeros(3, np.float32), np.zeros((2, 3), np.float32), offset=4.0)
    assert found.dtype == np.float32
