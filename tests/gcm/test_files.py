"""The GCM's files are what ``source: local`` reads: fields, units, levels, months; forcing as AIMIP's; statics."""

import netCDF4
import numpy as np
import pytest
import xarray as xr

from tests.helpers.gcm_data import LATITUDE, SIGMA, land, made_day, write_boundary
from tests.helpers.project import VARIABLES
from workflow.scripts.common.months import month_range
from workflow.scripts.common.variables import read_variables
from workflow.scripts.gcm import fixed
from workflow.scripts.gcm.boundary import FREEZING, Boundary
from workflow.scripts.gcm.monthly import Month, wanted, write_year
from workflow.scripts.gcm.regular import Regular
from workflow.scripts.inputs.checks import check_file
from workflow.scripts.inputs.forcing import check_forcing
from workflow.scripts.regrid.era5 import regrid_era5
from workflow.scripts.regrid.weights import write_weights

LEVELS = [1000, 850, 700, 500, 250, 100, 50]
MONTHS = month_range("1990-01", "1990-03")
REGULAR = Regular(LATITUDE)


@pytest.fixture(scope="module")
def year(tmp_path_factory):
    """Folder of three months: of two days each, the first as warm as the month's number, the second 2 K warmer."""
    folder, rows = tmp_path_factory.mktemp("year"), wanted(VARIABLES)
    means = []
    for number in range(3):
        month = Month(LEVELS, SIGMA, np.zeros((96, 48)))
        for warmth in (number, number + 2.0):
            month.add(made_day(warmth))
        means.append(month.means(REGULAR))
    for dataset in rows:
        write_year(folder / dataset / "1990.nc", rows[dataset], MONTHS, means, REGULAR)
    return folder


def test_the_reader_of_local_files_takes_them(year):
    for dataset in ("single-levels", "pressure-levels"):
        rows = read_variables(VARIABLES, "field", dataset)
        check_file(year / dataset / "1990.nc", rows, list(map(str, MONTHS)), resolution=3.75)


def test_months_are_means_of_their_days_in_the_tables_units(year):
    with xr.open_dataset(year / "single-levels/1990.nc") as data:
        for name, first in (("t2m", 287), ("skt", 288)):
            expected = (first + 1 + np.arange(3))[:, None, None]
            np.testing.assert_allclose(data[name].values, np.broadcast_to(expected, (3, 49, 96)), rtol=1e-6)
        np.testing.assert_allclose(data.avg_tprate.values, 3e-5, rtol=1e-6)
        np.testing.assert_allclose(data.msl.values, data.sp.values)  # over flat ground
        assert (data.d2m.values <= data.t2m.values).all()
    with xr.open_dataset(year / "pressure-levels/1990.nc") as data:
        assert data.level.values.tolist() == LEVELS
        height = np.log(0.5)
        expected = -287.04 * (289 * height + 15 * height**2) * 9.80665 / 9.81  # 1 K warmer than 288 K in the mean
        np.testing.assert_allclose(data.z.sel(level=500).values[0], expected, rtol=1e-6)
        np.testing.assert_allclose(data.t.sel(level=850).values[2], 288 + 3 + 30 * np.log(0.85), rtol=1e-6)


def test_they_are_regridded_as_any_other_file(year, tmp_path):
    files = {dataset: year / dataset / "1990.nc" for dataset in ("single-levels", "pressure-levels")}
    write_weights(files["single-levels"], tmp_path / "weights.nc", 15.0)
    regrid_era5(files, tmp_path / "weights.nc", VARIABLES, tmp_path / "out.nc")
    with xr.open_dataset(tmp_path / "out.nc") as data:
        np.testing.assert_allclose(data.t.sel(level=850).values[1], 288 + 2 + 30 * np.log(0.85), rtol=1e-5)


