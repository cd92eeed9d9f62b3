"""Made inputs for the tests of the submission: a small rollout and its forcing, with values that AIMIP finds sane."""

import atexit
import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import netCDF4
import numpy as np
import pytest

from tests.helpers.axes import write_axes
from tests.helpers.project import ROOT, VARIABLES
from workflow.scripts.cmorize.tables import write_tables
from workflow.scripts.common.grids import centres
from workflow.scripts.common.months import month_range
from workflow.scripts.common.variables import read_variables

FACTS = ROOT / "config" / "cmor"
PERIOD = ("1978-10", "1979-09")
SUBMISSION = {
    "institution_id": "UMD-PARETO",
    "institution": "University of Maryland, College Park, MD 20742, USA",
    "source_id": "MD-1p5",
    "source": "MD-1p5 (2026): Monthly Diffusion",
    "contact": "nobody@example.org",
    "references": "Hall and Molina 2026, arXiv:2604.13481",
    "further_info_url": "https://arxiv.org/abs/2604.13481",
    "version": "v20261122",
    "grids": ["gn", "gr"],
    "regridded_resolution": 10.0,
    "deflate": 1,
}
SURFACE = {
    "skt": 288.0,
    "t2m": 287.0,
    "d2m": 283.0,
    "u10": 0.5,
    "v10": 0.1,
    "avg_tprate": 3e-5,
    "sp": 98500.0,
    "msl": 101000.0,
}
TEMPERATURE = {1000: 287, 850: 280, 700: 273, 500: 257, 250: 222, 100: 203, 50: 209}
HUMIDITY = {1000: 9e-3, 850: 6e-3, 700: 3e-3, 500: 1e-3, 250: 6e-5, 100: 3e-6, 50: 2.7e-6}


def made_land(lat, lon):
    """Land fraction: one square continent, and a strip of coast where cells are half land."""
    land = np.zeros((len(lat), len(lon)))
    land[(np.abs(lat) < 50)[:, None] & ((lon > 20) & (lon < 140))[None, :]] = 1
    land[(np.abs(lat) < 50)[:, None] & ((lon > 140) & (lon < 160))[None, :]] = 0.5
    return land


def write_aggregated_forcing(path, resolution=15.0, period=PERIOD):
    """Monthly sst, siconc and lsm as the aggregate stage writes them."""
    months, (lat, lon) = month_range(*period), centres(resolution)
    land = made_land(lat, lon)
    shape = (len(months), len(lat), len(lon))
    cosine = np.cos(np.deg2rad(lat))[:, None]
    season = np.cos(2 * np.pi * np.arange(len(months)) / 12)[:, None, None]
    sst = np.broadcast_to(272 + 28 * cosine + season * np.sin(np.deg2rad(lat))[:, None] * 2, shape)
    ice = np.broadcast_to(np.where(cosine < 0.4, 0.9, 0.0), shape)
    with netCDF4.Dataset(path, "w") as file:
        write_axes(file, months, lat, lon, bounded=True)
        for name, values in (("sst", sst), ("siconc", ice)):
            file.createVariable(name, "f4", ("time", "lat", "lon"))[:] = np.where(land >= 0.5, np.nan, values)
        file.createVariable("lsm", "f4", ("lat", "lon"))[:] = land
    return path


