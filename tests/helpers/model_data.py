"""Small normalized files for the tests of the model, with a known forced response and a known internal mode."""

import datetime

import netCDF4
import numpy as np

CHANNELS = [  # name, short_name, level, transform, units, valid_min, valid_max, center, scale
    ("t850", "t", 850.0, "none", "K", 150, 350, 280.0, 2.0),
    ("q850", "q", 850.0, "sqrt", "kg kg-1", -0.001, 0.06, 0.06, 0.004),
    ("z500", "z", 500.0, "none", "m2 s-2", 40000, 65000, 54000.0, 400.0),
    ("t2m", "t2m", np.nan, "none", "K", 150, 350, 285.0, 2.0),
]
NAMES = [channel[0] for channel in CHANNELS]
FORCINGS, STATICS = ("sst", "siconc", "lsm"), ("sdor", "lsm")


def axes(nlat, nlon):
    """Latitudes south to north with poles and longitudes 0.., degrees."""
    return np.linspace(-90, 90, nlat), np.arange(nlon) * 360 / nlon


def months(first, count):
    year, month = first
    return [(year + (month - 1 + i) // 12, (month - 1 + i) % 12 + 1) for i in range(count)]


def open_file(path, dates, nlat, nlon):
    dataset = netCDF4.Dataset(path, "w")
    lat, lon = axes(nlat, nlon)
    stamps = [datetime.datetime(year, month, 15) for year, month in dates]
    times = netCDF4.date2num(stamps, "days since 1978-01-01", "standard")
    for name, values in (("time", times), ("lat", lat), ("lon", lon)):
        dataset.createDimension(name, len(values))
        dataset.createVariable(name, "f8", (name,))[:] = values
    dataset["time"].units, dataset["time"].calendar = "days since 1978-01-01", "standard"
    dataset.createDimension("forcing", len(FORCINGS))
    dataset.createVariable("forcing", str, ("forcing",))[:] = np.array(FORCINGS, dtype=object)
    return dataset


def sea_mask(nlat, nlon):
    lat, lon = axes(nlat, nlon)
    return (np.abs(lat)[:, None] < 70) & ((lon[None] < 100) | (lon[None] > 160))


def forcings(dates, nlat, nlon, seed=0, warming=0.0):
    """Normalized forcings: an east-west wave of random amplitude, a trend and red noise, over the sea only."""
    random = np.random.default_rng(seed)
    lat, lon = np.deg2rad(axes(nlat, nlon)[0])[:, None], np.deg2rad(axes(nlat, nlon)[1])[None]
    sea = sea_mask(nlat, nlon)
    wave = np.cos(lat) * np.cos(lon)
    amplitude = np.convolve(random.normal(size=len(dates) + 11), np.ones(12) / 12**0.5, "valid")
    trend = np.linspace(-0.5, 0.5, len(dates)) + warming
    sst = (amplitude[:, None, None] * wave + trend[:, None, None]) * sea
    ice = random.normal(size=sst.shape) * (np.abs(np.rad2deg(lat)) > 55) * sea
    land = np.broadcast_to(1.0 - sea, sst.shape)
    return np.stack([sst, ice, land], axis=1).astype("f4"), amplitude, trend


def write_normalized_forcing(path, first=(1978, 10), count=14, nlat=13, nlon=24, warming=0.0, change=None):
    dates = months(first, count)
    values, *_ = forcings(dates, nlat, nlon, warming=warming)
    if change is not None:
        dates, values = change(dates, values)
    with open_file(path, dates, nlat, nlon) as dataset:
        variable = dataset.createVariable("forcings", "f4", ("time", "forcing", "lat", "lon"))
        variable[:] = values
    return path


def write_months(path, first=(1979, 1), count=36, validation=12, nlat=13, nlon=24, seed=1):
    """Write a training.nc (or, with count=1, an initial.nc) of the layout that the workflow's normalize step makes."""
    dates = months(first, count)
    force, amplitude, trend = forcings(dates, nlat, nlon)
    random = np.random.default_rng(seed)
    lat, lon = np.deg2rad(axes(nlat, nlon)[0])[:, None], np.deg2rad(axes(nlat, nlon)[1])[None]
    mode = np.zeros(count)
    for i in range(1, count):
        mode[i] = 0.7 * mode[i - 1] + 0.7 * random.normal()
    patterns = [
        np.sin(lat) * np.cos(2 * lon),
        np.sin(3 * lat) + 0 * lon,
        np.cos(lat) ** 2 * np.sin(lon),
        np.cos(lat) + 0 * lon,
    ]
    fields = np.stack(
        [
            mode[:, None, None] * pattern + (amplitude[:, None, None] * np.cos(lat) + trend[:, None, None]) * 0.8
            for pattern in patterns
        ],
        axis=1,
    ) + 0.1 * random.normal(size=(count, len(CHANNELS), nlat, nlon))
    with open_file(path, dates, nlat, nlon) as dataset:
        dataset.createDimension("channel", len(CHANNELS))
        dataset.createDimension("static", len(STATICS))
        dataset.createDimension("month", 12)
        dataset.createDimension("one", 1)
        columns = list(zip(*CHANNELS, strict=True))
        for name, values in zip(("channel", "short_name", "transform", "units"), (0, 1, 3, 4), strict=True):
            dataset.createVariable(name, str, ("channel",))[:] = np.array(columns[values], dtype=object)
        for name, column in (("level", 2), ("valid_min", 5), ("valid_max", 6), ("scale", 8)):
            dataset.createVariable(name, "f8", ("channel",))[:] = columns[column]
        center = np.broadcast_to(np.array(columns[7])[None, :, None, None], (12, len(CHANNELS), 1, 1))
        dataset.createVariable("center", "f4", ("month", "channel", "one", "one"))[:] = center
        dataset.createVariable("static", str, ("static",))[:] = np.array(STATICS, dtype=object)
        statics = np.stack([random.normal(size=(nlat, nlon)), 1.0 - sea_mask(nlat, nlon)])
        dataset.createVariable("statics", "f4", ("static", "lat", "lon"))[:] = statics
        dataset.createVariable("fields", "f4", ("time", "channel", "lat", "lon"))[:] = fields
        dataset.createVariable("forcings", "f4", ("time", "forcing", "lat", "lon"))[:] = force
        split = (np.arange(count) >= count - validation).astype("i1")
        dataset.createVariable("split", "i1", ("time",))[:] = split
    return path


# Settings of a model that trains in seconds.
SMALL = {
    "model": {
        "latent_channels": 4,
        "hidden": 8,
        "encoder_rank": 5,
        "decoder_rank": 7,
        "denoiser_rank": 6,
        "forced_modes": 3,
        "noise_modes": 5,
        "evaluations": 4,
    },
    "training": {
        "epochs": 3,
        "validate_every": 1,
        "batch": 4,
        "offset_members": 2,
        "candidates": 2,
        "validation_members": 2,
    },
}
