"""The land of the model grid, for scores over land and over sea and for the coastlines of maps."""

import netCDF4
import numpy as np


def read_land_fraction(path, grid):
    """Land fraction (lat, lon), 0..1 and 0 where it is missing, of the file of static fields or of forcing at ``path``.

    grid: has the ``lat`` and ``lon`` of the reference. Raises ValueError if the file is on a grid of another size.
    """
    with netCDF4.Dataset(path) as data:
        data.set_auto_mask(False)
        land = np.asarray(data["lsm"][:], np.float64).reshape(-1, *data["lsm"].shape[-2:])[0]
    if land.shape != (len(grid.lat), len(grid.lon)):
        raise ValueError(
            f"{path} has a grid of {land.shape}, the reference {(len(grid.lat), len(grid.lon))}: regrid again"
        )
    return np.nan_to_num(np.clip(land, 0, 1))
