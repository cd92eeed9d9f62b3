"""Files of patterns of sea-surface temperature, as others would make them."""

import netCDF4
import numpy as np


def write_pattern(path, values, lat, lon, dims=("month",), axis=None, units="K", name="sst_anomaly"):
    """A file of one field on ``dims``, lat and lon; ``axis``: coordinate of the first ``dims``, and its units."""
    values = np.asarray(values)
    dims = (*(dims if values.ndim > 2 else ()), "lat", "lon")
    with netCDF4.Dataset(path, "w") as file:
        for dim, size in zip(dims, values.shape, strict=True):
            file.createDimension(dim, size)
        for dim, points, about in (("lat", lat, "degrees_north"), ("lon", lon, "degrees_east")):
            file.createVariable(dim, "f8", (dim,))[:] = points
            file[dim].units = about
        if axis is not None:
            file.createVariable(dims[0], "f8", (dims[0],))[:] = axis[0]
            file[dims[0]].setncatts({"units": axis[1]} if axis[1] else {})
        variable = file.createVariable(name, "f8", dims, fill_value=np.nan)
        variable.setncatts({"units": units} if units else {})
        variable[:] = values
    return path
