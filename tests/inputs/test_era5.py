"""The reader of ERA5 files, on a real reply of the CDS and on files of every shape the CDS has delivered."""

import os
import subprocess
import sys
import tempfile
import zipfile

import netCDF4
import numpy as np
import pytest

from tests.helpers import cds_replies, refusing
from tests.helpers.project import DATA
from workflow.scripts.common.variables import read_variables
from workflow.scripts.inputs import era5
from workflow.scripts.inputs.checks import check_file, check_grid
from workflow.scripts.inputs.era5 import Unreadable, open_era5, read_fields

REAL = DATA / "era5_reply_ireland.zip"
ROWS = {row.channel: row for row in read_variables(cds_replies.VARIABLES)}


def field(dataset, row):
    """The one field of ``row``, read whole."""
    ((_, _, values),) = read_fields(dataset, [row])
    return values


def test_a_real_reply_opens_as_one_dataset_of_month_starts():
    with open_era5(REAL) as dataset:
        assert set(dataset.data_vars) == {"u10", "v10", "t2m", "tcc", "ssrd"}
        months = np.arange("2024-01", "2025-01", dtype="datetime64[M]")
        np.testing.assert_array_equal(dataset["time"].values.astype("datetime64[M]"), months)
        assert (dataset["time"].values == months.astype("datetime64[ns]")).all()
        assert dict(dataset.sizes) == {"time": 12, "latitude": 4, "longitude": 5}
        assert (np.diff(dataset["latitude"]) < 0).all() and (np.diff(dataset["longitude"]) > 0).all()
        assert set(dataset["expver"].values) == {"0001"}
        # Radiation is stamped at 06:00 in its own member: merged on the raw stamps it would be missing everywhere.
        assert all(np.isfinite(dataset[name]).all() for name in dataset.data_vars)
        # January and July 2 m temperature of central Ireland, from climatology (about 5 and 15 degrees Celsius).
        assert float(dataset["t2m"][0].mean()) == pytest.approx(278.2, abs=2.5)
        assert float(dataset["t2m"][6].mean()) == pytest.approx(288.2, abs=2.5)


def test_a_real_regional_reply_fails_the_check_of_the_grid_by_name():
    with pytest.raises(ValueError, match=r"ireland.zip: the grid|ireland.zip: latitudes .* not a full global grid"):
        check_file(REAL, [ROWS["t2m"]], [f"2024-{month:02d}" for month in range(1, 13)])


@pytest.fixture
def shape():
    lat, lon = cds_replies.grid(15)
    times = cds_replies.month_starts(1979)
    return times, lat, lon, cds_replies.fake("t2m", times, lat, lon)


def through_cfgrib(path):
    """What cfgrib writes: the dimension is the time of reference, ``valid_time`` and ``step`` stand beside it."""
    with netCDF4.Dataset(path, "a") as file:
        file.renameDimension("valid_time", "time")
        file.createVariable("time", "i8", ("time",))[:] = file["valid_time"][:] - 6 * 3600
        file["time"].setncatts({"units": file["valid_time"].units, "standard_name": "forecast_reference_time"})
        file["valid_time"].standard_name = "time"
        file.createVariable("step", "f8", ())[...] = 6.0


def longitude_first(path):
    """Dimensions in the order of some climate centres."""
    with netCDF4.Dataset(path, "a") as file:
        values = file["t2m"][:]
        file.renameVariable("t2m", "old")
        file.createVariable("t2m", "f4", ("longitude", "valid_time", "latitude"))[:] = values.transpose(2, 0, 1)
        file["t2m"].units = "K"


def as_zip_of_a_mac(path):
    """A ZIP made by the Finder has a hidden twin beside each member."""
    member = path.rename(path.with_name("member.nc"))
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(member, "reply/member.nc")
        archive.writestr("__MACOSX/reply/._member.nc", b"\x00\x05\x16\x07")
        archive.writestr("reply/.DS_Store", b"\x00\x00\x00\x01Bud1")


def of_one_member(path):
    """A dimension of length 1 beside the axes: the number of the ensemble's member, as some centres keep it."""
    with netCDF4.Dataset(path, "a") as file:
        values = file["t2m"][:]
        file.renameVariable("t2m", "old")
        file.createDimension("realization", 1)
        dims = ("realization", "valid_time", "latitude", "longitude")
        file.createVariable("t2m", "f4", dims)[:] = values[None]
        file["t2m"].units = "K"


def expver_with_fill(path):
    """A whole number with a fill value, which readers that know missing values turn into a float."""
    with netCDF4.Dataset(path, "a") as file:
        file.renameVariable("expver", "old")
        file.createVariable("expver", "i4", ("valid_time",), fill_value=-9)[:] = 1


REARRANGED = {"one member": of_one_member, "expver with fill": expver_with_fill}
REARRANGED |= {"cfgrib": through_cfgrib, "longitude first": longitude_first, "zip of a mac": as_zip_of_a_mac}


