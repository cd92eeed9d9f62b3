"""Reading normalized months (training.nc, initial.nc) and forcings, and the pairs of months that training draws."""

import contextlib
import dataclasses
import hashlib
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import netCDF4
import numpy as np
import torch

TRAINING, VALIDATION = 0, 1
NETCDF = threading.Lock()  # held by a thread while it reads or writes: the library is not made for several at once


@dataclasses.dataclass(frozen=True)
class Channel:
    """One field at one level, as in the `channel` dimension of the normalized files."""

    name: str
    short_name: str
    level: float | None  # hPa; None at the surface
    transform: str  # none, sqrt or logit, applied before normalizing
    units: str
    valid_min: float  # physical units
    valid_max: float


@dataclasses.dataclass(frozen=True)
class Metadata:
    """Everything that gives normalized arrays meaning: physical = INVERSE[transform](x * scale + center[month])."""

    channels: list[Channel]
    forcings: list[str]
    statics: list[str]
    lat: np.ndarray  # degrees north, (nlat,)
    lon: np.ndarray  # degrees east, (nlon,)
    center: np.ndarray  # (12, channels, nlat or 1, nlon or 1)
    scale: np.ndarray  # (channels,)
    forcing_center: np.ndarray  # (forcings,); NaN where a file does not tell
    forcing_scale: np.ndarray  # (forcings,)


class Stored:
    """A variable (time, ...) of an open file that is read when it is indexed, as a float32 tensor would be.

    All months of the fields are most of a training's memory; there is room for one copy, which the networks learn from.

    Args:
        variable: of the file.
        device: of what is read.
        times: which times of the variable these are, (time,).
    """

    def __init__(self, variable: netCDF4.Variable, device: torch.device, times: np.ndarray):
        self.variable, self.device, self.times = variable, device, times

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        return (len(self.times), *self.variable.shape[1:])

    def __len__(self) -> int:
        """Return the number of times."""
        return len(self.times)

    def __getitem__(self, key) -> torch.Tensor:
        """Return the values at a time, a slice or an array of times, and at places of the dimensions after it."""
        time, *rest = key if isinstance(key, tuple) else (key,)
        with NETCDF:
            values = self.variable[(self.times[time], *rest)]
        return torch.from_numpy(values.astype("f4", copy=False)).to(self.device)

    def at(self, times: np.ndarray) -> "Stored":
        """Return what is left of it at some of its times, in the file still."""
        return Stored(self.variable, self.device, self.times[times])


@dataclasses.dataclass(frozen=True)
class Months:
    """Consecutive normalized months with their forcing."""

    metadata: Metadata
    fields: torch.Tensor | Stored  # (time, channels, nlat, nlon), in memory or in their file
    forcings: torch.Tensor | Stored  # (time, forcings, nlat, nlon)
    statics: torch.Tensor  # (statics, nlat, nlon)
    dates: list[tuple[int, int]]  # (year, month) of each time
    split: np.ndarray | None  # TRAINING or VALIDATION of each time

    @property
    def number(self) -> torch.Tensor:
        """The calendar month, 1..12, of each time, on the device of the fields."""
        return torch.tensor([month for _, month in self.dates], device=self.fields.device)


class MonthPairs(NamedTuple):
    """A batch of months and the months that follow them; every tensor is batch first."""

    fields: torch.Tensor
    forcing: torch.Tensor
    month: torch.Tensor
    next_fields: torch.Tensor
    next_forcing: torch.Tensor
    next_month: torch.Tensor


def sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_dataset(path: str | Path) -> netCDF4.Dataset:
    """Open a NetCDF file for reading, numbers unmasked; a missing or broken file is named in the error."""
    try:
        dataset = netCDF4.Dataset(path)
    except OSError as error:
        raise ValueError(f"{path} cannot be read as NetCDF: {error}.") from error
    dataset.set_auto_mask(False)
    return dataset


def need(dataset: netCDF4.Dataset, name: str) -> netCDF4.Variable:
    """Return a variable of a file, or say which file lacks it."""
    if name not in dataset.variables:
        raise ValueError(f"{dataset.filepath()} has no variable {name!r}; it has {', '.join(dataset.variables)}.")
    return dataset[name]


