"""Values of the submitted files against the rollout and forcing that they are made of."""

import netCDF4
import numpy as np
import pytest

from tests.helpers import submission_files
from workflow.scripts.common.grids import area_mean, cell_areas, centres


def read(path, name):
    with netCDF4.Dataset(path) as file:
        return np.asarray(file[name][:], np.float64)


def submitted(variable, grid="gn", experiment="aimip"):
    return read(submission_files.submission_file(submission_files.tree(), variable, grid, experiment), variable)


def rollout(channel, experiment="aimip"):
    return read(submission_files.tree() / f"rollout/{experiment}/r1.nc", channel)


@pytest.mark.parametrize(("variable", "channel"), [("ta", "t"), ("ua", "u"), ("va", "v")])
def test_fields_on_levels_are_the_channels_from_the_surface_up(variable, channel):
    wanted = np.stack([rollout(f"{channel}{level}") for level in (1000, 850, 700, 500, 250, 100, 50)], axis=1)
    assert np.array_equal(submitted(variable), wanted)


@pytest.mark.parametrize(
    ("variable", "channel"), [("tas", "t2m"), ("uas", "u10"), ("vas", "v10"), ("ps", "sp"), ("psl", "msl")]
)
def test_fields_at_the_surface_are_the_channels(variable, channel):
    assert np.array_equal(submitted(variable), rollout(channel))


def test_humidity_and_precipitation_lose_what_is_negative_only():
    for values, channel in ((submitted("pr"), "avg_tprate"), (submitted("hus")[:, 3], "q500")):
        made_values = rollout(channel)
        assert made_values.min() < 0
        assert np.array_equal(values, np.where(made_values < 0, 0, made_values))


def test_height_is_in_meters_on_one_level():
    values = submitted("zg")
    assert values.shape[1] == 1
    assert values[:, 0] == pytest.approx(rollout("z500") / 9.80665, rel=1e-6)


def test_dewpoint_is_never_above_temperature_on_either_grid():
    assert (rollout("d2m") > rollout("t2m")).any(), "the made rollout must be supersaturated somewhere"
    for grid in ("gn", "gr"):
        assert (submitted("tdas", grid) <= submitted("tas", grid)).all()


def test_near_surface_humidity_follows_the_evaluations_formula():
    dewpoint, pressure = np.minimum(rollout("d2m"), rollout("t2m")), rollout("sp")
    vapor = 611.21 * np.exp(17.502 * (dewpoint - 273.16) / (dewpoint - 32.19))
    wanted = 0.621981 * vapor / (pressure - 0.378019 * vapor)
    assert submitted("huss") == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize(("experiment", "offset"), submission_files.EXPERIMENTS.items())
def test_surface_temperature_is_the_prescribed_sea(experiment, offset):
    values = submitted("ts", experiment=experiment)
    with netCDF4.Dataset(submission_files.tree() / "forcing.nc") as file:
        sst, ice, land = (np.ma.filled(file[name][:].astype("f8"), np.nan) for name in ("sst", "siconc", "lsm"))
    sea = (np.broadcast_to(land, sst.shape) < 0.01) & (ice < 0.01)
    assert 0.2 < sea.mean() < 0.8
    assert values[sea] == pytest.approx(sst[sea] + offset, abs=1e-4)
    assert np.array_equal(values[~sea], rollout("skt", experiment)[~sea])


def test_regridding_is_conservative_and_exact():
    """Against sampling on boxes of 2.5 degrees, which both grids (15 degrees with poles, 10 without) consist of."""
    fine_lat = np.arange(-90, 90, 2.5)
    weights = np.diff(np.sin(np.deg2rad(np.append(fine_lat, 90))))
    rows = np.round((fine_lat + 1.25 + 90) / 15 + 1e-9).astype(int)
    columns = np.round((np.arange(0, 360, 2.5) + 1.25) / 15).astype(int) % 24
    native = submitted("psl")
    fine = native[:, rows][:, :, columns] * weights[:, None]
    coarse = fine.reshape(len(native), 18, 4, 36, 4).sum(axis=(2, 4)) / (
        4 * weights.reshape(18, 4).sum(axis=1)[:, None]
    )
    found = submitted("psl", "gr")
    assert found == pytest.approx(coarse, rel=1e-6)
    assert area_mean(found, *centres(10, poles=False)) == pytest.approx(area_mean(native, *centres(15)), rel=1e-7)
    assert cell_areas(*centres(10, poles=False)).sum() == pytest.approx(1)
