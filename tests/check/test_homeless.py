"""A user without a home folder to write to: what esgvoc cannot look up is left out, and nothing else is."""

import logging

import pytest

from tests.check.test_conformance import VARIABLES, across, needs_plugin, row_of
from tests.helpers import submission_files
from workflow.scripts.check import conformance


@pytest.fixture(params=["none", "not a folder"])
def no_home(request, tmp_path, monkeypatch):
    """Environment of a user in a container: no HOME and no entry in passwd, or a HOME that takes no folder."""

    def nobody(_):
        raise KeyError("getpwuid(): uid not found")

    for name in ("ESGVOC_HOME", "ESGVOC_DB_DIR", "XDG_DATA_HOME", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", nobody)
    if request.param != "none":
        (tmp_path / "home").touch()
        monkeypatch.setenv("HOME", str(tmp_path / "home"))


@needs_plugin
def test_a_vocabulary_that_cannot_be_looked_for_is_left_out_with_a_reason(no_home, caplog):
    with caplog.at_level(logging.WARNING):
        assert not conformance.vocabulary_installed()
    assert "esgvoc cannot look for its vocabulary: " in caplog.text
    report = across(submission_files.tree(), VARIABLES)
    assert report.findings == []
    assert report.checked["cmip6-structure"] == 14
    assert (
        "for a user without one to write to, to that which ESGVOC_HOME names"
        in (row_of(report, "cmip6-vocabulary")["left_out"])
    )
