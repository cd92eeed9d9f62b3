"""Reading the files: in slabs, and those that cannot be read."""

import numpy as np
import pytest

from tests.helpers import submission_files
from tests.helpers.checking import check, named
from tests.helpers.edit_netcdf import attribute, coordinate, load, save
from workflow.scripts.check import files as cmor_files
from workflow.scripts.common.months import month_range


def test_a_truncated_file_is_named(copy):
    path = submission_files.submission_file(copy, "ta")
    path.write_bytes(path.read_bytes()[:-3000])
    assert named(check(copy)[1], "readable", path.name, "cannot be read")


def test_statistics_do_not_depend_on_the_slabs(tmp_path, monkeypatch):
    root = submission_files.tree() / "submission"
    path = submission_files.submission_file(submission_files.tree(), "ta")
    whole = cmor_files.read_files([path], root)[0][0].statistics
    monkeypatch.setattr(cmor_files, "SLAB", 5)
    parts = cmor_files.read_files([path], root)[0][0].statistics
    values = load(path).values("ta")
    assert whole.months == parts.months == len(month_range(*submission_files.PERIOD))
    assert whole.digest.digest() == parts.digest.digest()
    assert parts.minimum.tolist() == values.min(axis=(0, 2, 3)).tolist()
    assert parts.total == pytest.approx(values.sum(axis=0, dtype="f8"))


def test_a_month_repeated_across_slabs_is_found(copy, monkeypatch):
    monkeypatch.setattr(cmor_files, "SLAB", 5)
    path = submission_files.submission_file(copy, "vas")
    plain = load(path)
    plain.values("vas")[5] = plain.values("vas")[4]
    save(plain, path)
    assert named(check(copy)[1], "no-repeat", path.name, "1979-03")


@pytest.mark.parametrize("later", [0, 3, 240])
@pytest.mark.parametrize(("units", "days"), [("days since 1978-10-01", 0), ("days since 1850-01-01", 47025)])
@pytest.mark.parametrize("end", [False, True], ids=["middle", "end"])
def test_a_month_is_called_by_the_times_of_its_own_file(copy, later, units, days, end):
    """Others' files may begin in another month, count from another day and stamp the end of a month."""
    path = submission_files.submission_file(copy, "ta")
    months = np.datetime64("1978-10") + later + np.arange(13)
    edges = (months.astype("datetime64[D]") - np.datetime64("1978-10-01")).astype(float) + days
    plain = load(path)
    plain.values("ta")[8] = plain.values("ta")[7]
    plain.values("ta")[5, 2] = 250
    attribute("units", units, "time")(plain)
    coordinate("time_bnds", lambda _: np.stack([edges[:-1], edges[1:]], axis=1))(plain)
    coordinate("time", lambda bounds: edges[1:] if end else (edges[:-1] + edges[1:]) / 2)(plain)
    save(plain, path)
    report = check(copy)[1]
    assert named(report, "no-repeat", path.name, f"1 months equal the month before, the first is {months[8]}")
    assert named(report, "no-flat-field", path.name, f"the first is {months[5]} at 70000 Pa")


def test_a_calendar_without_leap_days_calls_months_as_it_counts(copy):
    path = submission_files.submission_file(copy, "vas")
    plain = load(path)
    plain.values("vas")[5] = plain.values("vas")[4]
    edges = 365.0 * 300 + np.cumsum([0, 31, 30, 31, 31, 28, 31, 30, 31, 30, 31, 31, 30])  # of 2278-10 to 2279-09
    attribute("calendar", "noleap", "time")(plain)
    coordinate("time_bnds", lambda _: np.stack([edges[:-1], edges[1:]], axis=1))(plain)
    save(plain, path)
    assert named(check(copy)[1], "no-repeat", path.name, "the first is 2279-03")


def test_a_month_without_a_time_is_called_by_its_place(copy):
    path = submission_files.submission_file(copy, "vas")
    plain = load(path)
    plain.values("vas")[5] = plain.values("vas")[4]
    attribute("units", "months since 1978-10", "time")(plain)
    save(plain, path)
    assert named(check(copy)[1], "no-repeat", path.name, "the first is month 6 of the file")