def test_a_field_that_the_gcm_lacks_and_a_run_that_is_no_climate_are_told(tmp_path):
    text = VARIABLES.read_text().replace("temperature,t,1000,t1000", "ozone,o3,1000,o31000")
    (tmp_path / "table.csv").write_text(text)
    with pytest.raises(ValueError, match="'o31000' of pressure-levels.* it has skt"):
        wanted(tmp_path / "table.csv")
    rows = wanted(VARIABLES)["single-levels"]
    month = Month([], SIGMA, np.zeros((96, 48)))
    month.add(made_day(400.0))
    with pytest.raises(ValueError, match="'skt' of the GCM spans 688..*no climate"):
        write_year(tmp_path / "hot.nc", rows, MONTHS[:1], [month.means(REGULAR)], REGULAR)
    assert not (tmp_path / "hot.nc").exists()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return Boundary(write_boundary(tmp_path_factory.mktemp("boundary")))


@pytest.mark.parametrize("offset", [0.0, 4.0])
def test_the_forcing_is_that_of_the_gcm_at_the_starts_of_months(made, tmp_path, offset):
    path, share = tmp_path / "forcing.nc", np.clip(REGULAR(made.land, bounded=True), 0, 1)
    fixed.write_forcing(path, ("1990-01", "1991-12"), offset, made, share, REGULAR)
    check_forcing(path, read_variables(VARIABLES, "forcing"), "1990-01", "1991-12")
    with xr.open_dataset(path) as data:
        assert len(data.time) == 25 and str(data.time.values[-1])[:10] == "1992-01-01"
        sea = np.isfinite(data.sea_surface_temperature.values)
        np.testing.assert_array_equal(sea, np.broadcast_to(share <= 0.5, sea.shape))
        assert data.sea_surface_temperature.min() >= FREEZING + offset - 1e-3
        # Half-way between both months' middles but for hours, so half their sum; the tropics have no ice.
        middles = [made.surface(np.datetime64(day), offset).water for day in ("1990-06-16T00", "1990-07-16T12")]
        found = data.sea_surface_temperature.sel(time="1990-07-01").values
        expected = np.where(sea[6], REGULAR(np.mean(middles, axis=0), bounded=True), np.nan)[18:31]
        np.testing.assert_allclose(found[18:31], expected, atol=5e-3)
        ice = data.sea_ice_cover.values
        assert np.nanmin(ice) == 0 and 0.9 < np.nanmax(ice) <= 1


def test_statics_of_the_ground_are_averaged_and_directions_do_not_cancel(made, tmp_path):
    with netCDF4.Dataset(tmp_path / "terrain.nc", "w") as file:
        lon, lat = 1.875 * np.arange(192), np.rad2deg(np.arcsin(np.polynomial.legendre.leggauss(96)[0]))
        for name, values in (("lon", lon), ("lat", lat)):
            file.createDimension(name, len(values))
            file.createVariable(name, "f8", (name,))[:] = values
        # Of two neighbours, one is twice as rough; their slopes point 10 degrees to both sides of north.
        pairs = np.arange(192)[:, None] % 2 + np.zeros(96)
        fields = {
            "orostd": 100 * (1 + pairs),
            "orothe": np.where(pairs, 80, -80),
            "orogam": pairs,
            "orosig": pairs / 10,
        }
        for name, values in fields.items():
            file.createVariable(name, "f4", ("lon", "lat"))[:] = values
    shapes = fixed.subgrid_orography(tmp_path / "terrain.nc", REGULAR)
    middle = {name: values[20, 40] for name, values in shapes.items()}
    assert middle["sdor"] == pytest.approx(np.sqrt((100**2 + 200**2) / 2), rel=1e-6)
    assert abs(abs(middle["anor"]) - np.pi / 2) < np.deg2rad(10), "not east"
    assert middle["isor"] == pytest.approx(0.5) and middle["slor"] == pytest.approx(0.05)
    share = np.clip(REGULAR(made.land, bounded=True), 0, 1)
    fixed.write_static(tmp_path / "static.nc", VARIABLES, share, shapes, REGULAR)
    check_file(tmp_path / "static.nc", read_variables(VARIABLES, "static"), None, resolution=3.75)
    with xr.open_dataset(tmp_path / "static.nc") as data:
        assert data.lsm.values.mean() == pytest.approx(land().mean(), abs=0.08)
