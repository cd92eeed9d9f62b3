"""Fit the response of the training months to the sea, for all that regress: `python -m model.response --help`.

It is that of forced.py, which a model fits for itself in the same way; baselines (baselines.py) take this one.
"""

import argparse
import zipfile
from pathlib import Path

import numpy as np
import torch

from model import data
from model.data import Months
from model.files import whole_bytes
from model.first_guess import fit
from model.forced import ForcedResponse
from model.progress import running
from model.sphere import Grid


def write_response(path: str, modes: int, out: str | Path) -> None:
    """Fit the response of the training months of the file at `path` to `modes` amplitudes of the SST; write it (npz).

    Raises:
        ValueError: as `data.open_months`; or the file does not tell the periods of its months.
    """
    with data.open_months(path, torch.device("cpu")) as months, torch.inference_mode():
        training = data.training_months(months)
        if not training.dates:
            raise ValueError(f"{path} has no training months; make it again with the config's periods.")
        _, fields, nlat, nlon = training.fields.shape
        forced = ForcedResponse(modes, fields, training.forcings.shape[1], Grid(nlat, nlon))
        fit(forced, training)
    with whole_bytes(out) as file:
        np.savez(file, **{name: value.numpy() for name, value in forced.state_dict().items()})


def read_response(path: str, training: Months) -> ForcedResponse:
    """Return the response that `write_response` has written.

    Raises:
        ValueError: it cannot be read, or is of other fields, forcings or another grid than the training months.
    """
    _, fields, nlat, nlon = training.fields.shape
    try:
        with np.load(path, allow_pickle=False) as stored:
            state = {name: torch.from_numpy(stored[name]) for name in stored.files}
        forced = ForcedResponse(len(state["patterns"]), fields, training.forcings.shape[1], Grid(nlat, nlon))
        forced.load_state_dict(state)
    except (OSError, EOFError, ValueError, KeyError, RuntimeError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is no response of these training months, fit it again: {error}") from error
    return forced


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m model.response", description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="normalized training months (training.nc)")
    parser.add_argument("--modes", type=int, required=True, help="amplitudes of the SST that the response takes")
    parser.add_argument("--out", required=True, help="response to write (npz)")
    parser.add_argument("--log", help="file for the lines of status, besides the terminal")
    given = parser.parse_args()
    with running("model.response", given.log):
        write_response(given.data, given.modes, given.out)


if __name__ == "__main__":
    main()
