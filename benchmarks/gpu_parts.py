"""The parts of benchmarks/gpu.py, each of which prints its rows as JSON as soon as it has them.

python -m benchmarks.gpu_parts "rollout 50" --seconds 60 [--tiny]
"""

import argparse
import dataclasses
import json
import math
import shutil
import sys
import tempfile
import time

import numpy as np
import torch

from model import synthetic
from model.batches import epoch_order, month_inputs, take_pairs
from model.benchmark import peak_memory_mb
from model.blocks import calibrating
from model.config import TrainingConfig
from model.data import Channel, Metadata, Months, ToPhysical
from model.device import pick_device, seeded
from model.graph import WARM_UP
from model.loss import draw_noise, loss_terms, pair_inputs, total
from model.operations import Operations
from model.optimizer import RealAdamW, clone_state, update_average
from model.output import MemberFile, Output
from model.simulate import simulate
from model.sphere import Grid
from model.train import training_step

SEED = 5
DISK_SHARE = 0.5  # of what is free, that files may take
LEAST_STEPS, MOST_STEPS = 5, 50
CAPTURE = 1 + WARM_UP  # the month, from 0 on, whose call captures the graph and replays it first
LAUNCHES = "cudaLaunchKernel", "cuLaunchKernel", "cudaGraphLaunch"
NETWORKS = {  # of a test
    "latent_channels": 4,
    "hidden": 8,
    "encoder_rank": 5,
    "decoder_rank": 7,
    "denoiser_rank": 6,
    "noise_modes": 5,
    "evaluations": 4,
}


@dataclasses.dataclass(frozen=True)
class Sizes:
    """What is measured: of the whole recipe and the submission's run, or of a test."""

    grid: Grid = Grid(121, 240)
    networks: dict = dataclasses.field(default_factory=dict)
    months: int = 555  # of a rollout
    pairs: int = 359  # of the training months
    parity_months: int = CAPTURE + 9  # so that most are replays, each with another forcing, season and noise


TINY = Sizes(Grid(13, 24), NETWORKS, 8, 8)


def say(what: str, value: float, unit: str, **more) -> None:
    """Print a row."""
    print(json.dumps({"what": what, "value": value, "unit": unit, **more}), flush=True)


