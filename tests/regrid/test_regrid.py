"""Regridding against ESMF, against CDO, and against what conservation and constants demand."""

import shutil
import subprocess

import netCDF4
import numpy as np
import pytest

from tests.helpers import cds_replies
from tests.helpers.project import DATA
from workflow.scripts.common.grids import area_mean, centres, lat_edges, lon_edges
from workflow.scripts.regrid.operators import (
    Weights,
    regrid_axis,
    regrid_field,
    regrid_majority,
    regrid_mean,
    regrid_sea,
)
from workflow.scripts.regrid.weights import box_weights, esmf_weights, save_weights, write_weights

REFERENCE = np.load(DATA / "esmf_reference.npz")  # every fourth longitude
FINE = np.linspace(90, -90, 721), np.arange(1440) * 0.25
VARIABLES = cds_replies.VARIABLES


def smooth(lat, lon):
    lat, lon = np.deg2rad(lat)[:, None], np.deg2rad(lon)[None, :]
    return 2 + np.cos(lat) ** 2 * np.cos(2 * lon)


def wavy(lat, lon):
    lat, lon = np.deg2rad(lat)[:, None], np.deg2rad(lon)[None, :]
    return 2 + np.sin(2 * lat) ** 16 * np.cos(16 * lon)


def is_land(lat, lon):
    lat, lon = np.deg2rad(lat)[:, None], np.deg2rad(lon)[None, :]
    return (np.sin(3 * lon) * np.cos(lat) + 0.6 * np.sin(5 * lat) > 0.55) | (np.abs(np.rad2deg(lat)) > 84) & (lon > -1)


def sea_temperature(lat, lon):
    values = 300 - 30 * np.sin(np.deg2rad(lat))[:, None] ** 2 + smooth(lat, lon)
    return np.where(is_land(lat, lon), np.nan, values)


def make_weights(path, source, target_resolution, build=box_weights):
    target = centres(target_resolution)
    entries = build(*source, *target)
    save_weights(path, *entries, source, target, "test")
    return Weights(path)


@pytest.fixture(scope="module")
def fine(tmp_path_factory):
    """Weights from ERA5's 0.25 degrees to 1.5."""
    return make_weights(tmp_path_factory.mktemp("weights") / "weights.nc", FINE, 1.5)


@pytest.fixture(scope="module")
def coarse(tmp_path_factory):
    """Weights from 15 to 30 degrees: small, with pole half-cells and overlaps by halves."""
    return make_weights(tmp_path_factory.mktemp("weights") / "weights.nc", cds_replies.grid(15), 30)


def test_the_weights_file_is_one_that_xesmf_would_write(fine):
    with netCDF4.Dataset(fine.path) as file:
        assert {"row", "col", "S"} <= set(file.variables) and file["row"].dimensions == ("n_s",)
        row, col, share = (file[name][:].data for name in ("row", "col", "S"))
        assert row.dtype.kind == col.dtype.kind == "i" and share.dtype == np.float64
        assert (row.min(), row.max()) == (1, 121 * 240) and (col.min(), col.max()) == (1, 721 * 1440)
    # The cell at the equator and Greenwich: 1.5 degrees wide, so 7 x 7 of 0.25, with halves and quarters at the rim.
    cell = row == 60 * 240 + 1
    lat, lon = np.divmod(col[cell] - 1, 1440)
    assert sorted(set(lat)) == list(range(357, 364)) and sorted(set(lon)) == [0, 1, 2, 3, 1437, 1438, 1439]
    assert share[cell].sum() == pytest.approx(1, abs=1e-15)


@pytest.mark.parametrize(("field", "tolerance"), [(smooth, 1e-3), (wavy, 1e-3)])
def test_means_agree_with_esmf_as_far_as_great_circles_allow(fine, field, tolerance):
    # ESMF draws cell edges as great circles; the boxes follow the parallels. The difference was measured at up to 1e-4
    # of the range for most fields and 5e-4 for a smooth one near 30 degrees.
    ours, esmf = regrid_mean(fine, field(*FINE))[:, ::4], REFERENCE[field.__name__]
    assert np.abs(ours - esmf).max() < tolerance
    assert np.sqrt(np.mean((ours - esmf) ** 2)) < 4e-4


