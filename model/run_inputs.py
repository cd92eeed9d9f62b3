"""What a run begins from and what drives it, checked against the model: the first month, and the forcing of all."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import NamedTuple

import netCDF4
import numpy as np
import torch

from model import data
from model.data import Metadata, Months


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


class RunInputs(NamedTuple):
    """Inputs in the model's order and normalization."""

    fields: torch.Tensor  # of the first month, (1, fields, nlat, nlon)
    observed: torch.Tensor  # the forcing that they came with, (1, forcings, nlat, nlon)
    forcing: Forcing


@contextlib.contextmanager
def open_inputs(initial_path: str, forcing_path: str, metadata: Metadata) -> Iterator[RunInputs]:
    """Open the first month (initial.nc) and the forcing of every month from it on.

    Raises:
        ValueError: as `match_initial` and `open_forcing`.
    """
    initial = data.read_months(initial_path)
    fields, observed = match_initial(initial, metadata, initial_path)
    with open_forcing(forcing_path, metadata, initial.dates[0]) as forcing:
        yield RunInputs(fields, observed, forcing)


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
