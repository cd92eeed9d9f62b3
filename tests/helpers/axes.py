"""Axes of the netCDF files that tests make."""

from workflow.scripts.common.grids import bounds, lat_edges, lon_edges
from workflow.scripts.common.months import CALENDAR, TIME_UNITS, mid_times, time_bounds


def write_axes(file, months, lat, lon, bounded=False):
    """Dimensions and CF coordinates time, lat and lon of an open ``file``, with their bounds if ``bounded``.

    months: as of ``month_range``; lat, lon: degrees.
    """
    axes = {
        "time": (mid_times(months), time_bounds(months), {"units": TIME_UNITS, "calendar": CALENDAR}),
        "lat": (lat, bounds(lat_edges(lat)), {"units": "degrees_north"}),
        "lon": (lon, bounds(lon_edges(lon)), {"units": "degrees_east"}),
    }
    if bounded:
        file.createDimension("bnds", 2)
    for name, (values, edges, attributes) in axes.items():
        file.createDimension(name, len(values))
        file.createVariable(name, "f8", (name,))[:] = values
        file[name].setncatts(attributes)
        if bounded:
            file[name].bounds = f"{name}_bnds"
            file.createVariable(f"{name}_bnds", "f8", (name, "bnds"))[:] = edges
