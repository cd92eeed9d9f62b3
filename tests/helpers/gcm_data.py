"""Boundary data laid out as jcm ships SPEEDY's, with known formulas in them, and days of a GCM that never ran."""

import netCDF4
import numpy as np

from workflow.scripts.gcm.monthly import Day

LATITUDE = np.rad2deg(np.arcsin(np.polynomial.legendre.leggauss(48)[0]))
LONGITUDE = 3.75 * np.arange(96)
MONTHS = 420  # 1979-01..2013-12
X, Y = np.deg2rad(LONGITUDE)[:, None], np.deg2rad(LATITUDE)[None, :]
SIGMA = np.array([0.025, 0.095, 0.2, 0.34, 0.51, 0.685, 0.835, 0.95])


def land():
    """A continent of fractions at its coast, (longitude, latitude)."""
    return np.clip(2 * np.cos(X - 1) * np.cos(Y) - 0.5, 0, 1)


def climatology():
    """Sea surface of twelve months, K: warm tropics, below freezing at the poles, (12, longitude, latitude)."""
    season = np.cos(2 * np.pi * np.arange(12) / 12)[:, None, None]
    return 300 - 45 * np.sin(Y) ** 2 - 6 * season * np.sin(Y) + 0 * X


def anomalies():
    """A pattern that grows month by month, (420, longitude, latitude), K."""
    return np.arange(MONTHS)[:, None, None] / MONTHS * np.cos(2 * X) * np.cos(Y)


def write_boundary(folder, months=MONTHS):
    """Write the files that Boundary reads; latitudes of the anomalies north first, as jcm's. The folder."""
    for name in ("clim", "anom"):
        (folder / name).mkdir(parents=True)
    ground = 250 + 45 * np.cos(Y) ** 2 + 0 * X
    twelve = {
        "sst": climatology(),
        "stl": np.broadcast_to(ground, (12, 96, 48)),
        "icec": np.broadcast_to(np.clip((np.abs(Y) - 0.9) * 3, 0, 1) + 0 * X, (12, 96, 48)),
        "snowc": np.zeros((12, 96, 48)),
        "soilw_am": np.full((12, 96, 48), 0.5),
    }
    fixed = {"lsm": land(), "orog": 1000 * land(), "alb": np.full((96, 48), 0.2)}
    with netCDF4.Dataset(folder / "clim/terrain.nc", "w") as file:
        _write(file, ("lon", "lat"), {name: fixed[name] for name in ("lsm", "orog")})
    with netCDF4.Dataset(folder / "clim/forcing.nc", "w") as file:
        file.createDimension("time", 12)
        _write(file, ("lon", "lat"), {"alb": fixed["alb"]})
        for name, values in twelve.items():
            file.createVariable(name, "f4", ("lon", "lat", "time"))[:] = np.moveaxis(values, 0, -1)
    with netCDF4.Dataset(folder / "anom/sea_surface_temperature_anomaly.nc", "w") as file:
        file.createDimension("time", months)
        _write(file, ("lat", "lon"), {}, LATITUDE[::-1])
        values = anomalies()[:months].transpose(0, 2, 1)[:, ::-1]
        file.createVariable("ssta", "f4", ("time", "lat", "lon"), zlib=True, complevel=1)[:] = values
    return folder


def _write(file, dims, fields, latitude=LATITUDE):
    for name, values in (("lon", LONGITUDE), ("lat", latitude)):
        file.createDimension(name, len(values))
        file.createVariable(name, "f8", (name,))[:] = values
    for name, values in fields.items():
        file.createVariable(name, "f4", dims)[:] = values


def made_day(number=0.0):
    """A Day of 1000 hPa over flat ground, its temperature linear in ln p and ``number`` K warmer."""
    pressure = np.full((96, 48), 1.0e5)
    level = SIGMA[:, None, None] * pressure / 1e5
    still = 0 * level
    fields = {
        "t": 288 + number + 30 * np.log(level),
        "q": 0.01 * level**3,
        "u": 10 - 10 * np.log(level),
        "v": still + 2,
        "z": -287.04 * ((288 + number) * np.log(level) + 15 * np.log(level) ** 2),
    }
    flat = 0 * pressure
    return Day(fields, pressure, flat + 287 + number, flat + 288 + number, flat + 5, flat - 1, flat + 3e-5, flat)
