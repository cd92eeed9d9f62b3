"""Does the model stay a climate for centuries? One member, far beyond the 555 months of a submission; run it with

    python benchmarks/stability.py results/train/checkpoint.zip results/normalize/initial.nc \
        results/normalize/forcing/aimip.nc [--months 10000] [--channel t2m]

The forcing's whole years are repeated. Prints, per thousand months, mean and interannual standard deviation of the
global mean, and the extremes of the field; stops where the rollout would, at a value beyond the physical bounds.
"""

import argparse
import sys

import numpy as np
import torch

from model import checkpoint, data
from model.device import pick_device
from model.rollout import match_initial, open_forcing
from model.simulate import simulate
from model.sphere import row_weights

BLOCK = 1000


def following(first, count):
    """(year, month) of ``count`` months from ``first`` on."""
    number = first[0] * 12 + first[1] - 1
    return [((number + step) // 12, (number + step) % 12 + 1) for step in range(count)]


def main():
    """Read the command line, run, and print a line per block."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint")
    parser.add_argument("initial")
    parser.add_argument("forcing")
    parser.add_argument("--months", type=int, default=10_000)
    parser.add_argument("--channel", default="t2m")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    device = pick_device()
    model, metadata, _ = checkpoint.load(arguments.checkpoint, device)
    names = [channel.name for channel in metadata.channels]
    if arguments.channel not in names:
        sys.exit(f"--channel {arguments.channel} is not of the model; it has {', '.join(names)}.")
    shown = names.index(arguments.channel)
    initial = data.read_months(arguments.initial)
    fields, observed = match_initial(initial, metadata, arguments.initial)
    physical = data.ToPhysical(metadata, device)
    low, high = (
        torch.tensor([getattr(channel, key) for channel in metadata.channels], device=device)
        for key in ("valid_min", "valid_max")
    )
    margin = 0.05 * (high - low)
    area = row_weights(len(metadata.lat)).to(device)
    dates = following(initial.dates[0], arguments.months)
    means, extremes = [], []
    units = metadata.channels[shown].units
    print(f"{'months':>13s}  mean ({units})  interannual  smallest  largest   of {arguments.channel}")
    with open_forcing(arguments.forcing, metadata, initial.dates[0]) as forcing:
        whole = len(forcing.dates) // 12 * 12
        run = simulate(model, fields, observed, dates, lambda index: forcing.month(index % whole), [1], arguments.seed)
        for index, normalized in enumerate(run):
            values = physical(normalized, dates[index][1])[0]
            inside = (values.amin((1, 2)) >= low - margin) & (values.amax((1, 2)) <= high + margin)
            if not inside.all():
                left = [name for name, ok in zip(names, inside.tolist(), strict=True) if not ok]
                sys.exit(f"month {index + 1}: {', '.join(left)} left the physical bounds.")
            means.append((values[shown] * area).mean().item())
            extremes.append((values[shown].min().item(), values[shown].max().item()))
            if (index + 1) % BLOCK == 0 or index + 1 == arguments.months:
                begun = index // BLOCK * BLOCK
                block = np.array(means[begun:])
                years = block[: len(block) // 12 * 12].reshape(-1, 12).mean(1)
                smallest, largest = min(e[0] for e in extremes[begun:]), max(e[1] for e in extremes[begun:])
                print(
                    f"{begun + 1:6d}-{index + 1:6d}  {block.mean():10.3f}  {years.std():11.3f}  {smallest:8.2f}"
                    f"  {largest:7.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
