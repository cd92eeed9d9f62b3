"""What can be told about runs on a cluster without one: the profile, the rules' resources, the load of a plan."""

import json
import re
import subprocess
import sys

import pytest
import yaml

from tests.helpers.project import ROOT
from workflow.growth import read_rules

PROFILE = yaml.safe_load((ROOT / "workflow/profiles/slurm/config.yaml").read_text())
RULES = "".join(path.read_text() for path in sorted((ROOT / "workflow/rules").glob("*.smk")))
# The rules of the blocks have made names.
NAMES = {*re.findall(r"(?m)^rule (\w+):", RULES), "rollout"}

# A child's peak memory counts what its parent held when it was forked, so the parent is a small process.
STARTER = (
    "import os, subprocess, sys; process = subprocess.Popen(sys.argv[1:], stdout=sys.stderr); "
    "_, status, usage = os.wait4(process.pid, 0); print(usage.ru_maxrss); sys.exit(os.waitstatus_to_exitcode(status))"
)


def plan(directory, *arguments):
    """A dry-run with the Slurm profile, which needs no Slurm: (rule -> number of jobs, largest memory in MB)."""
    command = [sys.executable, "-m", "snakemake", *arguments, "--dry-run", "--snakefile", ROOT / "Snakefile"]
    command += ["--directory", directory, "--workflow-profile", ROOT / "workflow/profiles/slurm"]
    with open(directory / "plan.txt", "w") as output:
        starter = [sys.executable, "-c", STARTER, *map(str, command)]
        done = subprocess.run(starter, stdout=subprocess.PIPE, stderr=output, text=True, check=False)
    said = (directory / "plan.txt").read_text()
    assert done.returncode == 0, said[-3000:]
    table = said.split("Job stats:")[-1].split("total")[0]
    counts = {name: int(count) for name, count in re.findall(r"(?m)^(\S+)\s+(\d+)\s*$", table)}
    return counts, int(done.stdout) / 1000


def test_the_profile_speaks_of_rules_that_exist():
    assert set(PROFILE["groups"]) <= NAMES
    assert set(PROFILE["set-resources"]) == {"train", "rollout", "long_run"} <= NAMES
    assert set(PROFILE["group-components"]) == set(PROFILE["groups"].values())


def test_jobs_of_minutes_and_more_are_submitted_by_themselves():
    alone = NAMES - set(PROFILE["groups"])
    assert alone == {
        *("download_era5", "download_static", "download_forcing", "download_archive", "download_results"),
        *("train", "rollout", "long_run", "fit_response", "summarize_tree", "gcm_spin_up", "gcm_year"),
    }


def resource_blocks():
    """Rule -> the lines of its resources, comments too; the rule of the blocks has a made name."""
    found = {}
    for text in re.split(r"(?m)^ *rule\b", RULES)[1:]:
        name = re.match(r" (\w+):", text)
        (block,) = re.findall(r"resources:\n((?:\s+(?:#.*|\w+=.*|\*\*\w+,)\n)+)", text)
        found[name[1] if name else "rollout"] = block
    return found


def test_every_rule_asks_for_more_memory_and_time_after_a_failure():
    blocks = resource_blocks()
    assert set(blocks) == NAMES
    for block in blocks.values():
        assert re.search(r'mem_mb=(grown\(|memory\("\w+", )\d+\)', block), block
        assert re.search(r'runtime=(grown\(\d+\)|minutes\("\w+", \d+\)|download_minutes\(\)|1440|720)', block), block


def test_how_long_downloads_wait_stands_in_one_place():
    blocks = resource_blocks()
    waiting = {name for name in NAMES if name.startswith("download_")}
    assert {name for name, block in blocks.items() if "**WAITING,\n" in block} == waiting
    assert RULES.count("+ WAITING_OPTIONS") == len(waiting) == 5
    assert RULES.count("--first-wait") == RULES.count('"first_wait"') == 1


def test_what_a_rule_took_stands_in_one_place():
    """In rules.csv; a rule without a row there says beside its resources what they are for."""
    measured = read_rules(ROOT / "workflow/rules.csv")
    for name, block in resource_blocks().items():
        comments = " ".join(re.findall("# (.*)", block))
        if name in measured:
            assert not re.search(r"\d (GB|MB|s|seconds?|minutes?|hours?)\b(?!/s)", comments), f"{name}: {comments}"
        else:
            assert comments, f"{name}: no reason beside the numbers:\n{block}"


