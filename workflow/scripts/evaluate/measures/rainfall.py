"""Precipitation: its quantiles from a histogram that does not grow with time, and the latitude of the tropical rain."""

import numpy as np

from workflow.scripts.common.grids import lat_edges

QUANTILES = (0.01, 0.1, 0.5, 0.9, 0.99)
LOWEST, HIGHEST, STEP = 1e-3, 1e3, 0.005  # mm/day, and the relative width of a bin
PER_SECOND = 1 / 86400  # mm/day in kg m-2 s-1
TROPICS = 20  # degrees


class RainHistogram:
    """Area-weighted histogram of precipitation (kg m-2 s-1), filled bit by bit.

    One bin reaches from 0 to 0.001 mm/day and the others, each 0.5 % wider than the one before, to 1000 mm/day. So a
    quantile differs from that of the sorted values by less than 0.5 % of itself, or by less than 0.001 mm/day below
    that; more than 1000 mm/day counts as 1000. areas (lat, lon): of the cells.
    """

    def __init__(self, areas):
        self.areas = areas
        count = int(np.ceil(np.log(HIGHEST / LOWEST) / np.log1p(STEP)))
        self.edges = np.append(0, LOWEST * (1 + STEP) ** np.arange(count + 1)) * PER_SECOND
        self.weights = np.zeros(count + 1)

    def add(self, values):
        """Take in ``values`` (month, lat, lon); NaN is left out."""
        known = np.isfinite(values)
        scaled = np.log(np.where(known, np.maximum(values, self.edges[1] / 2), 1) / self.edges[1]) / np.log1p(STEP)
        place = np.clip(np.floor(scaled).astype(np.int64) + 1, 0, len(self.weights) - 1)
        weights = known * self.areas
        self.weights += np.bincount(place.ravel(), weights.ravel(), minlength=len(self.weights))

    def quantiles(self, shares=QUANTILES):
        """The value (kg m-2 s-1) below which each share of area and months lies, linear within a bin; nan if empty."""
        total = self.weights.sum()
        if total == 0:
            return np.full(len(shares), np.nan)
        return np.interp(shares, np.append(0, np.cumsum(self.weights) / total), self.edges)


def itcz_latitude(rain, lat):
    """Latitude (degrees north) that halves the rain between 20S and 20N, from zonal means (.., lat), south to north.

    The precipitation centroid of Frierson and Hwang (2012, J. Climate 25, 720), area-weighted; precipitation is uniform
    within a cell, cells are cut at 20S and 20N. nan where there is no rain or some is missing.
    """
    edges = np.sin(np.deg2rad(np.clip(lat_edges(lat), -TROPICS, TROPICS)))
    rain = np.asarray(rain, np.float64)
    inside = np.diff(edges) > 0
    amounts = np.where(inside, rain * np.diff(edges), 0)
    below = np.concatenate([np.zeros((*rain.shape[:-1], 1)), np.cumsum(amounts, axis=-1)], axis=-1)
    found = [
        np.interp(sums[-1] / 2, sums, edges) if sums[-1] > 0 else np.nan for sums in below.reshape(-1, len(lat) + 1)
    ]
    return np.rad2deg(np.arcsin(found)).reshape(rain.shape[:-1])