def write_rollout(path, member=1, offset=0.0, resolution=15.0, period=PERIOD, seed=7):
    """One simulation as the rollout stage writes it: one variable per channel, noise that depends on the member."""
    months, (lat, lon) = month_range(*period), centres(resolution)
    random = np.random.default_rng([seed, member, int(offset)])
    shape = (len(months), len(lat), len(lon))
    pattern = np.cos(np.deg2rad(lat))[:, None] - 0.8 + np.zeros(len(lon))
    with netCDF4.Dataset(path, "w") as file:
        write_axes(file, months, lat, lon, bounded=True)
        for row in read_variables(VARIABLES, role="field"):
            noise = random.standard_normal(shape) + pattern
            if row.short_name in ("skt", "t2m", "d2m"):
                values = SURFACE[row.short_name] + offset + 20 * pattern + noise
            elif row.short_name == "t":
                values = TEMPERATURE[row.level] + offset + 10 * pattern + noise
            elif row.short_name in ("q", "avg_tprate"):
                mean = HUMIDITY.get(row.level) or SURFACE["avg_tprate"]
                values = mean * (1 + 0.5 * noise)  # a little of it negative, as a model's may be
            elif row.short_name == "z":
                values = 9.80665 * (5600 + 400 * pattern + 10 * noise)
            elif row.short_name in ("sp", "msl"):
                values = SURFACE[row.short_name] + 300 * noise
            else:
                values = SURFACE.get(row.short_name, 2.0) + 3 * noise
            variable = file.createVariable(row.channel, "f4", ("time", "lat", "lon"))
            variable.units = row.units
            variable[:] = values
        file.setncatts({"checkpoint_sha256": "c" * 64, "forcing_sha256": "f" * 64, "seed": seed, "member": member})
    return path


CMOR_PYTHON = os.environ.get("CMOR_PYTHON", "/usr/bin/python3")
WITH_CMOR = ["env", f"PYTHONPATH={ROOT}", CMOR_PYTHON]
IMPORT_CMOR = "from workflow.scripts.cmorize.cmor_versions import import_cmor; import_cmor(); import netCDF4"
EXPERIMENTS = {"aimip": 0.0, "aimip-p4k": 4.0}
MEMBERS = (1, 2)


@functools.cache
def cmor_missing():
    """Why the tests that need CMOR cannot run, or nothing."""
    done = subprocess.run([*WITH_CMOR, "-c", IMPORT_CMOR], capture_output=True, text=True, check=False)
    return done.stderr.strip().splitlines()[-1] if done.returncode else ""


def cmorize_command(work, experiment="aimip", member=1, grids=("gn", "gr"), **changes):
    """The command line of cmorize/simulation.py on the files of ``work``; ``changes`` replace options."""
    options = {
        "rollout": work / f"rollout/{experiment}/r{member}.nc",
        "forcing": work / "forcing.nc",
        "variables": VARIABLES,
        "tables": work / f"tables/{experiment}",
        "experiment": experiment,
        "member": member,
        "out": work / "submission",
        "log": work / f"log/{experiment}_{member}.log",
        **changes,
    }
    words = [word for key, value in options.items() for word in (f"--{key}", value)]
    return [*map(str, [*WITH_CMOR, "-m", "workflow.scripts.cmorize.simulation", *words, "--grids", *grids])]


@functools.cache
def tree():
    """A folder with the CMOR files (submission/) of two experiments of two members on two grids, and all inputs.

    Made once for all tests, which must not change it. Skips the calling test where CMOR is missing.
    """
    if cmor_missing():
        pytest.skip(f"{CMOR_PYTHON} cannot import cmor: {cmor_missing()}")
    work = Path(tempfile.mkdtemp(prefix="aimip-tree-"))
    atexit.register(shutil.rmtree, work, ignore_errors=True)
    write_aggregated_forcing(work / "forcing.nc")
    for experiment, offset in EXPERIMENTS.items():
        write_tables(work / "tables" / experiment, FACTS, VARIABLES, experiment, offset, SUBMISSION, 15.0, PERIOD)
        (work / "rollout" / experiment).mkdir(parents=True)
        for member in MEMBERS:
            write_rollout(work / f"rollout/{experiment}/r{member}.nc", member, offset)
            done = subprocess.run(
                cmorize_command(work, experiment, member), capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
    return work


def submission_file(work, variable, grid="gn", experiment="aimip", member=1):
    """Path of one file of the made submission."""
    folder = work / f"submission/UMD-PARETO/MD-1p5/{experiment}/r{member}i1p1f1/Amon/{variable}/{grid}/v20261122"
    return folder / f"{variable}_Amon_MD-1p5_{experiment}_r{member}i1p1f1_{grid}_197810-197909.nc"
