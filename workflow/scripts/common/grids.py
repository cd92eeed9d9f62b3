"""Regular latitude-longitude grids: centres, edges, areas, and the exact overlap of two of them.

A global grid of resolution d has its centres at -90, -90 + d, .., 90 (poles included, as half-cells) and 0, d, ..,
360 - d; a grid without poles has centres at -90 + d/2, .., 90 - d/2 and d/2, ... Needs numpy only, so CMOR's
interpreter can import it.
"""

import numpy as np


def centres(resolution, poles=True):
    """Cell centres (lat, lon) in degrees, latitude increasing, for a global grid of ``resolution`` degrees.

    Raises ValueError if the resolution does not divide 180 degrees into whole cells.
    """
    count = 180 / resolution
    if abs(count - round(count)) > 1e-9:
        raise ValueError(f"a grid of {resolution} degrees does not fit: 180 / {resolution} = {count:g} is not whole")
    # From whole numbers of cells, so that no rounding of the step adds up and carries a row beyond its pole.
    count, start = round(count), 0 if poles else resolution / 2
    lat = np.linspace(-90 + start, 90 - start, count + poles)
    return lat, start + 180 / count * np.arange(2 * count, dtype=np.float64)


def lat_edges(lat):
    """Edges of latitude cells, degrees, (nlat + 1): half-way between centres, clipped to the poles; any direction."""
    lat = np.asarray(lat, np.float64)
    middle = (lat[:-1] + lat[1:]) / 2
    first, last = lat[0] - (middle[0] - lat[0]), lat[-1] + (lat[-1] - middle[-1])
    return np.clip(np.concatenate([[first], middle, [last]]), -90, 90)


def lon_edges(lon):
    """Edges of longitude cells, degrees, (nlon + 1): half-way between centres, spanning 360 degrees."""
    lon = np.asarray(lon, np.float64)
    middle = (lon[:-1] + lon[1:]) / 2
    first = (lon[0] + lon[-1] - 360) / 2
    return np.concatenate([[first], middle, [first + 360]])


def bounds(edges):
    """CF bounds (n, 2) of n cells from their n + 1 edges; cf_xarray's would reach beyond the poles."""
    return np.stack([edges[:-1], edges[1:]], axis=-1)


def cell_areas(lat, lon):
    """Share of the sphere's area that each cell covers, float64 (lat, lon), summing to 1 on a global grid."""
    height = np.abs(np.diff(np.sin(np.deg2rad(lat_edges(lat))))) / 2
    width = np.diff(lon_edges(lon)) / 360
    return height[:, None] * width[None, :]


def area_mean(field, lat, lon):
    """Area-weighted mean over the last two axes (lat, lon), NaN left out; NaN where nothing is left."""
    weights = np.where(np.isnan(field), 0, cell_areas(lat, lon))
    total = weights.sum(axis=(-2, -1))
    with np.errstate(invalid="ignore"):
        return np.where(np.isnan(field), 0, field * weights).sum(axis=(-2, -1)) / total


WHOLE = 1 - 1e-9  # the share of a cell that is all of it, but for rounding


def lat_overlap(source, target):
    """Share of each target latitude band that each source band covers, float64 (target, source); rows sum to 1."""
    source, target = (np.sin(np.deg2rad(lat_edges(lat))) for lat in (source, target))
    return _overlap(np.sort(bounds(source)), np.sort(bounds(target)))


def lon_overlap(source, target):
    """Share of each target longitude cell that each source cell covers, float64 (target, source), round the globe."""
    source, target = bounds(lon_edges(source)), bounds(lon_edges(target))
    return sum(_overlap(source + turn, target) for turn in (-720, -360, 0, 360, 720))


class ConservativeRegridder:
    """First-order conservative regridding between the grids ``source`` and ``target``, (lat, lon) each in degrees.

    Exact, as latitude-longitude boxes: the product of two small matrices, ``rows`` (target, source) by the sine of the
    edges and ``columns`` (source, target) by their width.
    """

    def __init__(self, source, target):
        self.rows, self.columns = lat_overlap(source[0], target[0]), lon_overlap(source[1], target[1]).T
        # A source of some latitudes covers a part of the target only.
        self.covers = np.allclose(self.rows.sum(1), 1) and np.allclose(self.columns.sum(0), 1)

    def __call__(self, values, least=0.5):
        """Means of ``values`` (.., lat, lon) over the target's cells, never outside the range of those of the source.

        Of a cell that has values in part, the mean of that part, where it is at least the share ``least``; else NaN.
        """
        there = np.isfinite(values)
        if self.covers and there.all():
            return self.rows @ values @ self.columns
        share = self.rows @ there.astype(np.float64) @ self.columns
        total = self.rows @ np.where(there, values, 0) @ self.columns
        return np.divide(total, share, out=np.full_like(total, np.nan), where=share >= least)


def _overlap(source, target):
    low = np.maximum(source[None, :, 0], target[:, None, 0])
    high = np.minimum(source[None, :, 1], target[:, None, 1])
    return np.clip(high - low, 0, None) / (target[:, 1] - target[:, 0])[:, None]
