"""The AIMIP forcing file: sea surface temperature and sea ice at the start of each month, and the land mask.

Ai2 published it on Zenodo (https://doi.org/10.5281/zenodo.16782372) without attributes: ``sea_surface_temperature`` (K)
and ``sea_ice_cover`` (0 to 1) with dimensions time, latitude, longitude, missing over land, and ``land_sea_mask``
(latitude, longitude). The value stamped on the first of a month belongs to that instant and is interpolated linearly to
the next, so the mean of month m is 0.5 (v[m] + v[m + 1]) and the file reaches one month beyond the period it forces.
"""

import cftime
import netCDF4
import numpy as np

from workflow.scripts.common.months import month_range, parse_month
from workflow.scripts.inputs.checks import check_grid, check_times

LAND_MASK = "land_sea_mask"
BLOCK_MONTHS = 24  # read so many months at a time: 100 MB at 0.25 degrees


class Forcing:
    """An open forcing file: ``months`` (datetime64[M], start of each), ``latitude`` (north to south), ``longitude``.

    Use as a context manager. Raises ValueError if a variable or dimension is missing.
    """

    def __init__(self, path):
        self.path, self.file = path, netCDF4.Dataset(path)
        try:
            self._read_axes()
        except Exception:
            self.file.close()
            raise

    def _read_axes(self):
        self.file.set_auto_mask(False)
        missing = [name for name in ("time", "latitude", "longitude", LAND_MASK) if name not in self.file.variables]
        if missing:
            found = ", ".join(self.file.variables)
            raise ValueError(
                f"{self.path} lacks {', '.join(missing)}; it has {found}, so it is not the AIMIP forcing file"
            )
        time = self.file["time"]
        dates = cftime.num2date(time[:], time.units, getattr(time, "calendar", "standard"))
        self.starts = np.array([date.isoformat() for date in dates], "datetime64[s]")
        self.months = self.starts.astype("datetime64[M]")
        latitude, longitude = (self.file[name][:].astype(np.float64) for name in ("latitude", "longitude"))
        self._flip = latitude[0] < latitude[-1]
        self.latitude = latitude[::-1] if self._flip else latitude
        self.longitude = longitude

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()

    def land(self):
        """Land fraction 0..1, float32 (latitude, longitude), north to south."""
        return self._ordered(self.file[LAND_MASK][...])

    def read(self, name, start, stop):
        """Months ``start`` to ``stop`` of ``name``, float32 (time, latitude, longitude), north first, NaN on land."""
        if name not in self.file.variables:
            raise ValueError(f"{self.path} lacks {name}; it has {', '.join(self.file.variables)}")
        return self._ordered(self.file[name][start:stop])

    def _ordered(self, values):
        values = np.asarray(values, np.float32)
        return np.ascontiguousarray(values[..., ::-1, :]) if self._flip else values


def blocks(count):
    """Pairs (start, stop) that cut ``count`` months into blocks of BLOCK_MONTHS."""
    return [(start, min(start + BLOCK_MONTHS, count)) for start in range(0, count, BLOCK_MONTHS)]


def check_forcing(path, rows, start, end):
    """Check the forcing file: the grid, every month from ``start`` to the one after ``end``, and the values.

    ``rows``: the forcing Variables. Raises ValueError with one sentence that names the file and what is wrong.
    """
    with Forcing(path) as forcing:
        try:
            check_grid(forcing.latitude, forcing.longitude)
            if (forcing.starts != forcing.months.astype("datetime64[s]")).any():
                late = forcing.starts[forcing.starts != forcing.months.astype("datetime64[s]")][0]
                raise ValueError(f"{late} is not the start of a month; month-start values are expected")
            wanted = month_range(start, str(parse_month(end) + 1))
            check_times(forcing.months[np.isin(forcing.months, wanted)], wanted)
            if (np.diff(forcing.months.astype(int)) != 1).any():
                raise ValueError("the months are not in order, one after the other")
            _check_range(forcing.land(), "land_sea_mask", -0.01, 1.01, "1")
            for row in rows:
                for first, last in blocks(len(forcing.months)):
                    values = forcing.read(row.cds_name, first, last)
                    _check_range(values, row.cds_name, row.valid_min, row.valid_max, row.units)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error


def _check_range(values, name, low, high, units):
    least, most = np.nanmin(values, initial=np.inf), np.nanmax(values, initial=-np.inf)
    if not least <= most:
        raise ValueError(f"'{name}' has no values")
    if least < low or most > high:
        raise ValueError(f"'{name}' spans {least:g}..{most:g} {units}, beyond the plausible {low:g}..{high:g}")
