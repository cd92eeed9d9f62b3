"""GRIB read as the netCDF of the same fields, and what is wrong with a GRIB file said in one sentence."""

import dataclasses
import subprocess
import sys
import tempfile
import zipfile

import netCDF4
import numpy as np
import pytest

from tests.helpers import cds_replies
from tests.helpers.grib import packing_error, write_grib
from tests.helpers.project import VARIABLES, left_over
from workflow.scripts.common.variables import read_variables
from workflow.scripts.inputs.checks import check_file
from workflow.scripts.inputs.era5 import STATIC, Unreadable, open_era5, open_members, read_fields
from workflow.scripts.planet import era5_files as planet

ROWS = {row.channel: row for row in read_variables(VARIABLES)}
MONTHS = [f"1979-{month:02d}" for month in range(1, 13)]
DATASETS = ["single-levels", "pressure-levels", "static"]


@pytest.fixture(scope="module")
def replies(tmp_path_factory):
    """Files of the planet at 15 degrees, netCDF and beside each the same in GRIB; to be left alone."""
    folder = tmp_path_factory.mktemp("grib")
    planet.write_single_levels(1979, folder / "single-levels", VARIABLES, 15, 3)
    planet.write_pressure_levels(1979, folder / "pressure-levels", VARIABLES, 15, 3)
    planet.write_static(folder / "static", VARIABLES, 15)
    for dataset in DATASETS:
        write_grib(folder / f"{dataset}.grib", folder / dataset)
    return folder


@pytest.fixture
def member(tmp_path):
    """A netCDF file of the 2 m temperature of a year."""
    lat, lon = cds_replies.grid(15)
    times = cds_replies.month_starts(1979)
    cds_replies.write_member(tmp_path / "member", {"t2m": cds_replies.fake("t2m", times, lat, lon)}, times, lat, lon)
    return tmp_path / "member"


def assert_same_but_for_packing(found, wanted):
    """Fields (..., lat, lon), of which each was packed on its own."""
    np.testing.assert_array_equal(np.isnan(found), np.isnan(wanted))
    for one, other in zip(found.reshape(-1, *found.shape[-2:]), wanted.reshape(-1, *wanted.shape[-2:]), strict=True):
        rounding = 2 * np.finfo(np.float32).eps * np.nanmax(np.abs(other))
        assert np.nanmax(np.abs(one - other)) <= packing_error(other) + rounding


@pytest.mark.parametrize("dataset", DATASETS)
def test_grib_is_the_same_dataset_as_the_netcdf_of_the_same_fields(dataset, replies):
    rows = read_variables(VARIABLES, dataset=dataset)
    product = STATIC if dataset == "static" else "monthly"
    with open_era5(replies / f"{dataset}.grib", product) as found, open_era5(replies / dataset, product) as wanted:
        assert set(found.variables) == set(wanted.variables) and found.sizes == wanted.sizes
        for name in wanted.coords:
            np.testing.assert_array_equal(found[name], wanted[name])
        assert all(found[name].dims == wanted[name].dims for name in wanted.data_vars)
        pairs = list(zip(read_fields(found, rows), read_fields(wanted, rows), strict=True))
        assert [row.channel for (row, _, _), _ in pairs] == [row.channel for row in rows]
        for (_, _, values), (_, _, other) in pairs:
            assert values.dtype == np.float32
            assert_same_but_for_packing(values, other)
    months = None if dataset == "static" else MONTHS
    assert check_file(replies / f"{dataset}.grib", rows, months, resolution=15) == ["0001"]
    assert left_over(replies) == sorted([*DATASETS, *(f"{name}.grib" for name in DATASETS)]), "an index is left behind"


@pytest.mark.parametrize("variant", ["edition 2", "south first", "missing values", "another centre's", "in a ZIP"])
def test_every_shape_of_grib_gives_the_same_dataset(variant, member, tmp_path):
    options = {"edition 2": {"edition": 2, "stepType": "instant"}, "south first": {"south_first": True}}.get(
        variant, {}
    )
    if variant == "missing values":
        with netCDF4.Dataset(member, "a") as file:
            file["t2m"][:, 3:5, 2] = np.nan
    if variant == "another centre's":
        options = {"local": False, "centre": "kwbc"}
    path = write_grib(tmp_path / "file", member, **options)
    if variant == "in a ZIP":
        with zipfile.ZipFile(tmp_path / "zipped", "w") as archive:
            archive.write(path, "data.grib")
        path = tmp_path / "zipped"
    with open_era5(path) as found, open_era5(member) as wanted:
        for name in wanted.coords:
            np.testing.assert_array_equal(found[name], wanted[name])
        assert_same_but_for_packing(found["t2m"].values, wanted["t2m"].values)


def test_precipitation_accumulated_over_a_day_is_a_rate(tmp_path):
    lat, lon = cds_replies.grid(15)
    times = cds_replies.month_starts(1979)
    rate = cds_replies.fake("avg_tprate", times, lat, lon)
    daily = rate * np.float32(86.4)  # m a day: 86400 s of kg m-2 s-1, 1000 kg m-3
    stamps = times + np.timedelta64(6, "h")
    cds_replies.write_member(tmp_path / "member", {"tp": daily}, stamps, lat, lon, step_type="avgad")
    with open_era5(write_grib(tmp_path / "file", tmp_path / "member")) as dataset:
        ((_, _, values),) = read_fields(dataset, [ROWS["avg_tprate"]])
        np.testing.assert_array_equal(dataset["time"].values.astype("datetime64[s]"), times)
    assert_same_but_for_packing(values, rate)


