"""Files of a year, of the forcing and of static fields on the model's grid: what is in them, and what is refused."""

import netCDF4
import numpy as np
import pytest
import xarray as xr

from tests.helpers import cds_replies
from tests.helpers.grib import packing_error, write_grib
from workflow.scripts.common.grids import area_mean, cell_areas, centres
from workflow.scripts.common.variables import read_variables
from workflow.scripts.inputs.checks import check_file
from workflow.scripts.inputs.era5 import open_era5
from workflow.scripts.regrid.era5 import regrid_era5
from workflow.scripts.regrid.forcing import regrid_forcing
from workflow.scripts.regrid.operators import Weights, regrid_mean
from workflow.scripts.regrid.static import regrid_static
from workflow.scripts.regrid.weights import write_weights

VARIABLES = cds_replies.VARIABLES


@pytest.fixture
def year(tmp_path):
    """The files of a year at 15 degrees and the weights to 30."""
    cds_replies.write_static(tmp_path / "static")
    cds_replies.write_single_levels(tmp_path / "single", 1979)
    cds_replies.write_pressure_levels(tmp_path / "pressure", 1979, levels=(50, 100, 250, 500, 700, 850, 1000))
    cds_replies.write_forcing(tmp_path / "forcing.nc")
    write_weights(tmp_path / "static", tmp_path / "weights.nc", 30)
    return tmp_path


def test_a_year_is_regridded_field_by_field_and_level_by_level(year):
    sources = {"single-levels": year / "single", "pressure-levels": year / "pressure"}
    regrid_era5(sources, year / "weights.nc", VARIABLES, year / "out.nc")
    weights, times = Weights(year / "weights.nc"), cds_replies.month_starts(1979)
    lat, lon = cds_replies.grid(15)
    with netCDF4.Dataset(year / "out.nc") as file:
        assert file["lat"][0] == -90 and file["lat"][-1] == 90 and file["lon"][0] == 0
        assert list(file["level"][:]) == [1000, 850, 700, 500, 250, 100, 50]
        dates = netCDF4.num2date(file["time"][:], file["time"].units, file["time"].calendar)
        assert [(date.year, date.month, date.day) for date in dates] == [(1979, m, 1) for m in range(1, 13)]
        for name, level, index in (("t", 850, 1), ("q", 50, 6), ("z", 500, 3)):
            wanted = cds_replies.fake(name, times, lat, lon, level)[7]
            np.testing.assert_array_equal(file[name][7, index], regrid_mean(weights, wanted))
        rain = cds_replies.fake("avg_tprate", times, lat, lon)[11]
        np.testing.assert_array_equal(file["avg_tprate"][11], regrid_mean(weights, rain))
        assert np.ma.count(file["z"][:, 3]) == 12 * 7 * 12
        assert np.ma.count(np.ma.masked_invalid(file["z"][:, 0])) == 0 and file["z"].given_levels == 500


def test_a_year_in_grib_is_regridded_as_the_same_in_netcdf(year):
    sources = {"single-levels": year / "single", "pressure-levels": year / "pressure"}
    grib = {name: write_grib(path.with_suffix(".grib"), path) for name, path in sources.items()}
    regrid_era5(sources, year / "weights.nc", VARIABLES, year / "netcdf.nc")
    regrid_era5(grib, year / "weights.nc", VARIABLES, year / "grib.nc")
    # A mean is no further off than the values in it; the widest range of a year bounds that of each packed field.
    errors = {}
    for path in sources.values():
        with open_era5(path) as dataset:
            errors |= {name: packing_error(field.values) for name, field in dataset.data_vars.items()}
    with xr.open_dataset(year / "netcdf.nc") as wanted, xr.open_dataset(year / "grib.nc") as found:
        assert set(found.variables) == set(wanted.variables) and errors.keys() <= set(found.variables)
        xr.testing.assert_equal(found.drop_vars(errors), wanted.drop_vars(errors))
        for name, error in errors.items():
            np.testing.assert_allclose(found[name], wanted[name], rtol=1e-6, atol=error)


