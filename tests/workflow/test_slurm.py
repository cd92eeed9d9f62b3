"""The workflow on a real Slurm of one node (make test-slurm): the whole DAG, and jobs that the scheduler ends.

Every disturbed run has to end with the bytes of one that nobody disturbed. A process that is to be disturbed is stopped
first (SIGSTOP), half-way on its own evidence, so that no test depends on how fast the machine is.
"""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import netCDF4
import numpy as np
import pytest
import yaml

from tests.helpers.project import cmor_python
from tests.helpers.slurm_cluster import DAEMONS, Cluster, find

pytestmark = pytest.mark.slurm

PATIENCE = 1200  # seconds for one step of a test, on a machine that is busy with the others
TRAINED = "results/train/checkpoint.zip"
# Long enough to be stopped half-way, its state saved after every step.
TRAINING = {"epochs": 12, "validate_every": 6, "checkpoint_minutes": 0}


@pytest.fixture(scope="module")
def cluster():
    missing = [daemon for daemon in DAEMONS if find(daemon) is None]
    if missing:
        pytest.fail(f"{', '.join(missing)} not found: as root 'apt-get install slurm-wlm munge'")
    cluster = Cluster()
    cluster.start()
    yield cluster
    cluster.stop()


class Run:
    """A run of the launcher with the Slurm profile, adapted as a site would, in a folder beside the project's copy."""

    def __init__(self, cluster, finished, name, copied=(), config=None, train=None, **settings):
        self.cluster, self.project, self.folder = cluster, finished.project, finished.folder / name
        self.folder.mkdir()
        for path in copied:
            shutil.copytree(finished.run / path, self.folder / path, symlinks=True)
        profile = yaml.safe_load((self.project / "workflow/profiles/slurm/config.yaml").read_text())
        # One folder on one node needs no waiting for files; jobs here take seconds, so look at them early.
        profile |= {"latency-wait": 5, "slurm-init-seconds-before-status-checks": 7, **settings}
        profile["set-resources"]["train"] |= train or {}
        # The same number of threads as the run that this one is compared with: sums depend on it in the last digit.
        profile["set-threads"]["train"] = min(16, os.cpu_count())
        self.profile = self.write("profile/config.yaml", profile)
        overlay = yaml.safe_load((self.project / "config/test.yaml").read_text())
        for section, values in (config or {}).items():
            overlay[section] = overlay.get(section, {}) | values
        self.overlay = self.write("overlay.yaml", overlay)
        self.process = self.output = None

    def write(self, name, content):
        path = self.folder.with_name(f"{self.folder.name}-settings") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return path

    def start(self, *targets):
        command = [sys.executable, self.project / "workflow/launch.py", "--directory", self.folder]
        command += ["--snakefile", self.project / "Snakefile", "--configfile", self.overlay]
        command += ["--workflow-profile", self.profile.parent, *targets]
        self.output = self.profile.with_name("output.txt")
        path = f"{Path(sys.executable).parent}{os.pathsep}{self.cluster.environment['PATH']}"
        with open(self.output, "w") as output:
            self.process = subprocess.Popen(
                list(map(str, command)),
                env=self.cluster.environment | {"PATH": path, "CMOR_PYTHON": cmor_python()},
                stdout=output,
                stderr=output,
            )
        return self

    def end(self, seconds=PATIENCE):
        """Exit status and output of the run."""
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"the run did not end:\n{self.said()[-3000:]}") from None
        return status, self.said()

    def said(self):
        return self.output.read_text()

    def finish(self):
        """Output of a run that has to succeed."""
        status, output = self.end()
        assert status == 0, output[-5000:]
        return output

    def program(self, module, *words):
        """Process ids of the run's ``python -m module`` with these words among its arguments."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                arguments = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
                if module in arguments and "python" in arguments[0] and (folder / "cwd").resolve() == self.folder:
                    if set(words) <= set(arguments):
                        found.append(int(folder.name))
        return found

    def halt(self, module, *words, when=lambda: True):
        """Stop that program where it stands once ``when``; its process id."""
        ids = self.wait(lambda: when() and self.program(module, *words))
        os.kill(ids[0], signal.SIGSTOP)
        return ids[0]

    def wait(self, what, seconds=PATIENCE):
        """What ``what`` returns once it is true."""
        end = time.monotonic() + seconds
        while not (found := what()):
            assert self.process.poll() is None, f"the run ended too early:\n{self.said()[-5000:]}"
            assert time.monotonic() < end, f"nothing happened:\n{self.said()[-5000:]}"
            time.sleep(0.05)
        return found

    def job(self, rule):
        """Number of the newest Slurm job of a rule."""
        return self.cluster.jobs(self.folder, rule)[-1][0]


def sha256(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def fields(path):
    """Name -> values of every variable of a netCDF file."""
    with netCDF4.Dataset(path) as data:
        return {name: variable[:] for name, variable in data.variables.items()}


def assert_same_fields(path, expected):
    one, other = fields(path), fields(expected)
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=f"{name} of {path}")


# What training needs, without what comes after it.
BEFORE_TRAINING = [".snakemake", *(f"results/{stage}" for stage in ("download", "regrid", "aggregate", "normalize"))]


@pytest.fixture(scope="module")
def undisturbed(cluster, finished):
    """The checkpoint of a training that nobody disturbed, from the command line without Snakemake or Slurm."""
    run = Run(cluster, finished, "undisturbed", config={"training": TRAINING})
    settings = yaml.safe_load((finished.project / "config/config.yaml").read_text())
    overlay = yaml.safe_load(run.overlay.read_text())
    settings = {name: settings[name] | overlay[name] for name in ("model", "training")}
    del settings["training"]["checkpoint_minutes"]  # an argument of its own
    command = [sys.executable, "-m", "model.train", "--data", finished.run / "results/normalize/training.nc"]
    command += ["--settings", json.dumps(settings), "--seed", "20260413", "--out", run.folder / "checkpoint.zip"]
    threads = {"OMP_NUM_THREADS": str(min(16, os.cpu_count())), "PYTHONPATH": str(finished.project)}
    subprocess.run(list(map(str, command)), env=os.environ | threads, check=True, cwd=finished.project)
    return sha256(run.folder / "checkpoint.zip")


@pytest.fixture(scope="module")
def disturbed(cluster, finished, undisturbed):
    """Trainings that are under way at once, each stopped half-way and then ended in its own way; name -> Run."""
    special = {
        # Too little for more than one step at first, enough then.
        "own_limit": {"train": {"runtime": "2 if attempt == 1 else 60"}},
        # Another partition, and a GPU asked for by type, in the ways that a site puts into the profile.
        "preempted": {"train": {"slurm_partition": "preemptable", "gpu": 0, "gres": "gpu:scarce:1"}},
        "diverging": {"config": {"training": TRAINING | {"learning_rate": 1e30, "clip": 0}}, "retries": 0},
    }
    runs, halted = {}, {}

    def start(name):
        settings = {"config": {"training": TRAINING}} | special.get(name, {})
        runs[name] = Run(cluster, finished, name, copied=BEFORE_TRAINING, **settings).start(TRAINED)

    def halt(name):
        state = runs[name].folder / "results/train/state/state.pt"
        halted[name] = runs[name].halt("model.train", when=state.exists), runs[name].job("train")

    # First, since the others take any GPU: one of them, stopped, would keep the scarce one for good.
    start("preempted")
    halt("preempted")
    stopped = ("cancelled", "killed", "timed_out", "requeued", "abandoned")
    for name in (*stopped, "own_limit", "diverging"):
        start(name)
    for name in stopped:
        halt(name)
    cluster.call("scontrol", "update", f"JobId={halted['timed_out'][1]}", "TimeLimit=1")
    cluster.call("scancel", halted["cancelled"][1])
    os.kill(halted["killed"][0], signal.SIGKILL)
    cluster.call("scontrol", "requeue", halted["requeued"][1])
    runs["abandoned"].process.kill()
    # With a memory of its own: without, a job asks for all of the node, and every other one would have to go.
    urgent = ["--partition=urgent", "--gres=gpu:scarce:1", "--mem=100", f"--output={finished.folder}/urgent.txt"]
    cluster.call("sbatch", *urgent, "--wrap=sleep 5")
    yield runs, {name: job for name, (_, job) in halted.items()}
    for run in runs.values():
        if run.process.poll() is None:
            run.process.kill()


def test_the_whole_workflow_ends_with_the_numbers_of_a_run_without_slurm(cluster, finished):
    run = Run(cluster, finished, "slurm", config={"download": {"login_node": True}}).start("all")
    run.finish()
    expected = finished.run / "results/submission"
    files = sorted(path.relative_to(expected) for path in expected.rglob("*.nc"))
    assert files
    for path in files:
        assert_same_fields(run.folder / "results/submission" / path, expected / path)
    assert (run.folder / "results/evaluate/scorecard.json").read_text() == (
        finished.run / "results/evaluate/scorecard.json"
    ).read_text()
    submitted = cluster.call("squeue", "-h", "--states=all", "-o", "%k|%P|%Z").splitlines()
    partitions = {}
    for line in submitted:
        comment, partition, folder = line.split("|")
        if Path(folder) == run.folder:
            partitions.setdefault(partition, []).append(comment)
    assert {comment.split("_")[1] for comment in partitions["gpu"]} == {"train", "rollout"}
    # Downloads stayed where Snakemake runs; jobs of a second or two went together.
    groups = ("grid", "years", "normalization", "simulations", "closing", "evaluation")
    # Of the six forecasts of the baselines five go together, and their regression, which takes minutes, alone.
    assert len(partitions["cpu"]) == len(groups) + 3, partitions


@pytest.mark.parametrize("name", ["cancelled", "killed", "timed_out", "own_limit"])
def test_an_ended_training_is_submitted_again_and_goes_on_to_the_same_weights(disturbed, undisturbed, cluster, name):
    runs, jobs = disturbed
    output = runs[name].finish()
    assert sha256(runs[name].folder / TRAINED) == undisturbed
    submitted = cluster.jobs(runs[name].folder, "train")
    states = {"cancelled": "CANCELLED", "killed": "FAILED", "timed_out": "TIMEOUT", "own_limit": "FAILED"}
    assert [state for _, state in submitted] == [states[name], "COMPLETED"]
    assert "Trying to restart job" in output
    assert "from step 0 of" not in (runs[name].folder / "logs/train.log").read_text()


@pytest.mark.parametrize("name", ["requeued", "preempted"])
def test_a_training_back_in_the_queue_goes_on_to_the_same_weights(disturbed, undisturbed, cluster, name):
    runs, jobs = disturbed
    runs[name].finish()
    assert sha256(runs[name].folder / TRAINED) == undisturbed
    assert cluster.jobs(runs[name].folder, "train") == [(jobs[name], "COMPLETED")], "the same job ran again"
    assert "from step 0 of" not in (runs[name].folder / "logs/train.log").read_text()


def test_jobs_that_outlive_their_run_are_named_and_their_work_is_kept(disturbed, undisturbed, cluster):
    runs, jobs = disturbed
    run, job = runs["abandoned"], jobs["abandoned"]
    run.process.wait()
    status, output = run.start(TRAINED).end()
    assert status != 0
    assert output.startswith("launch: jobs of a run that is dead") and f"'scancel {job}'" in output
    assert output.count("\n") == 1
    cluster.call("scancel", job)
    end = time.monotonic() + PATIENCE
    while cluster.call("squeue", "-h", "-j", job, "-t", "RUNNING,COMPLETING") and time.monotonic() < end:
        time.sleep(0.2)
    run.start(TRAINED).finish()
    assert sha256(run.folder / TRAINED) == undisturbed
    assert "from step 0 of" not in (run.folder / "logs/train.log").read_text()


def test_a_training_that_meets_its_limit_says_so(disturbed, cluster):
    run = disturbed[0]["own_limit"]
    run.finish()
    assert "stopped before its time limit of 2 minutes after step 1 of" in run.said()


def test_the_error_of_a_failed_job_names_its_log(disturbed):
    status, output = disturbed[0]["diverging"].end()
    assert status != 0
    assert "logs/train.log" in output
    assert "training diverged at step" in output


def test_blocks_of_members_end_alone_and_have_the_numbers_of_one_block(cluster, finished):
    """The job of one block is cancelled half-way: the other is left alone, both have the numbers of a common block."""
    copied = [*BEFORE_TRAINING, "results/train"]
    run = Run(cluster, finished, "blocks", copied=copied, config={"rollout": {"block": 1}})
    members = [f"results/rollout/aimip/r{member}.nc" for member in (1, 2)]
    run.start(*members)
    run.halt("model.rollout", "2")
    first = run.folder / members[0]
    run.wait(first.exists)
    made = first.stat().st_ino
    run.wait(lambda: run.cluster.jobs(run.folder, "rollout_1")[-1][1] == "COMPLETED")
    run.cluster.call("scancel", run.job("rollout_2"))
    run.finish()
    assert first.stat().st_ino == made, "made anew"
    assert len(run.cluster.jobs(run.folder, "rollout_1")) == 1
    assert [state for _, state in run.cluster.jobs(run.folder, "rollout_2")] == ["CANCELLED", "COMPLETED"]
    for path in members:
        assert_same_fields(run.folder / path, finished.run / path)
    assert not list((run.folder / "results/rollout").rglob("*.partial"))
