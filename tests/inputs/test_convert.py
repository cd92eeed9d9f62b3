"""Monthly fields of any files in the local layout, and a table of five fields through to the training data.

The data are a piece of the real Earth (tests/data/README.md); what is expected of them is read by plain xarray.
"""

import netCDF4
import numpy as np
import pytest
import xarray as xr

from tests.helpers.project import DATA
from workflow.scripts.aggregate.era5 import aggregate_era5
from workflow.scripts.aggregate.forcing import aggregate_forcing
from workflow.scripts.common.months import month_range
from workflow.scripts.common.variables import read_variables
from workflow.scripts.inputs import convert
from workflow.scripts.inputs.checks import check_file
from workflow.scripts.inputs.forcing import check_forcing
from workflow.scripts.normalize.forcing import write_forcing
from workflow.scripts.normalize.training import write_training
from workflow.scripts.normalize.training_statistics import write_statistics
from workflow.scripts.regrid.era5 import regrid_era5
from workflow.scripts.regrid.forcing import regrid_forcing
from workflow.scripts.regrid.weights import write_weights

FILE, TABLE = DATA / "ncep_reanalysis_15deg.nc", DATA / "ncep_reanalysis_fields.csv"
NAMES, UNITS = {"msl": "slp"}, {"z500": "m", "z200": "m", "v200": "m/s"}
ROWS = {row.channel: row for row in read_variables(TABLE)}
PERIODS = {"training": ("1995-01", "1996-12"), "validation": ("1997-01", "1997-12")}


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """Folder of three years in the local layout."""
    folder = tmp_path_factory.mktemp("local")
    convert.convert([FILE], TABLE, folder, NAMES, UNITS, ("1995-01", "1997-12"))
    return folder


@pytest.fixture(scope="module")
def truth():
    """The file's own fields of these years in SI units, {channel: (time, lat, lon)}, from south to north."""
    with xr.open_dataset(FILE) as data:
        data = data.sel(time=slice("1995-01", "1997-12")).sortby("lat").load()
    return {
        "z500": 9.80665 * data.z500.values,
        "z200": 9.80665 * data.z200.values,
        "v200": data.v200.values,
        "t2m": data.t2m.values + 273.15,
        "msl": 100 * data.slp.values,
        "sst": data.sst.values + 273.15,
    }


def test_the_local_layout_holds_the_files_numbers_in_the_tables_units(local, truth):
    months = month_range("1996-01", "1996-12")
    for dataset, short, channel, level in (
        ("pressure-levels", "z", "z500", 500),
        ("pressure-levels", "z", "z200", 200),
        ("pressure-levels", "v", "v200", 200),
        ("single-levels", "t2m", "t2m", None),
        ("single-levels", "msl", "msl", None),
    ):
        path = local / dataset / "1996.nc"
        rows = [row for row in ROWS.values() if row.dataset == dataset]
        check_file(path, rows, list(map(str, months)), extra=True)
        with xr.open_dataset(path) as data:
            found = data[short].sortby("lat")
            found = found if level is None else found.sel(level=level)
            np.testing.assert_allclose(found.values, truth[channel][12:24], rtol=1e-6)
            assert found.time.dt.month.values.tolist() == list(range(1, 13))
    assert sorted(path.name for path in (local / "single-levels").iterdir()) == ["1995.nc", "1996.nc", "1997.nc"]
    assert not (local / "static.nc").exists()


def test_the_forcing_holds_means_and_land_where_there_is_never_a_sea(local, truth):
    check_forcing(local / "forcing.nc", [ROWS["sst"]], "1995-01", "1997-12", "mean")
    with pytest.raises(ValueError, match="not the start of a month.*local.forcing_values"):
        check_forcing(local / "forcing.nc", [ROWS["sst"]], "1995-01", "1997-11")
    with pytest.raises(ValueError, match="1998-01 is missing"):
        check_forcing(local / "forcing.nc", [ROWS["sst"]], "1995-01", "1998-01", "mean")
    with xr.open_dataset(local / "forcing.nc") as data:
        data = data.sortby("lat")
        np.testing.assert_allclose(data.sea_surface_temperature.values, truth["sst"], rtol=1e-6)
        np.testing.assert_array_equal(data.land_sea_mask.values, np.isnan(truth["sst"]).all(axis=0))


