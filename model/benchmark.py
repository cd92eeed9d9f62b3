"""Measure the model at full size against a plain implementation: `python -m model.benchmark --json`.

Three forms are measured: "plain", the published recipe in the implementation of the tests
(tests/helpers/model_plain.py), a transform per sample and per call; "v0p9", the same recipe in this package; and
"defaults", this package's recipe. Each measurement is a process of its own, so that its peak memory is its own; forms
take turns. Times are CPU seconds of the process, so that other jobs on the machine count little; on a GPU, wall-clock
seconds.
"""

import argparse
import contextlib
import importlib.util
import json
import os
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path

import torch

from model.blocks import calibrating
from model.config import TrainingConfig
from model.data import MonthPairs
from model.device import pick_device
from model.fast import FastModel
from model.loss import draw_noise, loss_terms, pair_inputs, total
from model.monthly_diffusion import MonthInputs
from model.noise import DIFFUSION, INITIAL, RESIDUAL_STAGES, SUBMISSION, Key, MonthlyNoise
from model.operations import operations
from model.optimizer import RealAdamW
from model.simulate import diffusion_noise, in_blocks, members_together, months_colored_together
from model.sphere import Grid
from model.synthetic import RECIPES, make_model, make_pairs


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


def load_plain():
    """Return the plain implementation of the tests as a module."""
    path = Path(__file__).parent.parent / "tests" / "helpers" / "model_plain.py"
    spec = importlib.util.spec_from_file_location("model_plain", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def training_seconds(
    form: str, model, pairs: MonthPairs, config: TrainingConfig, watch: Stopwatch, repeats: int
) -> dict:
    """Return the seconds of the parts of a training step, the fastest of `repeats`.

    What training makes of the data once, before its first epoch, is made before and not counted: of the package's forms
    the transforms of fields and forcing. The plain form takes fields and forcing as they are, and torch's optimizer.
    """
    noise = draw_noise(model, len(pairs.month), torch.Generator(), watch.device)
    given: MonthPairs | MonthInputs = pairs
    if form == "plain":
        terms, optimizer = load_plain().loss_terms, torch.optim.AdamW(model.parameters(), lr=1e-5)
    else:
        with torch.no_grad():
            given = pair_inputs(model, pairs)
        terms, optimizer = loss_terms, RealAdamW(model, lr=1e-5)
    steps = []
    for _ in range(4 + repeats):
        model.zero_grad(set_to_none=True)
        start = watch.now()
        loss = total(terms(model, given, noise, config), config)
        forward = watch.now()
        loss.backward()
        backward = watch.now()
        optimizer.step()
        steps.append({"forward": forward - start, "backward": backward - forward, "optimizer": watch.now() - backward})
    # The first steps get their memory from the system; of the others the fastest is the one least disturbed.
    return min(steps[4:], key=lambda parts: sum(parts.values()))


@torch.no_grad()
def rollout_seconds(model, pairs: MonthPairs, members: int, watch: Stopwatch, months: int) -> dict:
    """Return the seconds per member-month of the parts of a rollout."""
    device = watch.device
    fast = FastModel(model.eval())
    blocks = in_blocks(list(range(1, members + 1)), members_together(device, members))
    key, ahead, size = Key(0, SUBMISSION, DIFFUSION, 0, 0), months_colored_together(model), len(blocks[0])
    numbers = torch.arange(1 + (1 + months) * ahead, device=device)
    initial = [MonthlyNoise(key, {INITIAL: model.latent_shape}, block, device) for block in blocks]
    latents = [white(numbers[:1])[0][0] for white in initial]
    # Drawn and colored as in a rollout, of several months together.
    coming = diffusion_noise(model, key, blocks[0], numbers, numbers % 12 + 1)
    before = fast.month(pairs.forcing, pairs.month)
    residual = model.residual
    states: list = [None] * len(latents)
    if residual is not None:
        # Those of every calendar month, which a rollout holds.
        scales, rates = [residual.scales(month) for month in range(1, 13)], residual.rates()
        shapes, number = dict(zip(RESIDUAL_STAGES, residual.shapes, strict=True)), torch.zeros_like(pairs.month)
        drawing = [MonthlyNoise(key, shapes, block, device) for block in blocks]
    parts = {"noise": 0.0, "conditions": 0.0, "sampling": 0.0, "decoding": 0.0, "residual": 0.0}
    for counted in [False] + [True] * months:
        start = watch.now()
        noise = next(coming)
        colored = watch.now()
        month = fast.month(pairs.forcing, pairs.month)
        prepared = watch.now()
        latents = [fast.sample_next(latent, before.denoiser, noise[:, : len(latent)]) for latent in latents]
        sampled = watch.now()
        fields = [fast.decode(latent, month) for latent in latents]
        decoded = watch.now()
        if residual is not None:
            for place, values in enumerate(fields):
                noises = [each[0] for each in drawing[place](number)]
                states[place] = residual.step(states[place], noises, rates)
                residual.complete(values, month.added, 0.0, scales[0], states[place])
        if counted:
            parts["noise"] += (colored - start) / (ahead * size * months)
            parts["conditions"] += (prepared - colored) / (months * members)
            parts["sampling"] += (sampled - prepared) / (months * members)
            parts["decoding"] += (decoded - sampled) / (months * members)
            parts["residual"] += (watch.now() - decoded) / (months * members)
        for _ in range(ahead - 1):  # those that were drawn with this one
            next(coming)
    return parts


@torch.no_grad()
def plain_rollout_seconds(plain, model, pairs: MonthPairs, members: int, watch: Stopwatch) -> dict:
    """Return the seconds per member-month of the parts of the plain form, all members in one batch."""
    forcing, month = pairs.forcing.expand(members, -1, -1, -1), pairs.month.expand(members)
    latent = torch.randn(members, *model.latent_shape, device=watch.device)
    noise = torch.randn(model.draws, members, *model.latent_shape, device=watch.device)
    plain.decode(model, latent[:1], forcing[:1], month[:1])  # the first call makes the transforms
    start = watch.now()
    following = plain.sample_ancestral(model, latent, forcing, month, noise)
    sampled = watch.now()
    plain.decode(model, following, forcing, month)
    return {"sampling": (sampled - start) / members, "decoding": (watch.now() - sampled) / members}


def peak_memory_mb(device: torch.device) -> float:
    """Return the largest memory that this process has had so far, MB, on the GPU if there is one."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 1e6
    # Not ru_maxrss: Linux starts that of a new program at the memory of the one that started it.
    status = Path("/proc/self/status")
    if status.exists():
        peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return float(peak.split()[1]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def measure(form: str, what: str, size: int, grid: Grid, device: torch.device) -> dict:
    """Return seconds in total and by part, and peak memory, of a member-month or a training step.

    Args:
        form: plain, v0p9 or defaults.
        what: "rollout" or "training".
        size: members or batch.
        grid: of the fields.
        device: to compute on.
    """
    watch, (choices, training) = Stopwatch(device), RECIPES[form]
    model, config = make_model(grid, device, choices), TrainingConfig(**training)
    one = make_pairs(grid, 1, device)
    with torch.no_grad(), calibrating(model):
        loss_terms(model, pair_inputs(model, one), draw_noise(model, 1, torch.Generator(), device), config)
    if what == "training":
        parts = training_seconds(form, model, make_pairs(grid, size, device), config, watch, 3)
    elif form == "plain":
        parts = plain_rollout_seconds(load_plain(), model, one, size, watch)
    else:
        parts = rollout_seconds(model, one, size, watch, max(1, 20 // size))
    return {"seconds": sum(parts.values()), "parts": parts, "memory_mb": peak_memory_mb(device)}


def measure_apart(form: str, what: str, size: int, grid: Grid) -> dict:
    """Return `measure` of a process of its own."""
    command = [sys.executable, "-m", "model.benchmark", "--json", "--one", form, what, str(size), "--grid"]
    environment = os.environ if pick_device().type == "cuda" else os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([*command, *map(str, grid)], env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def benchmark(grid: Grid, members: list[int], batches: list[int], rounds: int) -> dict:
    """Measure all forms; of several rounds the fastest counts, the one least disturbed."""
    device = pick_device()
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"one core, {platform.machine()}"
    results: dict[str, dict[str, dict]] = {"rollout": {}, "training": {}}
    tasks = [("rollout", size) for size in sorted({1, *members})] + [("training", size) for size in batches]
    for what, size in tasks:
        found: dict[str, dict] = {}
        for form in list(RECIPES) * rounds:
            measured = measure_apart(form, what, size, grid)
            if form not in found or measured["seconds"] < found[form]["seconds"]:
                found[form] = measured
        for form in ("v0p9", "defaults"):
            found[form]["times_as_fast_as_plain"] = found["plain"]["seconds"] / found[form]["seconds"]
        results[what][str(size)] = found
    return {"device": name, "grid": list(grid), "torch": torch.__version__, **results}


def table(result: dict) -> str:
    """Return the results as aligned text."""
    lines = [f"{result['device']}, {result['grid'][0]}x{result['grid'][1]}, torch {result['torch']}"]
    lines.append(f"{'':22s}{'form':10s}{'seconds':>9s}{'ratio':>7s}{'MB':>7s}  parts")
    for what, label in (("rollout", "member-month, {} members"), ("training", "step, batch {}")):
        for size, found in result[what].items():
            for form, values in found.items():
                ratio = values.get("times_as_fast_as_plain", 1.0)
                parts = ", ".join(f"{key} {part / values['seconds']:.0%}" for key, part in values["parts"].items())
                lines.append(
                    f"{label.format(size):26s}{form:10s}{values['seconds']:9.3f}{ratio:7.1f}"
                    f"{values['memory_mb']:7.0f}  {parts}"
                )
    return "\n".join(lines)


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(prog="python -m model.benchmark", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")
    parser.add_argument("--grid", nargs=2, type=int, default=[121, 240], metavar=("NLAT", "NLON"))
    parser.add_argument("--members", nargs="+", type=int, default=[5, 50], help="sizes of the ensemble")
    parser.add_argument("--batches", nargs="+", type=int, default=[4, 16], help="batches of the training step")
    parser.add_argument("--rounds", type=int, default=1, help="how often to measure everything")
    parser.add_argument(
        "--operations", action="store_true", help="count operations per month and step in place of time, as JSON"
    )
    parser.add_argument("--one", nargs=3, metavar=("FORM", "WHAT", "SIZE"), help="measure this alone, in this process")
    arguments = parser.parse_args()
    grid = Grid(*arguments.grid)
    if arguments.one:
        form, what, size = arguments.one
        device = pick_device()
        # The plain form makes tensors of its own; on a CPU the context would only cost time.
        with device if device.type == "cuda" else contextlib.nullcontext():
            print(json.dumps(measure(form, what, int(size), grid, device)))
        return
    if arguments.operations:
        print(json.dumps(operations(grid, arguments.members[-1], arguments.batches[0]), indent=1))
        return
    result = benchmark(grid, arguments.members, arguments.batches, arguments.rounds)
    print(json.dumps(result, indent=1) if arguments.json else table(result))


if __name__ == "__main__":
    main()