def read_dates(dataset: netCDF4.Dataset) -> list[tuple[int, int]]:
    """Return (year, month) of each time; months must follow each other without a gap."""
    time = need(dataset, "time")
    stamps = netCDF4.num2date(time[:], time.units, getattr(time, "calendar", "standard"))
    assert isinstance(stamps, np.ndarray)  # one date alone would be that of a time without dimension
    dates = [(int(stamp.year), int(stamp.month)) for stamp in stamps]
    for (year, month), found in zip(dates, dates[1:], strict=False):
        following = (year + month // 12, month % 12 + 1)
        if found != following:
            raise ValueError(
                f"{dataset.filepath()}: after {year}-{month:02d} comes {found[0]}-{found[1]:02d}; "
                f"{following[0]}-{following[1]:02d} was expected. Make the file again with every month once."
            )
    return dates


def read_months(path: str | Path) -> Months:
    """Read a normalized file (training.nc or initial.nc) whole.

    Raises:
        ValueError: the file lacks a variable, skips a month, or holds numbers that are not finite.
    """
    with open_dataset(path) as dataset:
        dates = read_dates(dataset)
        metadata = read_metadata(dataset)
        arrays = {
            name: torch.from_numpy(need(dataset, name)[:].astype("f4", copy=False)) for name in ("fields", "forcings")
        }
        statics, split = read_statics(dataset), read_split(dataset)
    for name, values in arrays.items():
        refuse_missing(values, dates, f"{name} of {path}")
    return Months(metadata, statics=statics, dates=dates, split=split, **arrays)


@contextlib.contextmanager
def open_months(path: str | Path, device: torch.device) -> Iterator[Months]:
    """Open a normalized file, whose fields and forcings are read onto the device when they are asked for.

    Raises:
        ValueError: as `read_months`, after a look at every month.
    """
    with open_dataset(path) as dataset:
        dates, metadata = read_dates(dataset), read_metadata(dataset)
        stored = {name: Stored(need(dataset, name), device, np.arange(len(dates))) for name in ("fields", "forcings")}
        statics, split = read_statics(dataset), read_split(dataset)
        for name, values in stored.items():
            for index, date in enumerate(dates):
                refuse_missing(values[index : index + 1], [date], f"{name} of {path}")
        yield Months(metadata, statics=statics, dates=dates, split=split, **stored)


def read_statics(dataset: netCDF4.Dataset) -> torch.Tensor:
    """Return the statics (statics, nlat, nlon) of a normalized file."""
    statics = torch.from_numpy(need(dataset, "statics")[:].astype("f4", copy=False))
    if not statics.isfinite().all():
        raise ValueError(f"statics of {dataset.filepath()} hold numbers that are not finite; make the file again.")
    return statics


def read_split(dataset: netCDF4.Dataset) -> np.ndarray | None:
    """Return TRAINING or VALIDATION of each time of a normalized file; None where it does not tell."""
    return dataset["split"][:] if "split" in dataset.variables else None


def known_months(path: str | Path) -> tuple[list[tuple[int, int]], Iterator[Months]]:
    """Return (year, month) of the training and validation months of training.nc, and each as `Months` of its own.

    Raises:
        ValueError: as `read_months`; or the file does not tell the periods of its months.
    """
    with open_dataset(path) as dataset:
        dates, metadata = read_dates(dataset), read_metadata(dataset)
        inside = np.flatnonzero(np.isin(need(dataset, "split")[:], (TRAINING, VALIDATION)))
        statics = read_statics(dataset)

    def each() -> Iterator[Months]:
        with open_dataset(path) as dataset:
            for index in inside:
                arrays = {
                    name: torch.from_numpy(need(dataset, name)[index : index + 1].astype("f4", copy=False))
                    for name in ("fields", "forcings")
                }
                for name, values in arrays.items():
                    refuse_missing(values, [dates[index]], f"{name} of {path}")
                yield Months(metadata, statics=statics, dates=[dates[index]], split=None, **arrays)

    return [dates[index] for index in inside], each()


def refuse_missing(values: torch.Tensor, dates: list[tuple[int, int]], what: str) -> None:
    """Refuse values (time, ...) that are not all finite, naming the first month that has one."""
    for month, (year, number) in zip(values, dates, strict=True):
        if not month.isfinite().all():
            raise ValueError(f"{what} in {year}-{number:02d} hold numbers that are not finite; make the file again.")


def read_metadata(dataset: netCDF4.Dataset) -> Metadata:
    """Return channels, grid and normalization of a normalized file."""

    def texts(name):
        return [str(value) for value in need(dataset, name)[:]]

    columns = {name: need(dataset, name)[:] for name in ("level", "valid_min", "valid_max")}
    channels = [
        Channel(name, short, None if np.isnan(level) else float(level), transform, units, float(low), float(high))
        for name, short, transform, units, level, low, high in zip(
            *map(texts, ("channel", "short_name", "transform", "units")), *columns.values(), strict=True
        )
    ]
    center, scale = need(dataset, "center")[:].astype("f4"), need(dataset, "scale")[:].astype("f4")
    if len(center) == 1:
        center = np.repeat(center, 12, axis=0)
    lat, lon = need(dataset, "lat")[:].astype("f8"), need(dataset, "lon")[:].astype("f8")
    return Metadata(channels, texts("forcing"), texts("static"), lat, lon, center, scale, *forcing_statistics(dataset))


def forcing_statistics(dataset: netCDF4.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Return center and scale of the forcings of a file, each (forcings,); NaN where the file does not tell."""
    unknown = np.full(len(dataset.dimensions["forcing"]), np.nan, "f4")
    center, scale = (
        dataset[name][:].astype("f4") if name in dataset.variables else unknown
        for name in ("forcing_center", "forcing_scale")
    )
    return center, scale


def training_months(months: Months) -> Months:
    """Return the months of the training period alone; what is in a file stays there."""
    split = known_split(months)
    inside = np.flatnonzero(split == TRAINING)
    fields, forcings = (
        values.at(inside) if isinstance(values, Stored) else values[inside]
        for values in (months.fields, months.forcings)
    )
    dates = [months.dates[index] for index in inside]
    return dataclasses.replace(months, fields=fields, forcings=forcings, dates=dates, split=split[inside])


def months_in_turn(
    months: Months, inside: Iterable[int] | None = None
) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Yield fields, forcing and calendar month (1, ...) of months in turn, of all or of those of some indices."""
    number = months.number
    for index in range(len(months.dates)) if inside is None else inside:
        some = slice(index, index + 1)
        yield months.fields[some], months.forcings[some], number[some]


def pair_indices(months: Months, split: int) -> np.ndarray:
    """Return the times t such that t and t + 1 both belong to `split`."""
    inside = known_split(months) == split
    return np.flatnonzero(inside[:-1] & inside[1:])


def known_split(months: Months) -> np.ndarray:
    """Return TRAINING or VALIDATION of each time; months that do not tell are refused."""
    if months.split is None:
        raise ValueError("the training file has no variable 'split'; make it again with the normalize step.")
    return months.split


class ToPhysical:
    """Turns normalized fields into physical ones, on the device of the fields."""

    def __init__(self, metadata: Metadata, device: torch.device):
        self.scale = torch.from_numpy(metadata.scale).to(device)[:, None, None]
        self.center = torch.from_numpy(metadata.center).to(device)
        # Neighbors of one transform, such as humidity on all levels, together.
        kinds = [channel.transform for channel in metadata.channels]
        edges = [0, *(i for i in range(1, len(kinds)) if kinds[i] != kinds[i - 1]), len(kinds)]
        runs = zip(edges, edges[1:], strict=False)
        self.transforms = [(slice(*run), INVERSE[kinds[run[0]]]) for run in runs if kinds[run[0]] != "none"]

    def __call__(self, normalized: torch.Tensor, month: int) -> torch.Tensor:
        """Return physical values of normalized fields (..., channels, nlat, nlon) of calendar `month`."""
        values = torch.addcmul(self.center[month - 1], normalized, self.scale)
        for some, inverse in self.transforms:
            inverse(values[..., some, :, :])
        return values


# Of workflow/scripts/normalize/transforms.py, in place. Square roots below zero have no physical counterpart: they
# stand for zero.
INVERSE = {"sqrt": lambda x: x.clamp_min_(0).square_(), "logit": torch.sigmoid_}
