"""The planet's fixed facts: land, mountains, and the seasonal climate as tables of zonal means and features.

All come from workflow/data: ``land_mask_1deg.txt``, ``planet_zonal.csv`` (zonal means at 13 latitudes in January and
July, the extremes of the season) and ``planet_features.csv`` (Gaussian hills that stand off the zonal mean). A
climate is therefore a formula of position and of the time of year, on any grid.
"""

from functools import cache

import numpy as np

from workflow.scripts.common.project import DATA
from workflow.scripts.common.tables import read_rows
from workflow.scripts.planet.grid import LAT, LON, cubic_weights

SUBGRID_LENGTH = 4.5e4  # m: heights vary as if the slope of the mountains went on over this distance
ZONAL_STEP = 15.0  # degrees between the columns of planet_zonal.csv


@cache
def _zonal_rows():
    rows = {(row.pop("field"), int(row.pop("month"))): row for row in read_rows(DATA / "planet_zonal.csv")}
    return {key: [float(value) for value in row.values()] for key, row in rows.items()}


@cache
def _feature_rows():
    table = {}
    for row in read_rows(DATA / "planet_features.csv"):
        field, _ = row.pop("field"), row.pop("note")
        table.setdefault(field, []).append({key: float(value) for key, value in row.items()})
    return table


def zonal(field):
    """Zonal means of ``field`` of the table in January and July at the planet's latitudes, (2, 60, 1)."""
    table = np.array([_zonal_rows()[field, 1], _zonal_rows()[field, 7]])
    mirrored = np.concatenate([table[:, 2:0:-1], table, table[:, -2:-4:-1]], axis=1)  # even across the poles
    return (table_weights() @ mirrored.T).T[..., None]


@cache
def table_weights():
    """Cubic interpolation from the table's latitudes, two mirrored ones beyond each pole, to the planet's."""
    return cubic_weights((LAT + 90) / ZONAL_STEP + 2, int(180 / ZONAL_STEP) + 5)


def hill(lat, lon, row):
    """Gaussian hill of height 1 at ``lat`` (n, 1) and ``lon`` (m,), degrees; ``row``: a line of the features table."""
    north = lat - row["lat"]
    east = ((lon - row["lon"] + 180) % 360 - 180) * np.cos(np.deg2rad(lat))
    cosine, sine = np.cos(np.deg2rad(row["tilt"])), np.sin(np.deg2rad(row["tilt"]))
    along, across = cosine * east + sine * north, cosine * north - sine * east
    return np.exp(-((along / row["east_west"]) ** 2 + (across / row["north_south"]) ** 2) / 2)


def features(field, lat=LAT, lon=LON):
    """Sum of the features of ``field`` in January and July, (2, lat, lon); zero where the table has none."""
    lat, lon = np.asarray(lat, np.float64)[:, None], np.asarray(lon, np.float64)
    total = np.zeros((2, lat.size, lon.size))
    for row in _feature_rows().get(field, ()):
        total += np.array([row["january"], row["july"]])[:, None, None] * hill(lat, lon, row)
    return total


def climate(field):
    """Zonal mean plus features of ``field`` in January and July on the planet's grid, (2, 60, 120)."""
    return zonal(field) + features(field)


def seasonal(extremes, month, lag=0.4):
    """Value at ``month`` (n,) of the year (0 = middle of January, fractions allowed) of a field given at its extremes.

    One annual harmonic: ``extremes`` (2, ...) are reached ``lag`` months after the middle of January and of July.
    """
    phase = -np.cos(2 * np.pi * (np.asarray(month, np.float64) - lag) / 12)
    phase = phase.reshape(phase.shape + (1,) * (extremes.ndim - 1))
    return (extremes[0] + extremes[1]) / 2 + (extremes[1] - extremes[0]) / 2 * phase


@cache
def land_mask():
    """Land (1) and sea (0) on cells of 1 degree, (180, 360), latitude increasing from -89.5, longitude from 0.5."""
    lines = [line for line in open(DATA / "land_mask_1deg.txt", encoding="ascii") if not line.startswith("#")]
    bits = np.unpackbits(np.frombuffer(bytes.fromhex("".join(line.strip() for line in lines)), np.uint8))
    return bits.reshape(180, 360)[::-1].astype(np.float64)


def land_fraction(lat, lon):
    """Land fraction 0..1 at any point, (lat, lon) float32: the mask of 1 degree, interpolated linearly."""
    lat, lon = np.asarray(lat, np.float64), np.asarray(lon, np.float64)
    row, column = np.clip(lat + 89.5, 0, 179), (lon - 0.5) % 360
    south, west = np.minimum(row.astype(int), 178), column.astype(int) % 360
    north_share, east_share = (row - south)[:, None], column - np.floor(column)
    mask, east = land_mask(), (west + 1) % 360
    lower = mask[south][:, west] * (1 - east_share) + mask[south][:, east] * east_share
    upper = mask[south + 1][:, west] * (1 - east_share) + mask[south + 1][:, east] * east_share
    return (lower * (1 - north_share) + upper * north_share).astype(np.float32)


@cache
def sea_share():
    """Sea fraction of the planet's own cells, (60, 120): exact means of 3 x 3 cells of the mask."""
    return 1 - land_mask().reshape(LAT.size, 3, LON.size, 3).mean(axis=(1, 3))


def orography(lat, lon):
    """Height of the surface in m, (lat, lon) float32: 150 m of lowland plus the mountains, where there is land."""
    return (land_fraction(lat, lon) * (150 + features("mountain", lat, lon)[0])).astype(np.float32)


def subgrid_orography(lat, lon):
    """The four subgrid fields {short_name: (lat, lon)} float32, made from the shape of the mountains.

    sdor (standard deviation, m), isor (anisotropy, 0..1), anor (angle of the ridges, -pi/2..pi/2), slor (slope).
    """
    step = 0.5  # degrees on either side, over which the slope is taken
    lat = np.asarray(lat, np.float64)
    land, height = land_fraction(lat, lon), orography(lat, lon)
    span = 2 * step * 111e3 * np.ones(lat.size)[:, None]  # m
    upper, lower = (features("mountain", np.clip(lat + move, -90, 90), lon)[0] for move in (step, -step))
    north = (upper - lower) / span
    east = features("mountain", lat, lon + step)[0] - features("mountain", lat, lon - step)[0]
    east = east / (span * np.maximum(np.cos(np.deg2rad(lat)), 0.05)[:, None])
    slope = np.hypot(north, east)
    ice_sheet = ((lat < -63)[:, None] | (height > 500) & (lat > 59)[:, None]) & (height > 0)
    rough = np.where(ice_sheet, 0.25, 1.0) * land
    return {
        "sdor": (rough * (8 + 0.04 * height + SUBGRID_LENGTH * slope)).astype(np.float32),
        "isor": (land * (0.45 + 0.4 * np.tanh(slope / 3e-3))).clip(0, 1).astype(np.float32),
        "anor": (land * np.arctan2(-east, north + 1e-12)).clip(-np.pi / 2, np.pi / 2).astype(np.float32),
        "slor": (rough * (0.002 + 4 * slope)).clip(0, 0.2).astype(np.float32),
    }
