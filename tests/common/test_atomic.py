"""Files that appear whole or not at all."""

import pytest

from workflow.scripts.common.atomic import atomic_path


def test_a_file_appears_when_it_is_whole(tmp_path):
    with atomic_path(tmp_path / "new/a.nc") as temporary:
        temporary.write_text("whole")
        assert not (tmp_path / "new/a.nc").exists()
    assert (tmp_path / "new/a.nc").read_text() == "whole"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.nc"]


def test_a_failure_leaves_the_old_file_and_no_other(tmp_path):
    (tmp_path / "a.nc").write_text("old")
    with pytest.raises(RuntimeError), atomic_path(tmp_path / "a.nc") as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert (tmp_path / "a.nc").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.nc"]


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path):
    left = [".a.nc.77.part", ".a.nc.77.part.avgua"]
    others = [".ba.nc.77.part", ".a.nc4.77.part", "a.nc.part", ".a.nc.job"]
    for name in left + others:
        (tmp_path / name).touch()
    (tmp_path / ".a.nc.parts").mkdir()
    with atomic_path(tmp_path / "a.nc") as temporary:
        temporary.write_text("whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*others, ".a.nc.parts", "a.nc"])
