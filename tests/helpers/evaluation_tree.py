"""A small made climate for the evaluation's tests: ERA5-like yearly files, CMOR-like files of members, a land mask.

Each channel is mean + zonal wave + season + trend + noise, so that biases, trends and responses are known.
"""

from pathlib import Path

import netCDF4
import numpy as np

from tests.helpers.axes import write_axes
from tests.helpers.project import VARIABLES
from workflow.scripts.common.months import month_of_year, month_range, year_of
from workflow.scripts.common.variables import read_variables
from workflow.scripts.evaluate.summarize.reference import cmor_fields

TYPICAL = {"t": 260, "q": 0.005, "z": 54000, "skt": 285, "t2m": 284, "d2m": 278, "avg_tprate": 3e-5, "sp": 98000}
SPREAD = {"q": 5e-4, "z": 600, "avg_tprate": 5e-6, "sp": 400, "msl": 400}


def channels(months, lat, lon, seed, warming=0.0, bias=0.0):
    """Made ERA5 fields {channel: (month, lat, lon)}; ``warming`` (K) shifts temperatures, ``bias`` is in spreads."""
    rng = np.random.default_rng(seed)
    decades = (months - months[0]).astype(float)[:, None, None] / 120
    season = np.cos(2 * np.pi * month_of_year(months)[:, None, None] / 12) * np.sin(np.deg2rad(lat))[:, None]
    wave = np.cos(np.deg2rad(lat))[:, None] * np.cos(np.deg2rad(2 * lon))
    fields = {}
    for row in read_variables(VARIABLES, role="field"):
        spread = SPREAD.get(row.short_name, 3.0)
        noise = rng.normal(size=(len(months), len(lat), len(lon)))
        values = TYPICAL.get(row.short_name, 100000 if row.short_name == "msl" else 0)
        values = values + spread * (2 * np.cos(np.deg2rad(lat))[:, None] + wave - 3 * season + 0.3 * noise + bias)
        if row.short_name in ("t", "skt", "t2m", "d2m"):
            values = values + 0.2 * decades + warming
        fields[row.channel] = values.astype(np.float32)
    return fields


def write_era5(folder, months, lat, lon, seed=0, land=None):
    """Monthly means as the aggregate stage writes them, one file a year, and static.nc; returns their paths."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    fields, paths = channels(months, lat, lon, seed), []
    for year in np.unique(year_of(months)):
        inside = year_of(months) == year
        paths.append(folder / f"{year}.nc")
        write_year(paths[-1], months[inside], lat, lon, {name: values[inside] for name, values in fields.items()})
    write_land(folder / "static.nc", months, lat, lon, land)
    return paths, folder / "static.nc"


def write_year(path, months, lat, lon, fields):
    """One year's monthly means, {channel: (month, lat, lon)}, as the aggregate stage writes them."""
    rows = read_variables(VARIABLES, role="field")
    with netCDF4.Dataset(path, "w") as data:
        write_axes(data, months, lat, lon)
        levels = sorted({row.level for row in rows if row.level}, reverse=True)
        data.createDimension("level", len(levels))
        data.createVariable("level", "f8", ("level",))[:] = levels
        for row in rows:
            dims = ("time", "level", "lat", "lon") if row.level else ("time", "lat", "lon")
            if row.short_name not in data.variables:
                data.createVariable(row.short_name, "f4", dims)
            target = slice(None) if row.level is None else (slice(None), levels.index(row.level))
            data[row.short_name][target] = fields[row.channel]


def write_land(path, months, lat, lon, land=None):
    """The static file: a land mask (lat, lon), the eastern hemisphere if none is given."""
    with netCDF4.Dataset(path, "w") as data:
        write_axes(data, months[:1], lat, lon)
        half = np.broadcast_to(lon < 180, (len(lat), len(lon))).astype(float)
        data.createVariable("lsm", "f4", ("lat", "lon"))[:] = half if land is None else land


def write_simulation(folder, months, lat, lon, seed, warming=0.0, bias=0.0):
    """One simulation's files as CMOR writes them, one for each variable; returns their paths."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    fields = cmor_fields(channels(months, lat, lon, seed, warming, bias), read_variables(VARIABLES, role="field"))
    names = sorted({name.rstrip("0123456789") for name in fields})
    paths = []
    for name in names:
        known = [field for field in fields if field.rstrip("0123456789") == name]
        levels = sorted(int(field[len(name) :]) for field in known if field != name)
        paths.append(folder / f"{name}_Amon_made_{folder.name}_gn.nc")
        with netCDF4.Dataset(paths[-1], "w") as data:
            write_axes(data, months, lat, lon)
            units = fields[known[0]][1]
            if levels:
                data.createDimension("plev", len(levels))
                data.createVariable("plev", "f8", ("plev",))[:] = [100 * level for level in levels[::-1]]
                stack = np.stack([fields[f"{name}{level}"][0] for level in levels[::-1]], axis=1)
                data.createVariable(name, "f4", ("time", "plev", "lat", "lon"), fill_value=1e20)[:] = stack
            else:
                data.createVariable(name, "f4", ("time", "lat", "lon"), fill_value=1e20)[:] = fields[name][0]
            data[name].units = units
    return paths


def periods(
    start="1978-10", training=("1979-01", "1981-12"), validation=("1982-01", "1983-12"), test=("1984-01", "1985-12")
):
    return {
        "simulation": [start, test[1]],
        "training": list(training),
        "validation": list(validation),
        "test": list(test),
    }


def months_of(spans):
    return month_range(*spans["simulation"])
