r"""What each calendar month usually has, and how much it varies, as far as a few decades tell.

The mean of a calendar month over n years errs by 1/n of its variance, 5 % of it in twenty years, and a forecast with
it, most of all of what the sea hardly moves. An annual cycle is smoother than twelve such means:

    c(m) = c_0 + sum_k (a_k cos(2 pi k m / 12) + b_k sin(2 pi k m / 12)),    k = 1..6,

of which the first waves are large and the last mostly sampling error (Narapusetty et al. 2009,
doi:10.1175/2009JCLI2944.1, who cut them off). Here each wave keeps, place by place, the share 1 - E / P of its power P
that is above its sampling error E (a Wiener filter), both as the neighbourhood has them: monsoons and melting ice keep
theirs. The error of a wave is that of its amplitudes between years, so that years which are warm as a whole say nothing
of the season.

Variances have a cycle likewise, two waves of their logarithm: that of a normal sample's variance errs by the trigamma
function of half its degrees of freedom, whatever the variance. Here months count as independent, so that of what lasts
for months a little too much season is kept.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import torch

from model.data import Metadata
from model.rounding import TINY
from model.sphere import Grid, Harmonics

LEAST_YEARS = 10  # of training that tell how years differ, and what makes them
NEAR = 6  # degree of the harmonics to which power and error are smoothed
FLOOR = 0.01  # of the year's mean variance, which no month is below in a wave
LOGARITHMS = 5  # of a variance: of what multiplies the exponential of two waves, and their amplitudes


class Climatology(NamedTuple):
    """The mean of each calendar month, (12, channels, nlat, nlon), normalized."""

    sample: torch.Tensor  # of the training months
    cycle: torch.Tensor  # of the climate, as far as they tell


class Means:
    """Mean in each calendar month of values of one shape."""

    def __init__(self, shape: Sequence[int], device: torch.device):
        self.count = torch.zeros(12, *[1] * len(shape), dtype=torch.float64, device=device)
        self.sums = torch.zeros(12, *shape, dtype=torch.float64, device=device)

    def add(self, values: torch.Tensor, month: int) -> None:
        """Add values (batch, *shape) of a calendar month, 1..12."""
        self.count[month - 1] += len(values)
        self.sums[month - 1] += values.double().sum(0)

    @property
    def mean(self) -> torch.Tensor:
        """The mean of each calendar month, (12, *shape)."""
        return self.sums / self.count.clamp_min(1)


def annual_waves(month: torch.Tensor) -> torch.Tensor:
    """Return cosine and sine of the year in calendar months 1..12 (batch,), float64 (batch, 2)."""
    angle = 2 * math.pi * month.double() / 12
    return torch.stack([angle.cos(), angle.sin()], dim=1)


def monthly_means(values: torch.Tensor, months: torch.Tensor) -> torch.Tensor:
    """Return the mean of `values` (time, ...) for each calendar month, shape (12, ...); 0 where there is none."""
    means = Means(values.shape[1:], values.device)
    for month in months.unique().tolist():
        means.add(values[months == month], month)
    return means.mean.to(values)


def climatology_of(departures: Iterable[torch.Tensor], months: torch.Tensor, metadata: Metadata) -> Climatology:
    """Return the climatology of training months.

    Args:
        departures: of each month in turn from what the sea makes of it, (channels, nlat, nlon), normalized, or fields
            where that is not known. Anomalies of the sea have no mean, and what they explain of a mean is no error.
        months: calendar months 1..12, (time,).
        metadata: of the fields.
    """
    sample, error = sampled(departures, months)
    if error is None:
        return Climatology(sample.float(), sample.float())
    harmonics = Harmonics(Grid(*sample.shape[-2:])).to(sample.device)
    cycle = torch.empty_like(sample, dtype=torch.float32)
    for channel, scale in enumerate(metadata.scale):  # one after the other, for the memory
        # Anomalies from a mean of every month have no cycle of their own.
        center = torch.from_numpy(metadata.center[:, channel] / scale).to(sample)
        cycle[:, channel] = shrunk(sample[:, channel] + center, error[:, channel], harmonics) - center
    return Climatology(sample.float(), cycle)


def year_basis(device: torch.device | str = "cpu") -> torch.Tensor:
    """Return the orthonormal waves of a year in months 1..12, float64 (12, 12): a constant, then cosines and sines.

    The last, of a month up and a month down, has no sine.
    """
    months = torch.arange(1, 13, device=device)
    waves = torch.cat([annual_waves(wave * months) for wave in range(1, 7)], dim=1)[:, :-1].T
    waves = torch.cat([torch.ones_like(waves[:1]), waves])
    return waves / waves.norm(dim=1, keepdim=True)


def waves_of_year() -> Iterator[slice]:
    """Yield where each wave, 1 to 6, has its amplitudes in `year_basis`."""
    return (slice(2 * wave - 1, min(2 * wave + 1, 12)) for wave in range(1, 7))


def sampled(values: Iterable[torch.Tensor], months: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return means of each calendar month, and the variance that sampling gives each of their amplitudes, (12, ...).

    By how the amplitudes of years differ, which are twelve months in turn from any on; None of less than two of them.

    Args:
        values: of each month in turn, (...).
        months: 1..12, (time,).
    """
    basis, years = year_basis(), 0
    means: Means | None = None
    total, squares = (torch.zeros((), dtype=torch.float64) for _ in range(2))
    year: list[torch.Tensor] = []
    numbers: list[int] = []
    for month, value in zip(months.tolist(), values, strict=True):
        if means is None:
            means = Means(value.shape, value.device)
            total, squares = (torch.zeros_like(means.sums) for _ in range(2))
        means.add(value[None], month)
        if numbers and month != numbers[-1] % 12 + 1:
            year, numbers = [], []
        year.append(value)
        numbers.append(month)
        if len(year) == 12:
            waves = basis[:, [number - 1 for number in numbers]].to(value)
            amplitudes = torch.tensordot(waves, torch.stack(year), dims=1)
            total += amplitudes
            squares += amplitudes.square_()
            years += 1
            year, numbers = [], []
    assert means is not None  # training has months
    if years < 2:
        return means.mean, None
    return means.mean, squares.sub_(total.square_().div_(years)).clamp_min_(0).div_((years - 1) * years)


