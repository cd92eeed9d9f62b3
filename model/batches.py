"""What training takes from the months: their inputs, made once, and the pairs of a step, by an order from the seed."""

from collections.abc import Iterator

import numpy as np
import torch

from model.data import Months
from model.monthly_diffusion import MonthInputs, MonthlyDiffusion


@torch.no_grad()
def month_inputs(model: MonthlyDiffusion, months: Months) -> MonthInputs:
    """Return the inputs of all months, made a year at a time, for the memory."""
    whole, given = None, (months.fields, months.forcings, months.number)
    for first in range(0, len(months.dates), 12):
        some = slice(first, first + 12)
        part = model.inputs(*(values[some] for values in given))
        if whole is None:
            whole = MonthInputs(*(values.new_empty(len(months.dates), *values.shape[1:]) for values in part))
        for values, new in zip(whole, part, strict=True):
            values[some] = new
    assert whole is not None  # training has pairs, so there are months
    return whole


def take_pairs(inputs: MonthInputs, indices: np.ndarray) -> MonthInputs:
    """Return the months t in `indices`, then the months t + 1."""
    first = torch.as_tensor(indices, device=inputs.month.device)
    both = torch.cat([first, first + 1])
    return MonthInputs(*(values.index_select(0, both) for values in inputs))


def epoch_order(training: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    """Return the training pairs in the order of an epoch."""
    return np.random.default_rng([seed, epoch]).permutation(training)


def validation_batches(inputs: MonthInputs, indices: np.ndarray, batch: int) -> Iterator[MonthInputs]:
    """Yield every validation pair, in order."""
    for start in range(0, len(indices), batch):
        yield take_pairs(inputs, indices[start : start + batch])
