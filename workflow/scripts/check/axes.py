"""Rules on dimensions and coordinates: time, latitude, longitude, levels."""

import cftime
import numpy as np

from workflow.scripts.check.rules import rule
from workflow.scripts.common.grids import bounds, centres, lat_edges, lon_edges
from workflow.scripts.common.months import TIME_UNITS, mid_times, time_bounds

AXES = {"lat": ("latitude", "degrees_north"), "lon": ("longitude", "degrees_east")}
CLOSE = 1e-6  # degrees, days: well below any real difference


@rule("file")
def dimensions(file, expected):
    """Dimensions are time, [plev,] lat, lon in this order."""
    wanted = ("time", "plev", "lat", "lon") if expected.levels(file.variable) else ("time", "lat", "lon")
    found = file.variables[file.variable].dimensions
    if found != wanted:
        yield f"the dimensions are {' '.join(found)}, not {' '.join(wanted)}"


@rule("file")
def coordinates(file, expected):
    """Time, latitude and longitude are there with their bounds."""
    for name in ("time", "lat", "lon"):
        if name not in file.coordinates:
            yield f"the coordinate {name} is absent"
        elif file.variables[name].attributes.get("bounds") != f"{name}_bnds" or f"{name}_bnds" not in file.coordinates:
            yield f"the bounds {name}_bnds are absent, or {name} does not name them"


@rule("file")
def coordinate_attributes(file, expected):
    """Coordinates are double precision with standard_name, units and axis."""
    for name, axis in (("time", "T"), ("lat", "Y"), ("lon", "X")):
        if name in file.variables:
            header = file.variables[name]
            if header.dtype != "float64":
                yield f"{name} is {header.dtype}, not float64"
            wanted = {"axis": axis, "standard_name": AXES.get(name, ("time",))[0]}
            wanted |= {"units": AXES[name][1]} if name in AXES else {}
            for key, value in wanted.items():
                if header.attributes.get(key) != value:
                    yield f"{name} has {key} {header.attributes.get(key)!r}, not {value!r}"


@rule("file")
def time_units(file, expected):
    """Time counts days in the standard or proleptic Gregorian calendar, and so do its bounds where they say."""
    for name in ("time", "time_bnds") if "units" in file.attributes_of("time_bnds") else ("time",):
        attributes = file.counting(name)
        if str(attributes.get("calendar")) not in ("standard", "gregorian", "proleptic_gregorian"):
            yield f"the calendar of {name} is {attributes.get('calendar')!r}, not proleptic_gregorian"
        if epoch(attributes) is None:
            yield f"{name} has the units {attributes.get('units')!r}, not such as '{TIME_UNITS}'"


@rule("file")
def time_count(file, expected):
    """There are as many months as in the period."""
    found = len(np.atleast_1d(file.coordinates.get("time", [])))
    if found != len(expected.months):
        yield f"{found} months are there, not the {len(expected.months)} of {'..'.join(expected.period)}"


@rule("file")
def time_bounds_contiguous(file, expected):
    """Time bounds are the months of the period, each from start to start of the next."""
    found, wanted = days(file, "time_bnds"), time_bounds(expected.months)
    if found is not None and found.shape == wanted.shape:
        wrong = np.argwhere(np.abs(found - wanted).max(axis=1) > CLOSE)
        if wrong.size:
            month = wrong[0, 0]
            yield (
                f"{len(wrong)} months have wrong bounds, the first is {expected.months[month]}: "
                f"{found[month].tolist()} days since 1978-10-01, not {wanted[month].tolist()}"
            )
    elif found is not None:
        yield f"time_bnds has the shape {found.shape}, not {wanted.shape}"


@rule("file")
def time_middle(file, expected):
    """Time is the middle of each month."""
    found, wanted = days(file, "time"), mid_times(expected.months)
    if found is not None and found.shape == wanted.shape:
        wrong = np.argwhere(np.abs(found - wanted) > CLOSE)
        if wrong.size:
            month = wrong[0, 0]
            yield (
                f"{len(wrong)} months are not stamped mid-month, the first is {expected.months[month]}: "
                f"{found[month]:g} days since 1978-10-01, not {wanted[month]:g}"
            )


@rule("file")
def latitude(file, expected):
    """Latitude increases within -90..90."""
    lat = file.coordinates.get("lat", np.zeros(0))
    if lat.size and (lat.ndim != 1 or (np.diff(lat) <= 0).any() or lat.min() < -90 or lat.max() > 90):
        yield f"lat runs from {lat.flat[0]:g} to {lat.flat[-1]:g}, not upward within -90..90 on one dimension"


@rule("file")
def latitude_bounds(file, expected):
    """Latitude bounds touch, enclose the centres and end at the poles."""
    yield from touching(file, "lat")
    found = file.coordinates.get("lat_bnds")
    if found is not None and found.size and (found.min() != -90 or found.max() != 90):
        yield f"lat_bnds end at {found.min():.6g} and {found.max():.6g}, not at -90 and 90"


