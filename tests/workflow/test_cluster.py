"""What can be told about runs on a cluster without one: the profile, the rules' resources, the load of a plan."""

import re
import subprocess
import sys

import yaml

from tests.helpers.project import ROOT

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
        *("download_era5", "download_static", "download_forcing", "download_archive"),
        *("train", "rollout", "long_run", "summarize_tree", "gcm_spin_up", "gcm_year"),
    }


def test_every_rule_asks_for_more_memory_and_time_after_a_failure():
    blocks = re.findall(r"resources:\n((?:\s+(?:#.*|\w+=.*)\n)+)", RULES)
    assert len(blocks) == len(NAMES)
    for block in blocks:
        assert re.search(r"mem_mb=grown\(\d+\)", block), block
        assert re.search(r"runtime=(grown\(\d+\)|download_minutes\(\)|1440|720)", block), block
        assert "# " in block, f"no reason beside the numbers:\n{block}"


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
