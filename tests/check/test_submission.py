"""The program that checks any tree."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import submission_files
from tests.helpers.checking import MODEL
from tests.helpers.edit_netcdf import coordinate, rebuild
from tests.helpers.refusing import available
from workflow.scripts.check.rules import FURTHER_RULES, RULES
from workflow.scripts.check.submission import main, tree_root

PERIOD = ["--period", *submission_files.PERIOD]


def test_the_program_passes_a_good_tree(work, capsys):
    assert (
        main([str(work / "submission"), *PERIOD, "--no-cf", "--forcing", str(submission_files.tree() / "forcing.nc")])
        == 0
    )
    assert "on 112 files of 4 simulations: 0 findings" in capsys.readouterr().out


def test_the_program_finds_the_root_of_a_tree_from_below(work):
    for below in ("", "UMD-PARETO", MODEL, f"{MODEL}/aimip/r1i1p1f1"):
        assert tree_root(work / "submission" / below)[0] == (work / "submission")


def test_the_program_names_each_deviation_and_takes_known_ones(work, capsys):
    for member in (1, 2):
        heights = work / "submission" / MODEL / "aimip-p4k" / f"r{member}i1p1f1/Amon/zg"
        shutil.rmtree(heights)
    (work / "submission" / MODEL / "aimip-p4k").rename(work / "submission" / MODEL / "aimip-4k")
    given = [str(work / "submission"), *PERIOD, "--no-cf"]
    assert main(given) == 1
    printed = capsys.readouterr().out
    assert "FAILED" in printed
    assert "experiment-name: the experiment is 'aimip-4k', not aimip, aimip-p2k or aimip-p4k" in printed
    assert "variables-complete: zg on gn is absent" in printed
    known = (
        "experiment-name",
        "name-agrees",
        "attributes-agree",
        "variables-complete=*/aimip-4k/*",
        "same-files-everywhere",
    )
    assert main([*given, *(f"--allow={name}" for name in known)]) == 0
    assert "warning" in capsys.readouterr().out


def test_the_program_writes_the_outcome(work, tmp_path):
    assert main([str(work / "submission"), *PERIOD, "--no-cf", "--out", str(tmp_path / "outcome")]) == 0
    assert len(json.loads((tmp_path / "outcome.json").read_text())["simulations"]) == 4
    assert (tmp_path / "outcome.csv").exists()
    assert (tmp_path / "outcome.html").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--allow", "no-rule"], "no rule is called 'no-rule'"),
        (["--period", "1978", "1979-12"], "'1978' is not a month"),
    ],
)
def test_the_program_explains_wrong_arguments(work, capsys, arguments, words):
    assert main([str(work / "submission"), "--no-cf", *arguments]) == 2
    assert words in capsys.readouterr().err


def without(name):
    """An edit that takes a variable away."""
    return lambda plain: plain.variables.pop(name)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        *((without(name), f"{name} is absent, wanted on ") for name in ("lat", "lon", "lsm", "sst")),
        (
            lambda plain: plain.variables.update(siconc=plain.variables["lsm"]),
            "siconc is on ('lat', 'lon'), wanted on ",
        ),
    ],
)
def test_a_file_that_is_no_forcing_is_named_with_what_it_lacks(work, tmp_path, capsys, edit, words):
    forcing = Path(shutil.copy(submission_files.tree() / "forcing.nc", tmp_path / "wrong.nc"))
    rebuild(forcing, edit)
    assert main([str(work / "submission"), *PERIOD, "--no-cf", "--forcing", str(forcing)]) == 2
    printed = capsys.readouterr().err
    assert (
        printed.startswith(f"check_submission: {forcing} is no monthly forcing: {words}") and printed.count("\n") == 1
    )


def test_a_forcing_of_fewer_months_than_the_files_is_named(work, tmp_path, capsys):
    forcing = Path(shutil.copy(submission_files.tree() / "forcing.nc", tmp_path / "short.nc"))
    fewer = {name: coordinate(name, lambda values: values[:9]) for name in ("time", "time_bnds", "sst", "siconc")}
    rebuild(forcing, lambda plain: [edit(plain) for edit in fewer.values()])
    assert main([str(work / "submission"), *PERIOD, "--no-cf", "--forcing", str(forcing)]) == 1
    assert (
        "sea-offset: ts was not compared: of its 12 months the forcing lacks 3, the first 1979-07"
        in capsys.readouterr().out
    )


def test_an_outcome_that_cannot_be_written_is_said_in_one_sentence(work, tmp_path):
    """A full disk, as the kernel tells it, and a folder that is a file."""
    (tmp_path / "file").touch()
    shutil.rmtree(work / "submission" / MODEL / "aimip-p4k")
    command = [sys.executable, "-m", "workflow.scripts.check.submission", work / "submission", *PERIOD, "--no-cf"]
    full = [
        sys.executable,
        submission_files.ROOT / "tests/helpers/refusing.py",
        "write=ENOSPC",
        *command,
        "--out",
        tmp_path / "o",
    ]
    cases = [([*command, "--out", tmp_path / "file/o"], f"{tmp_path / 'file'}")]
    cases += [(full, f"the disk of {tmp_path / 'o.json'} is full")] if available() else []
    for words, said in cases:
        done = subprocess.run(
            list(map(str, words)), capture_output=True, text=True, check=False, cwd=submission_files.ROOT
        )
        assert done.returncode == 2, done.stderr
        assert done.stderr.startswith("check_submission: the outcome cannot be written to") and said in done.stderr
        assert done.stderr.count("\n") == 1


def test_the_program_lists_its_rules(capsys):
    assert main(["--rules"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 60
    assert any(line.startswith("never-negative ") and "never negative" in line for line in lines)


def test_the_program_says_when_there_is_nothing_to_check(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    assert "holds no .nc file" in capsys.readouterr().err


def test_the_program_runs_as_a_module():
    command = [sys.executable, "-m", "workflow.scripts.check.submission", "--rules"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=submission_files.ROOT)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(RULES) + len(FURTHER_RULES)


def test_every_rule_is_named_in_a_test_that_breaks_something():
    tests = "".join(path.read_text() for path in (submission_files.ROOT / "tests/check").glob("test_*.py"))
    assert [name for name in [*RULES, *FURTHER_RULES] if f'"{name}"' not in tests] == []


def test_the_program_runs_by_itself(work):
    shutil.rmtree(work / "submission" / MODEL / "aimip-p4k")
    shutil.rmtree(work / "submission" / MODEL / "aimip/r2i1p1f1")
    for folder in (work / "submission").rglob("gr"):
        shutil.rmtree(folder)
    command = [sys.executable, "-m", "workflow.scripts.check.submission", work / "submission", *PERIOD]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "on 14 files of 1 simulations: 0 findings" in done.stdout


def test_a_period_other_than_the_files_is_named(work, capsys):
    assert main([str(work / "submission"), "--no-cf"]) == 1
    assert "period-name: the name's period is 197810-197909, not 197810-202412" in capsys.readouterr().out
