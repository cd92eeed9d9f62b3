"""Indices of internal variability as weights on a map: one monthly value per index is the weighted sum of one field.

NAO: sea-level pressure of the Azores less Iceland's. SAM: zonal-mean sea-level pressure at 40S less that at 65S. PNA:
four centres of 500 hPa height (Wallace and Gutzler 1981). QBO: 50 hPa zonal wind, 5S-5N. NH and SH vortex: 50 hPa
zonal wind at 55-65N and 55-65S; 50 hPa is AIMIP's highest level, below the polar vortices' core. Units are the field's.
"""

import numpy as np

# index: (field, [(share, south, north, west, east) in degrees]); the cell nearest to the middle serves a narrow box.
INDICES = {
    "NAO": ("psl", [(1.0, 36, 40, 332, 340), (-1.0, 63, 68, 335, 345)]),
    "SAM": ("psl", [(1.0, -42, -38, 0, 360), (-1.0, -67, -63, 0, 360)]),
    "PNA": (
        "zg500",
        [
            (0.25, 17.5, 22.5, 195, 205),
            (-0.25, 42.5, 47.5, 190, 200),
            (0.25, 52.5, 57.5, 240, 250),
            (-0.25, 27.5, 32.5, 270, 280),
        ],
    ),
    "QBO": ("ua50", [(1.0, -5, 5, 0, 360)]),
    "NH vortex": ("ua50", [(1.0, 55, 65, 0, 360)]),
    "SH vortex": ("ua50", [(1.0, -65, -55, 0, 360)]),
}


def index_weights(name, lat, lon):
    """Weights (lat, lon), float64: the index is the sum of weights times a map of its field; cos(lat) within a box."""
    return sum(share * box_weights(lat, lon, *edges) for share, *edges in INDICES[name][1])


def box_weights(lat, lon, south, north, west, east):
    """Weights (lat, lon), float64, of the mean over a box whose edges are in degrees, summing to 1."""
    lat, lon = np.asarray(lat, np.float64), np.asarray(lon, np.float64) % 360
    rows = (lat >= south) & (lat <= north)
    if not rows.any():
        rows = np.arange(len(lat)) == np.argmin(np.abs(lat - (south + north) / 2))
    columns = (lon >= west) & (lon <= east)
    if not columns.any():
        distance = np.abs((lon - (west + east) / 2 + 180) % 360 - 180)
        columns = np.arange(len(lon)) == np.argmin(distance)
    weights = np.outer(rows * np.cos(np.deg2rad(lat)), columns)
    return weights / weights.sum()
