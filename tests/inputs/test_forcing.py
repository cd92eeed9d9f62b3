"""The reader of the AIMIP forcing file, and its checks."""

import netCDF4
import numpy as np
import pytest

from tests.helpers import cds_replies
from workflow.scripts.common.variables import read_variables
from workflow.scripts.inputs.forcing import Forcing, check_forcing

ROWS = read_variables(cds_replies.VARIABLES, role="forcing")


@pytest.fixture
def path(tmp_path):
    cds_replies.write_forcing(tmp_path / "forcing.nc")
    return tmp_path / "forcing.nc"


def edit(path, change):
    with netCDF4.Dataset(path, "a") as file:
        change(file)


def test_a_file_is_read_north_first_whichever_way_it_is_stored(tmp_path, path):
    cds_replies.write_forcing(tmp_path / "south.nc", south_first=True)
    with Forcing(path) as one, Forcing(tmp_path / "south.nc") as two:
        assert one.latitude[0] == 90 and (one.latitude == two.latitude).all()
        assert str(one.months[0]) == "1978-10" and str(one.months[-1]) == "1982-01"
        np.testing.assert_array_equal(one.land(), two.land())
        for row in ROWS:
            fields = one.read(row, 3, 5)
            assert fields.shape == (2, 13, 24) and np.isnan(fields).any()
            np.testing.assert_array_equal(fields, two.read(row, 3, 5))


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


def a_month_never_written(file):
    file["sea_surface_temperature"][30] = np.nan


def no_ice_of_a_month(file):
    file["sea_ice_cover"][30] = np.nan


def none_under_ice(file):
    ice = np.ma.filled(file["sea_ice_cover"][:], 0)
    file["sea_surface_temperature"][:] = np.where(ice > 0.2, np.nan, file["sea_surface_temperature"][:].filled(np.nan))


def a_tile_missing(file):
    file["sea_surface_temperature"][35, 5:8, 7:9] = np.nan


def no_mask_at_sea(file):
    mask = file["land_sea_mask"][:].filled(np.nan)
    file["land_sea_mask"][:] = np.where(mask > 0, mask, np.nan)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (no_mask_at_sea, r"'land_sea_mask' has no value in \d+ cells, the first at lat 90, .*: write .* 0 at sea"),
        (a_month_never_written, "'sea_surface_temperature' has no values in 1981-04"),
        (no_ice_of_a_month, "'sea_ice_cover' has no values in 1981-04"),
        (none_under_ice, r"in some months and none in others in \d+ cells, .*: fill it under ice \(271.35 K\)"),
        (a_tile_missing, "in some months and none in others in 6 cells, the first at lat 15, lon 105"),
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


def test_cells_of_a_sea_that_moves_are_counted_but_two_of_any_grid_may(tmp_path):
    path, period = tmp_path / "fine.nc", ("1981-01", "1981-03")
    cds_replies.write_forcing(path, "1981-01", "1981-04", resolution=0.75)
    with netCDF4.Dataset(path, "a") as file:
        sea = ~file["sea_surface_temperature"][0].mask
        (north, east), *_, other, last = np.argwhere(sea)
        assert 1e-5 * sea.size < 2, "of larger grids one in a hundred thousand may"
        for place in (other, last):
            file["sea_surface_temperature"][2, *place] = np.nan
    check_forcing(path, ROWS, *period)
    edit(path, lambda file: file["sea_surface_temperature"].__setitem__((1, north, east), np.nan))
    place = f"in 3 cells, the first at lat {90 - 0.75 * north:g}, lon {0.75 * east:g}: "
    with pytest.raises(ValueError, match=place):
        check_forcing(path, ROWS, *period)


def test_a_sparser_sea_before_the_simulation_is_no_fault(tmp_path):
    path = tmp_path / "long.nc"
    cds_replies.write_forcing(path, "1980-01", "1981-04", resolution=15)
    edit(path, lambda file: file["sea_surface_temperature"].__setitem__((slice(0, 6), slice(0, 4)), np.nan))
    check_forcing(path, ROWS, "1981-01", "1981-03")
    with pytest.raises(ValueError, match="has values in some months and none in others"):
        check_forcing(path, ROWS, "1980-02", "1981-03")


