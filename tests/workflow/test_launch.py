"""The launcher: one live run at a time, and a killed run goes on to the same product without a hand on it."""

import fcntl
import os
import random
import signal
import socket
import subprocess
import sys
import time

import netCDF4
import numpy as np
import pytest

from tests.common.test_faults import refuses
from tests.helpers.project import ROOT, launch
from workflow.launch import Refused, left_jobs, start, time_of_start


def goes_on(run):
    """The launcher starts Snakemake, which prints its plan."""
    output, _ = run.communicate(timeout=120)
    assert run.returncode == 0 and "Job stats" in output, output


def test_second_live_run_is_refused_in_one_sentence(tmp_path):
    (tmp_path / ".snakemake").mkdir()
    with open(tmp_path / ".snakemake/launch.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        run = launch(ROOT, tmp_path, "--dry-run")
        output, _ = run.communicate(timeout=60)
    assert run.returncode != 0
    assert output.startswith("launch: another run is going on") and output.count("\n") == 1
    goes_on(launch(ROOT, tmp_path, "--dry-run"))


def test_snakemake_is_told_where_rules_have_their_software(tmp_path, monkeypatch):
    """Told by some calls alone, a run by another would find all software changed and make everything again."""
    monkeypatch.setenv("SNAKEMAKE_DEPLOYMENT", f"--software-deployment-method conda --conda-prefix '{tmp_path}/a b'")
    monkeypatch.setattr("workflow.launch.os.execv", lambda program, command: started.append(command))
    started = []
    start(str(tmp_path), ["all", "--dry-run"], ask_slurm=False)
    words = ["--software-deployment-method", "conda", "--conda-prefix", f"{tmp_path}/a b", "all", "--dry-run"]
    assert started[0][-6:] == words


def test_data_of_another_source_are_refused_before_the_first_job(tmp_path):
    """A config tried in the folder of a submission would have replaced all that was downloaded."""
    record = tmp_path / "results/download/single-levels/1979.json"
    record.parent.mkdir(parents=True)
    record.write_text('{"source": "cds"}')
    run = launch(ROOT, tmp_path, "results/download/single-levels/1979.era5", "--cores", "1")
    output, _ = run.communicate(timeout=120)
    assert run.returncode != 0 and "holds data of the source 'cds'" in output, output
    assert record.read_text() == '{"source": "cds"}'


def test_wrong_config_is_named_although_a_killed_run_left_its_lock(tmp_path):
    (tmp_path / ".snakemake/locks").mkdir(parents=True)
    (tmp_path / ".snakemake/locks/0.output.lock").touch()
    run = launch(ROOT, tmp_path, "--dry-run", "--config", "membres=3")
    output, _ = run.communicate(timeout=120)
    assert run.returncode != 0
    assert "unknown key 'membres' = 3" in output and "CalledProcessError" not in output


def refusal(run):
    """The one sentence of a launcher that refuses to start."""
    output, _ = run.communicate(timeout=120)
    assert run.returncode != 0
    assert output.startswith("launch: ") and output.count("\n") == 1, output
    return output


def launch_without_locks(directory, error="ENOLCK"):
    """Have the launcher print the config's dry-run on a file system without locks."""
    command = [sys.executable, ROOT / "tests/helpers/refusing.py", f"flock={error}", sys.executable]
    command += [ROOT / "workflow/launch.py", "--directory", directory, "--snakefile", ROOT / "Snakefile", "--dry-run"]
    command += ["--configfile", ROOT / "config/test.yaml", "--workflow-profile", ROOT / "workflow/profiles/local"]
    return subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=directory
    )


@refuses
@pytest.mark.parametrize("error", ["ENOSYS", "ENOLCK", "EOPNOTSUPP"])
def test_a_file_system_without_locks_lets_one_run_through_and_is_left_clean(error, tmp_path):
    goes_on(launch_without_locks(tmp_path, error))
    assert not list((tmp_path / ".snakemake").glob("launch.holder*"))


@refuses
def test_without_locks_too_a_second_live_run_is_refused_and_a_dead_ones_place_is_taken(tmp_path):
    holder = tmp_path / ".snakemake/launch.holder"
    holder.parent.mkdir()
    with subprocess.Popen(["sleep", "100"]) as living:
        start = time_of_start(living.pid)
        holder.write_text(f"{socket.gethostname()} {living.pid} {start}\n")
        assert f"another run is going on in '{tmp_path}', process {living.pid};" in refusal(
            launch_without_locks(tmp_path)
        )
        # The number of a dead process, which another one got meanwhile.
        holder.write_text(f"{socket.gethostname()} {living.pid} {int(start) - 1}\n")
        goes_on(launch_without_locks(tmp_path))
        holder.write_text(f"{socket.gethostname()} {living.pid} {start}\n")
        living.kill()
        # Dead, although nobody took notice yet.
        goes_on(launch_without_locks(tmp_path))
    assert not holder.exists()


@refuses
@pytest.mark.parametrize("text", ["login2 4711 12345\n", ""])
def test_a_holder_that_cannot_be_seen_from_here_is_not_taken_for_dead(text, tmp_path):
    holder = tmp_path / ".snakemake/launch.holder"
    holder.parent.mkdir()
    holder.write_text(text)
    sentence = refusal(launch_without_locks(tmp_path))
    assert ("process 4711 on login2" if text else "process ? on ?") in sentence
    assert f"'{holder}' says" in sentence and "remove that file and start again" in sentence
    assert holder.read_text() == text