def shrunk(cycle: torch.Tensor, error: torch.Tensor, harmonics: Harmonics) -> torch.Tensor:
    """Return an annual cycle (12, ..., nlat, nlon) whose waves keep the share that is no sampling error, float64.

    error: the variance of each amplitude of `year_basis` that sampling explains, of that shape; the mean is kept.
    """
    basis = year_basis(cycle.device)
    amplitudes = torch.tensordot(basis, cycle.double(), dims=1)
    for wave in waves_of_year():
        amplitudes[wave] *= real_share(amplitudes[wave].square().sum(0), error[wave].sum(0), harmonics)
    return torch.tensordot(basis.T, amplitudes, dims=1)


def real_share(power: torch.Tensor, error: torch.Tensor, harmonics: Harmonics) -> torch.Tensor:
    """Return the share of a wave that is no sampling error in its neighbourhood, 0 to 1, (..., nlat, nlon).

    power: its mean square at each place; error: that of sampling alone.
    """
    power, error = (harmonics.smooth(maps.float(), NEAR) for maps in (power, error))
    return (1 - error / power.clamp_min(TINY)).clamp(0, 1)


def variance_cycles(
    known: torch.Tensor, run: torch.Tensor, years: int, harmonics: Harmonics
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the variances (12, ..., nlat, nlon) of data and of a run as logarithms (LOGARITHMS, ..., nlat, nlon).

    The year's mean is that of the variances; beside it there are two waves.

    years: two or more, whose months tell the data's variance; a wave keeps of both the share that these years tell.
    """
    both = torch.stack([_amplitudes(known), _amplitudes(run)])
    half_freedom = torch.tensor((years - 1) / 2, dtype=torch.float64, device=known.device)
    error = torch.polygamma(1, half_freedom).float()  # of an amplitude
    for wave in (slice(0, 2), slice(2, 4)):
        power = both[0, wave].square().sum(0)
        both[:, wave] *= real_share(power, (2 * error).expand_as(power), harmonics)
    cycles = []
    for variance, amplitudes in zip((known, run), both, strict=True):
        season = torch.exp(torch.tensordot(_two_waves(known).T, amplitudes, dims=1)).mean(0)
        cycles.append(torch.cat([(variance.mean(0).clamp_min(TINY) / season).log()[None], amplitudes]))
    return cycles[0], cycles[1]


def variance_in(logarithms: torch.Tensor, month: int) -> torch.Tensor:
    """Return the variance (...) in a calendar month, 1..12, of `logarithms` as `variance_cycles` has them."""
    return torch.exp(logarithms[0] + torch.tensordot(_two_waves(logarithms)[:, month - 1], logarithms[1:], dims=1))


def _two_waves(like: torch.Tensor) -> torch.Tensor:
    """Return the first two waves of the year, (4, 12)."""
    return year_basis(like.device)[1:5].to(like)


def _amplitudes(variance: torch.Tensor) -> torch.Tensor:
    """Return the amplitudes (4, ...) of two waves of the logarithm of variances (12, ...)."""
    # Of logarithms, or the calm months of a strong season would come out below nothing.
    logarithm = torch.maximum(variance, FLOOR * variance.mean(0)).clamp_min(TINY).log()
    return torch.tensordot(_two_waves(variance), logarithm, dims=1)
