"""The table of variables, one row per field and level: the only list of variables there is.

config/variables.csv is AIMIP's; the config's ``variables`` may name another, for fewer or other fields.

Columns: ``role`` (field: predicted by the model; static: constant in time; forcing: prescribed), ``dataset`` (the
CDS dataset, short: single-levels, pressure-levels, static; forcing for the AIMIP file), ``cds_name`` (name in a CDS
request), ``short_name`` (name in the netCDF reply), ``level`` (hPa, empty at the surface), ``channel`` (name in the
model), ``transform`` (before normalising: none, sqrt, logit), ``regrid`` (conservative; sea: of the forcing, whose
temperature is that of the sea part of a cell and whose ice a share of the whole; majority: categories; axis: angles in
radians of which a and a + pi are the same), ``units`` (CF),
``valid_min``, ``valid_max`` (bounds that no sane value passes, in ``units``), ``cmor_name`` (variables of the
submission made from it). Needs the standard library only, so CMOR's interpreter can import it.
"""

import csv
from dataclasses import dataclass


@dataclass(frozen=True)
class Variable:
    """One row of the table; see the module's text for the meaning of each column."""

    role: str
    dataset: str
    cds_name: str
    short_name: str
    level: int | None
    channel: str
    transform: str
    regrid: str
    units: str
    valid_min: float
    valid_max: float
    cmor_name: tuple


def read_variables(path, role=None, dataset=None):
    """Rows of the table in file order, of one ``role`` and ``dataset`` if given, as a list of Variable.

    Raises ValueError that names the line and the column of a value that is no number.
    """
    rows = []
    with open(path, newline="", encoding="utf-8") as file:
        for number, row in enumerate(csv.DictReader(file), start=2):
            try:
                row["level"] = int(row["level"]) if row["level"] else None
                row["valid_min"], row["valid_max"] = float(row["valid_min"]), float(row["valid_max"])
            except ValueError as error:
                raise ValueError(f"{path} line {number}: {error}") from error
            row["cmor_name"] = tuple(row["cmor_name"].split())
            rows.append(Variable(**row))
    return [row for row in rows if role in (None, row.role) and dataset in (None, row.dataset)]
