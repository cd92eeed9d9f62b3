"""AIMIP's table of the Nino3.4 index, which E3 regresses on."""

import numpy as np

from workflow.scripts.common.months import TIME_UNITS
from workflow.scripts.common.tables import read_rows


def read_index(path):
    """AIMIP's Nino3.4 table: times in days since 1978-10-01 and values in K, two float64 arrays."""
    rows = read_rows(path)
    epoch = np.datetime64(TIME_UNITS.split()[-1])
    days = [(np.datetime64(row["date"]) - epoch).astype(float) for row in rows]
    return np.array(days), np.array([float(row["nino34"]) for row in rows])
