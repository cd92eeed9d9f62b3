"""A ZIP with texts beside its data, as archives and people add them: what is data is told by its content."""

import zipfile

import numpy as np
import pytest
import xarray as xr

from tests.helpers import cds_replies
from workflow.scripts.common.variables import read_variables
from workflow.scripts.inputs.checks import check_file
from workflow.scripts.inputs.era5 import Unreadable, open_era5, read_fields

ROWS = {row.channel: row for row in read_variables(cds_replies.VARIABLES)}
MONTHS = [f"1979-{month:02d}" for month in range(1, 13)]
TEXTS = {"README.txt": "Températures".encode(), "CHECKSUMS": b"d41d8cd9  data.nc\n", "paper/a.pdf": b"%PDF-1.7\n\x00"}


@pytest.fixture
def path(tmp_path):
    """A reply of all fields at the surface with texts beside them."""
    cds_replies.write_single_levels(tmp_path / "file", 1979)
    with zipfile.ZipFile(tmp_path / "file", "a") as archive:
        for name, content in TEXTS.items():
            archive.writestr(name, content)
    return tmp_path / "file"


def test_texts_beside_the_data_change_nothing(path, tmp_path):
    rows = [row for row in ROWS.values() if row.dataset == "single-levels"]
    assert check_file(path, rows, MONTHS) == ["0001"]
    cds_replies.write_single_levels(tmp_path / "plain", 1979)
    with open_era5(path) as one, open_era5(tmp_path / "plain") as other:
        assert set(one.data_vars) == set(other.data_vars)
        for name in other.data_vars:
            np.testing.assert_array_equal(one[name], other[name])


@pytest.mark.parametrize("product", ["monthly", "daily"])
def test_what_was_passed_over_is_told_where_a_field_is_missing(path, product):
    words = r"\(temperature\) is .*; passed over in the ZIP, as .*: README.txt, CHECKSUMS, paper/a.pdf"
    with pytest.raises(ValueError, match=words):
        check_file(path, [ROWS["t850"]], MONTHS, product)


@pytest.mark.parametrize("content", [b"", bytes(100), b"\x89PNG\r\n\x1a\n", b"\x00\x00\x00\x01"])
def test_a_member_that_is_no_text_may_be_data_that_are_damaged(path, content):
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("data.nc", content)
    with pytest.raises(Unreadable, match="file:data.nc is .*, not netCDF, GRIB or a ZIP of these"):
        open_era5(path)


def test_a_zip_of_texts_alone_names_them(tmp_path):
    with zipfile.ZipFile(tmp_path / "file", "w") as archive:
        archive.writestr("README.txt", "Ask again.")
    with pytest.raises(
        Unreadable,
        match="file is an empty ZIP file, but for README.txt: it has neither netCDF nor GRIB; download it again",
    ):
        open_era5(tmp_path / "file")


def test_members_of_one_level_each_fit_together(tmp_path):
    """Levels as numbers beside the field, as a selection of one level leaves them; the third file has an axis."""
    cds_replies.write_pressure_levels(tmp_path / "whole", 1979, levels=(850, 500, 250))
    wanted = [row for row in ROWS.values() if row.level in (850, 500, 250) and row.short_name in ("t", "z")]
    with xr.open_dataset(tmp_path / "whole") as data, zipfile.ZipFile(tmp_path / "file", "w") as archive:
        axis = next(name for name, values in data.coords.items() if values.size == 3 and values.dims == (name,))
        for level in ([850], 500, 250):
            data.sel({axis: level}).to_netcdf(tmp_path / "part")
            archive.write(tmp_path / "part", f"{np.ravel(level)[0]}.nc")
    check_file(tmp_path / "file", wanted, MONTHS)
    with open_era5(tmp_path / "file") as parts, open_era5(tmp_path / "whole") as whole:
        for (row, _, found), (_, _, expected) in zip(
            read_fields(parts, wanted), read_fields(whole, wanted), strict=True
        ):
            np.testing.assert_array_equal(found, expected, err_msg=row.channel)
