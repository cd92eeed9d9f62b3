"""What the GCM stands on and what drives it: land, mountains, the surface of each day, from the data that jcm ships.

The data are SPEEDY's own at T30 (96 x 48): climatologies of twelve months and observed monthly anomalies of sea-surface
temperature, 1979-01 to 2013-12. A month's value belongs to its middle; days between two middles are interpolated
linearly. So that means of months stay what they are, the climatologies of sea and land temperature take nodes whose
interpolation has them (Taylor, Williamson and Zwiers 2000, PCMDI Report 60).

Sea ice is SPEEDY's: where the climatology of sea-surface temperature lies above the freezing point, at most half of
the sea is frozen, and the open water is as much warmer as the mean asks for; below it, at least half, and the ice is
colder.
Anomalies and the offset of an experiment are added to open water alone; ice keeps its cover and temperature.

Arrays are (longitude, latitude), latitude from south to north, as jcm's. Needs numpy and netCDF4 only.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import netCDF4
import numpy as np

FREEZING = 273.2 - 1.8  # K, of sea water, SPEEDY's value
FIRST, LAST = np.datetime64("1979-01"), np.datetime64("2013-12")  # observed anomalies
COAST = 0.1  # a cell with less land is sea, one with less sea is land
LIMIT = 50.0  # K: what SPEEDY's own check lets anomalies be


class Surface(NamedTuple):
    """The surface of a day, (longitude, latitude): temperatures in K, covers and wetness from 0 to 1."""

    water: np.ndarray  # temperature of open water
    ice: np.ndarray  # share of the sea that is frozen
    ice_temperature: np.ndarray
    land: np.ndarray  # climatological temperature of the ground
    snow: np.ndarray  # snow per snow that covers the ground; 1 and more is all
    soil: np.ndarray  # wetness

    @property
    def sea(self):
        """Temperature of water and ice together, K."""
        return self.water + self.ice * (self.ice_temperature - self.water)


def data_folder():
    """Folder of the boundary data in the jcm that this interpreter has; jcm itself is not imported.

    Raises OSError if there is none.
    """
    found = find_spec("jcm")
    if found is None or found.origin is None:
        raise OSError("jcm is not installed here: set GCM_PYTHON to a Python that has it, or run make gcm")
    return Path(found.origin).parent / "data" / "bc" / "t30"


class Boundary:
    """Boundary data of the folder ``folder`` (default: jcm's own).

    ``longitude``, ``latitude`` in degrees; ``land`` (fraction, 0 or 1 but at coasts), ``height`` of the ground in m,
    not yet truncated, ``albedo`` of bare land: (longitude, latitude). Raises ValueError for data of another period.
    """

    def __init__(self, folder=None):
        folder = data_folder() if folder is None else Path(folder)
        self.longitude, self.latitude, terrain = _read(folder / "clim" / "terrain.nc", "lsm", "orog")
        share, self.height = terrain["lsm"], terrain["orog"]
        self.land = np.where(share <= COAST, 0.0, np.where(share >= 1 - COAST, 1.0, share))
        names = ("sst", "icec", "stl", "snowc", "soilw_am", "alb")
        *_, climate = _read(folder / "clim" / "forcing.nc", *names)
        self.albedo = climate.pop("alb")
        self.climate = climate | {name: month_nodes(climate[name]) for name in ("sst", "stl")}
        *_, sea = _read(folder / "anom" / "sea_surface_temperature_anomaly.nc", "ssta")
        self.anomaly = sea["ssta"]
        months = (LAST - FIRST).astype(int) + 1
        if len(self.anomaly) != months or not (np.abs(self.anomaly) <= LIMIT).all():
            raise ValueError(
                f"{folder}: {len(self.anomaly)} months of sea-surface temperature anomalies up to "
                f"{np.abs(self.anomaly).max():g} K; {months} months ({FIRST}..{LAST}) within {LIMIT:g} K are wanted"
            )

    def mean(self, field):
        """Global mean of ``field`` (longitude, latitude)."""
        weights = np.cos(np.deg2rad(self.latitude))
        return float((field.mean(axis=0) * weights).sum() / weights.sum())

    def surface(self, time, offset=0.0):
        """The Surface at the ``datetime64`` ``time``, open water ``offset`` K warmer."""
        before, share = between_middles(time)
        pair = np.array([before, before + 1])

        def blend(values, places):
            first, second = values[places]
            return first + share * (second - first)

        now = {name: blend(values, pair.astype(int) % 12) for name, values in self.climate.items()}
        # Before the first middle and after the last the anomaly stays.
        places = np.clip((pair - FIRST).astype(int), 0, len(self.anomaly) - 1)
        warm = now["sst"] > FREEZING
        ice = np.where(warm, np.minimum(now["icec"], 0.5), np.maximum(now["icec"], 0.5))
        excess = now["sst"] - FREEZING
        water = FREEZING + np.where(warm, excess / (1 - np.where(warm, ice, 0)), 0)
        cold = FREEZING + np.where(warm, 0, excess / np.where(warm, 1, ice))
        # Observed anomalies go on below the ice, where no open water is colder than freezing.
        water = np.maximum(water + blend(self.anomaly, places), FREEZING) + offset
        return Surface(water, ice, cold, now["stl"], now["snowc"], now["soilw_am"])


def between_middles(time):
    """The month whose middle comes before ``time`` (``datetime64[M]``), and how far ``time`` is on the way to the next.

    The share goes from 0 to 1.
    """
    time = np.asarray(time, "datetime64[s]")
    month = time.astype("datetime64[M]")
    month = month if time >= _middle(month) else month - 1
    return month, float((time - _middle(month)) / (_middle(month + 1) - _middle(month)))


def _middle(month):
    start, end = month.astype("datetime64[s]"), (month + 1).astype("datetime64[s]")
    return start + (end - start) // 2


def month_nodes(means):
    """Values at the middles of the months (12, ..) whose linear interpolation has the monthly ``means`` (12, ..).

    For months of one length: mean m is an eighth of node m - 1, three quarters of node m, an eighth of node m + 1.
    """
    matrix = sum(share * np.roll(np.eye(12), turn, axis=1) for turn, share in ((-1, 0.125), (0, 0.75), (1, 0.125)))
    return np.linalg.solve(matrix, means.reshape(12, -1)).reshape(means.shape)


def _read(path, *names):
    """(longitude, latitude, fields) of a file: months first, then longitude, then latitude from south to north."""
    with netCDF4.Dataset(path) as file:
        longitude, latitude = (np.ma.getdata(file[name][:]).astype(np.float64) for name in ("lon", "lat"))
        order = np.argsort(latitude)
        fields = {}
        for name in names:
            axes = [axis for axis in ("time", "lon", "lat") if axis in file[name].dimensions]
            values = np.ma.filled(file[name][:].astype(np.float64), np.nan)
            fields[name] = values.transpose([file[name].dimensions.index(axis) for axis in axes])[..., order]
            if not np.isfinite(fields[name]).all():
                raise ValueError(f"{path}: '{name}' has places without a value")
    return longitude, latitude[order], fields
