"""The planet's files are laid out as the CDS's are, agree with each other, and come in any size and order."""

import subprocess
import sys
import zipfile

import numpy as np
import pytest
from netCDF4 import Dataset

from tests.helpers.project import DATA, VARIABLES
from workflow.scripts.common.periods import with_protocol
from workflow.scripts.common.variables import read_variables
from workflow.scripts.download.era5 import download_era5
from workflow.scripts.planet.era5_files import write_forcing, write_pressure_levels, write_single_levels, write_static

REAL_REPLY = DATA / "era5_reply_ireland.zip"
MEMBERS = {step: f"data_stream-moda_stepType-{step}.nc" for step in ("avgua", "avgad")}


def member(archive, step):
    with zipfile.ZipFile(archive) as bundle:
        return Dataset("memory", memory=bundle.read(MEMBERS[step]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files of 1997 on a grid of 7.5 degrees: single.era5, pressure.era5, static.era5, forcing.nc."""
    folder = tmp_path_factory.mktemp("planet")
    write_single_levels(1997, folder / "single.era5", VARIABLES, 7.5, 3)
    write_pressure_levels(1997, folder / "pressure.era5", VARIABLES, 7.5, 3)
    write_static(folder / "static.era5", VARIABLES, 7.5)
    write_forcing(folder / "forcing.nc", 7.5, 3)
    return folder


def layout(variable):
    kind = {name: type(variable.getncattr(name)).__name__ for name in variable.ncattrs()}
    return variable.dtype, variable.dimensions, kind


@pytest.mark.parametrize(("step", "name", "like"), [("avgua", "t2m", "t2m"), ("avgad", "avg_tprate", "ssrd")])
def test_single_levels_are_laid_out_as_a_real_reply(folder, step, name, like):
    with zipfile.ZipFile(folder / "single.era5") as ours, zipfile.ZipFile(REAL_REPLY) as real:
        assert sorted(ours.namelist()) == sorted(real.namelist())
        assert all(info.compress_type == zipfile.ZIP_STORED for info in ours.infolist())
    with member(folder / "single.era5", step) as ours, member(REAL_REPLY, step) as real:
        assert list(ours.dimensions) == list(real.dimensions)
        assert ours.data_model == real.data_model and set(ours.ncattrs()) == set(real.ncattrs())
        for coordinate in ("number", "valid_time", "latitude", "longitude", "expver"):
            assert layout(ours[coordinate]) == layout(real[coordinate]), coordinate
        assert layout(ours[name]) == layout(real[like])
        assert ours[name].GRIB_stepType == step and ours[name].chunking() == list(ours[name].shape)
        filters = ours[name].filters()
        assert filters["zlib"] and filters["complevel"] == 1 and filters["shuffle"]  # as the uncut reply has them
        hour = {"avgua": 0, "avgad": 6}[step]
        expected = (
            np.arange("1997-01", "1998-01", dtype="datetime64[M]").astype("datetime64[s]").astype(int) + 3600 * hour
        )
        np.testing.assert_array_equal(ours["valid_time"][:], expected)
        assert (ours["expver"][:] == "0001").all()
        np.testing.assert_allclose(ours["latitude"][:], np.arange(90, -91, -7.5))
        np.testing.assert_allclose(ours["longitude"][:], np.arange(0, 360, 7.5))


def test_every_field_of_the_table_is_there_and_sane(folder):
    for row in read_variables(VARIABLES, "field"):
        if row.dataset == "single-levels":
            step = "avgad" if row.short_name == "avg_tprate" else "avgua"
            with member(folder / "single.era5", step) as file:
                field = file[row.short_name][:]
        else:
            with Dataset(folder / "pressure.era5") as file:
                assert file[row.short_name].dimensions == ("valid_time", "pressure_level", "latitude", "longitude")
                levels = file["pressure_level"][:].tolist()
                assert levels == [1000, 850, 700, 500, 250, 100, 50]
                field = file[row.short_name][:, levels.index(row.level)]
        assert field.shape == (12, 25, 48) and field.dtype == np.float32
        assert np.isfinite(field).all() and row.valid_min <= field.min() and field.max() <= row.valid_max
    with Dataset(folder / "static.era5") as file:
        for row in read_variables(VARIABLES, "static"):
            field = file[row.short_name][:]
            assert field.shape == (1, 25, 48)
            assert row.valid_min <= field.min() and field.max() <= row.valid_max and field.std() > 0


def test_files_made_apart_show_the_same_weather(folder):
    with member(folder / "single.era5", "avgua") as single, Dataset(folder / "pressure.era5") as pressure:
        with Dataset(folder / "static.era5") as static:
            sea = static["lsm"][0] == 0
        for surface, aloft, ratio in (("u10", "u", 0.97), ("v10", "v", 0.97)):
            below, above = single[surface][:][:, sea], pressure[aloft][:, 0][:, sea]
            np.testing.assert_allclose(below, ratio * above, atol=1e-4)
        fields = {name: pressure[name][:, 0] for name in ("t", "q", "z")}
        virtual = fields["t"] * (1 + 0.6078 * fields["q"])
        np.testing.assert_allclose(fields["z"], 287.06 * virtual * np.log(single["msl"][:] / 1e5), atol=3)


def test_forcing_has_the_shape_of_aimips_and_drives_the_skin_of_the_sea(folder):
    with Dataset(folder / "forcing.nc") as file:
        names = ["sea_surface_temperature", "sea_ice_cover"]
        assert {name: len(size) for name, size in file.dimensions.items()} == {
            "time": 556,
            "latitude": 25,
            "longitude": 48,
        }
        assert file["land_sea_mask"].dimensions == ("latitude", "longitude") and not file.ncattrs()
        assert file["time"][0] == 0 and file["time"].units.startswith("days since 1978-10-01")
        days = np.arange("1978-10", "2025-02", dtype="datetime64[M]").astype("datetime64[D]")
        np.testing.assert_array_equal(file["time"][:], (days - days[0]).astype(int))
        sst, ice = (file[name][:].filled(np.nan) for name in names)
        assert all(file[name].ncattrs() == ["_FillValue"] for name in names)
        land = file["land_sea_mask"][:] >= 0.5
        open_sea = file["land_sea_mask"][:] == 0
    for field in (sst, ice):
        assert np.isnan(field[:, land]).all() and np.isfinite(field[:, ~land]).all()
    first = (1997 - 1979) * 12 + 3  # January 1997
    with member(folder / "single.era5", "avgua") as file:
        skin = file["skt"][:]
    for month in range(12):
        mean, cover = ((field[first + month] + field[first + month + 1]) / 2 for field in (sst, ice))
        where = open_sea & (cover < 0.005)
        assert where.sum() > 400
        np.testing.assert_allclose(skin[month][where], mean[where], atol=0.05)


def test_forcing_covers_what_a_simulation_of_other_years_needs(folder, tmp_path):
    """As far as it was there, it is the same sea; and the months around it are the planet's own."""
    write_forcing(tmp_path / "long.nc", 7.5, 3, with_protocol(("1975-07", "2026-03")))
    with Dataset(tmp_path / "long.nc") as long, Dataset(folder / "forcing.nc") as known:
        assert long["time"].units.startswith("days since 1975-07-01") and long["time"][0] == 0
        months = np.datetime64("1975-07-01") + long["time"][:].astype("timedelta64[D]")
        assert (str(months[0]), str(months[-1]), len(months)) == ("1975-07-01", "2026-04-01", 610)
        for name in ("sea_surface_temperature", "sea_ice_cover"):
            np.testing.assert_array_equal(long[name][39 : 39 + 556], known[name][:])
            assert np.isfinite(long[name][:]).sum(axis=(1, 2)).min() > 500
    assert with_protocol(("1981-01", "1990-12")) == ["1978-10", "2024-12"]


def test_part_of_a_year_is_that_part_of_the_year(folder, tmp_path):
    write_single_levels(1997, tmp_path / "part.era5", VARIABLES, 7.5, 3, months=(12, 10, 11))
    for step, name in (("avgua", "t2m"), ("avgad", "avg_tprate")):
        with member(tmp_path / "part.era5", step) as part, member(folder / "single.era5", step) as whole:
            np.testing.assert_array_equal(part["valid_time"][:], whole["valid_time"][9:])
            np.testing.assert_array_equal(part[name][:], whole[name][9:])
    assert [path.name for path in tmp_path.iterdir()] == ["part.era5"]


def test_a_field_the_planet_lacks_is_named_and_leaves_no_file(tmp_path):
    table = VARIABLES.read_text()
    table += "field,single-levels,total_cloud_cover,tcc,,tcc,none,conservative,1,0,1,\n"
    table += "field,pressure-levels,u_component_of_wind,u,300,u300,none,conservative,m s-1,-150,150,\n"
    table += "static,static,lake_depth,dl,,dl,none,conservative,m,0,1000,\n"
    (tmp_path / "variables.csv").write_text(table)
    settings = {"source": "synthetic", "resolution": 15, "seed": 1}
    for dataset, sentence in (
        ("single-levels", "asks for 'tcc', which the synthetic planet does not have"),
        ("pressure-levels", "no channel 'u300'"),
        ("static", "asks for 'dl'"),
    ):
        table = tmp_path / "variables.csv"
        with pytest.raises(ValueError, match=sentence):
            download_era5(tmp_path / "x", tmp_path / "x.json", table, dataset, ["1990-01"], settings)
    assert [path.name for path in tmp_path.iterdir()] == ["variables.csv"]


def test_a_grid_that_does_not_fit_is_refused(tmp_path):
    with pytest.raises(ValueError, match="a grid of 7 degrees does not fit"):
        write_static(tmp_path / "x", VARIABLES, 7)


@pytest.mark.slow
@pytest.mark.parametrize("function", ["write_single_levels", "write_pressure_levels"])
def test_a_year_at_a_quarter_of_a_degree_stays_below_two_gigabytes(tmp_path, function):
    """A whole year at ERA5's own resolution, in its own process, whose peak memory is read at its end."""
    program = f"""
import resource
from workflow.scripts.planet.era5_files import {function}
{function}(1990, {str(tmp_path / "big.era5")!r}, {str(VARIABLES)!r}, 0.25, 1)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 2e6  # KiB