def test_fields_on_an_axis_of_levels_in_another_order_and_files_of_years(tmp_path, truth):
    """The same numbers, told by the file itself: an axis in Pa from above, units, a longitude from -180."""
    for year in (1995, 1996):
        part = slice(12 * (year - 1995), 12 * (year - 1994))
        stamps = month_range(f"{year}-01", f"{year}-12").astype("datetime64[ns]")
        axes = {"time": stamps, "plev": [20000.0, 50000.0], "lat": np.linspace(-90, 90, 13)}
        around = np.arange(-180.0, 180, 15)
        levels = np.stack([truth["z200"][part], truth["z500"][part]], axis=1) / 9.80665
        fields = {"zg": (("time", "plev", "lat", "lon"), np.roll(levels, 12, axis=-1), {"units": "m"})}
        flat = ("time", "lat", "lon")
        for name, channel, units in (("va200", "v200", "m s-1"), ("tas", "t2m", "K"), ("psl", "msl", "Pa")):
            fields[name] = flat, np.roll(truth[channel][part], 12, axis=-1), {"units": units}
        fields["sst"] = flat, np.roll(truth["sst"][part], 12, axis=-1), {"units": "K"}
        data = xr.Dataset(fields, axes | {"lon": around})
        data.plev.attrs["units"] = "Pa"
        data.to_netcdf(tmp_path / f"{year}.nc")
    files = [tmp_path / "1996.nc", tmp_path / "1995.nc"]
    convert.convert(files, TABLE, tmp_path / "out")
    for channel, dataset, level in (("z500", "pressure-levels", 500), ("z200", "pressure-levels", 200)):
        with xr.open_dataset(tmp_path / "out" / dataset / "1996.nc") as data:
            found = data.z.sortby("lat").sel(level=level)
            np.testing.assert_allclose(found.values, truth[channel][12:24], rtol=1e-6)
    with xr.open_dataset(tmp_path / "out/single-levels/1995.nc") as data:
        np.testing.assert_allclose(data.msl.sortby("lat").values, truth["msl"][:12], rtol=1e-6)


@pytest.mark.parametrize(
    ("names", "units", "period", "words"),
    [
        ({}, UNITS, None, ["'msl'", "slp", "--names msl=NAME"]),
        (NAMES, {}, None, ["'v200' states no units", "--units v200=UNITS"]),
        (NAMES, UNITS | {"z500": "K"}, None, ["'z500' is in 'K'", "m2 s-2"]),
        (NAMES, UNITS | {"z500": "km"}, None, ["'z500' reaches", "beyond the plausible"]),
        (NAMES, UNITS, ("1994-12", "1995-12"), ["lacks 1 months", "1994-12"]),
    ],
)
def test_what_cannot_be_converted_gets_one_sentence(tmp_path, names, units, period, words):
    with pytest.raises(ValueError) as error:
        convert.convert([FILE], TABLE, tmp_path / "out", names, units, period)
    assert all(word in str(error.value) for word in words), error.value


def test_a_month_given_twice_and_another_grid_are_refused(tmp_path):
    with pytest.raises(ValueError, match="'v200' is there twice in 1995-01"):
        convert.convert([FILE, FILE], TABLE, tmp_path / "out", NAMES, UNITS)
    with xr.open_dataset(FILE) as data:
        data.isel(lat=slice(1, None)).to_netcdf(tmp_path / "part.nc")
    with pytest.raises(ValueError, match="part.nc: latitudes .* are not a full global grid"):
        convert.convert([tmp_path / "part.nc"], TABLE, tmp_path / "out", NAMES, UNITS)


