"""Reading the files: in slabs, and those that cannot be read."""

import pytest

from tests.helpers import made
from tests.helpers.broken import load, save
from tests.helpers.checking import check, named
from workflow.scripts.check import files as cmor_files
from workflow.scripts.common.months import month_range


def test_a_truncated_file_is_named(copy):
    path = made.submission_file(copy, "ta")
    path.write_bytes(path.read_bytes()[:-3000])
    assert named(check(copy)[1], "readable", path.name, "cannot be read")


def test_statistics_do_not_depend_on_the_slabs(tmp_path, monkeypatch):
    root = made.tree() / "submission"
    path = made.submission_file(made.tree(), "ta")
    whole = cmor_files.read_files([path], root)[0][0].statistics
    monkeypatch.setattr(cmor_files, "SLAB", 5)
    parts = cmor_files.read_files([path], root)[0][0].statistics
    values = load(path).values("ta")
    assert whole.months == parts.months == len(month_range(*made.PERIOD))
    assert whole.digest.digest() == parts.digest.digest()
    assert parts.minimum.tolist() == values.min(axis=(0, 2, 3)).tolist()
    assert parts.total == pytest.approx(values.sum(axis=0, dtype="f8"))


def test_a_month_repeated_across_slabs_is_found(copy, monkeypatch):
    monkeypatch.setattr(cmor_files, "SLAB", 5)
    path = made.submission_file(copy, "vas")
    plain = load(path)
    plain.values("vas")[5] = plain.values("vas")[4]
    save(plain, path)
    assert named(check(copy)[1], "no-repeat", path.name, "1979-03")
