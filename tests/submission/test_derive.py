from dataclasses import replace

import numpy as np
import pytest

from tests.helpers.project import VARIABLES
from workflow.scripts.common.variables import read_variables
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


def rows(*drop, **units):
    """AIMIP's fields without those of the channels ``drop``, some in other units."""
    every = [row for row in read_variables(VARIABLES, role="field") if row.channel not in drop]
    return [replace(row, units=units.get(row.channel, row.units)) for row in every]


@pytest.mark.parametrize(
    ("drop", "absent"),
    [
        ((), {}),
        (("sp",), {"huss": "it needs ps"}),
        (("t2m",), {"huss": "it needs tas", "tdas": "it needs tas"}),
        (("t2m", "sp"), {"huss": "it needs tas and ps", "tdas": "it needs tas"}),
        (("d2m", "sp", "z500"), {}),
    ],
)
def test_a_variable_is_left_out_where_a_field_it_needs_is(drop, absent):
    assert derive.left_out(rows(*drop)) == absent
    made, every = derive.submitted_rows(rows(*drop)), derive.submitted_rows(rows())
    gone = {name for row in rows() if row.channel in drop for name in row.cmor_name}
    assert set(made) == set(every) - gone - set(absent)


def test_rows_of_a_variable_are_in_the_order_of_its_levels():
    assert [row.level for row in derive.submitted_rows(rows()[::-1])["ta"]] == [1000, 850, 700, 500, 250, 100, 50]


def test_the_units_of_a_channel_say_how_it_becomes_the_variable():
    values = {"d2m": np.float32(290), "t2m": np.float32(285), "sp": np.float32(98000), "z500": 9.80665 * 5500}

    def made(name, table):
        found = derive.submitted_rows(table)
        return derive.submitted(name, found[name][0], found, lambda row: values[row.channel])

    assert made("tdas", rows()) == 285
    assert made("huss", rows()) == pytest.approx(derive.specific_humidity(285.0, 98000.0))
    assert made("zg", rows()) == pytest.approx(5500)
    assert made("zg", rows(z500="m")) == 9.80665 * 5500
    values["d2m"] = np.float32(-1e-6)
    assert made("huss", rows("sp", d2m="kg kg-1")) == 0  # a humidity needs no pressure
