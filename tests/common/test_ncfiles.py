"""netCDF files read as plain arrays."""

import netCDF4
import numpy as np
import pytest

from workflow.scripts.common.ncfiles import read_array


@pytest.mark.parametrize(("kind", "filler"), [("f4", np.nan), ("f4", 1e20), ("i2", -9)])
def test_an_array_is_plain_and_nan_where_a_value_is_missing_however_it_is_stored(tmp_path, kind, filler):
    expected = np.ma.masked_array([[1.5, 2, 3], [4, 5, 6.5]], mask=[[0, 1, 0], [0, 0, 0]])
    with netCDF4.Dataset(tmp_path / "made.nc", "w") as file:
        file.createDimension("x", 2)
        file.createDimension("y", 3)
        variable = file.createVariable("field", kind, ("x", "y"), fill_value=filler)
        if kind == "i2":
            variable.scale_factor = 0.5
        variable[:] = expected
    with netCDF4.Dataset(tmp_path / "made.nc") as file:
        for places, part in ((..., slice(None)), ((0, slice(1, 3)), (0, slice(1, 3)))):
            found = read_array(file["field"], places)
            assert type(found) is np.ndarray
            np.testing.assert_array_equal(found, expected.filled(np.nan)[part])
