"""Monthly means of the GCM's days, as the two files of a year in the layout of the CDS. Needs numpy and netCDF4 only.

Days are brought to pressure levels one by one, since means of a month on sigma levels know nothing of the pressure of
its days. What the table of variables asks for is written, in its units, for a global grid of 3.75 degrees with poles.
"""

from typing import NamedTuple

import numpy as np

from workflow.scripts.common import physics
from workflow.scripts.common.ncfiles import add_coordinate, add_field, add_grid, add_months, new_file
from workflow.scripts.common.variables import read_variables
from workflow.scripts.gcm import pressure

TITLE = "monthly means of SPEEDY, a general circulation model"
SINGLE = ("skt", "t2m", "d2m", "u10", "v10", "sp", "msl", "avg_tprate")
VECTORS, BOUNDED = ("u", "v", "u10", "v10"), ("q", "avg_tprate")
DATASETS = ("single-levels", "pressure-levels")


class Day(NamedTuple):
    """Means of a day: ``fields`` (level, longitude, latitude) by t, q, u, v, z, all else (longitude, latitude); SI."""

    fields: dict
    surface_pressure: np.ndarray
    air: np.ndarray  # temperature near the ground
    skin: np.ndarray
    east: np.ndarray  # wind near the ground
    north: np.ndarray
    rain: np.ndarray
    ground_flux: np.ndarray  # W m-2, into the land of a cell; 0 where there is none


def wanted(table):
    """Rows of the table of variables by dataset; raises ValueError that names a field the GCM does not have."""
    rows = {}
    for row in read_variables(table, role="field"):
        known = SINGLE if row.level is None else tuple("tquvz")
        if row.short_name not in known or row.dataset not in DATASETS:
            raise ValueError(
                f"{table} asks for '{row.channel}' of {row.dataset}, which the GCM does not have; it has "
                f"{', '.join(SINGLE)} and, on levels, {', '.join('tquvz')}"
            )
        rows.setdefault(row.dataset, []).append(row)
    return rows


def near_ground(day, sigma, height):
    """The fields of SINGLE of a Day, {name: (longitude, latitude)}; ``height``: geopotential of the ground, m2 s-2."""
    lowest = {name: values[-1] for name, values in day.fields.items()}
    dew = pressure.dew_point(np.maximum(lowest["q"], pressure.DRY), day.surface_pressure)
    return {
        "skt": day.skin,
        "t2m": day.air,
        "d2m": np.minimum(dew, day.air),
        "u10": day.east,
        "v10": day.north,
        "sp": day.surface_pressure,
        "msl": pressure.sea_level_pressure(lowest["t"], sigma[-1], day.surface_pressure, height),
        "avg_tprate": day.rain,
    }


class Month:
    """Sums of a month's days; ``levels`` (hPa) of the pressure levels, ``sigma`` and ``height`` of the GCM's."""

    def __init__(self, levels, sigma, height):
        self.levels, self.sigma, self.height, self.days, self.sums = levels, sigma, height, 0, {}

    def add(self, day):
        """Add a Day."""
        fields = near_ground(day, self.sigma, self.height)
        if self.levels:
            fields |= pressure.on_levels(self.sigma, self.levels, day.fields, day.surface_pressure)
        self.sums = {name: self.sums.get(name, 0) + values for name, values in fields.items()}
        self.days += 1

    def means(self, regular):
        """Means on the grid of ``regular``: a dict of (latitude, longitude), with the level first where there are."""
        found = {}
        for name, total in self.sums.items():
            found[name] = regular(total / self.days, vector=name in VECTORS, bounded=name in BOUNDED)
        if "z" in found:
            # A height of the GCM's gravity in the geopotential of the convention.
            found["z"] *= physics.GRAVITY / pressure.GRAVITY
        return found


def write_year(path, rows, months, means, regular):
    """Write the ``rows`` of one dataset: ``means`` holds a dict of each of ``months`` (``datetime64[M]``)."""
    levels = sorted({row.level for row in rows if row.level is not None}, reverse=True)
    with new_file(path, TITLE) as file:
        add_months(file, months)
        if levels:
            add_coordinate(file, "level", levels)
        add_grid(file, regular.latitude, regular.longitude)
        for row in rows:
            place = () if row.level is None else (levels.index(row.level),)
            if row.short_name not in file.variables:
                dims = ("time", "level", "lat", "lon") if place else ("time", "lat", "lon")
                long_name = row.cds_name.replace("_", " ")
                add_field(file, row.short_name, dims, units=row.units, long_name=long_name)
            values = np.stack([month[row.short_name][place] for month in means])
            if not ((values >= row.valid_min) & (values <= row.valid_max)).all():
                raise ValueError(
                    f"'{row.channel}' of the GCM spans {values.min():g}..{values.max():g} {row.units}, beyond the "
                    f"plausible {row.valid_min:g}..{row.valid_max:g}: the run is no climate"
                )
            file[row.short_name][(slice(None), *place)] = values