class Clock:
    """The time that a part has, and the memory that it took."""

    def __init__(self, seconds: float, device: torch.device):
        self.end, self.device = time.monotonic() + seconds, device

    def now(self) -> float:
        """The time in seconds, once the device has done its work."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.monotonic()

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.end - time.monotonic()

    def memory(self) -> dict:
        """The largest memory so far, as a part of a row."""
        return {"memory_mb": peak_memory_mb(self.device)}


@torch.no_grad()
def make_model(sizes: Sizes, device: torch.device):
    """A model of random weights, calibrated, whose fields have noise and two global means that are held."""
    cpu, model = torch.device("cpu"), synthetic.make_model(sizes.grid, torch.device("cpu"), sizes.networks)
    with seeded(SEED):
        one = synthetic.make_pairs(sizes.grid, 1, cpu)
    noise = draw_noise(model, 1, torch.Generator().manual_seed(SEED), cpu)
    with calibrating(model):
        loss_terms(model, pair_inputs(model, one), noise, TrainingConfig())
    random = torch.Generator().manual_seed(SEED)
    residual = model.residual
    residual.mixing.copy_(0.01 * torch.randn(residual.mixing.shape, generator=random))
    residual.run[0] = math.log(0.5)  # for a variance of 1 of the data
    residual.memory.fill_(0.4)
    residual.patterns.copy_(0.01 * torch.randn(residual.patterns.shape, generator=random))
    residual.pattern_memory.fill_(0.6)
    residual.means.kept[:2] = 0.5  # about no mean but 0
    return model.to(device)


def sea(sizes: Sizes, device: torch.device) -> torch.Tensor:
    """Forcings of a year, (12, forcings, nlat, nlon)."""
    random = torch.Generator().manual_seed(SEED + 1)
    return torch.randn(12, synthetic.FORCINGS, *sizes.grid, generator=random).to(device)


def months_of(count: int) -> list[tuple[int, int]]:
    """The dates of ``count`` months."""
    return [(1978 + (9 + number) // 12, (9 + number) % 12 + 1) for number in range(count)]


def run(model, sizes: Sizes, count: int, members: int, **choices):
    """The months of a rollout."""
    device = model.latent_mean.device
    forcing, random = sea(sizes, device), torch.Generator().manual_seed(SEED + 2)
    first = torch.randn(1, synthetic.FIELDS, *sizes.grid, generator=random)
    given = first, forcing[:1], months_of(count), lambda index: forcing[index % 12 : index % 12 + 1]
    return simulate(model.eval(), *given, list(range(1, members + 1)), SEED, **choices)


def parity(sizes: Sizes, clock: Clock) -> None:
    """How far the device is from the CPU: noise, loss, gradients, and the months of a rollout."""
    models = [make_model(sizes, device) for device in (torch.device("cpu"), clock.device)]

    def apart(found, wanted) -> float:
        found, wanted = (torch.view_as_real(each.cpu() + 0j).double() for each in (found, wanted))
        return ((found - wanted).square().mean() / wanted.square().mean().clamp_min(1e-30)).sqrt().item()

    with seeded(SEED):
        pairs = synthetic.make_pairs(sizes.grid, 2, torch.device("cpu"))
    noise = draw_noise(models[0], 2, torch.Generator().manual_seed(SEED), "cpu")
    gradients = []
    for model in models:
        device = model.latent_mean.device
        there = type(pairs)(*(values.to(device) for values in pairs))
        with torch.no_grad():
            inputs = pair_inputs(model, there)
        given = {name: values.to(device) for name, values in noise.items()}
        loss = total(loss_terms(model, inputs, given, TrainingConfig()), TrainingConfig())
        loss.backward()
        gradients.append((loss.detach(), [value.grad for value in model.parameters() if value.grad is not None]))
    (one, ones), (other, others) = gradients
    say("loss, relative", apart(other, one), "")
    say("gradients, relative, largest of all parameters", max(map(apart, others, ones)), "")
    model, count = models[1], sizes.parity_months
    here = list(run(models[0], sizes, count, 2))
    for graphs in (False, True):
        there = run(model, sizes, count, 2, graphs=graphs)
        months = [apart(found, wanted) for found, wanted in zip(there, here, strict=True)]
        by_graph = " by graph" if graphs else ""
        say(f"fields of {count} months{by_graph}, relative, largest of all months", max(months), "", months=months)
    launches("replays of the graph among them", lambda: list(run(model, sizes, count, 2)), clock, LAUNCHES[-1:])


def training(sizes: Sizes, clock: Clock, epoch: bool = False) -> None:
    """The training step, by as many steps as there is time for; or a whole epoch."""
    device, config = clock.device, TrainingConfig()
    model = make_model(sizes, device).train()
    random = torch.Generator(device).manual_seed(SEED)
    count = sizes.pairs + 1
    fields = torch.randn(count, synthetic.FIELDS, *sizes.grid, generator=random, device=device)
    forcings = torch.randn(count, synthetic.FORCINGS, *sizes.grid, generator=random, device=device)
    months = Months(metadata(sizes), fields, forcings, model.statics, months_of(count), None)
    inputs = month_inputs(model, months)
    optimizer, average = RealAdamW(model, lr=1e-5), clone_state(model)
    per_epoch, order = sizes.pairs // config.batch, epoch_order(np.arange(sizes.pairs), SEED, 0)

    def step(number: int) -> None:
        start = number % per_epoch * config.batch
        pairs = take_pairs(inputs, order[start : start + config.batch])
        training_step(model, optimizer, pairs, config, [SEED, number])
        update_average(average, model, config.average, number)

    for number in range(3):  # the first get their memory
        step(number)
    begun, done = clock.now(), 0
    most = per_epoch if epoch else MOST_STEPS
    while done < most and (epoch or done < LEAST_STEPS or clock.left > 0.3 * (clock.end - begun)) and clock.left > 1:
        step(done)
        done += 1
    each = (clock.now() - begun) / max(1, done)
    if epoch:
        whole = "an epoch" if done == per_epoch else f"an epoch, continued from {done} of {per_epoch} steps"
        say(whole, each * per_epoch, "s", **clock.memory())
        return
    say(f"a step of batch {config.batch}, mean of {done}", each, "s", **clock.memory())
    say(f"{config.epochs} epochs, continued", each * per_epoch * config.epochs / 3600, "h")
    with Operations() as found:
        step(0)
    say("operations of a step", found.total, "")
    launches("launches of a step", lambda: step(0), clock)


def launches(what: str, work, clock: Clock, names: tuple[str, ...] = LAUNCHES) -> None:
    """Say how often a GPU's driver is asked by ``work`` for what begins with one of ``names``; by default a launch."""
    if clock.device.type != "cuda":
        return
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as found:
        work()
        torch.cuda.synchronize()
    say(what, sum(event.count for event in found.key_averages() if event.key.startswith(names)), "")