@rule("file")
def longitude(file, expected):
    """Longitude increases within 0..360."""
    lon = file.coordinates.get("lon", np.zeros(0))
    if lon.size and (lon.ndim != 1 or (np.diff(lon) <= 0).any() or lon.min() < 0 or lon.max() >= 360):
        yield f"lon runs from {lon.flat[0]:g} to {lon.flat[-1]:g}, not upward within [0, 360) on one dimension"


@rule("file")
def longitude_bounds(file, expected):
    """Longitude bounds touch, enclose the centres and span 360 degrees."""
    yield from touching(file, "lon")
    found = file.coordinates.get("lon_bnds")
    if found is not None and found.size and abs(found.max() - found.min() - 360) > CLOSE:
        yield f"lon_bnds span {found.max() - found.min():.6g} degrees, not 360"


def touching(file, name):
    """Sentences on bounds (n, 2) that leave gaps or do not enclose their centres."""
    axis, found = file.coordinates.get(name), file.coordinates.get(f"{name}_bnds")
    if axis is None or found is None:
        return
    if found.shape != (axis.size, 2):
        yield f"{name}_bnds has the shape {found.shape}, not {(axis.size, 2)}"
        return
    gaps = np.abs(found[1:, 0] - found[:-1, 1])
    if gaps.size and gaps.max() > CLOSE:
        yield f"{name}_bnds have a gap of {gaps.max():g} degrees after cell {int(gaps.argmax())}"
    outside = (axis < found.min(axis=1)) | (axis > found.max(axis=1))
    if outside.any():
        yield f"{name} {axis[outside][0]:g} lies outside its bounds {found[outside][0].tolist()}"


@rule("file", own=True)
def grid_values(file, expected):
    """The grid is the one that the config describes."""
    facts = expected.settings["grids"].get(file.grid)
    if facts is None:
        yield f"the grid '{file.grid}' is not one of {sorted(expected.settings['grids'])}"
        return
    lat, lon = centres(facts["resolution"], poles=facts["poles"])
    wanted = {"lat": lat, "lon": lon, "lat_bnds": bounds(lat_edges(lat)), "lon_bnds": bounds(lon_edges(lon))}
    for name, values in wanted.items():
        found = file.coordinates.get(name, np.zeros(0))
        if found.shape != values.shape:
            yield f"{name} has the shape {found.shape}, not the {values.shape} of '{facts['grid']}'"
        elif np.abs(found - values).max() > CLOSE:
            yield f"{name} is off that of '{facts['grid']}' by up to {np.abs(found - values).max():g} degrees"


@rule("simulation", warning=True)
def grid_spacing(files, comparisons, expected):
    """The grid spacing is at most 500 km."""
    apart = {}
    for file in files:
        lat = file.coordinates.get("lat", np.zeros(0))
        if lat.ndim == 1 and lat.size > 1:
            apart[file.grid] = np.diff(lat).max() * 111.2
    for grid, distance in sorted(apart.items()):
        if distance > 501:  # 4.5 degrees is 500.4 km on a sphere
            yield f"rows of {grid} are {distance:.0f} km apart"


@rule("file")
def levels(file, expected):
    """Pressure levels are AIMIP's in Pa, surface first, as a dimension."""
    wanted = expected.levels(file.variable)
    if not wanted:
        return
    found = file.coordinates.get("plev")
    others = () if expected.settings else (expected.levels("ta"),)  # AIMIP takes zg on all seven levels too
    if found is None or found.ndim != 1:
        yield f"plev is {'absent' if found is None else 'a scalar'}, not a dimension with {len(wanted)} levels"
    elif not any(found.shape == (len(each),) and np.abs(found - each).max() < 1e-3 for each in (wanted, *others)):
        yield f"plev is {found.tolist()}, not {wanted} Pa"
    attributes = file.variables["plev"].attributes if "plev" in file.variables else {}
    for key, value in (("units", "Pa"), ("positive", "down"), ("standard_name", "air_pressure"), ("axis", "Z")):
        if attributes and attributes.get(key) != value:
            yield f"plev has {key} {attributes.get(key)!r}, not {value!r}"


def epoch(attributes):
    """Start of the count of days, in days since 1978-10-01; None if the units are no count of days from a date."""
    units = str(attributes.get("units", ""))
    if not units.startswith("days since "):
        return None
    try:
        calendar = str(attributes.get("calendar", "standard"))
        ours = cftime.num2date(0, TIME_UNITS, calendar)
        return -float(cftime.date2num(ours, units, calendar))
    except ValueError:
        return None


def days(file, name):
    """Values of ``time`` or ``time_bnds`` in days since 1978-10-01, or None where they cannot be told."""
    start = epoch(file.counting(name))
    return None if start is None or name not in file.coordinates else file.coordinates[name] + start
