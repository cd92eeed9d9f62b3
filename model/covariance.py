r"""What few samples tell of a covariance: its leading patterns, and how much of it is real.

A sample covariance S of few months holds what is real of far connections and of places, and as much sampling error; a
homogeneous covariance I, one matrix between the fields for each degree of the spherical harmonics, has hardly any error
and no places. The covariance nearest to the truth is between: the hybrid of Hamill and Snyder (2000,
doi:10.1175/1520-0493(2000)128<2905:AHEKFV>2.0.CO;2), with the weight of Ledoit and Wolf (2004,
doi:10.1016/S0047-259X(03)00096-4),

    a S + (1 - a) I,    a = |C - I|^2 / |S - I|^2,

by the squared norm of matrices, or of the rows of a field, where C is the truth. Two halves of the sample have
independent errors, so that |C - I|^2 is the product of what departs from I in one of them with what does in the other.
"""

import torch

from model.rounding import TINY


def confirmed_share(sample: torch.Tensor) -> torch.Tensor:
    """Return a of each field, (fields,), 0 to 1, for the harmonics of a degree, (time, fields, orders), of mean 0."""
    sample = sample.double()
    time, _, orders = sample.shape
    homogeneous = torch.einsum("tfk,tgk->fg", sample, sample) / (time * orders)  # I, the same for each order
    square = orders * homogeneous.square().sum(1)

    def product(one: torch.Tensor, two: torch.Tensor) -> torch.Tensor:
        """Return <S1 - I, S2 - I> of the rows of each field, (fields,), of the months of two parts."""
        both = torch.einsum("tfk,sfk,ts->f", one, two, one.flatten(1) @ two.flatten(1).T) / (len(one) * len(two))
        mixed = (torch.einsum("tfk,fg,tgk->f", part, homogeneous, part) / len(part) for part in (one, two))
        return both - sum(mixed) + square

    if time < 2:
        return torch.zeros_like(square)
    # Each about its own mean: what drifts through both would be confirmed of weather that is merely slow.
    halves = (half - half.mean(0) for half in (sample[: time // 2], sample[time // 2 :]))
    known, found = product(*halves), product(sample, sample)
    # What is left of equal matrices is rounding.
    return torch.where(found > 1e-9 * square, known / found.clamp_min(TINY), 0.0).clamp(0, 1)


def leading_patterns(anomalies: torch.Tensor, modes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return at most `modes` orthonormal patterns (k, size) of `anomalies` (time, size), and their variances (k,)."""
    modes = min(modes, len(anomalies) - 1)
    variance, times = torch.linalg.eigh(anomalies @ anomalies.T / len(anomalies))
    variance, times = variance.flip(0)[:modes].clamp_min(1e-12), times.flip(1)[:, :modes]
    return (times.T @ anomalies) / (variance * len(anomalies)).sqrt()[:, None], variance