def metadata(sizes: Sizes) -> Metadata:
    """Channels that anything is inside the bounds of, eight of them behind a square root."""
    channels = [
        Channel(f"f{number}", "f", None, "sqrt" if number < 8 else "none", "1", -1e30, 1e30)
        for number in range(synthetic.FIELDS)
    ]
    nlat, nlon = sizes.grid
    lat, lon = np.linspace(-90, 90, nlat), np.arange(nlon) * 360 / nlon
    center, one = np.zeros((12, synthetic.FIELDS, 1, 1), "f4"), np.ones(synthetic.FIELDS, "f4")
    names = [f"c{number}" for number in range(synthetic.FORCINGS)]
    return Metadata(channels, names, [], lat, lon, center, one, *np.zeros((2, synthetic.FORCINGS), "f4"))


@torch.inference_mode()
def rollout(sizes: Sizes, clock: Clock, members: int, output: bool) -> None:
    """A rollout, as many of its months as there is time and disk for; without output the months are thrown away.

    Time counts from the month after the capture on; the month that captures the graph has a row of its own.
    """
    model, first = make_model(sizes, clock.device), CAPTURE + 1
    count, month_bytes = sizes.months, members * synthetic.FIELDS * sizes.grid.nlat * sizes.grid.nlon * 4
    physical = ToPhysical(metadata(sizes), clock.device)
    with tempfile.TemporaryDirectory() as folder:
        if output:
            count = max(first + 1, min(count, int(DISK_SHARE * shutil.disk_usage(folder).free / month_bytes)))
        dates, begun, done = months_of(count), 0.0, 0
        files = [
            MemberFile(f"{folder}/r{member}.nc", metadata(sizes), dates, {"member": member})
            for member in range(members if output else 0)
        ]
        with Output(files, count, lambda *_: None) as out:
            for index, normalized in enumerate(run(model, sizes, count, members)):
                values = physical(normalized, dates[index][1])
                if output:
                    out.add(values)
                done = index + 1
                if done in (CAPTURE, first):
                    before, begun = begun, clock.now()
                if done == first and clock.device.type == "cuda":
                    say(f"the month of {members} members that captures the graph", begun - before, "s")
                # Half of the time is for what is still to be written.
                if done > first and clock.left < (0.3 * (clock.end - begun) if output else 2):
                    break
            if output and done == count:
                out.finish()
        each = (clock.now() - begun) / max(1, done - first)
    if done <= first:
        raise RuntimeError(f"there was time for {done} months only, of which the first {first} do not count")
    with_output = " with output" if output else ""
    say(f"a month of {members} members{with_output}, mean of {done - first}", each, "s", **clock.memory())
    say(f"{sizes.months} months of {members} members{with_output}, continued", each * sizes.months / 60, "min")
    if output:
        say("written", month_bytes / each / 1e9, "GB/s")
        return
    if clock.left > 5 * each:
        months = run(model, sizes, 6, members, graphs=False)
        next(months), next(months)
        begun = clock.now()
        next(months)
        say(f"a month of {members} members without a graph", clock.now() - begun, "s")
        with Operations() as found:
            next(months)
        say(f"operations of a month of {members} members", found.total, "")
        launches(f"launches of a month of {members} members, without a graph", lambda: next(months), clock)


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", help="parity, training, epoch, rollout N or output N, with N members")
    parser.add_argument("--seconds", type=float, default=60, help="that it may take")
    parser.add_argument("--tiny", action="store_true", help="small networks on a small grid")
    given = parser.parse_args()
    device, sizes = pick_device(), TINY if given.tiny else Sizes()
    clock = Clock(given.seconds, device)
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    print(f"{given.part} on {name}, torch {torch.__version__}", file=sys.stderr)
    kind, *number = given.part.split()
    if kind == "parity":
        say(f"device: {name}, torch {torch.__version__}", 1, "")
        parity(sizes, clock)
    elif kind in ("training", "epoch"):
        training(sizes, clock, epoch=kind == "epoch")
    else:
        rollout(sizes, clock, int(*number), output=kind == "output")
    return 0


if __name__ == "__main__":
    sys.exit(main())
