"""Means over cells of another grid, where some values are missing."""

import numpy as np

from workflow.scripts.common.grids import centres, lat_overlap, lon_overlap, overlap_mean


def test_one_missing_cell_does_not_spoil_the_map():
    fine, coarse = centres(5), centres(15, poles=False)
    rows, columns = lat_overlap(fine[0], coarse[0]), lon_overlap(fine[1], coarse[1]).T
    values = np.full((2, 37, 72), 7.0)
    whole = overlap_mean(rows, values, columns)
    np.testing.assert_allclose(whole, 7)
    values[0, 18, 3] = np.nan  # a ninth or less of the cells of the target
    np.testing.assert_allclose(overlap_mean(rows, values, columns), 7)
    values[0, 15:22, :9] = np.nan
    found = overlap_mean(rows, values, columns)
    assert 0 < np.isnan(found[0]).sum() < 10 and np.isfinite(found[1]).all()
    np.testing.assert_allclose(found[np.isfinite(found)], 7)
