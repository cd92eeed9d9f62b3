"""Regridding of one field with ready weights: conservative, over the sea only, by majority, and as an axis.

Every field goes through the same sparse matrix, whichever engine made it, one at a time, so memory stays flat.
"""

import netCDF4
import numpy as np
from scipy.sparse import csr_array

LEAST_SHARE = 1e-6  # a target cell needs at least this much of valid source area, whatever the threshold


class Weights:
    """A weights file: its sparse ``matrix`` (target, source) and the centres of both grids, in degrees."""

    def __init__(self, path):
        with netCDF4.Dataset(path) as file:
            file.set_auto_mask(False)
            names = ("lat_in", "lon_in", "lat_out", "lon_out", "row", "col", "S")
            self.lat_in, self.lon_in, self.lat, self.lon, row, col, share = (file[name][:] for name in names)
        self.path, self.shape = path, (len(self.lat), len(self.lon))
        size = len(self.lat) * len(self.lon), len(self.lat_in) * len(self.lon_in)
        self.matrix = csr_array((share, (row - 1, col - 1)), shape=size)

    def check(self, latitude, longitude, label):
        """Raise ValueError unless the weights were made for the source grid ``latitude``, ``longitude``."""
        for have, wanted in ((latitude, self.lat_in), (longitude, self.lon_in)):
            if len(have) != len(wanted) or not np.allclose(have, wanted, atol=1e-4):
                raise ValueError(
                    f"{label} is on a grid of {len(latitude)} x {len(longitude)} points from {latitude[0]:g}, "
                    f"{longitude[0]:g}, but {self.path} is for {len(self.lat_in)} x {len(self.lon_in)} from "
                    f"{self.lat_in[0]:g}, {self.lon_in[0]:g}; give all data on one grid"
                )


def regrid_mean(weights, values):
    """Area mean over each target cell of one field (latitude, longitude); NaN where any part of it is NaN."""
    return (weights.matrix @ np.ravel(values)).reshape(weights.shape).astype(np.float32)


def regrid_sea(weights, values, threshold):
    """Area mean over the part of each target cell where ``values`` has a value; NaN where less than ``threshold`` is.

    ``threshold``: least share 0..1 of the cell that must have a value.
    """
    valid = np.isfinite(values)
    share = weights.matrix @ valid.ravel().astype(np.float64)
    total = weights.matrix @ np.where(valid, values, 0).ravel()
    enough = share >= max(threshold - LEAST_SHARE, LEAST_SHARE)
    return np.where(enough, total / np.where(enough, share, 1), np.nan).reshape(weights.shape).astype(np.float32)


def regrid_majority(weights, values):
    """The category that covers most of each target cell, the lowest one if two cover the same; never an average."""
    categories = np.unique(values)
    shares = np.stack([weights.matrix @ (values == one).ravel().astype(np.float64) for one in categories])
    # Rounding must not decide between equal shares.
    return categories[np.argmax(np.round(shares, 9), axis=0)].reshape(weights.shape).astype(np.float32)


def regrid_axis(weights, values):
    """The mean direction of axes, such as ridges: angles in radians of which a and a + pi are the same.

    Twice the angle has the period of a direction, whose cosine and sine are averaged over each target cell. In -pi/2 to
    pi/2.
    """
    double = 2 * np.ravel(values).astype(np.float64)
    turn = np.arctan2(weights.matrix @ np.sin(double), weights.matrix @ np.cos(double))
    return (turn / 2).reshape(weights.shape).astype(np.float32)


def regrid_field(weights, values, method, threshold):
    """One field by the ``regrid`` method that config/variables.csv names: conservative, sea, majority or axis."""
    if method == "conservative":
        return regrid_mean(weights, values)
    if method == "sea":
        return regrid_sea(weights, values, threshold)
    if method == "majority":
        return regrid_majority(weights, values)
    if method == "axis":
        return regrid_axis(weights, values)
    raise ValueError(f"config/variables.csv: regrid is '{method}', allowed are conservative, sea, majority, axis")


def long_name(row):
    """What a regridded field of the table of variables is called."""
    return row.cds_name.replace("_", " ")


def add_regridding(parser):
    """Add the options that all programs of this stage have but the one that makes the weights."""
    parser.add_argument("--weights", required=True, help="weights to the model's grid")
    parser.add_argument("--variables", required=True, help="config/variables.csv")
    parser.add_argument("--threshold", type=float, default=0.5, help="least share (0..1) of sea in a cell of the sea")
    parser.add_argument("--out", required=True, help="file to write")
