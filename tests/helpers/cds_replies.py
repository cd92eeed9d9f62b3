"""Small files shaped like a CDS reply and like the AIMIP forcing file: same names, dimensions, order and types."""

import zipfile
from pathlib import Path

import netCDF4
import numpy as np

from tests.helpers.project import VARIABLES
from workflow.scripts.common.variables import read_variables

# Plausible (mean, amplitude) per short name, in the units of config/variables.csv.
SCALES = {
    "u": (5, 10),
    "v": (0, 5),
    "t": (250, 20),
    "q": (0.005, 0.004),
    "z": (55000, 2000),
    "skt": (285, 20),
    "t2m": (284, 20),
    "d2m": (278, 18),
    "u10": (1, 5),
    "v10": (0, 4),
    "avg_tprate": (3e-5, 2.5e-5),
    "sp": (98000, 3000),
    "msl": (101000, 1000),
    "sdor": (50, 50),
    "anor": (0, 1.5),
    "isor": (0.5, 0.4),
    "slor": (0.05, 0.04),
    "lsm": (0.5, 0.5),
}


def grid(resolution):
    """Latitudes north to south with poles and longitudes 0.., degrees."""
    return np.linspace(90, -90, round(180 / resolution) + 1), np.arange(round(360 / resolution)) * float(resolution)


def fake(name, times, lat, lon, level=500.0, seed=0):
    """A smooth made-up field float32 (time, lat, lon) that differs by name, level and time."""
    rng = np.random.default_rng([seed, *name.encode(), int(level)])
    mean, amplitude = SCALES[name]
    a, b = rng.uniform(0, 2 * np.pi, 2)
    y, x = np.deg2rad(lat)[:, None], np.deg2rad(lon)[None, :]
    phase = (np.asarray(times).astype("datetime64[h]").astype(int) / 4000.0)[:, None, None]
    shape = (
        0.5 * np.cos(2 * y + a) * np.cos(x + phase)
        + 0.4 * np.sin(y) * np.cos(phase * 2.3 + b)
        + 0.05 * np.sin(phase * 9)
    )
    return (mean + amplitude * shape).astype(np.float32)


def write_member(
    path, fields, times, lat, lon, levels=None, expver="0001", step_type="avgua", units=None, time_name="valid_time"
):
    """One netCDF file as the CDS writes it. ``fields``: {name: (time, [level,] lat, lon)}."""
    with netCDF4.Dataset(path, "w") as file:
        file.setncatts({"GRIB_centre": "ecmf", "Conventions": "CF-1.7"})
        file.createDimension(time_name, len(times))
        seconds = np.asarray(times).astype("datetime64[s]").astype(np.int64)
        time = file.createVariable(time_name, "i8", (time_name,))
        if time_name == "date":
            time[:] = [int(str(one)[:10].replace("-", "")) for one in np.asarray(times).astype("datetime64[D]")]
        else:
            time.setncatts({"units": "seconds since 1970-01-01", "calendar": "proleptic_gregorian"})
            time[:] = seconds
        file.createVariable("number", "i8", ())[...] = 0
        coordinates = [] if levels is None else [("pressure_level", levels)]
        for name, values in [*coordinates, ("latitude", lat), ("longitude", lon)]:
            file.createDimension(name, len(values))
            file.createVariable(name, "f8", (name,), fill_value=np.nan)[:] = values
        if np.ndim(expver):
            file.createVariable("expver", str, (time_name,))[:] = np.array(expver, object)
        else:
            file.createVariable("expver", str, ())[...] = np.array(expver, object)
        dims = (time_name, *(["pressure_level"] if levels is not None else []), "latitude", "longitude")
        table = {row.short_name: row.units for row in read_variables(VARIABLES)}
        for name, values in fields.items():
            variable = file.createVariable(name, "f4", dims, fill_value=np.float32(np.nan), zlib=True, complevel=1)
            unit = (units or {}).get(name) or table.get({"mtpr": "avg_tprate"}.get(name, name), "m")
            variable.setncatts(
                {"units": unit.replace("s-1", "s**-1").replace("s-2", "s**-2"), "GRIB_stepType": step_type}
            )
            variable[:] = values


