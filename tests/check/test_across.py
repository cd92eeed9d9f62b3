"""Rules across the members of an experiment and the experiments of a submission."""

import csv
import functools
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from tests.helpers import submission_files
from tests.helpers.checking import MODEL
from tests.helpers.edit_netcdf import rebuild
from workflow.scripts.check.across import check_across, check_submission
from workflow.scripts.check.experiment import check_experiment, check_members
from workflow.scripts.check.rules import RULES, Report, expectation
from workflow.scripts.check.simulation import check_files
from workflow.scripts.common import experiments


@functools.cache
def summaries():
    """Summaries of all simulations of the made submission, as JSON text."""
    root, found = submission_files.tree() / "submission", []
    for experiment in submission_files.EXPERIMENTS:
        expected = expectation(
            submission_files.FACTS,
            submission_files.FACTS / "ranges.csv",
            submission_files.tree() / "tables" / experiment,
        )
        for member in submission_files.MEMBERS:
            paths = list((root / MODEL / experiment / f"r{member}i1p1f1").rglob("*.nc"))
            content, report = check_files(paths, root, expected, conformance=False)
            found.append({**content, "report": report.as_dict()})
    return json.dumps(found)


@pytest.fixture
def simulations():
    return json.loads(summaries())


def messages(report, rule):
    return [finding.message for finding in report.findings if finding.rule == rule]


def across(simulations, conformance=False, **options):
    return check_across(simulations, submission_files.tree() / "submission", conformance=conformance, **options)


def only(simulations, experiment):
    return [simulation for simulation in simulations if simulation["experiment"] == experiment]


def test_a_good_experiment_and_submission_pass(simulations):
    assert check_members(only(simulations, "aimip"), 2).gates == []
    report = across(simulations, forcing=submission_files.tree() / "forcing.nc", conformance=True)
    assert report.gates == []
    assert report.checked["sea-offset"] == 4
    scopes = {name for name, rule in RULES.items() if rule.scope == "submission"}
    assert scopes | {"sea-offset"} == set(report.checked) - {"cmip6-structure"}


def drop_first(simulations):
    del simulations[0]


def same_values(simulations):
    first, second = (simulation["files"] for simulation in simulations[:2])
    name = "va"
    source = next(file for file in first if file["variable"] == name)
    target = next(file for file in second if (file["variable"], file["grid"]) == (name, source["grid"]))
    target["data_sha256"] = source["data_sha256"]


def drop_file(simulations):
    simulations[1]["files"] = [file for file in simulations[1]["files"] if file["variable"] != "hus"]


@pytest.mark.parametrize(
    ("rule", "edit", "value"),
    [
        ("members-counted", drop_first, "the members are r2, not r1 to r2"),
        ("members-differ", same_values, "is the same in r1i1p1f1 and r2i1p1f1"),
        ("members-have-same-files", drop_file, "hus on gn is absent in r2i1p1f1"),
    ],
)
def test_a_broken_experiment_is_named(simulations, rule, edit, value):
    members = only(simulations, "aimip")
    edit(members)
    found = messages(check_members(members, 2), rule)
    assert found
    assert value in found[0]


@pytest.mark.parametrize("members", range(1, 8))
def test_fewer_members_than_the_five_that_aimip_asks_for_are_said_and_stop_nothing(simulations, members):
    first = only(simulations, "aimip")[0]
    several = [
        first | {"member_id": f"r{number}i1p1f1", "files": [{**file, "data_sha256": f"{number} {index}"}]}
        for number in range(1, members + 1)
        for index, file in enumerate(first["files"][:1])
    ]
    for asked in (None, members):
        report = check_members(several, asked)
        assert report.gates == [] and report.checked["members-enough"] == 1
        found = messages(report, "members-enough")
        assert len(found) == (members < 5)
        assert not found or f"{members} of the 5 members that AIMIP asks for are there: r1i1p1f1" in found[0]


def no_control(simulations):
    del simulations[:2]


def lose_member(simulations):
    del simulations[3]


def mix_versions(simulations):
    simulations[2]["files"][4]["version"] = "v20250101"


def mix_models(simulations):
    simulations[2]["source_id"] = "MD-1p6"


def lose_variable(simulations):
    for simulation in simulations[2:]:
        simulation["files"] = [file for file in simulation["files"] if file["variable"] != "huss"]


def same_tracking(simulations):
    simulations[3]["files"][0]["tracking_id"] = simulations[0]["files"][5]["tracking_id"]


def same_experiment(simulations):
    simulations[2]["files"][3]["data_sha256"] = simulations[0]["files"][3]["data_sha256"]


