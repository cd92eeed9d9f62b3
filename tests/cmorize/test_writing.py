"""What the files say beside their values, and what CMOR is asked for in which order."""

import sys

import netCDF4
import numpy as np
import pytest

from tests.helpers import submission_files
from workflow.scripts.cmorize import cmor_versions, writing
from workflow.scripts.cmorize.tables import write_tables
from workflow.scripts.common.mip_tables import read_entries
from workflow.scripts.common.months import mid_times, month_range, time_bounds


def test_time_is_the_middle_of_each_month_with_contiguous_bounds():
    months = month_range(*submission_files.PERIOD)
    path = submission_files.submission_file(submission_files.tree(), "tas")
    with netCDF4.Dataset(path) as file:
        assert file["time"].units == "days since 1978-10-01"
        assert file["time"].calendar == "proleptic_gregorian"
        assert np.array_equal(file["time"][:], mid_times(months))
        assert np.array_equal(file["time_bnds"][:], time_bounds(months))
        assert file["lat_bnds"][0, 0] == -90
        assert file["lat_bnds"][-1, 1] == 90


def test_files_carry_the_configs_metadata():
    with netCDF4.Dataset(
        submission_files.submission_file(submission_files.tree(), "huss", "gr", "aimip-p4k", 2)
    ) as file:
        for key in (
            "institution_id",
            "institution",
            "source_id",
            "source",
            "contact",
            "references",
            "further_info_url",
        ):
            assert file.getncattr(key) == submission_files.SUBMISSION[key]
        assert file.variant_label == "r2i1p1f1"
        assert file.realization_index == 2
        assert file.experiment_id == "aimip-p4k"
        assert file.nominal_resolution == "1000 km"
        assert file.cmor_version
        assert file["huss"].dtype == np.float32
        assert file["huss"].filters()["complevel"] == 1
        assert file["huss"].filters()["shuffle"]


def test_history_says_what_made_the_file():
    with netCDF4.Dataset(submission_files.submission_file(submission_files.tree(), "ta", "gn", "aimip-p4k", 2)) as file:
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
    """Stands in for the module cmor, newer, or older without ``absent``; notes what is asked of it in which order."""

    CMOR_REPLACE, CMOR_NORMAL = 1, 0
    CMOR_VERSION_MAJOR, CMOR_VERSION_MINOR, CMOR_VERSION_PATCH = 3, 11, 0

    def __init__(self, absent=()):
        self.calls, self.absent = [], absent

    def __getattr__(self, name):
        if name in self.absent:
            raise AttributeError(name)

        def call(*arguments, **options):
            self.calls.append((name, arguments, options))
            return len(self.calls)

        return call

    def named(self, name):
        return [(arguments, options) for each, arguments, options in self.calls if each == name]


@pytest.fixture(params=[()])
def recorded(tmp_path, monkeypatch, request):
    """The calls for one simulation of 30 months on both grids, made under this Python and its numpy."""
    period = ("1978-10", "1981-03")
    write_tables(
        tmp_path / "tables",
        submission_files.FACTS,
        submission_files.VARIABLES,
        "aimip",
        0,
        submission_files.SUBMISSION,
        15.0,
        period,
    )
    rollout = submission_files.write_rollout(tmp_path / "r1.nc", period=period)
    forcing = submission_files.write_aggregated_forcing(tmp_path / "forcing.nc", period=period)
    recorder = RecordedCmor(request.param)
    monkeypatch.setattr(writing, "import_cmor", lambda: recorder)
    writing.cmorize(
        rollout, forcing, submission_files.VARIABLES, tmp_path / "tables", "aimip", 1, ["gn", "gr"], tmp_path
    )
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


def test_a_newer_cmor_is_given_the_chunks_of_the_table_and_no_length_of_time(recorded):
    sizes = [tuple(arguments[1]) for arguments, _ in recorded.named("set_chunking")]
    assert set(sizes) == {(12, 1, 13, 24), (12, 13, 24), (12, 1, 18, 36), (12, 18, 36)}  # on small grids: all of it
    (axis, *_) = [options for arguments, options in recorded.named("axis") if arguments[0] == "time"]
    assert "length" not in axis


@pytest.mark.parametrize("recorded", [("set_chunking",)], indirect=True)
def test_an_older_cmor_knows_the_length_of_time_to_which_it_cuts_the_chunks_of_the_table(recorded):
    assert not recorded.named("set_chunking")
    assert [options["length"] for arguments, options in recorded.named("axis") if arguments[0] == "time"] == [30, 30]


def test_chunks_are_those_of_the_table_no_longer_than_the_dimensions():
    entry = {"chunk_dimensions": "12 1 61 60"}
    assert writing.chunk_sizes(entry, [555, 1, 121, 240]) == [12, 1, 61, 60]
    assert writing.chunk_sizes(entry, [555, 121, 240]) == [12, 61, 60]
    assert writing.chunk_sizes(entry, [6, 13, 24]) == [6, 13, 24]


def test_a_year_of_a_variable_is_whole_chunks():
    entries = read_entries(submission_files.FACTS)
    assert len(entries) == 14
    assert all(writing.SLAB % int(entry["chunk_dimensions"].split()[0]) == 0 for entry in entries.values())


@pytest.mark.parametrize(
    ("variable", "chunks"), [("ta", [12, 1, 13, 24]), ("zg", [12, 1, 13, 24]), ("pr", [12, 13, 24])]
)
def test_files_have_the_chunks_of_the_table(variable, chunks):
    with netCDF4.Dataset(submission_files.submission_file(submission_files.tree(), variable)) as file:
        assert file[variable].chunking() == chunks
        assert file["time"].chunking() != [1]


def test_a_cmor_that_cannot_be_told_chunks_is_said_once(caplog, monkeypatch):
    caplog.set_level("INFO")
    monkeypatch.setattr(cmor_versions, "mend_interpreter", lambda: None)
    monkeypatch.setitem(sys.modules, "cmor", RecordedCmor(("set_chunking",)))
    cmor_versions.import_cmor()
    assert [r.message for r in caplog.records if "chunk" in r.message] == [
        "CMOR 3.11.0 has no set_chunking: chunks are the tables' chunk_dimensions"
    ]
    caplog.clear()
    monkeypatch.setitem(sys.modules, "cmor", RecordedCmor())
    cmor_versions.import_cmor()
    assert not [r.message for r in caplog.records if "chunk" in r.message]
