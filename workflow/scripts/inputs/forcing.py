"""The AIMIP forcing file: sea surface temperature and sea ice at the start of each month, and the land mask.

Ai2 published it on Zenodo (https://doi.org/10.5281/zenodo.16782372) without attributes: ``sea_surface_temperature`` (K)
and ``sea_ice_cover`` (0 to 1) with dimensions time, latitude, longitude, missing over land, and ``land_sea_mask``
(latitude, longitude). The value stamped on the first of a month belongs to that instant and is interpolated linearly to
the next, so the mean of month m is 0.5 (v[m] + v[m + 1]) and the file reaches one month beyond the period it forces.
A centre's own file is laid out the same; it may hold means of months in place of values at their starts, and no ice.
"""

from functools import cached_property

import numpy as np

from workflow.scripts.common.months import month_range, parse_month
from workflow.scripts.common.physics import SEA_FREEZING
from workflow.scripts.common.units import conversion
from workflow.scripts.inputs.checks import check_grid, check_times
from workflow.scripts.inputs.era5 import listed
from workflow.scripts.inputs.labelled import load, months, open_labelled, ordered, times, without_time

LAND_MASK = "land_sea_mask"
VALUES = ("start", "mean")  # what a file holds for a month: the value at its start, or its mean
ALL_LAND = 1 - 1e-3  # from this fraction of land on a cell has no sea, whatever temperature it is given
# Of all cells, those whose sea may come and go: ERA5's mask moved by two pixels (of 1,038,240) in 1959, as
# https://github.com/DestinE-Climate-DT/AQUA/issues/2191 tells.
MOVING = 1e-5
FEW = 2  # such cells on any grid
BLOCK_MONTHS = 24  # read so many months at a time: 100 MB at 0.25 degrees


class Forcing:
    """An open forcing file: ``months`` (datetime64[M]), ``latitude`` (north to south), ``longitude``.

    ``values`` (one of VALUES): "start": a value belongs to the instant of its stamp; "mean": to the month that its
    stamp or bounds say. Use as a context manager. Raises ValueError if a variable or dimension is missing.
    """

    def __init__(self, path, values="start"):
        self.path, self.data = path, ordered(open_labelled(path))
        try:
            missing = [name for name in ("time", LAND_MASK) if name not in self.data.variables]
            if missing:
                raise ValueError(
                    f"{path} lacks {', '.join(missing)}; it has {', '.join(map(str, self.data.variables))}, so it is "
                    "not the AIMIP forcing file"
                )
            self.starts = times(self.data, path)
            self.months = months(self.data, path) if values == "mean" else self.starts.astype("datetime64[M]")
        except Exception:
            self.data.close()
            raise
        self.latitude, self.longitude = self.data["latitude"].values, self.data["longitude"].values

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.data.close()

    def land(self):
        """Land fraction 0..1, float32 (latitude, longitude), north to south."""
        return self._values(without_time(self.data[LAND_MASK], self.path), "1")

    def read(self, row, start, stop):
        """Months ``start`` to ``stop`` of the forcing Variable ``row`` in its units, NaN on land.

        The sea has no temperature where all is land, though the file may have one there, filled in from the coasts.
        float32 (time, latitude, longitude), north to south.
        """
        if row.cds_name not in self.data.data_vars:
            raise ValueError(f"{self.path} lacks {row.cds_name}; it has {', '.join(map(str, self.data.data_vars))}")
        values = self._values(self.data[row.cds_name].isel(time=slice(start, stop)), row.units)
        return at_sea(values, self._land) if row.short_name == "sst" else values

    @cached_property
    def _land(self):
        return self.land()

    def _values(self, array, units):
        """As published the file states no units; one that states them has them converted."""
        factor, offset = conversion(array.attrs.get("units", units), units, array.name, self.path)
        values = load(array.transpose(..., "latitude", "longitude"))
        values = values if (factor, offset) == (1, 0) else values * factor + offset
        return np.ascontiguousarray(values, np.float32)