@pytest.mark.parametrize("land_share", [0.5, 1.0])
def test_sea_means_agree_with_esmf_that_skips_land(fine, land_share):
    ours = regrid_sea(fine, sea_temperature(*FINE), 1 - land_share)[:, ::4]
    esmf = REFERENCE[f"sst_skipna_{land_share}"]
    # Cells whose share of sea is at the threshold to within the difference of the edges may fall on either side.
    assert (np.isnan(ours) != np.isnan(esmf)).mean() < 2e-3
    assert np.nanmax(np.abs(ours - esmf)) < 0.02 and np.sqrt(np.nanmean((ours - esmf) ** 2)) < 2e-3


@pytest.mark.skipif(shutil.which("cdo") is None, reason="cdo is not installed: no comparison with cdo remapcon")
def test_means_agree_with_cdo_remapcon(fine, tmp_path):
    with netCDF4.Dataset(tmp_path / "in.nc", "w") as file:
        for name, values, units in (("lat", FINE[0], "degrees_north"), ("lon", FINE[1], "degrees_east")):
            file.createDimension(name, len(values))
            variable = file.createVariable(name, "f8", (name,))
            variable.units, variable.standard_name = units, {"lat": "latitude", "lon": "longitude"}[name]
            edges = {"lat": lat_edges, "lon": lon_edges}[name](values)
            variable[:], variable.bounds = values, f"{name}_bnds"
            if "bnds" not in file.dimensions:
                file.createDimension("bnds", 2)
            file.createVariable(f"{name}_bnds", "f8", (name, "bnds"))[:] = np.stack([edges[:-1], edges[1:]], axis=1)
        field = 50 * wavy(*FINE)
        file.createVariable("field", "f8", ("lat", "lon"))[:] = field
    lat, lon = centres(1.5)
    lines = ["gridtype = lonlat", "xsize = 240", "ysize = 121", "xfirst = 0", "xinc = 1.5"]
    edges = lat_edges(lat)
    lines += ["yvals = " + " ".join(map(str, lat))]
    lines += ["ybounds = " + " ".join(f"{low} {high}" for low, high in zip(edges[:-1], edges[1:], strict=True))]
    (tmp_path / "grid.txt").write_text("\n".join(lines) + "\n")
    command = ["cdo", "-s", "-b", "F64", f"remapcon,{tmp_path / 'grid.txt'}", tmp_path / "in.nc", tmp_path / "out.nc"]
    subprocess.run(list(map(str, command)), check=True, capture_output=True)
    with netCDF4.Dataset(tmp_path / "out.nc") as file:
        theirs = file["field"][:].data
    assert np.abs(regrid_mean(fine, field) - theirs).max() < 2e-5 * 50


@pytest.mark.parametrize("resolution", [1.5, 4.5])
def test_area_integrals_are_conserved(resolution, tmp_path, fine):
    weights = fine if resolution == 1.5 else make_weights(tmp_path / "weights.nc", FINE, resolution)
    noise = np.random.default_rng(1).normal(5, 1, (721, 1440)).astype(np.float32)
    for field in (noise, wavy(*FINE).astype(np.float32)):
        before = area_mean(field.astype(np.float64), *FINE)
        after = area_mean(regrid_mean(weights, field).astype(np.float64), weights.lat, weights.lon)
        assert after == pytest.approx(before, rel=1e-6)


