"""Fields on levels of pressure that have no values below the ground, as CMIP's."""

import numpy as np
import pytest
import xarray as xr

from tests.helpers import cds_replies
from workflow.scripts.common.variables import read_variables
from workflow.scripts.inputs.checks import check_values

ROWS = {row.channel: row for row in read_variables(cds_replies.VARIABLES)}
TIMES = np.array(["1979-01", "1979-02"], "datetime64[M]")
GROUND = np.array([1010.0, 900.0, 700.0])  # hPa, by longitude


@pytest.fixture
def air():
    """Temperature at 850, 250, 500 and 1000 hPa over the ground of three places, K."""
    plev = np.array([850.0, 250.0, 500.0, 1000.0])
    values = np.broadcast_to((200 + 0.09 * plev)[:, None, None], (2, 4, 1, 3))
    data = xr.DataArray(values, {"time": TIMES.astype("datetime64[ns]"), "plev": plev}, ("time", "plev", "lat", "lon"))
    return data.where(data.plev < xr.DataArray(GROUND, dims="lon"))


@pytest.mark.parametrize(("level", "missing"), [(1000, 4), (850, 2), (500, 0)])
def test_what_is_missing_below_the_ground_is_told_and_filled_as_the_page_says(air, level, missing):
    row, values = ROWS[f"t{level}"], air.sel(plev=level)
    assert int(values.isnull().sum()) == missing
    if missing:
        words = f"has {missing} values .* in 1979-01; if {level} hPa is below the ground there, fill it from the level"
        with pytest.raises(ValueError, match=words):
            check_values(values.values, row, TIMES)
    filled = air.sortby("plev").interpolate_na("plev", method="nearest", fill_value="extrapolate")
    check_values(filled.sel(plev=level).values, row, TIMES)
    lowest = np.array([max(one for one in air.plev.values if one < ground) for ground in GROUND])
    np.testing.assert_array_equal(filled.sel(plev=level)[0, 0], 200 + 0.09 * np.minimum(level, lowest))


def test_a_field_at_the_surface_has_no_level_below_it(air):
    with pytest.raises(ValueError, match="the first in 1979-01$"):
        check_values(air.sel(plev=1000).values, ROWS["t2m"], TIMES)
