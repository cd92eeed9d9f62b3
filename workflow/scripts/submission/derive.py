"""Variables of the submission from the model's channels: one formula each, shared by CMOR and the evaluation.

Every function takes and returns arrays of any shape (or scalars) in the units its text says. Needs numpy only, so
CMOR's interpreter can import it.
"""

import numpy as np

from workflow.scripts.common.physics import GRAVITY

UNITS = {"zg": "m", "hus": "1", "huss": "1"}  # of what the submission has in other units than its channels are in
GAS_RATIO = 287.0597 / 461.5250  # gas constants of dry air over water vapor, IFS documentation
OPEN_SEA = 0.01  # a cell is open sea where land and sea ice each cover less than this fraction of it


def submission_units(rows):
    """Units of the submission's variables {name: units} from the ``rows`` of the variables table."""
    return {name: UNITS.get(name, row.units) for row in rows for name in row.cmor_name}


def geopotential_height(geopotential):
    """Geopotential height (m) from geopotential (m2 s-2)."""
    return geopotential / GRAVITY


def vapor_pressure(dewpoint):
    """Saturation vapor pressure over water (Pa) at ``dewpoint`` (K): Tetens, as in the IFS (Buck 1981)."""
    return 611.21 * np.exp(17.502 * (dewpoint - 273.16) / (dewpoint - 32.19))


def specific_humidity(dewpoint, pressure):
    """Specific humidity (1) of air with ``dewpoint`` (K) at ``pressure`` (Pa)."""
    vapor = vapor_pressure(dewpoint)
    return GAS_RATIO * vapor / (pressure - (1 - GAS_RATIO) * vapor)


def non_negative(amount):
    """``amount`` with what a statistical model left below zero set to zero."""
    return np.maximum(amount, 0)


def dewpoint_below(dewpoint, temperature):
    """Dewpoint (K) limited to the air ``temperature`` (K): no supersaturated monthly mean is submitted."""
    return np.minimum(dewpoint, temperature)


def open_sea(land, ice):
    """True where a cell is ice-free sea: land fraction and sea ice fraction (0..1) each below ``OPEN_SEA``.

    Sea ice is NaN where the forcing knows no sea; such a cell is not open sea.
    """
    with np.errstate(invalid="ignore"):
        return (np.asarray(land) < OPEN_SEA) & (np.asarray(ice) < OPEN_SEA)


def surface_temperature(skin, sst, land, ice, offset=0.0):
    """Surface temperature (K): the prescribed ``sst`` + ``offset`` (K) over open sea, ``skin`` (K) elsewhere."""
    prescribed = np.asarray(sst) + np.asarray(sst).dtype.type(offset)
    return np.where(open_sea(land, ice) & np.isfinite(prescribed), prescribed, skin)