def month_starts(year, months=range(1, 13)):
    return np.array([f"{year}-{month:02d}-01" for month in months], "datetime64[s]")


def write_single_levels(path, year, months=range(1, 13), resolution=15, precipitation="avg_tprate", **options):
    """A ZIP with the two members of a single-levels reply; stamps 00:00 and 06:00 of the first of the month."""
    lat, lon = grid(resolution)
    times = month_starts(year, months)
    names = [row.short_name for row in read_variables(VARIABLES, dataset="single-levels")]
    means = {name: fake(name, times, lat, lon) for name in names if name != "avg_tprate"}
    rain = {precipitation: fake("avg_tprate", times, lat, lon)}
    parts = {"avgua": (means, times), "avgad": (rain, times + np.timedelta64(6, "h"))}
    write_zip(path, parts, lat, lon, **options)


def write_zip(path, parts, lat, lon, **options):
    path = Path(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=0) as archive:
        for step_type, (fields, times) in parts.items():
            member = path.with_suffix(f".{step_type}.part")
            write_member(member, fields, times, lat, lon, step_type=step_type, **options)
            archive.writestr(zipfile.ZipInfo(f"data_stream-moda_stepType-{step_type}.nc"), member.read_bytes())
            member.unlink()


def write_pressure_levels(
    path, year, months=range(1, 13), resolution=15, levels=(1000, 850, 700, 500, 250, 100, 50), **options
):
    """A plain netCDF file of the five fields on all levels, as a pressure-levels reply."""
    lat, lon = grid(resolution)
    times = month_starts(year, months)
    names = dict.fromkeys(row.short_name for row in read_variables(VARIABLES, dataset="pressure-levels"))
    fields = {name: np.stack([fake(name, times, lat, lon, level) for level in levels], axis=1) for name in names}
    write_member(path, fields, times, lat, lon, levels=np.array(levels, float), **options)


def write_static(path, resolution=15, **options):
    """One month of the static fields."""
    lat, lon = grid(resolution)
    times = month_starts(1979, [1])
    fields = {
        row.short_name: fake(row.short_name, times, lat, lon) for row in read_variables(VARIABLES, dataset="static")
    }
    write_member(path, fields, times, lat, lon, **options)


def write_forcing(path, start="1978-10", end="1982-01", resolution=15, south_first=False):
    """An AIMIP-shaped forcing file: month-start values, no attributes, NaN over land."""
    lat, lon = grid(resolution)
    lat = lat[::-1] if south_first else lat
    months = np.arange(np.datetime64(start), np.datetime64(end) + 1)
    y, x = np.deg2rad(lat)[:, None], np.deg2rad(lon)[None, :]
    land = np.clip(2 * np.sin(2 * x) * np.cos(y) - 0.3, 0, 1).astype(np.float32)
    phase = 2 * np.pi * months.astype(int)[:, None, None] / 12
    sst = 302 - 30 * np.sin(y) ** 2 + 2 * np.sin(y) * np.cos(phase) + 0.02 * months.astype(int)[:, None, None] / 12
    ice = np.clip((280 - sst) / 6, 0, 1)  # over some cells with a part of land, so that the limit 1 - land binds
    with netCDF4.Dataset(path, "w") as file:
        for name, values in (
            ("time", months.astype("datetime64[D]").astype(int)),
            ("latitude", lat),
            ("longitude", lon),
        ):
            file.createDimension(name, len(values))
            variable = file.createVariable(name, "i8" if name == "time" else "f8", (name,))
            if name == "time":
                variable.setncatts({"units": "days since 1970-01-01", "calendar": "proleptic_gregorian"})
            variable[:] = values
        for name, values in (("sea_surface_temperature", sst), ("sea_ice_cover", ice)):
            variable = file.createVariable(name, "f4", ("time", "latitude", "longitude"), fill_value=np.float32(np.nan))
            variable[:] = np.where(land > 0.5, np.nan, values)
        file.createVariable("land_sea_mask", "f4", ("latitude", "longitude"), fill_value=np.float32(np.nan))[:] = land
