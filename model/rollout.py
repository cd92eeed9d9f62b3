"""Roll Monthly Diffusion out under a prescribed forcing: `python -m model.rollout --help`.

Each member has noise of its own, from the seed, the experiment, the member's number and the month (model/noise.py), and
is computed by itself on a CPU: it is the same alone and in any block. On a GPU all members of a block are computed
together. Memory does not grow with the number of months.
"""

import argparse
import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import netCDF4
import numpy as np
import torch
import torch_harmonics

from model import checkpoint, data
from model.data import Metadata, Months
from model.device import pick_device
from model.noise import experiment_number
from model.output import MemberFile, Output
from model.progress import Progress, fail, open_log
from model.simulate import simulate

CONTROL = "aimip"  # AIMIP's name of the experiment that others are held against


@dataclasses.dataclass(frozen=True)
class Forcing:
    """The normalized forcing of consecutive months, read month by month."""

    path: str
    dates: list[tuple[int, int]]
    dataset: netCDF4.Dataset
    convert: Callable[[torch.Tensor], torch.Tensor]  # to the checkpoint's normalization

    def month(self, index: int) -> torch.Tensor:
        """Return the forcing (1, forcings, nlat, nlon) of month `index`; not a number is refused, naming the month."""
        with data.NETCDF:
            values = torch.from_numpy(self.dataset["forcings"][index].astype("f4"))[None]
        data.refuse_missing(values, self.dates[index : index + 1], f"forcings of {self.path}")
        return self.convert(values)


@contextlib.contextmanager
def open_forcing(path: str, metadata: Metadata, first: tuple[int, int]) -> Iterator[Forcing]:
    """Open a forcing file after checking that its months, names and grid are those of the model.

    Raises:
        ValueError: months missing, repeated or not starting at `first`; other forcings; another grid; not a number.
    """
    with data.open_dataset(path) as dataset:
        dates = data.read_dates(dataset)
        if dates[0] != first:
            raise ValueError(
                f"{path} starts in {dates[0][0]}-{dates[0][1]:02d}, the initial state is of {first[0]}-{first[1]:02d}; "
                f"give both the same first month."
            )
        names = [str(name) for name in data.need(dataset, "forcing")[:]]
        if names != metadata.forcings:
            raise ValueError(
                f"{path} holds {', '.join(names)}; the model was trained on {', '.join(metadata.forcings)}."
            )
        for axis in ("lat", "lon"):
            check_axis(axis, data.need(dataset, axis)[:], getattr(metadata, axis), path)
        convert = forcing_converter(data.forcing_statistics(dataset), metadata, path)
        forcing = Forcing(path, dates, dataset, convert)
        for index in range(len(dates)):
            forcing.month(index)
        yield forcing


def check_axis(name: str, found: np.ndarray, wanted: np.ndarray, path: str) -> None:
    """Refuse coordinates that are not those the model was trained on."""
    if len(found) != len(wanted) or np.abs(found - wanted).max() > 1e-4:
        raise ValueError(
            f"{path} has {len(found)} values of {name} from {found[0]:g} to {found[-1]:g}, the checkpoint "
            f"{len(wanted)} from {wanted[0]:g} to {wanted[-1]:g}; regrid the file to the model's grid."
        )


def forcing_converter(
    statistics: tuple[np.ndarray, np.ndarray], metadata: Metadata, path: str
) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the change from forcings normalized by `statistics` (center, scale) to the checkpoint's normalization.

    Cells that are not sea hold 0 in both. Files and checkpoints of one workflow share statistics: nothing changes.
    """
    (center, scale), (wanted_center, wanted_scale) = statistics, (metadata.forcing_center, metadata.forcing_scale)
    if np.isnan(wanted_scale).all() or (np.allclose(center, wanted_center) and np.allclose(scale, wanted_scale)):
        return lambda values: values
    if np.isnan(scale).any():
        raise ValueError(
            f"{path} does not tell how its forcings are normalized (forcing_center, forcing_scale), and the checkpoint "
            f"was trained elsewhere; make the file again with the normalize step."
        )
    factor, offset = (
        torch.tensor(values, dtype=torch.float32)[:, None, None]
        for values in (scale / wanted_scale, (center - wanted_center) / wanted_scale)
    )
    return lambda values: torch.where(values == 0, values, values * factor + offset)


def match_initial(initial: Months, metadata: Metadata, path: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return fields and forcings of the initial month in the checkpoint's order and normalization.

    Raises:
        ValueError: a field is missing, has another transform, or the grid is another.
    """
    names = [channel.name for channel in initial.metadata.channels]
    missing = [channel.name for channel in metadata.channels if channel.name not in names]
    if missing:
        raise ValueError(f"{path} lacks {', '.join(missing)}, which the model needs; it holds {', '.join(names)}.")
    for axis in ("lat", "lon"):
        check_axis(axis, getattr(initial.metadata, axis), getattr(metadata, axis), path)
    order = [names.index(channel.name) for channel in metadata.channels]
    for channel, index in zip(metadata.channels, order, strict=True):
        found = initial.metadata.channels[index].transform
        if found != channel.transform:
            raise ValueError(
                f"{path} has {channel.name} after the transform {found}; the model wants {channel.transform}."
            )
    month = initial.dates[0][1] - 1
    fields = initial.fields[:1, order]
    scale, center = initial.metadata.scale[order], initial.metadata.center[month, order]
    if not (np.array_equal(scale, metadata.scale) and np.array_equal(center, metadata.center[month])):
        values = fields.numpy() * scale[:, None, None] + center
        fields = torch.from_numpy((values - metadata.center[month]) / metadata.scale[:, None, None])
    statistics = initial.metadata.forcing_center, initial.metadata.forcing_scale
    return fields, forcing_converter(statistics, metadata, path)(initial.forcings[:1])


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
    initial = data.read_months(initial_path)
    fields, observed = match_initial(initial, metadata, initial_path)
    provenance = {
        "checkpoint_sha256": data.sha256(checkpoint_path),
        "forcing_sha256": data.sha256(forcing_path),
        "seed": seed,
        "experiment": experiment,
        "torch": str(torch.__version__),
        "torch_harmonics": torch_harmonics.__version__,
    }
    with open_forcing(forcing_path, metadata, initial.dates[0]) as forcing:
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
            months = simulate(*given, experiment=experiment)
            for index, normalized in enumerate(months):
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
    open_log(arguments.log)
    if len(arguments.members) > 1 and "{member}" not in arguments.out:
        parser.error("--out needs {member} in its name for more than one member")
    try:
        rollout(
            arguments.checkpoint,
            arguments.initial,
            arguments.forcing,
            arguments.members,
            arguments.seed,
            arguments.out,
            experiment_number(arguments.experiment, CONTROL),
        )
    except (ValueError, RuntimeError, OSError) as error:
        fail(f"model.rollout: {error}")


if __name__ == "__main__":
    main()
