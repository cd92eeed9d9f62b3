"""Variables of the submission from the model's channels: one formula each, shared by CMOR and the evaluation.

Every function takes and returns arrays of any shape (or scalars) in the units its text says. A table of variables may
lack what a variable needs: that variable is then left out. Needs numpy only, so CMOR's interpreter can import it.
"""

import numpy as np

from workflow.scripts.common import physics
from workflow.scripts.common.physics import GRAVITY

UNITS = {"zg": "m", "hus": "1", "huss": "1"}  # of what the submission has in other units than its channels are in
NEEDS = {"tdas": ("tas",), "huss": ("tas", "ps")}  # fields that a 2 m dewpoint (K) needs to become these variables
OPEN_SEA = 0.01  # a cell is open sea where land and sea ice each cover less than this fraction of it


def submission_units(rows):
    """Units of the submission's variables {name: units} from the ``rows`` of the variables table."""
    return {name: UNITS.get(name, found[0].units) for name, found in submitted_rows(rows).items()}


def submitted_rows(rows):
    """The ``rows`` of the table of variables that make each variable of the submission: {name: rows, ground first}.

    Without those of ``left_out``.
    """
    sources, absent = {}, left_out(rows)
    for row in rows:
        for name in row.cmor_name:
            if name not in absent:
                sources.setdefault(name, []).append(row)
    return {name: sorted(found, key=lambda row: -(row.level or 0)) for name, found in sources.items()}


def left_out(rows):
    """Variables that ``rows`` name and that cannot be made, since a field they need is not among the rows: {name: why}.

    A dewpoint becomes ``tdas`` with ``tas``, which limits it, and ``huss`` with ``ps`` too.
    """
    known = {name for row in rows for name in row.cmor_name}
    absent = {
        name: [need for need in NEEDS.get(name, ()) if row.units == "K" and need not in known]
        for row in rows
        for name in row.cmor_name
    }
    return {name: f"it needs {' and '.join(lacks)}" for name, lacks in absent.items() if lacks}


def submitted(name, row, rows, read):
    """The submission's variable ``name``, in its units, from the field of ``row`` at one level.

    ``rows``: of the whole table, by ``submitted_rows``. ``read``: gives the values of a row's field in the row's units.
    ``ts`` is not yet the prescribed sea's (``surface_temperature``).
    """
    values = read(row)
    if name in NEEDS and row.units == "K":
        dewpoint = dewpoint_below(values, read(rows["tas"][0]))
        return dewpoint if name == "tdas" else specific_humidity(dewpoint.astype(np.float64), read(rows["ps"][0]))
    if name == "zg" and row.units == "m2 s-2":
        return geopotential_height(values)
    return non_negative(values) if name in ("hus", "huss", "pr") else values


def geopotential_height(geopotential):
    """Geopotential height (m) from geopotential (m2 s-2)."""
    return geopotential / GRAVITY


def specific_humidity(dewpoint, pressure):
    """Specific humidity (1) of air with ``dewpoint`` (K) at ``pressure`` (Pa)."""
    return physics.specific_humidity(physics.saturation_pressure(dewpoint), pressure)


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