def test_a_sea_that_ends_at_the_ice_is_refused_before_a_run_reads_it(tmp_path):
    with xr.open_dataset(FILE) as data:
        data = data.sel(time=slice("1995-01", "1995-12")).load()
    frozen = data.sst.isel(time=0).notnull() & (data.lat > 60)
    data["sst"] = data.sst.where(~(frozen & (data.time.dt.month < 4)))
    data.to_netcdf(tmp_path / "ice.nc")
    words = f"'sea_surface_temperature' has values in some months and none in others in {int(frozen.sum())} cells"
    with pytest.raises(ValueError, match=words):
        convert.convert([tmp_path / "ice.nc"], TABLE, tmp_path / "out", NAMES, UNITS)


@pytest.fixture
def filled(tmp_path):
    """A file of 1995 with a sea-surface temperature everywhere, as a model's surface temperature is, and its land."""
    with xr.open_dataset(FILE) as data:
        data = data.sel(time=slice("1995-01", "1995-12")).load()
    land = data.sst.isnull().all("time").drop_attrs()
    data["sst"] = data.sst.fillna(-30.0)
    return data, land


def test_a_sea_without_land_is_asked_whether_it_is_all_there_is(filled, tmp_path):
    data, land = filled
    data["sst"] = data.sst.clip(-2, None)
    data.to_netcdf(tmp_path / "filled.nc")
    given = [tmp_path / "filled.nc"], TABLE, tmp_path / "out", NAMES, UNITS
    with pytest.raises(ValueError, match="a value everywhere and no file has 'land_sea_mask'.*--aquaplanet"):
        convert.convert(*given)
    assert not (tmp_path / "out").exists()
    convert.convert(*given, aquaplanet=True)
    with xr.open_dataset(tmp_path / "out/forcing.nc") as found:
        assert (found.land_sea_mask == 0).all() and found.sea_surface_temperature.notnull().all()


@pytest.mark.parametrize(("whole", "stated"), [(1, {"units": "1"}), (1, {}), (100, {"units": "%"})])
def test_with_a_mask_the_sea_is_where_there_is_sea(filled, tmp_path, whole, stated):
    """Values over land do not count, though they are no sea's."""
    data, land = filled
    data["sftlf"] = (whole * land.astype("f4")).assign_attrs(stated)
    data.to_netcdf(tmp_path / "filled.nc")
    names = NAMES | {"land_sea_mask": "sftlf"}
    convert.convert([tmp_path / "filled.nc"], TABLE, tmp_path / "out", names, UNITS)
    with xr.open_dataset(tmp_path / "out/forcing.nc") as found:
        found = found.sortby("lat")
        np.testing.assert_array_equal(found.land_sea_mask, land.sortby("lat"))
        np.testing.assert_array_equal(found.sea_surface_temperature.isnull().any("time"), land.sortby("lat"))


@pytest.fixture(scope="module")
def made(local, tmp_path_factory):
    """Regridded (to the grid they are on), aggregated and normalized, as the rules do for this table."""
    folder = tmp_path_factory.mktemp("made")
    write_weights(local / "single-levels/1995.nc", folder / "weights.nc", 15)
    years = []
    for year in (1995, 1996, 1997):
        sources = {name: local / name / f"{year}.nc" for name in ("pressure-levels", "single-levels")}
        regrid_era5(sources, folder / "weights.nc", TABLE, folder / f"r{year}.nc")
        years.append(folder / f"{year}.nc")
        aggregate_era5([folder / f"r{year}.nc"], years[-1], month_range(f"{year}-01", f"{year}-12"))
    regrid_forcing(local / "forcing.nc", folder / "weights.nc", TABLE, folder / "r_forcing.nc", 0.5, "mean")
    aggregate_forcing(folder / "r_forcing.nc", folder / "forcing.nc", "1995-01", "1997-12", "mean")
    shared = folder / "forcing.nc", None
    write_statistics(years[:2], *shared, TABLE, folder / "statistics.nc", PERIODS["training"], "climatology")
    write_training(years, *shared, folder / "statistics.nc", TABLE, folder / "training.nc", PERIODS)
    write_forcing(folder / "forcing.nc", folder / "statistics.nc", folder / "warm.nc", 4.0)
    return folder


