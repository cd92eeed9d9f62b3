"""Checks by others: the CF checker, cc-plugin-wcrp with and without its vocabulary, PrePARE."""

import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest

from tests.helpers import submission_files, vocabulary
from tests.helpers.edit_netcdf import rebuild
from workflow.scripts.check import conformance
from workflow.scripts.check.across import check_across
from workflow.scripts.check.rules import expectation
from workflow.scripts.check.simulation import check_files

TABLES = "tables/aimip"


def set_attribute(path, name, value):
    rebuild(path, lambda plain: plain.attributes.update({name: value}))


def check(work, variables, tables=None):
    """Report of the named variables' files on the native grid, with the checks by others."""
    expected = expectation(
        submission_files.FACTS, submission_files.FACTS / "ranges.csv", submission_files.tree() / TABLES
    )
    paths = [submission_files.submission_file(work, name) for name in variables]
    return check_files(paths, work / "submission", expected, tables=tables)[1]


def of_rule(report, name):
    return [finding for finding in report.findings if finding.rule == name]


def row_of(report, name):
    return next(row for row in report.table() if row["rule"] == name)


def test_the_cf_checker_finds_what_is_not_cf(copy):
    path = submission_files.submission_file(copy, "pr")
    rebuild(path, lambda plain: plain.variables["pr"][2].update(standard_name="rain_rate"))
    (finding,) = [found for found in of_rule(check(copy, ["pr"]), "cf-conventions") if "rain_rate" in found.message]
    assert finding.gate
    assert finding.subject.endswith(path.name)


# PrePARE


def has_prepare():
    """True if the CMOR of the tests has PrePARE, asked without the code under test."""
    words = "import ctypes; ctypes.CDLL('libuuid.so.1', ctypes.RTLD_GLOBAL); import cmip6_cv.PrePARE"
    return not subprocess.run([submission_files.CMOR_PYTHON, "-c", words], capture_output=True, check=False).returncode


@pytest.fixture
def prepare(monkeypatch):
    submission_files.tree()
    if not has_prepare():
        pytest.skip(f"the CMOR of {submission_files.CMOR_PYTHON} has no PrePARE")
    monkeypatch.setenv("CMOR_PYTHON", submission_files.CMOR_PYTHON)


def test_prepare_takes_our_files(prepare):
    report = check(submission_files.tree(), ["tas", "zg"], submission_files.tree() / TABLES)
    assert {finding.rule for finding in report.gates} == {"variables-complete", "files-as-planned"}
    row = row_of(report, "prepare")
    assert (row["checked"], row["failed"], row["warned"], row["left_out"], row["first"]) == (2, 0, 0, "", "")


@pytest.mark.parametrize(
    ("name", "value"),
    [("experiment_id", "amip"), ("license", "CC BY-SA 4.0"), ("source_id", "MD-1p6"), ("grid_label", "gx")],
)
def test_what_prepare_finds_is_named_with_file_and_value(prepare, copy, name, value):
    path = submission_files.submission_file(copy, "tas")
    set_attribute(path, name, value)
    report = check(copy, ["tas", "pr"], submission_files.tree() / TABLES)
    (finding,) = of_rule(report, "prepare")
    assert finding.gate
    assert finding.subject.endswith(path.name)
    assert value in finding.message, finding.message
    assert row_of(report, "prepare")["checked"] == 2
    assert row_of(report, "prepare")["failed"] == 1


def test_a_cmor_without_prepare_is_said_in_the_table(monkeypatch):
    submission_files.tree()
    assert find_spec("cmip6_cv") is None, "this Python is taken for one whose CMOR has no PrePARE"
    monkeypatch.setenv("CMOR_PYTHON", sys.executable)
    row = row_of(check(submission_files.tree(), ["tas"], submission_files.tree() / TABLES), "prepare")
    assert row["checked"] == 0
    assert row["left_out"] == f"PrePARE: not installed, the CMOR of {sys.executable} has none"


def test_files_without_their_tables_cannot_be_put_to_prepare():
    row = row_of(check(submission_files.tree(), ["tas"]), "prepare")
    assert row["checked"] == 0
    assert "needs the tables" in row["left_out"]


def test_a_prepare_that_fails_itself_stops_in_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setenv("CMOR_PYTHON", "/bin/false")
    with pytest.raises(RuntimeError, match=r"^PrePARE under /bin/false ended with status 1: no message$"):
        conformance.prepare_findings([tmp_path / "a.nc"], tmp_path)


# cc-plugin-wcrp

needs_plugin = pytest.mark.skipif(not conformance.wcrp_installed(), reason="cc-plugin-wcrp is not installed")
needs_tables = pytest.mark.skipif(
    not vocabulary.CMIP6_TABLES.is_dir(),
    reason="Debian's cmor-tables are not installed, which the vocabulary is made of",
)


