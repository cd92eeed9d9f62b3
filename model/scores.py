"""Measures of an ensemble against what happened, and of the memory of a series; closed forms are in the tests."""

import math

import numpy as np
import torch


def fair_crps(members: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Return the fair continuous ranked probability score at each place, in the units of the fields.

    mean_i |x_i - y| - sum_ij |x_i - x_j| / (2 M (M - 1)): its expectation does not depend on the number of members M
    (Ferro 2014, doi:10.1002/qj.2270).

    Args:
        members: (members, ...), two or more.
        truth: (...).
    """
    count = len(members)
    # Of sorted members the sum over pairs is one over members: the i-th is the larger of i - 1 pairs.
    ranks = torch.arange(1 - count, count, 2, device=members.device).to(members)
    ordered = members.sort(0).values
    pairs = torch.tensordot(ranks, ordered, dims=1)
    return (members - truth).abs().mean(0) - pairs / (count * (count - 1))


def spread_over_error(variance: np.ndarray, square_error: np.ndarray, members: int) -> np.ndarray:
    """Return the ratio of spread to error, 1 where members and truth are exchangeable.

    sqrt((M + 1) / M  variance / square_error), after Fortin et al. 2014 (doi:10.1175/JHM-D-14-0008.1).

    Args:
        variance: mean unbiased variance of the members.
        square_error: mean square error of the ensemble mean.
        members: their number M.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.sqrt((members + 1) / members * variance / square_error)


def lag_one(series: np.ndarray, follows: np.ndarray) -> np.ndarray:
    """Return the correlation from month to month of `series` (members, time, n), about one mean of all, shape (n,).

    `follows` (time - 1,) tells where a month is followed by the next.
    """
    series = series - series.mean((0, 1))
    before, after = series[:, :-1][:, follows], series[:, 1:][:, follows]
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.sqrt(np.square(before).sum((0, 1)) * np.square(after).sum((0, 1)))
        return (before * after).sum((0, 1)) / size


def memory_months(correlation: float) -> float:
    """Return the months after which red noise of a lag-one correlation has kept 1 / e: -1 / ln r; 0 for r <= 0."""
    return -1 / math.log(correlation) if 0 < correlation < 1 else 0.0 if correlation <= 0 else math.inf