def cool(simulations):
    for file in simulations[2]["files"]:
        if file["variable"] == "tas":
            file["mean"][0] -= 8


@pytest.mark.parametrize(
    ("rule", "edit", "value"),
    [
        ("control-there", no_control, "the experiments are aimip-p4k: aimip is absent"),
        ("members-same", lose_member, "aimip-p4k lacks the member r2i1p1f1"),
        ("one-version", mix_versions, "v20250101 (1 files)"),
        ("one-model", mix_models, "UMD-PARETO/MD-1p6"),
        ("same-files-everywhere", lose_variable, "aimip-p4k lacks huss on gn"),
        ("tracking-ids-unique", same_tracking, "share the tracking_id hdl:21.14100/"),
        ("experiments-differ", same_experiment, "holds the same values as"),
        ("response-plausible", cool, "tas of aimip-p4k r1i1p1f1 is -3.99 K"),
    ],
)
def test_a_broken_submission_is_named(simulations, rule, edit, value):
    edit(simulations)
    report = across(simulations)
    found = messages(report, rule)
    assert found
    assert value in found[0]
    assert (rule in {finding.rule for finding in report.gates}) == (rule != "response-plausible")


def test_a_wrong_offset_of_the_sea_is_named(simulations, work):
    path = submission_files.submission_file(work, "ts", "gr", "aimip-p4k", 2)
    rebuild(path, lambda plain: plain.set("ts", plain.values("ts") - 0.25))
    report = check_across(
        simulations, work / "submission", forcing=submission_files.tree() / "forcing.nc", conformance=False
    )
    assert [finding.rule for finding in report.gates] == ["sea-offset"]
    assert report.gates[0].subject.endswith(path.name)
    assert "from ts of the control + 4 K by up to 0.25 K" in report.gates[0].message


@pytest.mark.parametrize("name", ["aimip-p4k", "aimip-p3k", "aimip-warm"])
def test_the_offset_is_that_which_files_state_whatever_the_experiment_is_called(simulations, name):
    for simulation in only(simulations, "aimip-p4k"):
        assert simulation["sst_offset"] == 4
        simulation["experiment"] = name
    report = across(simulations, forcing=submission_files.tree() / "forcing.nc")
    assert report.checked["sea-offset"] == 4
    assert messages(report, "sea-offset") == messages(report, "response-plausible") == []


@pytest.mark.parametrize(("name", "offset"), [("aimip-p4k", 4), ("aimip-m1k", -1), ("aimip-warm", None)])
def test_the_name_says_the_offset_where_files_do_not(name, offset, work):
    path = submission_files.submission_file(work, "ts", "gn", "aimip-p4k")
    rebuild(path, lambda plain: plain.attributes.update(history="written by hand"))
    (work / "submission" / MODEL / "aimip-p4k").rename(work / "submission" / MODEL / name)
    (path,) = (work / "submission" / MODEL / name / "r1i1p1f1/Amon/ts/gn").rglob("*.nc")
    expected = expectation(
        submission_files.FACTS, submission_files.FACTS / "ranges.csv", period=submission_files.PERIOD
    )
    assert check_files([path], work / "submission", expected, conformance=False)[0]["sst_offset"] == offset


@pytest.mark.parametrize(
    ("offset", "low", "high"), [(2, 0.8, 5), (4, 1.8, 9), (3, 1.3, 7), (-2, -5, -0.8), (-4, -9, -1.8)]
)
def test_the_plausible_response_grows_with_the_offset(offset, low, high):
    assert experiments.plausible_response(offset) == pytest.approx((low, high))


def test_a_sea_that_is_nan_is_named(simulations, work):
    path = submission_files.submission_file(work, "ts", "gn", "aimip-p4k", 2)
    rebuild(path, lambda plain: plain.values("ts").__setitem__((3, 6, 0), np.nan))
    report = check_across(
        simulations, work / "submission", forcing=submission_files.tree() / "forcing.nc", conformance=False
    )
    assert [finding.rule for finding in report.gates] == ["sea-offset"]
    assert "by up to nan K" in report.gates[0].message


def test_a_forcing_without_open_sea_is_named(simulations, tmp_path):
    forcing = shutil.copy(submission_files.tree() / "forcing.nc", tmp_path / "forcing.nc")
    rebuild(forcing, lambda plain: plain.values("lsm").fill(1))
    report = across(simulations, forcing=forcing)
    assert len(messages(report, "sea-offset")) == len(report.gates) == 4
    assert "no value was compared" in messages(report, "sea-offset")[0]