def test_each_month_has_its_own_version_whatever_the_order_of_messages(member, tmp_path):
    versions = ["0001"] * 10 + ["0005"] * 2
    path = write_grib(tmp_path / "file", member, expver=versions)
    with open_era5(path) as dataset:
        assert dataset["expver"].values.tolist() == versions
    with pytest.raises(ValueError, match="file: 1979-11 is not final ERA5 but expver 0005"):
        check_file(path, [ROWS["t2m"]], MONTHS)


def test_levels_are_chosen_by_value_and_one_that_lacks_is_named(tmp_path):
    cds_replies.write_pressure_levels(tmp_path / "reply", 1979, levels=(50, 1000, 250))
    path = write_grib(tmp_path / "file", tmp_path / "reply")
    lat, lon = cds_replies.grid(15)
    with open_era5(path) as dataset:
        assert dataset["level"].values.tolist() == [1000, 250, 50]
        wanted = cds_replies.fake("t", cds_replies.month_starts(1979), lat, lon, 50)
        ((_, _, values),) = read_fields(dataset, [ROWS["t50"]])
        assert_same_but_for_packing(values, wanted)
        with pytest.raises(ValueError, match="'t' lacks the level 850 hPa; it has 1000, 250, 50"):
            list(read_fields(dataset, [ROWS["t850"]]))


def test_a_field_that_is_there_twice_is_refused(member, tmp_path):
    once = write_grib(tmp_path / "once", member).read_bytes()
    other = write_grib(tmp_path / "other", member, expver="0005").read_bytes()
    for twice, versions in ((once + once, "0001"), (once + other, "0001, 0005")):
        (tmp_path / "file").write_bytes(twice)
        with pytest.raises(
            ValueError, match=rf"file has 't2m' of 1979-12-01T00:00:00 more than once \(expver {versions}\); give"
        ):
            open_era5(tmp_path / "file")


def test_what_ecCodes_has_no_name_for_is_left_out(member, tmp_path):
    unnamed = write_grib(tmp_path / "unnamed", member, table2Version=253, indicatorOfParameter=7)
    with pytest.raises(ValueError, match="unnamed holds no field that ecCodes [0-9.]+ has a name for"):
        open_era5(unnamed)
    (tmp_path / "file").write_bytes(unnamed.read_bytes() + write_grib(tmp_path / "t2m", member).read_bytes())
    with open_era5(tmp_path / "file") as dataset:
        assert list(dataset.data_vars) == ["t2m"]


def test_several_members_of_an_ensemble_are_refused(member, tmp_path):
    parts = [write_grib(tmp_path / f"{number}", member, number=number).read_bytes() for number in (0, 1)]
    (tmp_path / "file").write_bytes(b"".join(parts))
    with pytest.raises(ValueError, match="file has 2 values along 'number'; give a file of one of them"):
        open_era5(tmp_path / "file")


# Bytes of the first message in GRIB edition 1: 8 of section 0, 52 of section 1 with ECMWF's part, 32 of section 2.
def cut(content):
    return content[:-1]


def without_its_last_message(content):
    return content[: content.rindex(b"GRIB")]


def with_zeros_in_the_middle(content):
    middle = len(content) // 2
    return content[: middle - 100] + bytes(300) + content[middle + 200 :]


def with_a_wrong_length_of_section_1(content):
    return content[:8] + b"\xff\xff\xff" + content[11:]


def without_the_flag_of_sections(content):
    return content[:12] + b"\xff" * 4 + content[16:]


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (cut, "is no readable GRIB file .End of resource reached.*; download it again"),
        (without_its_last_message, "1979-01 is missing"),
        (with_zeros_in_the_middle, "is no readable GRIB file .*; download it again"),
        (with_a_wrong_length_of_section_1, "is no readable GRIB file .*; download it again"),
        (without_the_flag_of_sections, "is damaged .'t2m' cannot be decoded.*; download it again"),
    ],
)
def test_damage_is_told_in_a_sentence(damage, sentence, member, tmp_path):
    path = write_grib(tmp_path / "file", member)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=f"^the reply:? {sentence}") as caught:
        check_file(path, [ROWS["t2m"]], MONTHS, label="the reply")
    assert isinstance(caught.value, Unreadable) == ("download it again" in sentence)


def test_a_month_that_one_field_of_the_sea_lacks_is_named(replies, tmp_path):
    """Such a field may have places without a value, but no month of them."""
    rows = [dataclasses.replace(ROWS[name], regrid="sea") for name in ("t2m", "skt")]
    content = (replies / "single-levels.grib").read_bytes()
    (tmp_path / "file").write_bytes(content[content.index(b"GRIB", 4) :])
    with pytest.raises(ValueError, match="file: '(t2m|skt)' has no values in 1979-12"):
        check_file(tmp_path / "file", rows, MONTHS)


def test_a_zip_of_grib_leaves_nothing_when_it_is_closed(member, tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "file", "w") as archive:
        archive.write(write_grib(tmp_path / "grib", member), "data.grib")
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (dataset,) = open_members(tmp_path / "file")
    assert np.isfinite(dataset["t2m"].values).all()
    dataset.close()
    assert left_over(tmp_path / "tmp") == []


def test_ecCodes_is_loaded_only_for_grib(member):
    program = f"import sys; from workflow.scripts.inputs.era5 import open_era5; open_era5({str(member)!r}).load()"
    check = f"{program}; sys.exit(bool({{'cfgrib', 'eccodes', 'workflow.scripts.inputs.grib'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