def at_sea(values, land):
    """``values`` (time, latitude, longitude) of the sea, NaN where ``land`` (latitude, longitude) 0..1 is all."""
    return np.where(land >= ALL_LAND, np.float32(np.nan), values)


def blocks(count):
    """Pairs (start, stop) that cut ``count`` months into blocks of BLOCK_MONTHS."""
    return [(start, min(start + BLOCK_MONTHS, count)) for start in range(0, count, BLOCK_MONTHS)]


def check_forcing(path, rows, start, end, values="start"):
    """Check the forcing file: the grid, every month from ``start`` to the one after ``end``, and the values.

    ``rows``: the forcing Variables. ``values``: one of VALUES; means need not reach beyond ``end``. Raises ValueError
    with one sentence that names the file and what is wrong.
    """
    with Forcing(path, values) as forcing:
        try:
            check_grid(forcing.latitude, forcing.longitude)
            if values == "start" and (forcing.starts != forcing.months.astype("datetime64[s]")).any():
                late = forcing.starts[forcing.starts != forcing.months.astype("datetime64[s]")][0]
                raise ValueError(
                    f"{late} is not the start of a month; month-start values are expected, unless the config sets "
                    f"local.forcing_values to mean"
                )
            wanted = month_range(start, str(parse_month(end) + (values == "start")))
            check_times(forcing.months[np.isin(forcing.months, wanted)], wanted)
            if (np.diff(forcing.months.astype(int)) != 1).any():
                raise ValueError("the months are not in order, one after the other")
            land = forcing.land()
            _check_range(land, LAND_MASK, -0.01, 1.01, "1")
            if np.isnan(land).any():
                where = _places(np.isnan(land), forcing)
                raise ValueError(f"'{LAND_MASK}' has no value in {where}: write 1 on land and 0 at sea")
            for row in rows:
                ever, always = np.False_, np.True_
                for first, last in blocks(len(forcing.months)):
                    read = forcing.read(row, first, last)
                    _check_range(read, row.cds_name, row.valid_min, row.valid_max, row.units)
                    # A file may begin long before the simulation, with a sparser sea.
                    needed = np.isin(forcing.months[first:last], wanted)
                    there = np.isfinite(read[needed])
                    _check_months(there, row.cds_name, forcing.months[first:last][needed])
                    ever, always = ever | there.any(axis=0), always & there.all(axis=0)
                if row.short_name == "sst":
                    _check_sea(ever & ~always, row.cds_name, forcing)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error


def _check_range(values, name, low, high, units):
    least, most = np.nanmin(values, initial=np.inf), np.nanmax(values, initial=-np.inf)
    if not least <= most:
        raise ValueError(f"'{name}' has no values")
    if least < low or most > high:
        raise ValueError(f"'{name}' spans {least:g}..{most:g} {units}, beyond the plausible {low:g}..{high:g}")


def _check_months(there, name, months):
    """Every month has values: ``there`` (time, latitude, longitude)."""
    empty = ~there.any(axis=(1, 2))
    if empty.any():
        raise ValueError(f"'{name}' has no values in {listed(months[empty])}")


def _check_sea(moving, name, forcing):
    """The sea is the same in every month but in the cells ``moving`` (latitude, longitude), which are hardly any.

    Only here, before regridding, is the mask of a source the same to the cell. Where it comes and goes with the ice,
    the model would see no sea in winter, and the mean temperature of all the sea in its place.
    """
    if moving.sum() > max(FEW, MOVING * moving.size):
        raise ValueError(
            f"'{name}' has values in some months and none in others in {_places(moving, forcing)}: fill it under ice "
            f"({SEA_FREEZING} K)"
        )


def _places(where, forcing):
    """How many cells ``where`` (latitude, longitude) marks and where the first one is, for a message."""
    row, column = np.argwhere(where)[0]
    return f"{where.sum()} cells, the first at lat {forcing.latitude[row]:g}, lon {forcing.longitude[column]:g}"
