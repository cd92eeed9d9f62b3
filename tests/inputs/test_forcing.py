"""The reader of the AIMIP forcing file, and its checks."""

import netCDF4
import numpy as np
import pytest

from tests.helpers import era5_files
from workflow.scripts.common.variables import read_variables
from workflow.scripts.inputs.forcing import Forcing, check_forcing

ROWS = read_variables(era5_files.VARIABLES, role="forcing")


@pytest.fixture
def path(tmp_path):
    era5_files.write_forcing(tmp_path / "forcing.nc")
    return tmp_path / "forcing.nc"


def edit(path, change):
    with netCDF4.Dataset(path, "a") as file:
        change(file)


def test_a_file_is_read_north_first_whichever_way_it_is_stored(tmp_path, path):
    era5_files.write_forcing(tmp_path / "south.nc", south_first=True)
    with Forcing(path) as one, Forcing(tmp_path / "south.nc") as two:
        assert one.latitude[0] == 90 and (one.latitude == two.latitude).all()
        assert str(one.months[0]) == "1978-10" and str(one.months[-1]) == "1982-01"
        np.testing.assert_array_equal(one.land(), two.land())
        for name in ("sea_surface_temperature", "sea_ice_cover"):
            fields = one.read(name, 3, 5)
            assert fields.shape == (2, 13, 24) and np.isnan(fields).any()
            np.testing.assert_array_equal(fields, two.read(name, 3, 5))


def test_a_whole_file_passes_for_the_months_it_can_force(path):
    check_forcing(path, ROWS, "1978-10", "1981-12")
    with pytest.raises(ValueError, match="1982-02 is missing"):
        check_forcing(path, ROWS, "1978-10", "1982-01")
    with pytest.raises(ValueError, match="1978-09 is missing"):
        check_forcing(path, ROWS, "1978-09", "1981-12")


def celsius(file):
    file["sea_surface_temperature"][5] = file["sea_surface_temperature"][5] - 273.15


def percent(file):
    file["sea_ice_cover"][:] = file["sea_ice_cover"][:] * 100


def middle_of_the_month(file):
    file["time"][7] = file["time"][7] + 14


def a_month_twice(file):
    file["time"][8] = file["time"][7]


def renamed(file):
    file.renameVariable("land_sea_mask", "lsm")


def all_missing(file):
    file["sea_ice_cover"][:] = np.nan


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (celsius, "'sea_surface_temperature' spans .* K, beyond the plausible 260..320"),
        (percent, "'sea_ice_cover' spans 0..100 1, beyond the plausible"),
        (middle_of_the_month, "1979-05-15T00:00:00 is not the start of a month"),
        (a_month_twice, "1979-06 is missing"),
        (renamed, "lacks land_sea_mask; it has .*lsm.*, so it is not the AIMIP forcing file"),
        (all_missing, "'sea_ice_cover' has no values"),
    ],
)
def test_a_wrong_file_is_refused_with_the_reason(change, sentence, path):
    edit(path, change)
    with pytest.raises(ValueError, match=sentence) as caught:
        check_forcing(path, ROWS, "1978-10", "1981-12")
    assert str(caught.value).startswith(str(path))