@pytest.mark.parametrize(
    "variant", ["usual", "date", "scalar expver", "integer expver", "south first", "from -180", *REARRANGED]
)
def test_every_shape_of_file_gives_the_same_dataset(variant, shape, tmp_path):
    times, lat, lon, values = shape
    options = {}
    if variant == "date":
        options["time_name"] = "date"
    if variant == "scalar expver":
        options["expver"] = "0001"
    if variant == "integer expver":
        options["expver"] = ["1"] * 12
    if variant == "south first":
        lat, values = lat[::-1], values[:, ::-1]
    if variant == "from -180":
        lon, values = np.roll(np.where(lon >= 180, lon - 360, lon), 12), np.roll(values, 12, axis=2)
    cds_replies.write_member(tmp_path / "file", {"t2m": values}, times, lat, lon, **options)
    REARRANGED.get(variant, lambda path: None)(tmp_path / "file")
    with open_era5(tmp_path / "file") as dataset:
        np.testing.assert_array_equal(dataset["t2m"], shape[3])
        np.testing.assert_array_equal(dataset["latitude"], shape[1])
        np.testing.assert_allclose(dataset["longitude"], shape[2])
        np.testing.assert_array_equal(dataset["time"].values.astype("datetime64[s]"), times)
        assert dataset["expver"].values.tolist() == ["0001"] * 12


def test_several_values_along_a_further_dimension_are_refused_by_name(shape, tmp_path):
    times, lat, lon, values = shape
    cds_replies.write_member(tmp_path / "file", {"t2m": values}, times, lat, lon)
    with netCDF4.Dataset(tmp_path / "file", "a") as file:
        file.createDimension("realization", 10)
        file.createVariable("t", "f4", ("realization", "valid_time", "latitude", "longitude"))[:] = values
    with pytest.raises(ValueError, match="file has 10 values along 'realization'; give a file of one of them"):
        open_era5(tmp_path / "file")


def test_levels_come_in_one_order_and_are_chosen_by_value(tmp_path):
    levels = (50, 1000, 250, 100, 850, 500, 700)
    cds_replies.write_pressure_levels(tmp_path / "file", 1979, levels=levels)
    lat, lon = cds_replies.grid(15)
    with open_era5(tmp_path / "file") as dataset:
        assert dataset["level"].values.tolist() == [1000, 850, 700, 500, 250, 100, 50]
        for channel in ("t850", "t50"):
            wanted = cds_replies.fake("t", cds_replies.month_starts(1979), lat, lon, ROWS[channel].level)
            np.testing.assert_array_equal(field(dataset, ROWS[channel]), wanted)
        rows = [row for row in ROWS.values() if row.short_name == "t"]
        together = {row.channel: values for row, _, values in read_fields(dataset, rows)}
        np.testing.assert_array_equal(together["t50"], wanted)


@pytest.mark.parametrize("name", ["avg_tprate", "mtpr", "tp"])
def test_precipitation_is_a_rate_whatever_it_was_called(name, shape, tmp_path):
    times, lat, lon, _ = shape
    rate = cds_replies.fake("avg_tprate", times, lat, lon)
    values = rate * np.float32(86.4) if name == "tp" else rate  # m a day: 86400 s of kg m-2 s-1, 1000 kg m-3
    cds_replies.write_member(tmp_path / "file", {name: values}, times + np.timedelta64(6, "h"), lat, lon)
    with open_era5(tmp_path / "file") as dataset:
        np.testing.assert_allclose(field(dataset, ROWS["avg_tprate"]), rate, rtol=1e-6)


def test_fields_are_read_in_blocks_that_join_to_the_whole(tmp_path, monkeypatch):
    cds_replies.write_pressure_levels(tmp_path / "file", 1979)
    monkeypatch.setattr("workflow.scripts.inputs.era5.BLOCK_BYTES", 5 * 7 * 13 * 24 * 4)
    rows = [row for row in ROWS.values() if row.short_name == "q"]
    with open_era5(tmp_path / "file") as dataset:
        parts = [(block, values) for row, block, values in read_fields(dataset, rows) if row.level == 850]
        assert [(block.start, block.stop) for block, _ in parts] == [(0, 5), (5, 10), (10, 12)]
        whole = dataset["q"].sel(level=850)
        np.testing.assert_array_equal(np.concatenate([values for _, values in parts]), whole)


def test_a_level_that_is_not_there_is_named(tmp_path):
    cds_replies.write_pressure_levels(tmp_path / "file", 1979, levels=(1000, 850))
    with (
        open_era5(tmp_path / "file") as dataset,
        pytest.raises(ValueError, match="'t' lacks the level 50 hPa; it has 1000, 850"),
    ):
        field(dataset, ROWS["t50"])


def test_a_field_in_other_units_is_converted_and_in_foreign_ones_refused(shape, tmp_path):
    times, lat, lon, values = shape
    celsius = values - np.float32(273.15)
    cds_replies.write_member(tmp_path / "file", {"t2m": celsius}, times, lat, lon, units={"t2m": "degC"})
    with open_era5(tmp_path / "file") as dataset:
        np.testing.assert_allclose(field(dataset, ROWS["t2m"]), values, atol=1e-4)
    cds_replies.write_member(tmp_path / "file", {"t2m": values}, times, lat, lon, units={"t2m": "m"})
    with (
        open_era5(tmp_path / "file") as dataset,
        pytest.raises(ValueError, match="'t2m' is in 'm', which cannot be converted to 'K'"),
    ):
        field(dataset, ROWS["t2m"])


