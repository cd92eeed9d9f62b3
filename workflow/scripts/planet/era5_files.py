"""ERA5-shaped files of the synthetic planet, laid out as the CDS delivers them, and its AIMIP-shaped forcing file.

Each function writes one file of one year for a global grid with poles, latitude from north to south, longitude from
0, to a temporary path that its caller renames. Only a variable (and for large grids a level) at a time is in memory: a
year at 0.25 degrees stays below 2 GB. The planet itself is in planet/world.py.
"""

import zipfile
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import numpy as np
from netCDF4 import Dataset

from workflow.scripts.common.grids import centres
from workflow.scripts.common.months import month_range, parse_month
from workflow.scripts.common.periods import PROTOCOL
from workflow.scripts.common.tables import read_rows
from workflow.scripts.common.variables import read_variables
from workflow.scripts.planet.climate import DATA, land_fraction, subgrid_orography
from workflow.scripts.planet.world import Planet

HISTORY = "Made by workflow/scripts/planet/era5_files.py: a synthetic planet, no ERA5 data"
STEP_HOURS = {"avgua": 0, "avgad": 6}  # stamp on the first of the month: analyses 00:00, mean rates 06:00
WHOLE_CHUNK = 2**24  # bytes: a variable up to this size is one chunk, as CDS writes it; a larger one a chunk a field


def global_grid(resolution):
    """Latitudes north to south and longitudes from 0, degrees, of the global grid of ``resolution`` with poles."""
    lat, lon = centres(resolution)
    return lat[::-1].copy(), lon


def write_single_levels(year, path, variables, resolution, seed, months=range(1, 13)):
    """Write the single-level fields of ``year`` to ``path``: a ZIP of one netCDF file per GRIB step type.

    ``variables``: path of config/variables.csv; ``resolution`` in degrees; ``seed`` of the planet; ``months`` 1..12.
    Raises ValueError if the table asks for a variable that the planet does not have.
    """
    wanted = [row.short_name for row in read_variables(variables, "field", "single-levels")]
    by_step = {step: [name for name in wanted if _grib(name)["step_type"] == step] for step in STEP_HOURS}
    months, (lat, lon) = _months(year, months), global_grid(resolution)
    parts = {step: Path(f"{path}.{step}") for step, names in by_step.items() if names}
    try:
        with ExitStack() as open_files:
            files = {step: open_files.enter_context(Dataset(part, "w")) for step, part in parts.items()}
            for step, file in files.items():
                _coordinates(file, months, lat, lon, STEP_HOURS[step])
            for name, field in Planet(seed).fields(months, lat, lon, wanted):
                _variable(files[_grib(name)["step_type"]], name)[:] = field
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as bundle:
            for step, part in parts.items():
                bundle.write(part, f"data_stream-moda_stepType-{step}.nc")
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)


def write_pressure_levels(year, path, variables, resolution, seed, months=range(1, 13)):
    """Write the pressure-level fields of ``year`` to ``path``, one netCDF file; arguments as above."""
    levels = {}
    for row in read_variables(variables, "field", "pressure-levels"):
        levels.setdefault(row.short_name, []).append(row.level)
    every = sorted({level for found in levels.values() for level in found}, reverse=True)
    months, (lat, lon) = _months(year, months), global_grid(resolution)
    channels = [f"{name}{level}" for name in levels for level in every]
    with Dataset(path, "w") as file:
        _coordinates(file, months, lat, lon, STEP_HOURS["avgua"], every)
        for name in levels:
            _variable(file, name)
        for channel, field in Planet(seed).fields(months, lat, lon, channels):
            file[channel[0]][:, every.index(int(channel[1:]))] = field


def write_static(path, variables, resolution):
    """Write the static fields to ``path``, one netCDF file of one month; arguments as above."""
    lat, lon = global_grid(resolution)
    fields = {"lsm": land_fraction(lat, lon), **subgrid_orography(lat, lon)}
    with Dataset(path, "w") as file:
        _coordinates(file, _months(1979, [1]), lat, lon, STEP_HOURS["avgua"])
        for row in read_variables(variables, "static"):
            if row.short_name not in fields:
                raise ValueError(_lacks(row.short_name, fields))
            _variable(file, row.short_name)[:] = fields[row.short_name][None]


def write_forcing(path, resolution, seed, period=PROTOCOL, chunk=24):
    """Write the forcing file to ``path``: month-start SST and sea ice that force ``period``, as AIMIP's on Zenodo.

    It reaches one month beyond the period's last. No attributes beyond the time's units, no compression, NaN over land.
    ``chunk`` months are in memory at a time.
    """
    lat, lon = global_grid(resolution)
    planet = Planet(seed)
    months = month_range(period[0], str(parse_month(period[1]) + 1))
    with Dataset(path, "w") as file:
        for name, values in (("time", months), ("latitude", lat), ("longitude", lon)):
            file.createDimension(name, len(values))
        days = (months.astype("datetime64[D]") - months[0].astype("datetime64[D]")).astype(np.int64)
        time = file.createVariable("time", "i8", ("time",))
        time.units, time.calendar = f"days since {months[0]}-01 00:00:00.000000", "proleptic_gregorian"
        time[:] = days
        file.createVariable("latitude", "f8", ("latitude",))[:] = lat
        file.createVariable("longitude", "f8", ("longitude",))[:] = lon
        mask = file.createVariable("land_sea_mask", "f4", ("latitude", "longitude"), fill_value=np.nan)
        mask[:] = land_fraction(lat, lon)
        names = ("sea_surface_temperature", "sea_ice_cover")
        for name in names:
            file.createVariable(name, "f4", ("time", "latitude", "longitude"), fill_value=np.nan)
        for first in range(0, len(months), chunk):
            part = slice(first, first + chunk)
            for name, field in zip(names, planet.month_starts(months[part], lat, lon), strict=True):
                file[name][part] = field


