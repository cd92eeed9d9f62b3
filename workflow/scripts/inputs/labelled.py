"""The one way to open a file from outside: values, times, axes and units as the file itself states them.

xarray decodes CF's packing and missing values, cftime the times of every calendar; cf_xarray finds the axes by what
they say of themselves, and only then are names looked at; udunits (through cf_units) compares and converts units.
Nothing is loaded before it is asked for. The conventions: https://cfconventions.org, chapters 2.5 (missing data),
3.1 (units), 4 (axes), 7.1 (bounds), 8.1 (packing).
"""

import os
from functools import lru_cache

import cf_xarray  # noqa: F401 (the accessor .cf)
import cftime
import netCDF4
import numpy as np
import xarray as xr

from workflow.scripts.common.faults import explained
from workflow.scripts.common.units import conversion, spelled, unit

# Files without a fill attribute still hold the library's own filler, or CMIP's; no value of any variable is as large.
FILLED = 1e19
LATITUDES, LONGITUDES = ("latitude", "lat", "nav_lat"), ("longitude", "lon", "nav_lon")
LEVELS = ("level", "pressure_level", "isobaricInhPa", "plev", "lev", "pressure")
# Before others, since a file that has been through GRIB keeps the time of reference as "time" beside it.
TIMES = ("valid_time", "time", "date", "forecast_reference_time")


def open_labelled(source, label=None):
    """``source`` (path of a netCDF file, an open netCDF4.Dataset, or one of ``open_grib``) as a Dataset, read lazily.

    Dimensions and their coordinates are called ``time``, ``level`` (hPa), ``latitude`` and ``longitude`` (degrees,
    0..360), whatever the file calls them, in the file's order; packed values become floats, missing ones NaN.
    ``time`` keeps its numbers; ``times`` and ``months`` read them. Raises OSError if it is no netCDF file, ValueError
    that names ``label`` (default: the path) if latitude and longitude are not axes of it.
    """
    label = label or source
    opened = source if isinstance(source, netCDF4.Dataset | xr.Dataset) else open_netcdf(source, label)
    dataset = opened
    if not isinstance(opened, xr.Dataset):
        store = xr.backends.NetCDF4DataStore(opened)
        # With the engine named xarray does not load all that are installed, ecCodes among them.
        dataset = xr.open_dataset(store, engine="store", decode_times=False, decode_coords=False)
    try:
        dataset = _named_axes(dataset, label)
    except Exception:
        opened.close()
        raise
    dataset.set_close(opened.close)
    return dataset


def open_netcdf(path, label):
    """The netCDF4.Dataset ``path``; raises OSError that names ``label``, or the MachineFault that is behind it."""
    try:
        return netCDF4.Dataset(path)
    except OSError as error:
        empty = os.path.isfile(path) and not os.path.getsize(path)
        said = "is empty, not netCDF" if empty else f"is no readable netCDF file ({error})"
        raise explained(error, path) or OSError(f"{label} {said}") from error


def ordered(dataset, latitude=-1, level=-1):
    """``dataset`` with longitudes from 0, latitudes and levels in the order of the sign given; still lazy.

    -1: from north to south, 1000 hPa first; 1: from south to north, the highest level first.
    """
    whole = dataset
    for name, sign in (("latitude", latitude), ("longitude", 1), ("level", level)):
        if name in dataset.dims:
            order = np.argsort(sign * dataset[name].values, kind="stable")
            if np.array_equal(order, np.arange(len(order))[::-1]):
                dataset = dataset.isel({name: slice(None, None, -1)})
            elif not np.array_equal(order, np.arange(len(order))):
                dataset = dataset.isel({name: order})
    if dataset is not whole:
        dataset.set_close(whole.close)
    return dataset


def same_axis(one, other, name):
    """Whether two datasets have the same coordinate ``name``, or none; what it carries, such as a level, may differ."""
    if name not in one.variables or name not in other.variables:
        return name not in one.variables and name not in other.variables
    return np.array_equal(one[name].values, other[name].values)


def without_time(array, label):
    """A field that does not change, such as the land's, of one time where the file repeats it at each.

    Raises ValueError that names ``label`` if its values do change.
    """
    for dim in [dim for dim in array.dims if dim not in ("latitude", "longitude")]:
        first = array.isel({dim: 0}, drop=True).load()
        for number in range(1, array.sizes[dim]):
            if not np.array_equal(first.values, array.isel({dim: number}).values, equal_nan=True):
                raise ValueError(f"{label}: '{array.name}' changes along '{dim}'; give one map of it")
        array = first
    return array


