"""``ts`` of the submission, from the model's skin temperature and the sea that was prescribed.

Needs numpy only beside the netCDF4 dataset it is given, so CMOR's interpreter can import it.
"""

import numpy as np

from workflow.scripts.submission.derive import surface_temperature


def prescribed_surface(skin, forcing, land, months, offset=0.0):
    """``ts`` (month, lat, lon), K, of a slice of ``months`` of the aggregated ``forcing`` (a netCDF4 dataset).

    ``skin``: K; ``land``: fraction (lat, lon); ``offset``: of the experiment's SST, K. Without sea ice nothing tells
    open sea from ice, and ``ts`` is the skin temperature everywhere.
    """
    if "siconc" not in forcing.variables:
        return skin
    sst, ice = (np.ma.filled(forcing[name][months], np.nan) for name in ("sst", "siconc"))
    return surface_temperature(skin, sst, land, ice, offset)
