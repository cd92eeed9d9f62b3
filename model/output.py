"""What leaves a rollout: the file of each member, and how months get from the device into it.

A file is netCDF4, one float32 variable per channel, contiguous in time. Months are gathered in one of two buffers of
the host while the other is written by a thread: on a GPU both in pinned memory, filled by a stream of their own, so
that copies, files and the next months go on at once.
"""

import contextlib
import datetime
import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import netCDF4
import numpy as np
import torch

from model.data import NETCDF, Metadata

UNITS, CALENDAR = "days since 1978-01-01", "proleptic_gregorian"
BUFFER_BYTES = 100_000_000  # of a buffer, all members together; one month at least


class MemberFile:
    """Takes the months of a member under a temporary name until the last is there."""

    def __init__(self, path: str, metadata: Metadata, dates: list[tuple[int, int]], attributes: dict):
        self.path = Path(path)
        self.partial = self.path.with_name(self.path.name + ".partial")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.member = attributes["member"]
        self.written = 0
        self.dataset = netCDF4.Dataset(self.partial, "w", format="NETCDF4")
        self.dataset.setncatts(attributes)
        self._write_axes(metadata, dates)
        self.variables = []
        for channel in metadata.channels:
            # Room for every month from the start, so that reading one variable over time reads one stretch of disk.
            variable = self.dataset.createVariable(
                channel.name, "f4", ("time", "lat", "lon"), contiguous=True, fill_value=False
            )
            variable.setncatts({"units": channel.units, "short_name": channel.short_name})
            if channel.level is not None:
                variable.level = channel.level
            self.variables.append(variable)

    def _write_axes(self, metadata: Metadata, dates: list[tuple[int, int]]) -> None:
        starts = [datetime.datetime(year, month, 1) for year, month in dates]
        year, month = dates[-1]
        starts.append(datetime.datetime(year + month // 12, month % 12 + 1, 1))
        edges = np.array(netCDF4.date2num(starts, UNITS, CALENDAR), dtype="f8")
        bounds = np.stack([edges[:-1], edges[1:]], axis=1)
        self.dataset.createDimension("bnds", 2)
        axes = {"time": bounds.mean(1), "lat": metadata.lat, "lon": metadata.lon}
        units = {"time": UNITS, "lat": "degrees_north", "lon": "degrees_east"}
        for name, values in axes.items():
            self.dataset.createDimension(name, len(values))
            variable = self.dataset.createVariable(name, "f8", (name,))
            variable.units = units[name]
            variable[:] = values
        self.dataset["time"].setncatts({"calendar": CALENDAR, "bounds": "time_bnds"})
        self.dataset.createVariable("time_bnds", "f8", ("time", "bnds"))[:] = bounds

    def write(self, months: np.ndarray) -> None:
        """Write the fields (channels, months, nlat, nlon) of the months that follow.

        Raises:
            OSError: it cannot be written, in one sentence.
        """
        with self._told(), NETCDF:
            for variable, values in zip(self.variables, months, strict=True):
                variable[self.written : self.written + len(values)] = values
        self.written += months.shape[1]

    def finish(self) -> None:
        """Make sure that all is on disk, and give the file its name; OSError as `write`."""
        with self._told():
            with NETCDF:
                self.dataset.close()
            with open(self.partial, "rb") as file:
                os.fsync(file.fileno())
            os.replace(self.partial, self.path)

    def abandon(self) -> None:
        """Unless it is finished, close the file under its temporary name; OSError as `write`."""
        with self._told(), NETCDF:
            if self.dataset.isopen():
                try:
                    self.dataset.months_written = self.written
                finally:
                    self.dataset.close()

    @contextlib.contextmanager
    def _told(self):
        try:
            yield
        except (OSError, RuntimeError) as error:
            raise OSError(
                f"member {self.member} cannot be written to {self.partial} after month {self.written}: {error}; make "
                f"room there and roll out again."
            ) from error


class Buffer:
    """Memory of the host for some months of all members, filled from the device without waiting for it.

    Args:
        months: how many.
        shape: of a month, (members, channels, nlat, nlon).
        stream: of a GPU, to copy by; None on a CPU.
    """

    def __init__(self, months: int, shape: Sequence[int], stream: "torch.cuda.Stream | None"):
        pinned = stream is not None
        self.stream = stream
        self.values = torch.empty(months, *shape, pin_memory=pinned)
        self.extremes = torch.empty(months, 2, *shape[:2], pin_memory=pinned)
        self.used = 0
        self.copied: torch.cuda.Event | None = None
        self.job: Future | None = None

    @property
    def full(self) -> bool:
        """Whether no month more has room."""
        return self.used == len(self.values)

    def take(self, values: torch.Tensor) -> "Arrival":
        """Copy a month of the device and each channel's extremes into the next place."""
        lowest, highest = torch.aminmax(values.flatten(2), dim=2)
        place = self.used
        self.used += 1
        targets, sources = (self.values[place], *self.extremes[place]), (values, lowest, highest)
        if self.stream is None:
            for target, source in zip(targets, sources, strict=True):
                target.copy_(source)
        else:
            self.stream.wait_stream(torch.cuda.current_stream(values.device))
            with torch.cuda.stream(self.stream):
                for target, source in zip(targets, sources, strict=True):
                    target.copy_(source, non_blocking=True)
                    # Its memory is no one else's until it is copied.
                    source.record_stream(self.stream)
                self.copied = torch.cuda.Event()
                self.copied.record(self.stream)
        return Arrival(self.extremes[place], self.copied)

    def months(self) -> np.ndarray:
        """Wait for the copies, and return the months (months, members, channels, nlat, nlon)."""
        if self.copied is not None:
            self.copied.synchronize()
        return self.values[: self.used].numpy()


class Arrival:
    """The extremes of a month, (2, members, channels), once they are on the host."""

    def __init__(self, extremes: torch.Tensor, copied: "torch.cuda.Event | None"):
        self.extremes, self.copied = extremes, copied

    def here(self) -> bool:
        """Tell whether they are, without waiting."""
        return self.copied is None or self.copied.query()

    def wait(self) -> tuple[np.ndarray, np.ndarray]:
        """Return smallest and largest values, each (members, channels)."""
        if self.copied is not None:
            self.copied.synchronize()
        low, high = self.extremes.numpy()
        return low, high


class Output:
    """The months of all members on their way to the files, in order.

    A context: what was added is written when it ends, and files that are not finished are closed under their temporary
    names. What goes wrong in that is raised, unless the context ended by an error already.

    Args:
        files: of the members, in the order in which months have them.
        months: how many will come.
        check: is given the number of each month from 0 on, in order, and its smallest and largest values, each
            (members, channels), as soon as the host has them; not to be kept. May raise.
    """

    def __init__(self, files: list[MemberFile], months: int, check: Callable[[int, np.ndarray, np.ndarray], None]):
        self.files, self.expected, self.check = files, months, check
        self.buffers: list[Buffer] = []
        self.arrivals: deque[Arrival] = deque()
        self.checked = 0
        self.broken = False
        self.writer = ThreadPoolExecutor(max_workers=1)  # one, so that order is kept

    def add(self, values: torch.Tensor) -> None:
        """Add the physical fields of the next month, (members, channels, nlat, nlon), on the device.

        Raises:
            OSError: what was added before cannot be written.
            RuntimeError: of the check.
        """
        if not self.buffers:
            # As many months as there is memory for, in both buffers.
            count = min(self.expected, max(1, BUFFER_BYTES // (values.numel() * values.element_size())))
            stream = torch.cuda.Stream(values.device) if values.device.type == "cuda" else None
            self.buffers = [Buffer(count, values.shape, stream) for _ in range(2)]
        self.arrivals.append(self.buffers[0].take(values))
        while self.arrivals and self.arrivals[0].here():
            self._check()
        if self.buffers[0].full:
            self._flush()

    def _check(self) -> None:
        low, high = self.arrivals[0].wait()
        self.check(self.checked, low, high)
        self.arrivals.popleft()
        self.checked += 1

    def _flush(self) -> None:
        """Let the writer have the first buffer, and wait until the other is written."""
        while self.arrivals:  # before their memory is used again
            self._check()
        first, other = self.buffers
        first.job = self.writer.submit(self._write, first)
        self.buffers = [other, first]
        self._wait(other)

    def _wait(self, buffer: Buffer) -> None:
        job, buffer.job = buffer.job, None
        if job is not None:
            job.result()

    def _write(self, buffer: Buffer) -> None:
        # Until all have these months no later ones may follow.
        broken, self.broken = self.broken, True
        months = buffer.months()
        buffer.used = 0
        if broken:
            return
        for member, file in enumerate(self.files if len(months) else []):
            file.write(np.ascontiguousarray(months[:, member].swapaxes(0, 1)))
        self.broken = False

    def finish(self) -> None:
        """Write the rest and give the files their names; raises as `add`."""
        if self.buffers:
            self._flush()
            self._wait(self.buffers[1])
        for file in self.files:
            file.finish()

    def __enter__(self) -> "Output":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_) -> None:
        faults: list[Exception] = []
        # All are tried: after a fault what was added is worth keeping, as far as it can be written.
        for step in (self._drain, self.writer.shutdown, *(file.abandon for file in self.files)):
            try:
                step()
            except Exception as fault:
                faults.append(fault)
        # What made the run end comes first, and is on its way already.
        if faults and kind is None:
            raise faults[0]

    def _drain(self) -> None:
        """Write what is in the buffers, the older first."""
        for buffer in reversed(self.buffers):
            self._wait(buffer)
            self._write(buffer)