def _months(year, months):
    return np.array([f"{year}-{month:02d}" for month in sorted(months)], "datetime64[M]")


@cache
def _grib_table():
    return {row["short_name"]: row for row in read_rows(DATA / "grib_parameters.csv")}


def _grib(name):
    if name not in _grib_table():
        raise ValueError(_lacks(name, _grib_table()))
    return _grib_table()[name]


def _lacks(name, known):
    return (
        f"config/variables.csv asks for '{name}', which the synthetic planet does not have; it has {', '.join(known)}"
    )


def _coordinates(file, months, lat, lon, hour, levels=None):
    """Dimensions, coordinates and global attributes, as cfgrib's netCDF on the CDS has them."""
    file.setncatts(
        {
            "GRIB_centre": "ecmf",
            "GRIB_centreDescription": "European Centre for Medium-Range Weather Forecasts",
            "GRIB_subCentre": np.int64(0),
            "Conventions": "CF-1.7",
            "institution": "European Centre for Medium-Range Weather Forecasts",
            "history": HISTORY,
        }
    )
    sizes = {"valid_time": len(months), "latitude": len(lat), "longitude": len(lon)}
    if levels is not None:
        sizes = {"valid_time": len(months), "pressure_level": len(levels), "latitude": len(lat), "longitude": len(lon)}
    for name, size in sizes.items():
        file.createDimension(name, size)

    def put(name, kind, dimensions, values, fill=None, **attributes):
        variable = file.createVariable(name, kind, dimensions, fill_value=fill)
        variable.setncatts(attributes)
        variable[...] = values

    put("number", "i8", (), 0, long_name="ensemble member numerical id", units="1", standard_name="realization")
    seconds = months.astype("datetime64[s]").astype(np.int64) + 3600 * hour
    clock = {"units": "seconds since 1970-01-01", "calendar": "proleptic_gregorian"}
    put("valid_time", "i8", ("valid_time",), seconds, long_name="time", standard_name="time", **clock)
    if levels is not None:
        about = {"units": "hPa", "positive": "down", "stored_direction": "decreasing", "standard_name": "air_pressure"}
        put("pressure_level", "f8", ("pressure_level",), levels, np.nan, long_name="pressure", **about)
    about = {"units": "degrees_north", "standard_name": "latitude", "long_name": "latitude"}
    put("latitude", "f8", ("latitude",), lat, np.nan, **about, stored_direction="decreasing")
    about = {"units": "degrees_east", "standard_name": "longitude", "long_name": "longitude"}
    put("longitude", "f8", ("longitude",), lon, np.nan, **about)
    put("expver", str, ("valid_time",), np.array(["0001"] * len(months), dtype=object))


def _variable(file, name):
    """Create the float32 variable ``name`` with the CDS's attributes, compression and chunks."""
    facts, dimensions = _grib(name), list(file.dimensions)
    sizes = [len(file.dimensions[d]) for d in dimensions]
    whole = 4 * np.prod(sizes, dtype=np.int64) <= WHOLE_CHUNK
    chunks = sizes if whole else [1] * (len(sizes) - 2) + sizes[-2:]
    options = {"zlib": True, "complevel": 1, "shuffle": True, "chunksizes": chunks, "fill_value": np.float32(np.nan)}
    variable = file.createVariable(name, "f4", dimensions, **options)
    if whole:
        variable.set_var_chunk_cache(2 * WHOLE_CHUNK, 11, 0.75)  # levels come one by one; compress the chunk once
    lat, lon = file["latitude"][:], file["longitude"][:]
    variable.setncatts(
        {
            "GRIB_paramId": np.int64(facts["param_id"]),
            "GRIB_dataType": facts["data_type"],
            "GRIB_numberOfPoints": np.int64(lat.size * lon.size),
            "GRIB_typeOfLevel": "isobaricInhPa" if "pressure_level" in dimensions else "surface",
            "GRIB_stepUnits": np.int64(1),
            "GRIB_stepType": facts["step_type"],
            "GRIB_gridType": "regular_ll",
            "GRIB_uvRelativeToGrid": np.int64(0),
            "GRIB_NV": np.int64(0),
            "GRIB_Nx": np.int64(lon.size),
            "GRIB_Ny": np.int64(lat.size),
            "GRIB_cfName": facts["standard_name"],
            "GRIB_cfVarName": name,
            "GRIB_gridDefinitionDescription": "Latitude/Longitude Grid",
            "GRIB_iDirectionIncrementInDegrees": float(lon[1] - lon[0]),
            "GRIB_iScansNegatively": np.int64(0),
            "GRIB_jDirectionIncrementInDegrees": float(lat[0] - lat[1]),
            "GRIB_jPointsAreConsecutive": np.int64(0),
            "GRIB_jScansPositively": np.int64(0),
            "GRIB_latitudeOfFirstGridPointInDegrees": float(lat[0]),
            "GRIB_latitudeOfLastGridPointInDegrees": float(lat[-1]),
            "GRIB_longitudeOfFirstGridPointInDegrees": float(lon[0]),
            "GRIB_longitudeOfLastGridPointInDegrees": float(lon[-1]),
            "GRIB_missingValue": 3.4028234663852886e38,
            "GRIB_name": facts["long_name"],
            "GRIB_shortName": facts["grib_short_name"],
            "GRIB_totalNumber": np.int64(0),
            "GRIB_units": facts["units"],
            "long_name": facts["long_name"],
            "units": facts["units"],
            "standard_name": facts["standard_name"],
            "coordinates": "number valid_time latitude longitude expver",
        }
    )
    if "pressure_level" not in dimensions:
        variable.GRIB_surface = 0.0
    return variable