@pytest.mark.parametrize(
    ("source", "target"),
    [(0.75, 1.0), (0.75, 2.5), (1.0, 0.75), (1.0, 3.75), (2.5, 3.75), (2.5, 2.5), (3.75, 2.5), (3.75, 4.0)],
)
def test_any_grid_goes_to_any_other_and_keeps_integrals(source, target, tmp_path):
    grid = centres(source)[0][::-1], centres(source)[1]
    weights = make_weights(tmp_path / "weights.nc", grid, target)
    assert weights.shape == (round(180 / target) + 1, round(360 / target))
    noise = np.random.default_rng(1).normal(5, 1, (len(grid[0]), len(grid[1])))
    for field in (noise, smooth(*grid)):
        carried = (weights.matrix @ field.ravel()).reshape(weights.shape)
        assert area_mean(carried, weights.lat, weights.lon) == pytest.approx(area_mean(field, *grid), rel=1e-12)
    # Means over cells of up to 4 degrees differ from the smooth field by its curvature.
    assert np.abs(regrid_mean(weights, smooth(*grid)) - smooth(weights.lat, weights.lon)).max() < 0.02
    if source == target:
        np.testing.assert_allclose(regrid_mean(weights, noise), noise[::-1], rtol=1e-6)


@pytest.mark.parametrize("value", [1.0, 273.16, 1e5, 3e-6])
def test_a_constant_stays_that_constant_exactly(fine, value):
    value = np.float32(value)
    assert (regrid_mean(fine, np.full((721, 1440), value)) == value).all()
    sea = np.where(is_land(*FINE), np.float32(np.nan), value)
    out = regrid_sea(fine, sea, 0.5)
    np.testing.assert_allclose(out[np.isfinite(out)], value, rtol=1.2e-7)


def test_poles_are_half_cells(coarse):
    # The polar cell of 30 degrees reaches to 75 degrees: the half-cell at the pole (7.5 degrees) and half of the next.
    source = cds_replies.grid(15)
    field = np.zeros((13, 24))
    field[0] = 1
    out = regrid_mean(coarse, field)
    share = (1 - np.sin(np.deg2rad(82.5))) / (1 - np.sin(np.deg2rad(75)))
    np.testing.assert_allclose(out[-1], share, rtol=1e-6)
    assert (out[:-1] == 0).all() and coarse.lat[-1] == 90 and source[0][0] == 90


def test_longitudes_join_round_the_globe(coarse):
    # The target cell at 0 covers 345..15: half of the source cells at 345 and 15 (7.5 of 30 degrees), all of that at 0.
    field = np.zeros((13, 24))
    field[:, 23] = 1
    np.testing.assert_allclose(regrid_mean(coarse, field)[3], [0.25] + [0] * 10 + [0.25], atol=1e-7)


def test_missing_values_spread_in_means_and_are_left_out_over_the_sea(coarse):
    field = np.full((13, 24), 10.0)
    field[6, 4] = np.nan  # the source cell at the equator and 60 E, in the middle of the target cell there
    mean, sea = regrid_mean(coarse, field), regrid_sea(coarse, field, 0.5)
    assert np.isnan(mean[3, 2]) and np.isnan(mean).sum() == 1
    assert (sea == 10).all()
    field[5:8, 3:6] = np.nan
    sea = regrid_sea(coarse, field, 0.5)
    assert np.isnan(sea[3, 2]) and np.isnan(sea).sum() == 1


def test_the_threshold_is_the_least_share_of_sea(coarse):
    field = np.full((13, 24), 10.0)
    field[5:8, 4] = np.nan  # half of the target cell at 60 E is land: 15 of its 30 degrees of longitude
    assert np.isfinite(regrid_sea(coarse, field, 0.5)[3, 2])
    assert np.isnan(regrid_sea(coarse, field, 0.51)[3, 2])
    assert np.isnan(regrid_sea(coarse, np.full((13, 24), np.nan), 0)).all()


def test_categories_are_chosen_never_averaged(coarse):
    field = np.full((13, 24), 1.0)
    field[6, 4] = 7  # covers half of the width and half of the height of the target cell at 60 E: a quarter
    assert regrid_majority(coarse, field)[3, 2] == 1
    field[5:8, 4] = 7  # half: a tie, which the lowest category wins
    assert regrid_majority(coarse, field)[3, 2] == 1
    field[5:8, 3:5] = 7  # three quarters
    out = regrid_majority(coarse, field)
    assert out[3, 2] == 7 and set(np.unique(out)) == {1, 7}


