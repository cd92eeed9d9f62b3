"""What the files say beside their values, and what CMOR is asked for in which order."""

import netCDF4
import numpy as np
import pytest

from tests.helpers import made
from workflow.scripts.cmorize import writing
from workflow.scripts.cmorize.tables import write_tables
from workflow.scripts.common.months import mid_times, month_range, time_bounds


def test_time_is_the_middle_of_each_month_with_contiguous_bounds():
    months = month_range(*made.PERIOD)
    path = made.submission_file(made.tree(), "tas")
    with netCDF4.Dataset(path) as file:
        assert file["time"].units == "days since 1978-10-01"
        assert file["time"].calendar == "proleptic_gregorian"
        assert np.array_equal(file["time"][:], mid_times(months))
        assert np.array_equal(file["time_bnds"][:], time_bounds(months))
        assert file["lat_bnds"][0, 0] == -90
        assert file["lat_bnds"][-1, 1] == 90


def test_files_carry_the_configs_metadata():
    with netCDF4.Dataset(made.submission_file(made.tree(), "huss", "gr", "aimip-p4k", 2)) as file:
        for key in (
            "institution_id",
            "institution",
            "source_id",
            "source",
            "contact",
            "references",
            "further_info_url",
        ):
            assert file.getncattr(key) == made.SUBMISSION[key]
        assert file.variant_label == "r2i1p1f1"
        assert file.realization_index == 2
        assert file.experiment_id == "aimip-p4k"
        assert file.nominal_resolution == "1000 km"
        assert file.cmor_version
        assert file["huss"].dtype == np.float32
        assert file["huss"].filters()["complevel"] == 1
        assert file["huss"].filters()["shuffle"]


def test_history_says_what_made_the_file():
    with netCDF4.Dataset(made.submission_file(made.tree(), "ta", "gn", "aimip-p4k", 2)) as file:
        for text in (
            "checkpoint_sha256=" + "c" * 64,
            "forcing_sha256=" + "f" * 64,
            "seed=7",
            "member=2",
            "sst_offset=4 K",
            "period=1978-10..1979-09",
            "grid=gn 15 degrees",
        ):
            assert text in file.history


class RecordedCmor:
    """Stands in for the module cmor, newer or older, and notes what is asked of it in which order."""

    CMOR_REPLACE, CMOR_NORMAL = 1, 0
    CMOR_VERSION_MAJOR, CMOR_VERSION_MINOR, CMOR_VERSION_PATCH = 3, 11, 0

    def __init__(self):
        self.calls, self.axes = [], {}

    def __getattr__(self, name):
        def call(*arguments, **options):
            self.calls.append((name, arguments, options))
            return len(self.calls)

        return call

    def named(self, name):
        return [(arguments, options) for each, arguments, options in self.calls if each == name]


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """The calls for one simulation of 30 months on both grids, made under this Python and its numpy."""
    period = ("1978-10", "1981-03")
    write_tables(tmp_path / "tables", made.FACTS, made.VARIABLES, "aimip", 0, made.SUBMISSION, 15.0, period)
    rollout = made.write_rollout(tmp_path / "r1.nc", period=period)
    forcing = made.write_forcing(tmp_path / "forcing.nc", period=period)
    recorder = RecordedCmor()
    monkeypatch.setattr(writing, "import_cmor", lambda: recorder)
    writing.cmorize(rollout, forcing, made.VARIABLES, tmp_path / "tables", "aimip", 1, ["gn", "gr"], tmp_path)
    return recorder


def test_every_variable_is_declared_before_one_is_written(recorded):
    names = [name for name, _, _ in recorded.calls if name in ("variable", "write", "setup")]
    half = ["setup"] + ["variable"] * 14 + ["write"] * 14 * 3
    assert names == half * 2


def test_time_goes_to_cmor_in_slabs_of_a_year_without_a_gap(recorded):
    writes = recorded.named("write")[:3]
    assert [arguments[2] for arguments, _ in writes] == [12, 12, 6]
    bounds = np.concatenate([options["time_bnds"] for _, options in writes])
    assert np.array_equal(bounds, time_bounds(month_range("1978-10", "1981-03")))
    assert {arguments[1].dtype for arguments, _ in recorded.named("write")} == {np.dtype("f4")}
    assert {arguments[1].flags.c_contiguous for arguments, _ in recorded.named("write")} == {True}


def test_deflate_and_shuffle_are_asked_for(recorded):
    assert {arguments[1:] for arguments, _ in recorded.named("set_deflate")} == {(1, 1, 1)}
