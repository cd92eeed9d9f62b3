"""Fit the linear response of the training months to the sea, for all that regress: `python -m model.response --help`.

It is that of forced.py, which a model fits for itself in the same way; baselines (baselines.py) take this one.
"""

import argparse
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
import torch

from model import data
from model.files import whole_bytes
from model.first_guess import uniform_warming
from model.forced import ForcedResponse, monthly_means
from model.progress import fail, open_log
from model.sphere import Grid

YEAR = 12  # months, the least that tell a season


class TrainingMonths:
    """The training months of a training.nc, open for reading: one channel or one month of fields in memory at a time.

    Stands in for a tensor (time, channels, nlat, nlon) where ForcedResponse.fit takes one channel after the other.
    """

    def __init__(self, path: str, dataset):
        self.path, self.dataset = path, dataset
        self.metadata = data.read_metadata(dataset)
        inside = np.flatnonzero(data.need(dataset, "split")[:] == data.TRAINING)
        if len(inside) < YEAR or np.any(np.diff(inside) != 1):
            raise ValueError(
                f"{path} has {len(inside)} training months, which must be {YEAR} or more, one after the other; make it "
                "again with the config's periods."
            )
        self.span = slice(int(inside[0]), int(inside[-1]) + 1)
        self.dates = data.read_dates(dataset)[self.span]
        self.number = torch.tensor([month for _, month in self.dates])
        with data.NETCDF:
            self.forcings = torch.from_numpy(dataset["forcings"][self.span].astype("f4"))
        data.refuse_missing(self.forcings, self.dates, f"forcings of {path}")
        self.shape = (len(inside), *dataset["fields"].shape[1:])
        self.device = self.forcings.device

    def __getitem__(self, place: tuple[slice, int]) -> torch.Tensor:
        """Return all months (time, nlat, nlon) of a channel: `months[:, channel]`."""
        with data.NETCDF:
            values = torch.from_numpy(self.dataset["fields"][self.span, place[1]].astype("f4"))
        data.refuse_missing(values, self.dates, f"fields of {self.path}")
        return values

    def month(self, index: int) -> torch.Tensor:
        """Return the fields (channels, nlat, nlon) of a training month."""
        with data.NETCDF:
            return torch.from_numpy(self.dataset["fields"][self.span.start + index].astype("f4"))

    def channels(self) -> Iterator[torch.Tensor]:
        """Yield the months (time, nlat, nlon) of each channel."""
        return (self[:, channel] for channel in range(self.shape[1]))

    def climatology(self) -> torch.Tensor:
        """Return the mean of each calendar month, (12, channels, nlat, nlon)."""
        return torch.stack([monthly_means(values.double(), self.number).float() for values in self.channels()], dim=1)


def fit_regression(training: TrainingMonths, modes: int) -> ForcedResponse:
    """Return the linear response of the training months to the sea, of `modes` amplitudes."""
    _, fields, nlat, nlon = training.shape
    forced = ForcedResponse(modes, fields, training.forcings.shape[1], Grid(nlat, nlon))
    months = cast(torch.Tensor, training)
    guess = uniform_warming(training.metadata, months, training.forcings)
    forced.fit(months, training.forcings, training.number, guess)
    return forced


def write_response(path: str, modes: int, out: str | Path) -> None:
    """Fit the response of the training months of the file at `path` to `modes` amplitudes of the SST; write it (npz).

    Raises:
        ValueError: the file has less than a year of training months, or values that are not finite.
    """
    with data.open_dataset(path) as dataset, torch.inference_mode():
        forced = fit_regression(TrainingMonths(path, dataset), modes)
    with whole_bytes(out) as file:
        np.savez(file, **{name: value.numpy() for name, value in forced.state_dict().items()})


def read_response(path: str, training: TrainingMonths) -> ForcedResponse:
    """Return the response that `write_response` has written.

    Raises:
        ValueError: it cannot be read, or is of other fields, forcings or another grid than the training months.
    """
    _, fields, nlat, nlon = training.shape
    try:
        with np.load(path, allow_pickle=False) as stored:
            state = {name: torch.from_numpy(stored[name]) for name in stored.files}
        forced = ForcedResponse(len(state["patterns"]), fields, training.forcings.shape[1], Grid(nlat, nlon))
        forced.load_state_dict(state)
    except (OSError, ValueError, KeyError, RuntimeError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is no response of {training.path}, fit it again: {error}") from error
    return forced


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m model.response", description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="normalized training months (training.nc)")
    parser.add_argument("--modes", type=int, required=True, help="amplitudes of the SST that the response takes")
    parser.add_argument("--out", required=True, help="response to write (npz)")
    parser.add_argument("--log", help="file for the lines of status, besides the terminal")
    given = parser.parse_args()
    open_log(given.log)
    try:
        write_response(given.data, given.modes, given.out)
    except (ValueError, RuntimeError, OSError) as error:
        fail(f"model.response: {error}")


if __name__ == "__main__":
    main()
