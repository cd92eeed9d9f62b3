"""netCDF files on the model's grid: one way to write the coordinates that all stages share.

Nothing in a file depends on when or where it was written, so the same data give the same bytes.
"""

from contextlib import contextmanager
from pathlib import Path

import netCDF4
import numpy as np

from workflow.scripts.common.atomic import atomic_path
from workflow.scripts.common.grids import bounds, lat_edges, lon_edges
from workflow.scripts.common.months import CALENDAR, TIME_UNITS, mid_times, months_from_times, time_bounds

COORDINATES = {
    "lat": {"standard_name": "latitude", "units": "degrees_north", "axis": "Y"},
    "lon": {"standard_name": "longitude", "units": "degrees_east", "axis": "X"},
    "level": {"standard_name": "air_pressure", "units": "hPa", "positive": "down", "axis": "Z"},
}
# Of the land in a cell; CF's land_binary_mask is of 0 and 1 only.
LAND_FRACTION = {"units": "1", "standard_name": "land_area_fraction", "long_name": "land fraction (land_sea_mask)"}


@contextmanager
def new_file(path, title, fill=True):
    """A netCDF file to write to, which appears at ``path`` when all is written, or not at all.

    ``fill=False`` saves the time to fill variables of which every value is written anyway.
    """
    with atomic_path(path) as temporary:
        with netCDF4.Dataset(temporary, "w", format="NETCDF4") as file:
            if not fill:
                file.set_fill_off()
            file.setncatts({"Conventions": "CF-1.10", "title": title})
            yield file


def try_folder(path):
    """Write and read a little netCDF file beside ``path``: where the machine does not let that be, it is said here."""
    trial = Path(path).with_name(f".{Path(path).name}.trial")
    try:
        with new_file(trial, "trial") as file:
            add_coordinate(file, "time", [0.0])
        netCDF4.Dataset(trial).close()
    finally:
        trial.unlink(missing_ok=True)


def add_coordinate(file, name, values, with_bounds=False, **attributes):
    """A dimension and float64 coordinate ``name``; ``with_bounds`` adds the cell edges of lat or lon."""
    values = np.asarray(values, np.float64)
    file.createDimension(name, len(values))
    variable = file.createVariable(name, "f8", (name,))
    variable.setncatts(COORDINATES.get(name, {}) | attributes)
    variable[:] = values
    if with_bounds:
        _add_bounds(file, name, bounds({"lat": lat_edges, "lon": lon_edges}[name](values)))


def add_grid(file, lat, lon, with_bounds=False):
    """Coordinates lat and lon."""
    add_coordinate(file, "lat", lat, with_bounds)
    add_coordinate(file, "lon", lon, with_bounds)


def add_months(file, months):
    """CF time of monthly means: the middle of each month, with its bounds."""
    add_coordinate(file, "time", mid_times(months), standard_name="time", units=TIME_UNITS, calendar=CALENDAR, axis="T")
    _add_bounds(file, "time", time_bounds(months))


def add_times(file, times, units=TIME_UNITS):
    """CF time of the datetime64 ``times`` as they are, in ``units``, days or hours since a date; no bounds."""
    unit = {"days": "D", "hours": "h"}[units.split()[0]]
    values = (np.asarray(times).astype(f"datetime64[{unit}]") - np.datetime64(units.split()[-1])).astype(np.float64)
    add_coordinate(file, "time", values, standard_name="time", units=units, calendar=CALENDAR, axis="T")


def add_field(file, name, dims, compressed=True, **attributes):
    """A float32 variable with NaN where there is nothing; compressed in chunks of one field or one level's series."""
    chunks = [1 if dim not in ("lat", "lon", "time") else min(len(file.dimensions[dim]), 24) for dim in dims]
    options = {"zlib": True, "complevel": 1, "shuffle": True, "chunksizes": chunks} if compressed else {}
    variable = file.createVariable(name, "f4", dims, fill_value=np.float32(np.nan), **options)
    variable.setncatts(attributes)
    return variable


def add_text(file, name, dim, values, **attributes):
    """A variable of text along ``dim``, which is made if it is not there."""
    if dim not in file.dimensions:
        file.createDimension(dim, len(values))
    variable = file.createVariable(name, str, (dim,))
    variable.setncatts(attributes)
    variable[:] = np.array(values, object)


def read_array(variable, places=...):
    """The values of a netCDF variable, or those at ``places`` (an index), as a plain array, NaN where missing."""
    return np.ma.filled(variable[places], np.nan)


def read_months(file):
    """The months (``datetime64[M]``) of a file of ours, whose times are days since a day."""
    epoch = np.datetime64(file["time"].units.split()[-1])
    return months_from_times(epoch + np.ma.getdata(file["time"][:]).astype("timedelta64[D]"))


def _add_bounds(file, name, values):
    if "bnds" not in file.dimensions:
        file.createDimension("bnds", 2)
    file[name].bounds = f"{name}_bnds"
    file.createVariable(f"{name}_bnds", "f8", (name, "bnds"))[:] = values