def test_ridges_are_averaged_as_axes(year):
    """The angle of the orography below the grid, at right angles on either side, as east-west ridges have it."""
    with netCDF4.Dataset(year / "static", "a") as file:
        angle = np.full(file["anor"].shape, np.pi / 2 - 0.05)
        angle[..., ::2] = -np.pi / 2 + 0.05
        file["anor"][:] = angle
    regrid_static(year / "static", year / "weights.nc", VARIABLES, year / "out.nc")
    with netCDF4.Dataset(year / "out.nc") as file:
        assert np.abs(file["anor"][:]).min() > np.pi / 2 - 0.06


def test_data_on_another_grid_than_the_weights_are_refused(year):
    cds_replies.write_single_levels(year / "other", 1979, resolution=10)
    sources = {"single-levels": year / "other", "pressure-levels": year / "pressure"}
    with pytest.raises(ValueError, match=r"other is on a grid of 19 x 36 points .* is for 13 x 24"):
        regrid_era5(sources, year / "weights.nc", VARIABLES, year / "out.nc")
    assert not (year / "out.nc").exists()


def test_months_that_one_dataset_alone_has_are_left_out(year):
    """A centre's file may hold more than its year; what is missing from the simulation the aggregation names."""
    cds_replies.write_single_levels(year / "short", 1979, range(3, 12))
    sources = {"single-levels": year / "short", "pressure-levels": year / "pressure"}
    regrid_era5(sources, year / "weights.nc", VARIABLES, year / "out.nc")
    whole = {"single-levels": year / "single", "pressure-levels": year / "pressure"}
    regrid_era5(whole, year / "weights.nc", VARIABLES, year / "whole.nc")
    with netCDF4.Dataset(year / "out.nc") as part, netCDF4.Dataset(year / "whole.nc") as file:
        for name in ("t2m", "avg_tprate", "q", "time"):
            np.testing.assert_array_equal(part[name][:], file[name][2:11])


def test_datasets_without_a_month_in_common_are_refused(year):
    cds_replies.write_single_levels(year / "later", 1980)
    sources = {"single-levels": year / "later", "pressure-levels": year / "pressure"}
    with pytest.raises(ValueError, match="later and .*pressure have no month in common; give files of one year"):
        regrid_era5(sources, year / "weights.nc", VARIABLES, year / "out.nc")
    assert not (year / "out.nc").exists()


def test_static_fields_need_no_time(tmp_path):
    cds_replies.write_static(tmp_path / "static")
    with xr.open_dataset(tmp_path / "static") as dataset:
        dataset.isel(valid_time=0, drop=True).to_netcdf(tmp_path / "plain.nc")
    rows = read_variables(VARIABLES, role="static")
    assert check_file(tmp_path / "plain.nc", rows, None) == ["0001"]
    write_weights(tmp_path / "plain.nc", tmp_path / "weights.nc", 15.0)
    for name in ("static", "plain.nc"):
        regrid_static(tmp_path / name, tmp_path / "weights.nc", VARIABLES, tmp_path / f"{name}.out")
    with netCDF4.Dataset(tmp_path / "static.out") as usual, netCDF4.Dataset(tmp_path / "plain.nc.out") as plain:
        for row in rows:
            np.testing.assert_array_equal(plain[row.short_name][:], usual[row.short_name][:])


