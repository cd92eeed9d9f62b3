"""The checks of one simulation: what they let pass, what its files must be together, and the summary they write."""

import filecmp
import json
import shutil

import numpy as np
import pytest

from tests.helpers import submission_files
from tests.helpers.checking import MODEL, RANGES, check, named
from tests.helpers.edit_netcdf import attribute, field, put, rebuild
from workflow.scripts.check.rules import RULES, expectation
from workflow.scripts.check.simulation import check_files, check_simulation, main


def test_a_good_simulation_passes_every_rule():
    folder = submission_files.tree() / "submission" / MODEL / "aimip/r1i1p1f1"
    summary, report = check(submission_files.tree(), list(folder.rglob("*.nc")), conformance=True)
    assert report.gates == []
    assert {finding.rule for finding in report.findings} == {"grid-spacing"}
    assert summary["member_id"] == "r1i1p1f1"
    assert len(summary["files"]) == 28
    used = {name for name, rule in RULES.items() if rule.scope in ("file", "simulation")}
    assert used | {"cf-conventions", "prescribed-sea"} == set(report.checked)


@pytest.mark.parametrize(("period", "checked"), [(("1978-10", "2024-12"), 1), (("1960-03", "1970-05"), 0)])
def test_another_period_than_the_protocols_is_said_and_stops_nothing(period, checked):
    _, report = check_files(
        [], submission_files.tree(), expectation(submission_files.FACTS, RANGES, period=period), conformance=False
    )
    assert report.checked.get("protocol-period", 0) == checked and report.gates == []
    said = None if checked else "this simulation is one of 1960-03 to 1970-05"
    assert report.left_out.get("protocol-period") == said
    row = next(row for row in report.table() if row["rule"] == "protocol-period")
    assert (row["failed"], row["warned"], row["left_out"]) == (0, 0, said or "")


def test_a_missing_variable_is_named(copy):
    submission_files.submission_file(copy, "huss").unlink()
    report = check(copy)[1]
    assert named(report, "variables-complete", "huss", "huss on gn is absent")
    assert named(report, "files-as-planned", "huss_Amon", "is absent")


def test_a_stray_file_is_named(copy):
    path = submission_files.submission_file(copy, "ta").with_suffix(".part")
    path.write_text("left by a killed run")
    report = check(copy)[1]
    assert named(report, "name-parts", path.name, path.name)
    assert named(report, "readable", path.name, "cannot be read")


def test_two_versions_of_a_file_are_named(copy):
    path = submission_files.submission_file(copy, "tas")
    other = path.parents[1] / "v20260101" / path.name
    other.parent.mkdir()
    shutil.copy(path, other)
    report = check(copy)[1]
    assert named(report, "one-file-each", "tas", "2 files hold tas on gn")
    assert named(report, "files-as-planned", "v20260101", "is not planned")


def test_an_allowed_finding_does_not_gate(copy):
    path = submission_files.submission_file(copy, "zg")
    rebuild(path, attribute("long_name", "Height", "zg"))
    assert len(check(copy)[1].gates) == 1
    report = check(copy, allow=("long-name=*/zg/*",))[1]
    assert report.gates == []
    assert "long-name" in {finding.rule for finding in report.findings}
    assert len(check(copy, allow=("long-name=*/ta/*",))[1].gates) == 1


def test_an_unknown_rule_cannot_be_allowed(copy):
    with pytest.raises(ValueError, match="no rule is called 'long_name'"):
        check(copy, allow=("long_name",))


@pytest.fixture
def no_cf(monkeypatch):
    """Leave out the CF checker, which takes longest and has its own tests."""
    monkeypatch.setattr("workflow.scripts.check.simulation.cf_findings", lambda paths: [])


def script(work, result):
    check_simulation(
        work / "submission",
        submission_files.tree() / "tables/aimip",
        submission_files.FACTS,
        RANGES,
        "aimip",
        1,
        submission_files.tree() / "forcing.nc",
        result,
    )


def test_the_rule_writes_a_summary_of_a_good_simulation(copy, no_cf):
    script(copy, copy / "r1.json")
    summary = json.loads((copy / "r1.json").read_text())
    file = next(each for each in summary["files"] if each["variable"] == "psl" and each["grid"] == "gn")
    assert file["mean"] == [pytest.approx(101000, abs=200)]
    assert len(file["sha256"]) == len(file["data_sha256"]) == 64
    assert (copy / "submission" / file["path"]).stat().st_size == file["size"]


def test_the_rule_writes_nothing_for_a_broken_simulation(copy, no_cf):
    path = submission_files.submission_file(copy, "tas")
    rebuild(path, field("tas", put((0, 0, 0), np.nan)))
    with pytest.raises(RuntimeError, match=rf"{path.name}: no-nan: 1 values are NaN"):
        script(copy, copy / "r1.json")
    assert not (copy / "r1.json").exists()


def test_the_rule_names_an_empty_folder(tmp_path):
    with pytest.raises(RuntimeError, match="r1i1p1f1 holds no file"):
        script(tmp_path, tmp_path / "r1.json")


def command(work, result):
    """The command line of the rule on the files of the copy."""
    options = {
        "submission": work / "submission",
        "tables": submission_files.tree() / "tables/aimip",
        "facts": submission_files.FACTS,
        "ranges": RANGES,
        "forcing": submission_files.tree() / "forcing.nc",
        "experiment": "aimip",
        "member": 1,
        "out": result,
        "log": work / "check.log",
    }
    return [str(word) for key, value in options.items() for word in (f"--{key}", value)]


def test_the_command_line_writes_what_the_function_writes(copy, no_cf):
    script(copy, copy / "function.json")
    assert main(command(copy, copy / "program.json")) == 0
    assert filecmp.cmp(copy / "program.json", copy / "function.json", shallow=False)


def test_the_command_line_ends_with_the_first_finding_in_one_sentence_and_all_in_the_log(copy, no_cf, capsys):
    path = submission_files.submission_file(copy, "tas")
    rebuild(path, field("tas", put((0, 0, 0), np.nan)))
    assert main(command(copy, copy / "program.json")) == 1
    printed = capsys.readouterr().err
    assert printed.startswith("RuntimeError: ") and printed.count("\n") == 1
    assert f"{path.name}: no-nan: 1 values are NaN" in (copy / "check.log").read_text()
