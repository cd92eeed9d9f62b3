"""The file of one member: netCDF4, one float32 variable per channel, contiguous in time."""

import datetime
import os
from concurrent.futures import Executor, Future
from pathlib import Path

import netCDF4
import numpy as np

from model.data import NETCDF, Metadata

UNITS = "days since 1978-01-01"


class MemberFile:
    """Collects the months of a member and writes them under a temporary name until the last is there."""

    def __init__(self, path: str, metadata: Metadata, dates: list[tuple[int, int]], attributes: dict):
        self.path = Path(path)
        self.partial = self.path.with_name(self.path.name + ".partial")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.member = attributes["member"]
        self.buffer: list[np.ndarray] = []
        self.written = 0
        self.job: Future | None = None
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
        edges = np.array(netCDF4.date2num(starts, UNITS, "standard"), dtype="f8")
        bounds = np.stack([edges[:-1], edges[1:]], axis=1)
        self.dataset.createDimension("bnds", 2)
        axes = {"time": bounds.mean(1), "lat": metadata.lat, "lon": metadata.lon}
        units = {"time": UNITS, "lat": "degrees_north", "lon": "degrees_east"}
        for name, values in axes.items():
            self.dataset.createDimension(name, len(values))
            variable = self.dataset.createVariable(name, "f8", (name,))
            variable.units = units[name]
            variable[:] = values
        self.dataset["time"].setncatts({"calendar": "standard", "bounds": "time_bnds"})
        self.dataset.createVariable("time_bnds", "f8", ("time", "bnds"))[:] = bounds

    @property
    def pending(self) -> int:
        """How many months wait to be written."""
        return len(self.buffer)

    def add(self, fields: np.ndarray) -> None:
        """Add the physical fields of the next month, (channels, nlat, nlon)."""
        self.buffer.append(fields)

    def flush(self, writer: Executor) -> None:
        """Let `writer` write the months that were added, once those before are written; its errors are raised here."""
        self._wait()
        if self.buffer:
            self.job = writer.submit(self._write, self.buffer)
            self.buffer = []

    def _wait(self) -> None:
        if self.job is not None:
            job, self.job = self.job, None
            job.result()

    def _write(self, months: list[np.ndarray]) -> None:
        block = np.stack(months, axis=1)
        with NETCDF:
            for variable, values in zip(self.variables, block, strict=True):
                variable[self.written : self.written + len(months)] = values
        self.written += len(months)

    def finish(self, writer: Executor) -> None:
        """Write the rest, make sure that it is on disk, and give the file its name."""
        self.flush(writer)
        self._wait()
        self.dataset.close()
        with open(self.partial, "rb") as file:
            os.fsync(file.fileno())
        os.replace(self.partial, self.path)

    def abandon(self, writer: Executor) -> None:
        """Unless it is finished, write what was added and close, leaving the file under its temporary name."""
        if self.dataset.isopen():
            self.flush(writer)
            self._wait()
            self.dataset.months_written = self.written
            self.dataset.close()