def test_preliminary_months_keep_their_mark_where_the_other_member_is_final(tmp_path):
    lat, lon = cds_replies.grid(15)
    times = cds_replies.month_starts(1979)
    parts = {"avgua": "t2m", "avgad": "avg_tprate"}
    cds_replies.write_zip(
        tmp_path / "file",
        {step: ({name: cds_replies.fake(name, times, lat, lon)}, times) for step, name in parts.items()},
        lat,
        lon,
        expver=["0001"] * 11 + ["0005"],
    )
    with open_era5(tmp_path / "file") as dataset:
        assert dataset["expver"].values.tolist() == ["0001"] * 11 + ["0005"]


@pytest.mark.parametrize("content", [b"", b"GRIB....", b"<html>", b"PK\x03\x04 no zip", b"\x89HDF\r\n\x1a\n cut"])
def test_what_is_neither_netcdf_nor_grib_is_said_to_be_neither(content, tmp_path):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(Unreadable, match=str(tmp_path / "file")):
        open_era5(tmp_path / "file")


@pytest.mark.parametrize(
    "members", [{}, {"one.nc": "member", "two.grib": "GRIB"}, {"one.nc": "member", "two.nc": "other"}]
)
def test_zips_that_do_not_fit_are_refused_and_nothing_stays_open(members, shape, tmp_path, monkeypatch):
    times, lat, lon, values = shape
    cds_replies.write_member(tmp_path / "member", {"t2m": values}, times, lat, lon)
    coarse = cds_replies.grid(30)
    other = cds_replies.fake("t2m", times, *coarse)
    cds_replies.write_member(tmp_path / "other", {"t2m": other}, times, *coarse)
    (tmp_path / "GRIB").write_bytes(b"GRIB")
    with zipfile.ZipFile(tmp_path / "file", "w") as archive:
        for name, source in members.items():
            archive.write(tmp_path / source, name)
    opened, really = [], era5.open_netcdf
    monkeypatch.setattr(era5, "open_netcdf", lambda *args: opened.append(really(*args)) or opened[-1])
    with pytest.raises(ValueError, match=str(tmp_path / "file")):
        open_era5(tmp_path / "file")
    assert len(opened) == sum(name.endswith(".nc") for name in members) and not any(file.isopen() for file in opened)


def test_a_zip_is_extracted_to_the_jobs_tmpdir_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # as Snakemake sets it from the resource tmpdir
    monkeypatch.setattr(tempfile, "tempdir", None)
    extracted, extract = [], zipfile.ZipFile.extract
    monkeypatch.setattr(zipfile.ZipFile, "extract", lambda *given: extracted.append(extract(*given)) or extracted[-1])
    with open_era5(REAL) as dataset:
        assert extracted and all(path.startswith(str(tmp_path)) for path in extracted)
        assert list(tmp_path.iterdir()) == []
        assert np.isfinite(dataset["t2m"].values).all(), "the extracted member must be readable while it is open"


@pytest.mark.parametrize(
    ("lat", "lon", "sentence"),
    [
        (np.linspace(90, -90, 13), np.arange(0, 360, 15.0), None),
        (np.linspace(82.5, -82.5, 12), np.arange(0, 360, 15.0), "latitudes 82.5..-82.5"),
        (np.linspace(90, -90, 13), np.arange(0, 345, 15.0), "longitudes 0..330"),
        (np.linspace(90, -90, 13), np.append(np.arange(0, 360, 15.0), 360), "longitudes 0..360"),
        (np.linspace(90, -90, 13), np.arange(0, 360, 30.0), "longitudes 0..330"),
        (np.array([90.0]), np.array([0.0]), "not global"),
    ],
)
def test_only_full_global_grids_pass(lat, lon, sentence):
    if sentence is None:
        check_grid(lat, lon, 15)
        with pytest.raises(ValueError, match="15 degrees, not 0.25"):
            check_grid(lat, lon, 0.25)
    else:
        with pytest.raises(ValueError, match=sentence):
            check_grid(lat, lon)


@pytest.mark.skipif(not refusing.available(), reason="this kernel lets no process refuse itself calls")
def test_a_file_system_without_locks_is_not_a_damaged_file(shape, tmp_path):
    """HDF5 cannot open a sound file there; it must not be thrown away and downloaded again."""
    times, lat, lon, values = shape
    cds_replies.write_member(tmp_path / "file", {"t2m": values}, times, lat, lon)
    program = f"from workflow.scripts.inputs.era5 import open_era5; open_era5({str(tmp_path / 'file')!r})"
    command = [sys.executable, refusing.__file__, "flock=ENOLCK", sys.executable, "-c", program]
    told = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    assert "MachineFault" in told and "HDF5_USE_FILE_LOCKING=FALSE" in told and "download it again" not in told
    sound = {**os.environ, "HDF5_USE_FILE_LOCKING": "FALSE"}
    assert subprocess.run(command, capture_output=True, check=False, env=sound).returncode == 0