def rewrite(path, new, fill=None, packed=False, names=("latitude", "longitude"), west=False, celsius=False):
    """The file ``path`` as other tools leave it: packed, other fillers, names, longitudes from -180, other units."""
    with netCDF4.Dataset(path) as old, netCDF4.Dataset(new, "w") as file:
        count = len(old.dimensions["longitude"]) // 2
        called = dict(zip(("latitude", "longitude"), names, strict=True))
        for name in ("time", "latitude", "longitude"):
            values = old[name][:]
            if west and name == "longitude":
                values = np.roll(np.where(values >= 180, values - 360, values), count)
            file.createDimension(called.get(name, name), len(values))
            axis = file.createVariable(called.get(name, name), "f8", (called.get(name, name),))
            axis.setncatts({key: old[name].getncattr(key) for key in old[name].ncattrs()})
            axis[:] = values
        for name in ("sea_surface_temperature", "sea_ice_cover", "land_sea_mask"):
            values = np.ma.filled(old[name][:], np.nan)
            values = np.roll(values, count, axis=-1) if west else values
            values = values - 273.15 if celsius and "surface" in name else values
            dims = tuple(called.get(dim, dim) for dim in old[name].dimensions)
            if packed:
                low, high = np.nanmin(values), np.nanmax(values)
                scale = (high - low) / 65532
                variable = file.createVariable(name, "i2", dims, fill_value=-32767)
                variable.setncatts({"scale_factor": scale, "add_offset": low + 32766 * scale})
                variable.set_auto_maskandscale(False)
                steps = np.round((values - variable.add_offset) / scale)
                variable[:] = np.where(np.isnan(values), -32767, steps)
            else:
                variable = file.createVariable(name, "f4", dims, fill_value=fill)
                variable[:] = np.where(np.isnan(values), np.nan if fill is None else fill, values)
            if celsius and "surface" in name:
                variable.units = "degC"
            elif celsius:
                variable.units = "1"


@pytest.mark.parametrize(
    "made",
    [
        {"packed": True},
        {"fill": -9e33},
        {"fill": np.float32(1e20)},
        {"fill": -999.0},
        {"names": ("lat", "lon")},
        {"west": True},
        {"celsius": True},
        {"packed": True, "west": True, "names": ("lat", "lon")},
    ],
    ids=lambda made: " ".join(made),
)
def test_a_file_that_went_through_other_tools_says_the_same(made, path, tmp_path):
    rewrite(path, tmp_path / "other.nc", **made)
    check_forcing(tmp_path / "other.nc", ROWS, "1978-10", "1981-12")
    with Forcing(path) as one, Forcing(tmp_path / "other.nc") as two:
        np.testing.assert_array_equal(one.longitude, two.longitude)
        np.testing.assert_allclose(one.land(), two.land(), atol=2e-5)
        for row in ROWS:
            ours, theirs = one.read(row, 0, 40), two.read(row, 0, 40)
            np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))
            np.testing.assert_allclose(theirs, ours, atol=1e-3 if row.short_name == "sst" else 2e-5)


def test_a_mask_that_is_repeated_at_each_time_is_one_and_one_that_changes_is_refused(path):
    with Forcing(path) as forcing:
        land, sea = forcing.land(), forcing.read(ROWS[0], 0, 3)

    def repeat(file):
        file.renameVariable("land_sea_mask", "once")
        mask = file.createVariable("land_sea_mask", "f4", file["sea_surface_temperature"].dimensions)
        mask[:] = np.broadcast_to(file["once"][:], mask.shape)

    edit(path, repeat)
    with Forcing(path) as forcing:
        np.testing.assert_array_equal(forcing.land(), land)
        np.testing.assert_array_equal(forcing.read(ROWS[0], 0, 3), sea)
    check_forcing(path, ROWS, "1978-10", "1981-12")
    edit(path, lambda file: file["land_sea_mask"].__setitem__((4, 6, 7), 0.25))
    with pytest.raises(ValueError, match="forcing.nc: 'land_sea_mask' changes along 'time'; give one map of it"):
        check_forcing(path, ROWS, "1978-10", "1981-12")
