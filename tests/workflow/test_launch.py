"""The launcher: one live run at a time, and a killed run goes on to the same product without a hand on it."""

import fcntl
import os
import random
import signal
import time

import netCDF4
import numpy as np
import pytest

from tests.helpers.project import ROOT, launch


def test_second_live_run_is_refused_in_one_sentence(tmp_path):
    (tmp_path / ".snakemake").mkdir()
    with open(tmp_path / ".snakemake/launch.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        run = launch(ROOT, tmp_path, "--dry-run")
        output, _ = run.communicate(timeout=60)
    assert run.returncode != 0
    assert output.startswith("launch: another run is going on") and output.count("\n") == 1
    run = launch(ROOT, tmp_path, "--dry-run")
    assert "Job stats" in run.communicate(timeout=120)[0]
    assert run.returncode == 0


def test_wrong_config_is_named_although_a_killed_run_left_its_lock(tmp_path):
    (tmp_path / ".snakemake/locks").mkdir(parents=True)
    (tmp_path / ".snakemake/locks/0.output.lock").touch()
    run = launch(ROOT, tmp_path, "--dry-run", "--config", "membres=3")
    output, _ = run.communicate(timeout=120)
    assert run.returncode != 0
    assert "unknown key 'membres' = 3" in output and "CalledProcessError" not in output


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