def test_the_rules_hand_their_findings_on_to_the_table_and_the_page(simulations, tmp_path, monkeypatch):
    monkeypatch.setattr("workflow.scripts.check.across.wcrp_installed", lambda: True)
    monkeypatch.setattr("workflow.scripts.check.across.wcrp_findings", lambda paths: [])
    for number, simulation in enumerate(simulations):
        (tmp_path / f"{number}.json").write_text(json.dumps(simulation))
    for experiment, numbers in (("aimip", (0, 1)), ("aimip-p4k", (2, 3))):
        check_experiment([tmp_path / f"{number}.json" for number in numbers], 2, tmp_path / f"{experiment}.json")
    outcome = [tmp_path / f"submission.{ending}" for ending in ("json", "csv", "html")]
    inputs = [tmp_path / "aimip.json", tmp_path / "aimip-p4k.json"]
    check_submission(inputs, submission_files.tree() / "submission", submission_files.tree() / "forcing.nc", *outcome)
    with open(outcome[1], newline="") as file:
        rows = {row["rule"]: row for row in csv.DictReader(file)}
    assert rows["no-nan"]["checked"] == "112"
    assert rows["members-differ"]["checked"] == "2"
    assert rows["grid-spacing"]["warned"] == "8"
    assert {row["failed"] for row in rows.values()} == {"0"}
    content = json.loads(outcome[0].read_text())
    assert sum(len(simulation["files"]) for simulation in content["simulations"]) == 112
    page = outcome[2].read_text()
    assert "112 files of 4 simulations: 0 findings stop the submission, 10 are warnings" in page
    for name in rows:
        assert f"<td>{name}</td>" in page
    assert rows["grid-spacing"]["first"].partition(":")[0] in page
    assert rows["cf-conventions"]["left_out"] == "not asked for"
    assert "not asked for" in page


def test_a_broken_experiment_writes_nothing(simulations, tmp_path):
    (tmp_path / "one.json").write_text(json.dumps(simulations[0]))
    with pytest.raises(RuntimeError, match="aimip: members-counted: the members are r1, not r1 to r2"):
        check_experiment([tmp_path / "one.json"], 2, tmp_path / "aimip.json")
    assert not (tmp_path / "aimip.json").exists()


def test_a_broken_submission_writes_nothing(simulations, tmp_path, monkeypatch):
    monkeypatch.setattr("workflow.scripts.check.across.wcrp_installed", lambda: False)
    simulations[0]["files"][0]["version"] = "v20250101"
    content = {"simulations": simulations, "report": Report().as_dict()}
    (tmp_path / "aimip.json").write_text(json.dumps(content))
    outcome = [tmp_path / f"submission.{ending}" for ending in ("json", "csv", "html")]
    with pytest.raises(RuntimeError, match="one-version"):
        check_submission([tmp_path / "aimip.json"], submission_files.tree() / "submission", None, *outcome)
    assert not any(path.exists() for path in outcome)


def test_the_command_lines_take_as_many_members_as_they_are_told(simulations, tmp_path):
    """As the rules run them, in processes that import nothing else."""
    for simulation in simulations:
        path = tmp_path / "the checks" / simulation["experiment"] / f"{simulation['member_id']}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(simulation))
        (path.parent / "r3i1p1f1.json").write_text("left by a run with more members")
    files = []
    for experiment in submission_files.EXPERIMENTS:
        folder = tmp_path / "the checks" / experiment
        files.append(folder.with_suffix(".json"))
        assert program("experiment", "--folder", folder, "--members", 2, "--out", files[-1]) == 0
    outcome = [f"--{key}={tmp_path / key}" for key in ("out", "table", "page")]
    inputs = [
        f"--submission={submission_files.tree() / 'submission'}",
        f"--forcing={submission_files.tree() / 'forcing.nc'}",
    ]
    assert program("across", "--experiments", *files, *inputs, *outcome) == 0
    found = json.loads((tmp_path / "out").read_text())["simulations"]
    names = [(each["experiment"], each["member_id"]) for each in found]
    assert names == [
        (name, f"r{member}i1p1f1") for name in submission_files.EXPERIMENTS for member in submission_files.MEMBERS
    ]
    assert program("experiment", "--folder", folder, "--members", 4, "--out", files[-1]) == 1


def program(name, *words):
    command = [sys.executable, "-m", f"workflow.scripts.check.{name}", *map(str, words)]
    return subprocess.run(command, check=False, env={**os.environ, "PYTHONPATH": str(submission_files.ROOT)}).returncode