def fake_squeue(folder, monkeypatch, script):
    """Put a squeue in front of PATH."""
    (folder / "bin").mkdir()
    (folder / "bin/squeue").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "bin/squeue").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}")
    (folder / "run").mkdir()
    return folder / "run"


UNREACHABLE = "echo 'slurm_load_jobs error: Unable to contact slurm controller (connect failure)' >&2; exit 1"
NEVER_SET_UP = "echo 'squeue: fatal: Could not establish a configuration source' >&2; exit 1"


def test_a_slurm_that_gives_no_answer_is_not_one_without_jobs(tmp_path, monkeypatch):
    directory = fake_squeue(tmp_path, monkeypatch, UNREACHABLE)
    sentence = refusal(launch(ROOT, directory, "--dry-run"))
    assert "('squeue --me --noheader --format=%A|%k|%Z': it ended with status 1: slurm_load_jobs error" in sentence
    assert sentence.endswith("start again when it answers, or with --no-squeue if there are none\n")
    goes_on(launch(ROOT, directory, "--dry-run", "--no-squeue"))


def test_a_slurm_that_never_answers_is_not_one_without_jobs(tmp_path, monkeypatch):
    directory = fake_squeue(tmp_path, monkeypatch, "exec sleep 60")
    monkeypatch.setattr("workflow.launch.ANSWER", 0.1)
    with pytest.raises(Refused, match="timed out after 0.1 seconds.*start again when it answers"):
        left_jobs(directory)


def test_a_slurm_that_was_never_set_up_has_no_jobs_unless_there_were_some(tmp_path, monkeypatch):
    directory = fake_squeue(tmp_path, monkeypatch, NEVER_SET_UP)
    assert left_jobs(directory) == []
    (directory / ".snakemake/slurm_logs").mkdir(parents=True)
    with pytest.raises(Refused, match="Could not establish a configuration source"):
        left_jobs(directory)


def test_a_shell_without_slurm_has_no_jobs_unless_there_were_some(tmp_path, monkeypatch):
    """A local run started over a killed one of Slurm would write the files that its queued jobs still write."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert left_jobs(tmp_path) == []
    (tmp_path / ".snakemake/slurm_logs").mkdir(parents=True)
    with pytest.raises(Refused, match="no such program in PATH.*or with --no-squeue if there are none"):
        left_jobs(tmp_path)


def test_jobs_of_a_dead_run_are_named_under_whatever_name_of_its_folder(tmp_path, monkeypatch):
    (tmp_path / "other name").symlink_to(tmp_path / "run")
    lines = [
        f"11|rule_train|{tmp_path}/other name",
        f"12|my own|{tmp_path}/run",
        f"13|rule_train|{tmp_path}",
        "14|rule_train|/gone",
    ]
    directory = fake_squeue(tmp_path, monkeypatch, "printf '%s\\n' '" + "' '".join(lines) + "'")
    assert "'scancel 11'" in refusal(launch(ROOT, directory, "--dry-run"))


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "run").write_text("a file")
    assert f"no run can start in '{tmp_path / 'run'}'" in refusal(launch(ROOT, tmp_path / "run", "--dry-run"))


def arrays(run):
    """(Path below the submission, name) -> values, for every variable of every file, coordinates and bounds too."""
    root = run / "results/submission"
    found = {}
    for path in sorted(root.rglob("*.nc")):
        with netCDF4.Dataset(path) as data:
            data.set_auto_mask(False)
            found |= {(str(path.relative_to(root)), name): values[...] for name, values in data.variables.items()}
    return found


def same_product(run, other):
    left, right = arrays(run), arrays(other)
    assert left.keys() == right.keys()
    assert len({path for path, _ in left}) == 2 * 2 * 14 * 2, "two experiments of two members on two grids"
    for key, values in right.items():
        np.testing.assert_array_equal(left[key], values, err_msg=str(key))


@pytest.mark.slow
def test_two_whole_runs_give_the_same_product(finished):
    """Both from the first download to CMOR's files, training included, each in a folder of its own."""
    directory = finished.folder / "again"
    run = launch(finished.project, directory, "--quiet", "all")
    output, _ = run.communicate(timeout=1200)
    assert run.returncode == 0, output[-3000:]
    same_product(directory, finished.run)


@pytest.mark.slow
def test_killed_at_random_moments_ends_with_the_same_product(finished):
    """SIGKILL of Snakemake and its jobs, the same seed of moments each time."""
    moments = random.Random(1978)
    directory = finished.folder / "killed"
    kills = 0
    for _ in range(6):
        run = launch(finished.project, directory)
        time.sleep(moments.uniform(4, 25))
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
            kills += 1
        run.communicate()
    assert kills >= 3
    run = launch(finished.project, directory)
    output, _ = run.communicate(timeout=600)
    assert run.returncode == 0, output[-3000:]
    same_product(directory, finished.run)
    assert not [path for path in (directory / "results").rglob(".*")], "a file was left half-written"
