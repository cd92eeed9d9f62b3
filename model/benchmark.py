"""Measure the model at full size against a plain implementation: `python -m model.benchmark --json`.

The plain implementation is the one of the tests (tests/model_plain.py): a transform per sample and per call. Times are
CPU seconds of the whole process, so that other jobs on the machine count little; on a GPU, wall-clock seconds.
"""

import argparse
import importlib.util
import json
import platform
import resource
import sys
import time
from pathlib import Path

import torch

from model.blocks import calibrating
from model.config import PUBLISHED, ModelConfig, TrainingConfig
from model.data import MonthPairs
from model.device import pick_device, seeded
from model.fast import FastModel
from model.loss import draw_noise, loss_terms, total
from model.monthly_diffusion import MonthlyDiffusion
from model.spectral import Grid

FIELDS, FORCINGS, STATICS = 37, 3, 5


class Stopwatch:
    """Seconds of a step: of CPU on a CPU, of the wall on a GPU once its work is done."""

    def __init__(self, device: torch.device):
        self.device = device

    def now(self) -> float:
        """Return the time in seconds."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()
            return time.perf_counter()
        return time.process_time()

    def of(self, step, repeats: int) -> float:
        """Return the mean seconds of `step()`."""
        begun = self.now()
        for _ in range(repeats):
            step()
        return (self.now() - begun) / repeats


def load_plain():
    """Return the plain implementation of the tests as a module."""
    path = Path(__file__).parent.parent / "tests" / "model_plain.py"
    spec = importlib.util.spec_from_file_location("model_plain", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def make_model(grid: Grid, device: torch.device, choices: dict) -> MonthlyDiffusion:
    """Return a model of full-size ranks and random weights."""
    config = ModelConfig(**choices)
    inputs = FIELDS + FORCINGS + config.season_maps + STATICS
    channels = torch.tensor([(number, number % 8) for number in range(inputs)])
    with seeded(0):
        model = MonthlyDiffusion(config, FIELDS, FORCINGS, torch.randn(STATICS, *grid), channels)
    return model.to(device)


def make_pairs(grid: Grid, batch: int, device: torch.device) -> MonthPairs:
    """Return random pairs of months."""
    fields, forcing = torch.randn(2, batch, FIELDS, *grid), torch.randn(2, batch, FORCINGS, *grid)
    month = torch.arange(batch) % 12 + 1
    pairs = MonthPairs(fields[0], forcing[0], month, fields[1], forcing[1], month % 12 + 1)
    return MonthPairs(*(values.to(device) for values in pairs))


def training_seconds(model, terms, grid: Grid, batch: int, config: TrainingConfig, watch: Stopwatch, repeats: int):
    """Return the seconds of a training step with the given function for the terms of the loss."""
    pairs, noise = make_pairs(grid, batch, watch.device), draw_noise(model, batch, torch.Generator(), watch.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)

    def step():
        optimizer.zero_grad(set_to_none=True)
        total(terms(model, pairs, noise, config), config).backward()
        optimizer.step()

    step()
    return watch.of(step, repeats)


@torch.no_grad()
def rollout_seconds(model, grid: Grid, members: int, watch: Stopwatch, months: int) -> dict[str, float]:
    """Return the seconds per member-month of the fast form, and of its parts."""
    pairs, fast = make_pairs(grid, 1, watch.device), FastModel(model.eval())
    size = 1 if watch.device.type == "cpu" else members
    latents = [torch.randn(size, *model.latent_shape, device=watch.device) for _ in range(members // size)]
    noise = torch.randn(model.draws, size, *model.latent_shape, device=watch.device)
    before = fast.month(pairs.forcing, pairs.month)
    parts = {"conditions": 0.0, "sampling": 0.0, "decoding": 0.0}
    for counted in [False] + [True] * months:  # the first month warms up
        start = watch.now()
        month = fast.month(pairs.forcing, pairs.month)
        prepared = watch.now()
        latents = [fast.sample_next(latent, before, noise) for latent in latents]
        sampled = watch.now()
        for latent in latents:
            fast.decode(latent, month)
        if counted:
            for name, seconds in zip(parts, (prepared - start, sampled - prepared, watch.now() - sampled), strict=True):
                parts[name] += seconds / (months * members)
    return {"total": sum(parts.values())} | parts


@torch.no_grad()
def plain_rollout_seconds(plain, model, grid: Grid, members: int, watch: Stopwatch) -> float:
    """Return the seconds per member-month of the plain form, all members in one batch."""
    pairs = make_pairs(grid, 1, watch.device)
    forcing, month = pairs.forcing.expand(members, -1, -1, -1), pairs.month.expand(members)
    latent = torch.randn(members, *model.latent_shape, device=watch.device)
    noise = torch.randn(model.draws, members, *model.latent_shape, device=watch.device)

    def step():
        following = plain.sample_ancestral(model, latent, forcing, month, noise)
        plain.decode(model, following, forcing, month)

    step()  # the first call makes the transforms
    return watch.of(step, 1) / members


def peak_memory_mb() -> float:
    """Return the largest memory that this process has had so far, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def benchmark(grid: Grid, members: list[int], batches: list[int], with_plain: bool) -> dict:
    """Measure both recipes in the fast form and, on demand, the published one in the plain form."""
    device = pick_device()
    watch = Stopwatch(device)
    name = torch.cuda.get_device_name() if device.type == "cuda" else platform.processor() or platform.machine()
    result = {"device": name, "threads": torch.get_num_threads(), "grid": list(grid), "torch": torch.__version__}
    recipes = {"v0p9": (PUBLISHED["model"], PUBLISHED["training"]), "defaults": ({}, {})}
    for recipe, (choices, training) in recipes.items():
        model, config = make_model(grid, device, choices), TrainingConfig(**training)
        with torch.no_grad(), calibrating(model):
            noise = draw_noise(model, 1, torch.Generator(), device)
            loss_terms(model, make_pairs(grid, 1, device), noise, config)
        found = {"parameters": sum(p.numel() for p in model.parameters())}
        found["member_month_s"] = {n: rollout_seconds(model, grid, n, watch, max(1, 10 // n)) for n in members}
        found["rollout_memory_mb"] = peak_memory_mb()
        model.train()
        found["training_step_s"] = {
            batch: training_seconds(model, loss_terms, grid, batch, config, watch, 2) for batch in batches
        }
        found["training_memory_mb"] = peak_memory_mb()
        result[recipe] = found
    if with_plain:
        plain, recipe = load_plain(), result["v0p9"]
        model, config = make_model(grid, device, PUBLISHED["model"]), TrainingConfig(**PUBLISHED["training"])
        measured = {
            "member_month_s": {n: plain_rollout_seconds(plain, model, grid, n, watch) for n in sorted({1, *members})},
            "training_step_s": {
                batch: training_seconds(model, plain.loss_terms, grid, batch, config, watch, 1) for batch in batches
            },
        }
        measured["memory_mb"] = peak_memory_mb()
        result["plain"] = measured
        rollouts = recipe["member_month_s"]
        result["ratio"] = {
            "member_month": {n: measured["member_month_s"][n] / rollouts[n]["total"] for n in members},
            "member_month_in_equal_chunks": {n: measured["member_month_s"][1] / rollouts[n]["total"] for n in members},
            "training_step": {
                batch: measured["training_step_s"][batch] / recipe["training_step_s"][batch] for batch in batches
            },
        }
    return result


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(prog="python -m model.benchmark", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print JSON alone")
    parser.add_argument("--grid", nargs=2, type=int, default=[121, 240], metavar=("NLAT", "NLON"))
    parser.add_argument("--members", nargs="+", type=int, default=[5, 50], help="sizes of the ensemble")
    parser.add_argument("--batches", nargs="+", type=int, default=[4, 16], help="batches of the training step")
    parser.add_argument("--no-plain", action="store_true", help="leave the plain implementation out")
    arguments = parser.parse_args()
    result = benchmark(Grid(*arguments.grid), arguments.members, arguments.batches, not arguments.no_plain)
    if arguments.json:
        json.dump(result, sys.stdout, indent=1)
        print()
        return
    for recipe in ("v0p9", "defaults", "plain"):
        for key, value in result.get(recipe, {}).items():
            print(f"{recipe:9s} {key:18s} {value}")
    for key, value in result.get("ratio", {}).items():
        print(f"ratio     {key:29s} {value}")


if __name__ == "__main__":
    main()
