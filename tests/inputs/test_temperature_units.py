"""Units of temperature in two words, which udunits reads as an angle times a temperature."""

import netCDF4
import numpy as np
import pytest

from tests.helpers import cds_replies
from workflow.scripts.common.units import conversion
from workflow.scripts.common.variables import read_variables
from workflow.scripts.inputs.forcing import Forcing

# Water freezes and boils at these numbers of each scale.
SCALES = {"K": (273.15, 373.15), "C": (0, 100), "F": (32, 212)}
NAMES = {"K": ("K", "Kelvin", "kelvin"), "C": ("C", "Celsius", "celsius", "Celcius"), "F": ("F", "Fahrenheit")}
SPELLINGS = [
    (f"{degree}{between}{name}", scale)
    for scale, names in NAMES.items()
    for name in names
    for degree, between in (("degrees", " "), ("degree", " "), ("deg", " "), ("Degrees", " "), ("°", ""), ("°", " "))
]


@pytest.mark.parametrize(("units", "scale"), [*SPELLINGS, ("degree-C", "C"), ("degrees.K", "K"), ("DEGREES K", "K")])
def test_a_degree_of_temperature_is_no_angle(units, scale):
    factor, offset = conversion(units, "K", "tas")
    freezes, boils = (value * factor + offset for value in SCALES[scale])
    assert (freezes, boils) == (pytest.approx(273.15), pytest.approx(373.15))


@pytest.mark.parametrize("units", ["degrees C day-1", "degrees K day-1", "degree Celsius / day"])
def test_a_degree_in_a_rate_is_one_too(units):
    factor, offset = conversion(units, "K day-1", "tend")
    assert (factor, offset) == (pytest.approx(1), 0)


@pytest.mark.parametrize("units", ["K degree", "degrees (K)", "arc_degree K", "K degree-1"])
def test_an_angle_with_a_temperature_is_refused(units):
    with pytest.raises(ValueError, match="'tas' is in '.*', an angle with a temperature; write it without, 'K'"):
        conversion(units, "K", "tas")


@pytest.mark.parametrize(
    ("found", "wanted", "factor"), [("degrees", "radian", np.pi / 180), ("degree", "1", np.pi / 180)]
)
def test_an_angle_alone_stays_one(found, wanted, factor):
    assert conversion(found, wanted, "anor") == (pytest.approx(factor), 0)


def test_the_forcing_in_such_units_is_what_it_is(tmp_path):
    path, sst = tmp_path / "forcing.nc", read_variables(cds_replies.VARIABLES, role="forcing")[0]
    cds_replies.write_forcing(path)
    with netCDF4.Dataset(path, "a") as file:
        file["sea_surface_temperature"].units = "degrees K"
        stored = np.ma.filled(file["sea_surface_temperature"][:2], np.nan)
    with Forcing(path) as forcing:
        np.testing.assert_array_equal(forcing.read(sst, 0, 2), stored)