def same_axis(one, other):
    """Largest angle between axes, of which a and a + pi are the same."""
    return np.abs((np.asarray(one, np.float64) - other + np.pi / 2) % np.pi - np.pi / 2).max()


@pytest.mark.parametrize("angle", [np.pi / 2, -np.pi / 2, np.pi / 2 - 1e-3, -np.pi / 2 + 1e-3, 0.0, 1.2, -0.7])
def test_a_constant_axis_stays_that_axis(coarse, angle):
    found = regrid_axis(coarse, np.full((13, 24), angle))
    assert same_axis(found, angle) < 1e-6 and np.abs(found).max() <= np.pi / 2 + 1e-6


def test_axes_on_both_sides_of_a_right_angle_meet_there_and_not_at_zero(coarse):
    field = np.full((13, 24), np.pi / 2 - 0.1)
    field[5:8, 4] = -np.pi / 2 + 0.1  # half of the target cell at 60 E; the other half lies at its two sides
    assert same_axis(regrid_axis(coarse, field)[3, 2], np.pi / 2) < 1e-6
    assert abs(regrid_mean(coarse, field)[3, 2]) < 1e-6, "a plain mean turns these ridges by a right angle"


def test_two_axes_in_a_cell_average_to_the_closed_form(coarse):
    """Shares 3/4 and 1/4 of axes at 0 and b: tan 2a = sin 2b / (3 + cos 2b)."""
    for b in (0.3, 0.8, 1.3, -1.0):
        field = np.zeros((13, 24))
        field[6, 4] = b  # a quarter of the target cell at 60 E, as the box at the equator is
        share = coarse.matrix[3 * 12 + 2, 6 * 24 + 4]
        assert share == pytest.approx(0.25, abs=0.01)
        wanted = np.arctan2(share * np.sin(2 * b), 1 - share + share * np.cos(2 * b)) / 2
        assert same_axis(regrid_axis(coarse, field)[3, 2], wanted) < 1e-6


def test_axes_that_are_all_turned_turn_their_mean(coarse):
    random = np.random.default_rng(4)
    field = random.normal(0.4, 0.5, (13, 24))
    before = regrid_axis(coarse, field)
    for turn in random.uniform(-np.pi, np.pi, 20):
        turned = (field + turn + np.pi / 2) % np.pi - np.pi / 2  # as files have it, within -pi/2 to pi/2
        assert same_axis(regrid_axis(coarse, turned), before + turn) < 1e-5


def test_an_unknown_method_is_refused_by_name(coarse):
    with pytest.raises(ValueError, match="regrid is 'bilinear', allowed are conservative, sea, majority, axis"):
        regrid_field(coarse, np.zeros((13, 24)), "bilinear", 0.5)


def test_the_xesmf_engine_gives_the_same_weights_to_great_circles(tmp_path):
    pytest.importorskip(
        "xesmf", reason="xesmf is not installed here: its engine is tested where it is", exc_type=ImportError
    )
    esmf = make_weights(tmp_path / "esmf.nc", cds_replies.grid(2.5), 7.5, esmf_weights)
    boxes = make_weights(tmp_path / "boxes.nc", cds_replies.grid(2.5), 7.5)
    field = smooth(*cds_replies.grid(2.5))
    assert np.abs(regrid_mean(esmf, field) - regrid_mean(boxes, field)).max() < 0.02
    assert (regrid_mean(esmf, np.ones_like(field)) == 1).all()


def test_an_engine_that_is_not_installed_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "xesmf", None)
    cds_replies.write_static(tmp_path / "static")
    with pytest.raises(RuntimeError, match="xesmf is not installed; use envs/regrid.yaml or set it to boxes"):
        write_weights(tmp_path / "static", tmp_path / "weights.nc", 30, "xesmf")
    assert not (tmp_path / "weights.nc").exists()
