"""Roll Monthly Diffusion out under a prescribed forcing: `python -m model.rollout --help`.

Each member has noise of its own, from the seed, the experiment, the member's number and the month (model/noise.py), and
is computed by itself on a CPU: it is the same alone and in any block. On a GPU all members of a block are computed
together. Memory does not grow with the number of months.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
import torch_harmonics

from model import checkpoint, data
from model.data import Metadata
from model.device import pick_device
from model.noise import experiment_number
from model.output import MemberFile, Output
from model.progress import Progress, running
from model.run_inputs import open_inputs
from model.simulate import simulate

CONTROL = "aimip"  # AIMIP's name of the experiment that others are held against


@torch.inference_mode()
def rollout(
    checkpoint_path: str,
    initial_path: str,
    forcing_path: str,
    members: list[int],
    seed: int,
    out: str,
    experiment: int = 0,
) -> None:
    """Roll members out and write one file each.

    Args:
        checkpoint_path: the model.
        initial_path: normalized first month (initial.nc).
        forcing_path: normalized forcing of every month from the first on.
        members: their numbers.
        seed: of all random numbers, with the member's number and the month.
        out: file name with {member} in it.
        experiment: its number, as of model/noise.py.

    Raises:
        ValueError: the inputs do not fit the model.
        RuntimeError: a member left the physical bounds; what was written stays under a temporary name.
    """
    device = pick_device()
    model, metadata, _ = checkpoint.load(checkpoint_path, device)
    provenance = {
        "checkpoint_sha256": data.sha256(checkpoint_path),
        "forcing_sha256": data.sha256(forcing_path),
        "seed": seed,
        "experiment": experiment,
        "torch": str(torch.__version__),
        "torch_harmonics": torch_harmonics.__version__,
    }
    with open_inputs(initial_path, forcing_path, metadata) as (fields, observed, forcing):
        files = [
            MemberFile(out.replace("{member}", str(member)), metadata, forcing.dates, provenance | {"member": member})
            for member in members
        ]
        progress = Progress(f"rollout {Path(forcing_path).stem} members {members[0]}-{members[-1]}", len(forcing.dates))
        physical = data.ToPhysical(metadata, device)

        def check(index: int, low: np.ndarray, high: np.ndarray) -> None:
            for file, lowest, highest in zip(files, low, high, strict=True):
                check_bounds(file, lowest, highest, metadata, *forcing.dates[index])

        with Output(files, len(forcing.dates), check) as output:
            given = model, fields, observed, forcing.dates, forcing.month, members, seed
            for index, normalized in enumerate(simulate(*given, experiment=experiment)):
                output.add(physical(normalized, forcing.dates[index][1]))
                progress.update(index + 1)
            output.finish()
        progress.close()


def check_bounds(
    file: MemberFile, low: np.ndarray, high: np.ndarray, metadata: Metadata, year: int, month: int
) -> None:
    """Stop if smallest or largest values (channels,) left what a channel can be, naming member, month and value."""
    for index, channel in enumerate(metadata.channels):
        margin = 0.05 * (channel.valid_max - channel.valid_min)
        inside = low[index] >= channel.valid_min - margin and high[index] <= channel.valid_max + margin
        if not inside:
            raise RuntimeError(
                f"member {file.member} left the physical bounds in {year}-{month:02d}: {channel.name} spans "
                f"{low[index]:.4g} to {high[index]:.4g} {channel.units}, allowed are {channel.valid_min:g} to "
                f"{channel.valid_max:g}; the months before are kept in {file.partial}."
            )


def main() -> None:
    """Read the command line and roll out."""
    parser = argparse.ArgumentParser(prog="python -m model.rollout", description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", required=True, help="the trained model")
    parser.add_argument("--initial", required=True, help="normalized first month (initial.nc)")
    parser.add_argument("--forcing", required=True, help="normalized forcing of every month")
    parser.add_argument("--members", required=True, nargs="+", type=int, help="numbers of the members")
    parser.add_argument("--seed", type=int, default=0, help="seed of all random numbers")
    parser.add_argument("--experiment", default=CONTROL, help="whose weather it is, each with its own")
    parser.add_argument("--out", required=True, help="file to write, {member} stands for the member's number")
    parser.add_argument("--log", help="file for the lines of status, besides the terminal")
    arguments = parser.parse_args()
    if len(arguments.members) > 1 and "{member}" not in arguments.out:
        parser.error("--out needs {member} in its name for more than one member")
    with running("model.rollout", arguments.log):
        rollout(
            arguments.checkpoint,
            arguments.initial,
            arguments.forcing,
            arguments.members,
            arguments.seed,
            arguments.out,
            experiment_number(arguments.experiment, CONTROL),
        )


if __name__ == "__main__":
    main()