# Dry-runs do not print resources, so Snakemake is asked for them: rule -> (MB, minutes) of its first attempt.
ASK = """
import json, pathlib, sys
from snakemake.api import SnakemakeApi
from snakemake.settings.types import ConfigSettings, OutputSettings, ResourceSettings

snakefile, folder, config = sys.argv[1:]
given = ConfigSettings(config=json.loads(config))
with SnakemakeApi(OutputSettings()) as api:
    read = api.workflow(ResourceSettings(), given, snakefile=pathlib.Path(snakefile), workdir=pathlib.Path(folder))
    rules = {rule.name: rule.resources for rule in read._workflow.rules if "mem_mb" in rule.resources}
    asked = {
        name: [resources[key].evaluate(None, attempt=1).value for key in ("mem_mb", "runtime")]
        for name, resources in rules.items()
    }
print(json.dumps(asked))
"""


def asked(directory, resolution=1.5, **changes):
    """Rule -> [MB, minutes] that a job on a grid asks for in its first attempt; the rule of a block is rollout."""
    config = json.dumps({"grid": {"resolution": resolution}} | changes)
    command = [sys.executable, "-c", ASK, ROOT / "Snakefile", directory, config]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True)
    return {re.sub(r"_\d+$", "", name): found for name, found in json.loads(done.stdout).items()}


def test_jobs_on_finer_grids_ask_for_what_their_cells_need(tmp_path):
    """What grows has at 0.75 degrees four times what it took at 1.5, where nothing asks for more than 16 GB."""
    measured, finer = read_rules(ROOT / "workflow/rules.csv"), 241 * 480 / (121 * 240)
    coarse, usual, fine = (asked(tmp_path, resolution) for resolution in (3, 1.5, 0.75))
    assert set(measured) <= set(usual) == NAMES
    assert {"train", "rollout", "cmorize", "summarize", "summarize_baseline"} <= set(measured)
    assert coarse == usual and max(megabytes for megabytes, _ in usual.values()) <= 16000
    for name, (megabytes, minutes) in fine.items():
        grows = name in measured and measured[name]["grows"]
        assert (megabytes > usual[name][0]) == grows, name
        assert minutes == pytest.approx(usual[name][1] * (finer if grows and name != "train" else 1), abs=1), name
        assert megabytes >= (measured[name]["megabytes"] * (finer if grows else 1) if name in measured else 0), name


def periods(first, last="2014-12", watched=("1979-01", "1984-12")):
    return {"training": [first, last], "validation": list(watched), "test": ["2015-01", "2024-12"]}


def test_a_century_of_training_months_asks_for_what_its_months_need(tmp_path):
    """What holds all months has as many times what it took with 360 as there are more; a shorter period has no less."""
    measured = read_rules(ROOT / "workflow/rules.csv")
    usual = asked(tmp_path)
    assert asked(tmp_path, periods=periods("2005-01", watched=("2003-01", "2004-12"))) == usual
    century = periods("1915-01", watched=("1909-01", "1914-12")) | {"simulation": ["1909-01", "2024-12"]}
    found = asked(tmp_path, source="synthetic", periods=century)
    assert {name for name in usual if found[name][0] > usual[name][0]} == {
        *("train", "fit_response", "normalize_statistics"),
    }
    for name, (megabytes, _) in found.items():
        longer = 1200 / 360 if name in ("train", "fit_response", "normalize_statistics") else 1
        assert megabytes >= measured[name]["megabytes"] * longer if name in measured else True, name
    # Of training by itself: its 50 maps of each month, and as much beside them as there was with 432.
    maps = 4e-6 * 50 * 121 * 240
    assert found["train"][0] >= 5050 + maps * (1272 - 432)
    finer = asked(tmp_path, 0.75, source="synthetic", periods=century)["train"][0]
    assert finer >= 1200 / 360 * 241 * 480 / (121 * 240) * 5050


def test_only_training_and_what_runs_the_model_ask_for_a_gpu():
    assert RULES.count("gpu=1") == 3
    for name in ("train", "rollout", "long_run"):
        assert "gpu=1" in (ROOT / f"workflow/rules/{name}.smk").read_text()


def test_fifty_members_are_planned_in_little_memory(tmp_path):
    counts, megabytes = plan(tmp_path, "submission", "--config", "members=50")
    assert [counts[f"rollout_{block}"] for block in range(1, 11)] == [3] * 10
    assert counts["cmorize"] == counts["check_simulation"] == 150
    assert sum(counts.values()) < 600
    assert megabytes < 1000