def test_means_of_the_forcing_stay_as_they_are(made, truth):
    with netCDF4.Dataset(made / "forcing.nc") as file:
        assert "siconc" not in file.variables
        found = np.ma.filled(file["sst"][:], np.nan)
        np.testing.assert_allclose(found, truth["sst"], rtol=1e-6)
        np.testing.assert_allclose(file["lsm"][:], np.isnan(truth["sst"]).all(axis=0), atol=1e-6)


def test_a_table_of_five_fields_makes_the_training_data(made, truth):
    with netCDF4.Dataset(made / "training.nc") as file:
        assert list(file["channel"][:]) == ["v200", "z500", "z200", "t2m", "msl"]
        assert list(file["forcing"][:]) == ["sst", "lsm"] and list(file["static"][:]) == ["lsm"]
        fields, center, scale = (np.ma.filled(file[name][:]) for name in ("fields", "center", "scale"))
        forcings, statics = np.ma.filled(file["forcings"][:]), np.ma.filled(file["statics"][:])
        mean, spread = (file[f"forcing_{name}"][0] for name in ("center", "scale"))
    season = np.tile(np.arange(12), 3)
    for number, channel in enumerate(["v200", "z500", "z200", "t2m", "msl"]):
        physical = fields[:, number] * scale[number] + center[season, number]
        np.testing.assert_allclose(physical, truth[channel], rtol=1e-5, atol=1e-4)
    sea = np.isfinite(truth["sst"])
    np.testing.assert_allclose((forcings[:, 0] * spread + mean)[sea], truth["sst"][sea], rtol=1e-5)
    assert (forcings[:, 0][~sea] == 0).all()
    land = np.isnan(truth["sst"]).all(axis=0)
    np.testing.assert_array_equal(forcings[:, 1], np.broadcast_to(land, sea.shape))
    assert statics[0][land].min() > statics[0][~land].max()  # the land mask, standardized


def test_an_offset_warms_the_sea_alone(made):
    with netCDF4.Dataset(made / "training.nc") as file, netCDF4.Dataset(made / "warm.nc") as warm:
        assert list(warm["forcing"][:]) == ["sst", "lsm"]
        change = np.ma.filled(warm["forcings"][:]) - np.ma.filled(file["forcings"][:])
        sea = np.ma.filled(file["forcings"][:, 0]) != 0
        np.testing.assert_allclose(change[:, 0][sea], 4.0 / file["forcing_scale"][0], rtol=1e-4)
        assert (change[:, 1] == 0).all() and (change[:, 0][~sea] == 0).all()


def test_the_level_that_a_file_states_as_a_number_is_the_fields(tmp_path):
    """Height of 500 and 200 hPa in a file each, as CMIP has them, under one name."""
    with xr.open_dataset(FILE) as data:
        data = data.sel(time=slice("1995-01", "1995-12")).load()
    paths = [tmp_path / name for name in ("rest.nc", "500.nc", "200.nc")]
    data.drop_vars(["z500", "z200"]).to_netcdf(paths[0])
    for path, name, level in ((paths[1], "z500", 50000.0), (paths[2], "z200", 20000.0)):
        one = data[name].rename("zg").assign_coords(plev=level).assign_attrs(units="m")
        one["plev"].attrs = {"units": "Pa", "standard_name": "air_pressure"}
        one.to_netcdf(path)
    convert.convert(paths, TABLE, tmp_path / "out", NAMES, {"v200": "m/s"}, ("1995-01", "1995-12"))
    with xr.open_dataset(tmp_path / "out/pressure-levels/1995.nc") as found:
        for name, level in (("z500", 500), ("z200", 200)):
            values = found["z"].sel(level=level).sortby("lat") / 9.80665
            np.testing.assert_allclose(values, data[name].sortby("lat"), rtol=1e-6)
    with pytest.raises(ValueError, match="no file holds 'z200'"):
        convert.convert(paths[:2], TABLE, tmp_path / "other", NAMES | {"z200": "zg"}, {"v200": "m/s"})