def load(array):
    """The values of a variable of ``open_labelled``, NaN where the file has none or says that one is not valid."""
    values = array.values
    if values.dtype.kind != "f":
        values = values.astype(np.float32 if values.dtype.itemsize < 4 else np.float64)
    low, high = _valid_range(array)
    fillers = _fillers(array)
    if not fillers and low == -FILLED and high == FILLED and np.nanmax(np.abs(values), initial=0) < FILLED:
        return values
    known = (values >= low) & (values <= high) & (np.abs(values) < FILLED)
    for filler in fillers:
        known &= ~np.isclose(values, filler, rtol=1e-6, atol=0)
    return np.where(known, values, np.nan)


def times(dataset, label):
    """The stamps of ``dataset``, datetime64[s] (time,), in its calendar."""
    stamps = [
        f"{date.year:04d}-{date.month:02d}-{date.day:02d}T{date.strftime('%H:%M:%S')}"
        for date in _dates(np.atleast_1d(dataset["time"].values), dataset["time"].attrs, label)
    ]
    try:
        return np.array(stamps, "datetime64[s]")
    except ValueError as error:
        raise ValueError(f"{label} has a time that is in no ordinary calendar ({error})") from None


def months(dataset, label):
    """The month of each mean in ``dataset``, datetime64[M] (time,): from the bounds of its time, else from its stamp.

    A mean may be stamped at the start, the middle or the end of its month; its bounds say which month it is of.
    """
    numbers, about = np.atleast_1d(dataset["time"].values).astype(np.float64), dataset["time"].attrs
    bounds = dataset.get(about.get("bounds", ""))
    if bounds is not None and bounds.size == 2 * len(numbers) and bounds.shape[-1] == 2:
        limits = bounds.values.reshape(-1, 2).astype(np.float64)
        # Bounds may count from another date than their stamps: xarray writes them so unless told otherwise.
        own = {key: bounds.attrs[key] for key in ("units", "calendar") if key in bounds.attrs}
        counting = about | own if " since " in str(own.get("units", "")) else about
        # Dates written as YYYYMMDD have no middle.
        counted = " since " in str(counting.get("units", ""))
        middle = limits.mean(axis=1) if counted else limits[:, 0]
        # Bounds that were never written are no bounds.
        if np.isfinite(middle).all() and (np.diff(limits, axis=1) != 0).all():
            numbers, about = middle, counting
    dates = _dates(numbers, about, label)
    return np.array([f"{date.year:04d}-{date.month:02d}" for date in dates], "datetime64[M]")


def _named_axes(dataset, label):
    """``dataset`` with its axes under our names, found by cf_xarray where a variable says what it is."""
    axes = dataset.cf.axes
    found = dataset.cf.coordinates | {key: axes.get(key, []) for key in "TZ"}
    wanted = {
        "latitude": [*found.get("latitude", []), *LATITUDES],
        "longitude": [*found.get("longitude", []), *LONGITUDES],
        "level": [name for name in found["Z"] + found.get("vertical", []) if "units" in dataset[name].attrs],
        "time": [*TIMES, *found.get("time", []), *found["T"]],
    }
    wanted["level"] += LEVELS
    chosen = {}
    for axis, names in wanted.items():
        # An axis has one dimension, or none where a file holds one time or level.
        there = [name for name in names if name in dataset.variables and dataset[name].ndim <= 1]
        there = [name for name in there if dataset[name].dims] or there
        if axis == "level":
            there = [name for name in there if _is_level(dataset, name)]
        if axis == "time":
            there = [name for name in there if dataset[name].dims or not _has_time_dimension(dataset)]
        if there:
            chosen[axis] = there[0]
    lines = [dataset[chosen[axis]].dims for axis in ("latitude", "longitude") if axis in chosen]
    if len(set(lines)) < 2 or not all(lines):
        raise ValueError(
            f"{label} has no latitude and longitude of one dimension each; it has "
            f"{', '.join(map(str, dataset.variables))} on ({', '.join(map(str, dataset.dims))}): regrid it to a "
            "latitude-longitude grid first"
        )
    return _renamed(dataset, chosen, label)


def _renamed(dataset, chosen, label):
    axes = {axis: dataset[name].variable for axis, name in chosen.items()}
    dims = {variable.dims[0]: axis for axis, variable in axes.items() if variable.dims and variable.dims[0] != axis}
    # What else bears one of our names, such as the time of reference beside valid_time, is not that axis.
    drop = [name for name in dataset.variables if name in chosen.values() or name in axes]
    dataset = dataset.drop_vars(drop).rename_dims(dims)
    coordinates = {}
    for axis, variable in axes.items():
        values = variable.values
        if axis == "level":
            # Without units: no level of an atmosphere lies at more than 1100 hPa.
            stated = variable.attrs.get("units") or ("Pa" if np.max(values) > 1100 else "hPa")
            factor, _ = conversion(stated, "hPa", chosen[axis], label)
            values = np.round(values.astype(np.float64) * factor, 6)
        elif axis != "time":
            if str(variable.attrs.get("units", "")).strip().lower().startswith("rad"):
                values = np.rad2deg(values)
            values = np.round(values.astype(np.float64), 6)
            values = values % 360 if axis == "longitude" else values
        attributes = {key: variable.attrs[key] for key in ("units", "calendar", "bounds") if key in variable.attrs}
        if axis == "level":
            attributes["units"] = "hPa"
        coordinates[axis] = (axis,) if variable.dims else (), values, attributes
    return dataset.assign_coords(coordinates)


