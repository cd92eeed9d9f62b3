"""Grids of every step that divides 180, and means over cells of another grid, where some values are missing."""

import numpy as np
import pytest

from workflow.scripts.common.grids import ConservativeRegridder, cell_areas, centres


def test_one_missing_cell_does_not_spoil_the_map():
    fine, coarse = centres(5), centres(15, poles=False)
    regrid = ConservativeRegridder(fine, coarse)
    values = np.full((2, 37, 72), 7.0)
    whole = regrid(values)
    np.testing.assert_allclose(whole, 7)
    values[0, 18, 3] = np.nan  # a ninth or less of the cells of the target
    np.testing.assert_allclose(regrid(values), 7)
    values[0, 15:22, :9] = np.nan
    found = regrid(values)
    assert 0 < np.isnan(found[0]).sum() < 10 and np.isfinite(found[1]).all()
    np.testing.assert_allclose(found[np.isfinite(found)], 7)


@pytest.mark.parametrize("poles", [True, False])
def test_rows_end_at_the_poles_whatever_the_step(poles):
    """Rounding of a step such as 0.3 or 180 / 77 must not carry the last row beyond its pole."""
    for count in range(12, 721):
        lat, lon = centres(180 / count, poles)
        half = 0 if poles else 90 / count
        assert (lat[0], lat[-1], len(lat), len(lon)) == (half - 90, 90 - half, count + poles, 2 * count)
        assert 0 <= lon[0] and lon[-1] < 360 and np.ptp(np.diff(lat)) < 1e-12


@pytest.mark.parametrize("step", [0.75, 1.0, 2.5, 3.75, 4.0])
def test_areas_of_cells_weigh_by_the_sine_of_their_edges(step):
    lat, lon = centres(step)
    areas = cell_areas(lat, lon)
    assert areas.sum() == pytest.approx(1, abs=1e-12)
    # The cap around a pole reaches half a step down.
    assert areas[0].sum() == pytest.approx((1 - np.cos(np.deg2rad(step / 2))) / 2, rel=1e-9)
    # sin^2 has the mean 1/3 and cos of longitude none; the error of the middle of cells is of second order.
    mean = (areas * (np.sin(np.deg2rad(lat)) ** 2)[:, None] * (1 + np.cos(np.deg2rad(lon)))).sum()
    assert mean == pytest.approx(1 / 3, abs=np.deg2rad(step) ** 2 / 6)


@pytest.mark.parametrize("source", [0.75, 1.0, 2.5, 3.75, 1.5])
@pytest.mark.parametrize("target", [1.0, 2.5, 3.75, 4.0])
def test_overlaps_between_any_two_grids_conserve_and_keep_degree_one(source, target):
    """Shares add up to whole cells both ways; the area integral of any field is kept, finer or coarser."""
    (lat, lon), (rows, columns) = centres(source), centres(target)
    values = 1 + np.sin(np.deg2rad(lat))[:, None] + np.cos(np.deg2rad(lat))[:, None] * np.cos(np.deg2rad(lon - 40))
    there = ConservativeRegridder((lat, lon), (rows, columns))
    found = there(values)
    fine, coarse = cell_areas(lat, lon), cell_areas(rows, columns)
    assert (found * coarse).sum() == pytest.approx((values * fine).sum(), abs=1e-12)
    noise = np.random.default_rng(0).normal(size=values.shape)
    carried = there(noise)
    assert (carried * coarse).sum() == pytest.approx((noise * fine).sum(), abs=1e-12)
    back = ConservativeRegridder((rows, columns), (lat, lon))(found)
    assert (back * fine).sum() == pytest.approx((values * fine).sum(), abs=1e-12)
    truth = 1 + np.sin(np.deg2rad(rows))[:, None] + np.cos(np.deg2rad(rows))[:, None] * np.cos(np.deg2rad(columns - 40))
    assert np.abs(found - truth)[1:-1].max() < np.deg2rad(max(source, target))