def across(work, variables):
    """Report on the submission that consists of the named variables of one simulation on the native grid."""
    files = [
        {
            "path": str(submission_files.submission_file(work, name).relative_to(work / "submission")),
            "variable": name,
            "grid": "gn",
            "version": "v20261122",
            "tracking_id": name,
            "data_sha256": name,
            "mean": [],
        }
        for name in variables
    ]
    simulation = {"institution_id": "UMD-PARETO", "source_id": "MD-1p5", "experiment": "aimip", "member_id": "r1i1p1f1"}
    return check_across([simulation | {"sst_offset": 0.0, "sea": {}, "files": files}], work / "submission")


@pytest.fixture
def no_vocabulary(tmp_path, monkeypatch):
    monkeypatch.setenv("ESGVOC_DB_DIR", str(tmp_path / "empty"))


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """The stand-in for the vocabulary, active."""
    from plugins.cmip6.cmip6 import Cmip6ProjectCheck

    monkeypatch.setenv("ESGVOC_DB_DIR", str(tmp_path / "vocabulary"))
    checker = Cmip6ProjectCheck()
    checker._load_mappings()
    branded = {key.partition(".")[2]: name for key, name in checker.variable_id_to_branded_variable.items()
               if key.startswith("Amon.")}  # fmt: skip
    vocabulary.write_vocabulary(tmp_path / "vocabulary", {name: branded[name] for name in VARIABLES if name in branded})


VARIABLES = "ta hus ua va zg ps psl ts tas huss tdas uas vas pr".split()


@needs_plugin
def test_without_the_vocabulary_the_table_says_how_to_get_it(no_vocabulary):
    report = across(submission_files.tree(), VARIABLES)
    assert report.findings == []
    assert report.checked["cmip6-structure"] == 14
    row = row_of(report, "cmip6-vocabulary")
    assert row["checked"] == 0
    assert "esgvoc use universe@latest cmip6@latest" in row["left_out"]


@needs_plugin
@needs_tables
def test_our_files_agree_with_the_vocabulary(installed):
    report = across(submission_files.tree(), VARIABLES)
    assert [str(finding) for finding in report.findings] == []
    assert report.checked["cmip6-vocabulary"] == report.checked["cmip6-structure"] == 14
    assert row_of(report, "cmip6-vocabulary")["left_out"] == ""


@needs_plugin
@needs_tables
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("frequency", "monthly"),
        ("grid_label", "gx"),
        ("nominal_resolution", "111 km"),
        ("source_type", "AIGCM"),
        ("product", "forecast"),
        ("tracking_id", "none"),
    ],
)
def test_what_the_vocabulary_does_not_hold_is_a_warning_with_file_and_value(installed, copy, name, value):
    path = submission_files.submission_file(copy, "tas")
    set_attribute(path, name, value)
    (finding,) = of_rule(across(copy, ["tas", "pr"]), "cmip6-vocabulary")
    assert not finding.gate
    assert finding.subject.endswith(path.name)
    assert name in finding.message
    assert value in finding.message


@needs_plugin
@needs_tables
def test_a_variables_attributes_are_compared_with_the_registry(installed, copy):
    path = submission_files.submission_file(copy, "tas")
    rebuild(path, lambda plain: plain.variables["tas"][2].update(long_name="2 m temperature"))
    (finding,) = of_rule(across(copy, ["tas"]), "cmip6-vocabulary")
    assert "'2 m temperature'" in finding.message
    assert "'Near-Surface Air Temperature'" in finding.message


@needs_plugin
@needs_tables
def test_only_one_half_of_the_vocabulary_is_none(installed):
    from esgvoc.core.service.user_state import UserState

    assert conformance.vocabulary_installed()
    UserState.load().remove_active("universe")
    assert not conformance.vocabulary_installed()


@needs_plugin
def test_what_the_plugin_finds_wrong_with_a_file_is_named(no_vocabulary, copy):
    path = submission_files.submission_file(copy, "tas")
    set_attribute(path, "physics_index", np.int32(2))
    (finding,) = across(copy, ["tas", "pr"]).gates
    assert finding.rule == "cmip6-structure"
    assert finding.subject.endswith(path.name)
    assert "physics_index" in finding.message


def test_a_missing_plugin_is_said_in_the_table(monkeypatch):
    monkeypatch.setattr("workflow.scripts.check.across.wcrp_installed", lambda: False)
    report = across(submission_files.tree(), ["tas"])
    assert report.findings == []
    for name in ("cmip6-structure", "cmip6-vocabulary"):
        assert row_of(report, name)["left_out"] == "cc-plugin-wcrp: not installed"