def _has_time_dimension(dataset):
    return any(dataset[name].dims == (name,) for name in TIMES if name in dataset.variables)


def _is_level(dataset, name):
    """Whether an axis is one of pressure that a field lies on: no height, no hybrid levels, none left over."""
    axis = dataset[name]
    used = not axis.dims or any(axis.dims[0] in one.dims and one.ndim > 2 for one in dataset.data_vars.values())
    hybrid = "formula_terms" in axis.attrs or str(axis.attrs.get("standard_name", "")).startswith("atmosphere_")
    return used and not hybrid and (not axis.attrs.get("units") or _is_pressure(axis))


def _is_pressure(variable):
    """Whether a vertical axis measures pressure; others (height of 2 m, hybrid levels) are no levels here."""
    stated = unit(spelled(variable.attrs.get("units", "1")))
    return stated is not None and stated.is_convertible(unit("hPa"))


def _dates(numbers, about, label):
    """cftime dates of ``numbers`` (n,) in the units and calendar of the attributes ``about``."""
    if not numbers.size or not (np.abs(numbers.astype(np.float64)) < FILLED).all():  # NaN fails as well
        raise ValueError(f"{label} has no times, or some that were never written")
    units, calendar = str(about.get("units", "")), str(about.get("calendar", "standard"))
    if " since " not in units:
        # The CDS of autumn 2024 wrote dates as YYYYMMDD.
        days = [str(int(value)) for value in numbers]
        if not all(len(day) == 8 for day in days):
            raise ValueError(
                f"{label} has times {', '.join(map(str, numbers[:6]))} without units; 'days since ...' is wanted"
            )
        return [cftime.datetime(int(day[:4]), int(day[4:6]), int(day[6:]), calendar=calendar) for day in days]
    try:
        return _counted(tuple(numbers.tolist()), units, calendar)
    except ValueError as error:
        raise ValueError(
            f"{label} has times in '{units}' of the calendar '{calendar}', which cannot be read: {error}"
        ) from None


# The files of one simulation have the same times.
@lru_cache(maxsize=8)
def _counted(numbers, units, calendar):
    """The cftime dates of a tuple of numbers."""
    return cftime.num2date(np.array(numbers), units, calendar)


def _fillers(array):
    """Markers of missing values, unpacked, that xarray compares too strictly or not at all.

    A double ``missing_value`` beside single-precision data, and the library's own filler in integers without a fill.
    """
    packing = array.encoding
    raw = np.dtype(packing.get("dtype", array.dtype))
    found = [one for one in map(_number, np.ravel(packing.get("missing_value", []))) if one is not None]
    if "_FillValue" not in packing and raw.kind in "iu" and raw.itemsize > 1:
        found.append(netCDF4.default_fillvals[raw.str[1:]])
    scale, offset = (float(np.squeeze(packing.get(*one))) for one in (("scale_factor", 1), ("add_offset", 0)))
    return [float(one) * scale + offset for one in found if np.isfinite(float(one)) and abs(float(one)) < FILLED]


def _number(marker):
    """A marker of missing values as a number, which some files write as text; None for a text that is none."""
    try:
        return float(str(marker))
    except ValueError:
        return None


def _valid_range(array):
    """(lowest, highest) valid value by the attributes of the file, in unpacked units, within what is no filler."""
    attributes, packing = array.attrs, array.encoding
    low, high = attributes.get("valid_range", (attributes.get("valid_min"), attributes.get("valid_max")))
    scale, offset = float(packing.get("scale_factor", 1)), float(packing.get("add_offset", 0))
    valid = [-FILLED, FILLED]
    for end, limit in enumerate((low, high)):
        if limit is None:
            continue
        # Of packed data, limits of the packed type are packed as well; a negative scale turns them round.
        packed = np.asarray(limit).dtype.kind in "iu" and np.dtype(packing.get("dtype", "f4")).kind in "iu"
        turned = packed and scale < 0
        valid[1 - end if turned else end] = float(limit) * scale + offset if packed else float(limit)
    return tuple(valid)
