"""What a submission costs, by members and grid: ``python workflow/cost.py``.

Jobs are counted by dry-runs and the groups of the Slurm profile. Training and rollouts are measured here and now, with
``python -m model.benchmark`` on one core at four grids up to 1.5 degrees, and continued by a model of their cost:

    seconds  = a + b cells + c nlat cells    a, b, c >= 0; b is all that works point by point, c the Legendre transforms
    memory   = a + b cells                   and for training its data beside it, for a rollout what leaves it

What is so continued is scaled to the seconds and memory of workflow/rules.csv, which whole jobs of the shipped config
took at 1.5 degrees: there the table says what was measured, and of another grid or config by how much it differs from
that. All other rules take theirs from rules.csv; its column ``grows`` says whether they follow the cells of the grid.
The table is of one core: a GPU changes training and rollouts only.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import yaml
from scipy.optimize import nnls

from workflow.growth import REFERENCE, axes, cells, growth, read_rules
from workflow.overlays import merged_config
from workflow.scripts.common.grids import centres

ROOT = Path(__file__).parents[1]
MEASURED = (4.5, 3, 2.25, 1.5)  # degrees
GRIDS = (3, 1.5, 0.75)
MEMBERS = (5, 50, 500)
CALIBRATING_RUNS = 4  # of a model with residual noise: variance by place, by degree, mean, and global means
FIELDS = 37  # of a month in a rollout's file, float32
INPUTS = 50  # maps of a month that training holds: fields, and of these and 3 forcings harmonics and coarse maps
LEAVING_MB = 200  # of a rollout: two buffers of months that are written
COMPUTED = {"train", "rollout"}  # continued by this program
CMOR_BYTES = 102  # of a cell and month in a member's 14 files, deflated: at 1.5 degrees 1.64 GB, 25 GB of 15 members


def is_grid(step):
    """Whether the config takes a grid of this step (grid.resolution)."""
    try:
        centres(step)
    except ValueError:
        return False
    return 0.25 <= step <= 15


def months_of(period):
    """Number of months from the first to the last, both included."""
    (first_year, first), (last_year, last) = (map(int, month.split("-")) for month in period)
    return 12 * (last_year - first_year) + last - first + 1


# Jobs.


def dry_run(members, overlays=()):
    """Rule -> number of jobs of a whole submission; the rules of all blocks count as one, rollout."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "snakemake", "submission", "--dry-run", "--snakefile", ROOT / "Snakefile"]
        command += ["--directory", folder, "--config", f"members={members}"]
        command += ["--configfile", *(Path(path).resolve() for path in overlays)] if overlays else []
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True)
    counts = {}
    for line in done.stdout.split("Job stats:")[1].split("total")[0].splitlines()[3:]:
        if line.strip():
            name, count = line.split()
            name = "rollout" if name.startswith("rollout_") else name
            counts[name] = counts.get(name, 0) + int(count)
    return counts