def test_the_area_of_the_ice_is_conserved_where_all_sea_is_kept(year):
    """Ice is a share of the cell: its area is that of the source, whatever part of a target cell is land."""
    regrid_forcing(year / "forcing.nc", year / "weights.nc", VARIABLES, year / "out.nc", 1e-6)
    with netCDF4.Dataset(year / "forcing.nc") as source, netCDF4.Dataset(year / "out.nc") as out:
        land, cover = source["land_sea_mask"][:].data, source["sea_ice_cover"][:]
        before = np.minimum(np.ma.filled(cover, 0), 1 - land)
        after, water = out["siconc"][:], out["sst"][:]
    before, after = (np.nan_to_num(np.ma.filled(one, 0)).astype(np.float64) for one in (before, after))
    assert 0.01 < area_mean(before, *cds_replies.grid(15)).min()
    np.testing.assert_allclose(area_mean(after, *centres(30)), area_mean(before, *cds_replies.grid(15)), rtol=1e-6)
    np.testing.assert_array_equal(after[np.isnan(np.ma.filled(water, np.nan))], 0)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_ice_on_half_of_the_sea_of_a_coastal_cell_is_that_share_of_the_cell(year, share):
    with netCDF4.Dataset(year / "forcing.nc", "a") as file:
        land = np.zeros(file["land_sea_mask"].shape, np.float32)
        land[5:8, 4] = 1  # half of the target cell at the equator and 60 E
        file["land_sea_mask"][:] = land
        file["sea_surface_temperature"][:] = np.where(land == 1, np.nan, 271.5)
        file["sea_ice_cover"][:] = np.where(land == 1, np.nan, share)
    regrid_forcing(year / "forcing.nc", year / "weights.nc", VARIABLES, year / "out.nc", 0.5)
    with netCDF4.Dataset(year / "out.nc") as file:
        assert file["siconc"][0, 3, 2] == pytest.approx(share / 2) and file["lsm"][3, 2] == pytest.approx(0.5)
        assert file["siconc"][0, 3, 6] == pytest.approx(share), "where there is no land nothing differs"
        assert file["sst"][0, 3, 2] == pytest.approx(271.5)


def test_a_sea_that_is_filled_in_over_land_is_the_same_sea(year):
    """As boundary conditions of AMIP are, and the surface temperature of a model."""
    with netCDF4.Dataset(year / "forcing.nc", "a") as file:
        file["land_sea_mask"][:] = land = file["land_sea_mask"][:].filled() > 0.5
        bare = file["sea_surface_temperature"][:].filled(np.nan)
    assert np.isnan(bare[:, land]).all() and np.isfinite(bare[:, ~land]).all()
    found = {}
    for name, filling in (("bare", np.nan), ("filled", 290.0)):
        with netCDF4.Dataset(year / "forcing.nc", "a") as file:
            file["sea_surface_temperature"][:] = np.where(land, filling, bare)
        regrid_forcing(year / "forcing.nc", year / "weights.nc", VARIABLES, year / "out.nc", 0.5)
        with netCDF4.Dataset(year / "out.nc") as file:
            found[name] = [np.ma.filled(file[one][:], np.nan) for one in ("sst", "siconc", "lsm")]
    for one, other in zip(*found.values(), strict=True):
        np.testing.assert_array_equal(other, one)
    assert np.isnan(found["filled"][0]).any()


@pytest.mark.parametrize("south_first", [False, True])
def test_the_forcing_covers_the_sea_and_leaves_ice_what_the_land_leaves(year, south_first):
    cds_replies.write_forcing(year / "forcing.nc", south_first=south_first)
    regrid_forcing(year / "forcing.nc", year / "weights.nc", VARIABLES, year / "out.nc", 0.5)
    with netCDF4.Dataset(year / "out.nc") as file:
        sst, ice = (np.ma.filled(file[name][:], np.nan) for name in ("sst", "siconc"))
        land = file["lsm"][:].data
        assert len(file["time"]) == 40  # 1978-10..1982-01
    np.testing.assert_array_equal(np.isnan(sst), np.isnan(ice))
    assert 0 < np.isnan(sst[0]).mean() < 0.6 and (np.isnan(sst) == np.isnan(sst[:1])).all()
    assert (ice[np.isfinite(ice)] >= 0).all() and np.nanmax(ice + land) <= 1 + 1e-6
    assert np.nanmax(np.where(land > 0.05, ice + land, 0)) > 0.999, "the limit never bound: the test shows nothing"
    # A mean over the sea alone stays within the values of the sea; a mean with land as 0 K would not.
    assert np.nanmin(sst) > 260
    lat, lon = cds_replies.grid(15)
    with netCDF4.Dataset(year / "forcing.nc") as source:
        fraction = source["land_sea_mask"][:].data
    before = area_mean(fraction, lat[::-1] if south_first else lat, lon)
    assert area_mean(land, *centres(30)) == pytest.approx(before, rel=1e-6)
    assert cell_areas(*centres(30)).sum() == pytest.approx(1)