def count_jobs(members, block, plan=dry_run):
    """Rule -> number of jobs for whole blocks of members, continued from plans of one and two blocks.

    A rule has as many jobs for each block as for any other, so that this is exact.
    """
    one, two = plan(block), plan(2 * block)
    return {name: one[name] + (two[name] - one[name]) * (members // block - 1) for name in two}


def count_submissions(counts, profile):
    """Number of Slurm jobs: of a group, one for as many of its parts as the profile puts together."""
    largest = {}
    for name, count in counts.items():
        group = profile["groups"].get(name, name)
        largest[group] = max(largest.get(group, 0), count)
    together = profile["group-components"]
    # The target itself is no job of the scheduler.
    return sum(math.ceil(count / together.get(group, 1)) for group, count in largest.items() if group != "submission")


# Time and memory.


def measure(resolution, batch, block):
    """Seconds of a training step and of a block's member-month, and MB of both, of the shipped recipe on one core."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    found = {}
    for name, what, size in (("step", "training", batch), ("month", "rollout", block)):
        command = [sys.executable, "-m", "model.benchmark", "--json", "--one", "defaults", what, size, "--grid"]
        command = list(map(str, [*command, *axes(resolution)]))
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT, env=environment)
        measured = json.loads(done.stdout)
        found |= {name: measured["seconds"], f"{name}_mb": measured["memory_mb"]}
    return found


def terms(resolution, transforms):
    """The terms of the model at a grid: 1, cells and, for time, the work of the Legendre transforms."""
    return [1, cells(resolution), axes(resolution)[0] * cells(resolution)][: 3 if transforms else 2]


def fit(resolutions, values, transforms):
    """A function of the resolution that continues the values, each of equal relative weight; no term is negative."""
    rows = np.array([terms(resolution, transforms) for resolution in resolutions]) / np.array(values)[:, None]
    size = np.abs(rows).max(axis=0)
    found = nnls(rows / size, np.ones(len(values)))[0] / size
    return lambda resolution: float(np.dot(terms(resolution, transforms), found))


def modelled(resolution, config, fits):
    """Seconds and MB of training and of a rollout job, ({rule: s}, {rule: MB}), as the fits continue their parts."""
    simulated = months_of(config["periods"]["simulation"])
    trained, watched = (months_of(config["periods"][name]) for name in ("training", "validation"))
    batch, block = config["training"]["batch"], config["rollout"]["block"]
    steps = (trained - 1) // batch * config["training"]["epochs"]
    data_mb = 4e-6 * (trained + watched) * INPUTS * cells(resolution)
    # Each candidate runs freely: through the training months to be calibrated, and through the validation months.
    runs = CALIBRATING_RUNS if config["model"]["residual_noise"] else 1
    members_calibrated = config["training"]["offset_members"]
    calibrated = runs * members_calibrated + members_calibrated % 2  # the run for the offset has pairs
    free = calibrated * trained + config["training"]["validation_members"] * watched
    month, member_months = fits["month"](resolution), config["training"]["candidates"] * free
    return (
        {"train": fits["step"](resolution) * steps + month * member_months, "rollout": month * simulated * block},
        {"train": fits["step_mb"](resolution) + data_mb, "rollout": fits["month_mb"](resolution) + LEAVING_MB},
    )


def continued(resolution, config, fits, rules):
    """As ``modelled``, scaled so that the shipped config takes at 1.5 degrees what its jobs took (``rules``)."""
    there = modelled(REFERENCE, merged_config([]), fits)
    here = modelled(resolution, config, fits)
    return tuple(
        {name: value * rules[name][key] / usual[name] for name, value in found.items()}
        for key, found, usual in zip(("seconds", "megabytes"), here, there, strict=True)
    )


def cost(members, resolution, config, counts, fits, rules):
    """Hours of one core and GB of memory and disk for one number of members and grid, as a dict."""
    seconds, megabytes = continued(resolution, config, fits, rules)
    others = sum(
        count * rules[name]["seconds"] * (growth(resolution) if rules[name]["grows"] else 1)
        for name, count in counts.items()
        if name in rules and name not in COMPUTED
    )
    simulations = sum(entry is not None for entry in config["experiments"].values()) * members
    month_gb = simulations * months_of(config["periods"]["simulation"]) * cells(resolution) / 1e9
    return {
        "training_h": seconds["train"] / 3600,
        "training_gb": megabytes["train"] / 1000,
        "rollout_h": seconds["rollout"] / 3600,
        "rollout_gb": megabytes["rollout"] / 1000,
        "core_h": (seconds["train"] + seconds["rollout"] * counts["rollout"] + others) / 3600,
        "rollouts_gb": 4 * FIELDS * month_gb,
        "submission_gb": CMOR_BYTES * month_gb,
    }


def main():
    """Measure, continue, print the table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--members", nargs="+", type=int, default=MEMBERS, help="whole blocks of members")
    parser.add_argument("--grids", nargs="+", type=float, default=GRIDS, help="degrees, each a step that divides 180")
    parser.add_argument("--configfile", nargs="+", default=[], help="overlays of config/config.yaml, as Snakemake's")
    arguments = parser.parse_args()
    config = merged_config(arguments.configfile)
    profile = yaml.safe_load((ROOT / "workflow/profiles/slurm/config.yaml").read_text())
    block = config["rollout"]["block"]
    if wrong := [number for number in arguments.members if number < 1 or number % block]:
        parser.error(f"--members {wrong[0]} is not a multiple of {block}, the block of the config (rollout.block)")
    if wrong := [step for step in arguments.grids if not is_grid(step)]:
        parser.error(f"--grids {wrong[0]:g} is no step from 0.25 to 15 degrees that divides 180 (grid.resolution)")
    found = [measure(resolution, config["training"]["batch"], block) for resolution in MEASURED]
    fits = {name: fit(MEASURED, [one[name] for one in found], not name.endswith("_mb")) for name in found[0]}
    rules = read_rules()
    print("| members | grid | jobs | Slurm jobs | training, h, GB | a rollout job, h, GB |", end="")
    print(" submission, core-hours | rollouts, GB | submission, GB |\n|---|---|---|---|---|---|---|---|---|")
    one, two = (dry_run(count, arguments.configfile) for count in (block, 2 * block))
    for members in arguments.members:
        counts = count_jobs(members, block, {block: one, 2 * block: two}.get)
        for resolution in arguments.grids:
            row = cost(members, resolution, config, counts, fits, rules)
            columns = [
                f"{members} | {resolution:g} | {sum(counts.values())} | {count_submissions(counts, profile)}",
                f"{row['training_h']:.1f}, {row['training_gb']:.1f} | {row['rollout_h']:.2f}, {row['rollout_gb']:.1f}",
                f"{row['core_h']:.0f} | {row['rollouts_gb']:.0f} | {row['submission_gb']:.0f}",
            ]
            print(f"| {' | '.join(columns)} |", flush=True)


if __name__ == "__main__":
    main()
