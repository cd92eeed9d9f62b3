r"""The linear part of the latents' dynamics: their mean, their memory from month to month, and the color of the noise.

v0.9 standardizes latents by one learned mean and sigma and diffuses them with white noise, so that a network has to
learn from the data that neighboring latents belong together and that a month resembles the one before; until it does,
samples lack their large scales and their persistence. Here a linear inverse model (Penland and Sardeshmukh 1995) of the
standardized latents z gives both from the start,

    z_{t+1} = A z_t + x,    A = sum_jk e_j a_jk e_k^T over patterns e_k of z, the slow and the large (EOFs),

and the diffusion is of the departure x, with noise of x's own covariance: of its leading patterns f_k with variances
lambda_k, and an even rest r^2, both with an annual cycle, for storms and vortices of winter are not those of summer,

    noise = C xi,    C = r I + sum_k (sqrt(lambda_k) - r) f_k f_k^T,    xi white.

What is slow, such as the stratosphere's oscillation, may be little of the variance: a memory between few patterns, that
hold a part of it beside much else, is shorter than its own, and its noise is in no leading pattern f_k. So modes of
which more than SLOW is kept from month to month are sought between as many patterns as a sixth of the months. So many
patterns also fit noise: there are at most as many slow modes as either half of the months finds in the large scales of
the fields, slow in the other half, too. The fields tell that before training, and better than an encoder that has just
begun; that the slowest modes of the latents are theirs is not looked at. The noise of slow modes is that of their own
shocks, as large as keeps their variance. The memory of the rest is between the largest patterns of what they leave.

Where the memory is long, a month's error lasts for years: slow modes follow the linear model alone. Networks neither
see them in the state nor add to them, so that their memory and variance are those fitted, bounded whatever they learn.

Data and noise have the same variance in every direction: with v = 0 a sample already has the climate's covariance and
memory, and what is left to learn is all that is not linear, or depends on forcing.
"""

from typing import NamedTuple

import torch
from torch import nn

from model.climatology import annual_waves
from model.covariance import leading_patterns
from model.rounding import RANK, TINY

MEMORY_MODES = 20  # patterns of what is not slow, between which the memory a_jk is fitted
SEARCH = 80  # patterns, at most, between which slow modes are sought
SLOW_MODES = 8  # at most
OBLIQUE = 3.0  # norm of what takes a slow mode's amplitude, at most: more would amplify what else there is
SLOW = 0.7  # amplitude kept from month to month, by a mode that the networks have no part in
CONFIRMED = 0.6  # the same in other months than it was found in, where what it was fitted to beside the mode is noise
LARGEST = 0.99  # amplitude that a mode keeps from month to month, at most
SMALLEST = 0.1  # variance of a season, of the year's mean, at least
PART = 1 << 14  # numbers of a latent at a time
DOUBLINGS = 12  # of the months over which shocks are summed
LEAST_MONTHS = 48  # that tell slow modes from weather
LEAST = 1e-9  # variance of a slow mode, of that of all, at least
RIDGE = 1e-3  # of the variance; more would damp slow oscillations


class SlowModes(NamedTuple):
    """Modes of slow memory, float64 (n, size): z has amplitudes  z taken^T,  and of these  modes,  then  following."""

    taken: torch.Tensor
    modes: torch.Tensor
    following: torch.Tensor


class LatentStatistics(nn.Module):
    """Mean, memory and covariance of standardized latents, measured on the training months; nothing until then."""

    slow_count: torch.Tensor
    mean: torch.Tensor
    memory_from: torch.Tensor
    memory_to: torch.Tensor
    slow_to: torch.Tensor
    slow_noise: torch.Tensor
    patterns: torch.Tensor
    gain: torch.Tensor
    rest: torch.Tensor

    def __init__(self, modes: int, shape: tuple[int, int, int]):
        super().__init__()
        size = shape[0] * shape[1] * shape[2]
        self.register_buffer("slow_count", torch.zeros((), dtype=torch.long))
        self.register_buffer("mean", torch.zeros(shape))
        # Of slow modes first, then of the rest: the vectors that take amplitudes of z, and what becomes of these.
        self.register_buffer("memory_from", torch.zeros(SLOW_MODES + MEMORY_MODES, size))
        self.register_buffer("memory_to", torch.zeros(SLOW_MODES + MEMORY_MODES, size))
        self.register_buffer("slow_to", torch.zeros(SLOW_MODES, size))  # what of z they are
        self.register_buffer("slow_noise", torch.zeros(SLOW_MODES, SLOW_MODES))  # what the noise of those is short of
        self.register_buffer("patterns", torch.zeros(modes, size))  # f_k
        self.register_buffer("gain", torch.zeros(12, modes))  # sqrt(lambda_k) - r in each calendar month
        self.register_buffer("rest", torch.ones(12))  # r

    def predict(self, latent: torch.Tensor) -> torch.Tensor:
        """Return A z of `latent` (batch, channels, nlat, nlon)."""
        return ((latent.flatten(1) @ self.memory_from.T) @ self.memory_to).view_as(latent)

    def slow(self, latent: torch.Tensor) -> torch.Tensor:
        """Return the part of `latent` (batch, channels, nlat, nlon) in the slow modes."""
        return ((latent.flatten(1) @ self.memory_from[:SLOW_MODES].T) @ self.slow_to).view_as(latent)

    def color(self, white: torch.Tensor, month: torch.Tensor) -> torch.Tensor:
        """Return C xi of `white` noise (..., channels, nlat, nlon) for latents of the calendar `month`, 1..12, (...).

        Dimensions of `month` may be of length 1 where those of `white` are not.
        """
        flat, place = white.flatten(-3), month.long() - 1
        inside = (flat @ self.patterns.T) * self.gain[place]
        noise = self.rest[place][..., None] * flat + inside @ self.patterns
        slow = noise @ self.memory_from[:SLOW_MODES].T
        return (noise + (slow @ self.slow_noise) @ self.slow_to).view_as(white)

    def find_slow(self, fields: torch.Tensor) -> None:
        """Find how many modes are slow, by the anomalies of the fields of training months (time, size)."""
        self.slow_count.fill_(count_slow(fields.double()))

    @torch.no_grad()
    def fit(self, latents: torch.Tensor, months: torch.Tensor) -> None:
        """Measure the statistics of `latents` (time, channels, nlat, nlon), scaled already.

        months: their calendar months 1..12, (time,), one after the other.
        """
        self.mean.copy_(latents.mean(0))
        anomalies = (latents - self.mean).flatten(1).double()
        slow = slow_modes(anomalies, int(self.slow_count))
        amplitudes = anomalies @ slow.taken.T
        # In place and in parts: on fine grids a copy of all latents in double precision is a gigabyte.
        _add_product(anomalies, -amplitudes, slow.modes)
        # A pattern per year of data and no more, or the memory would be fitted to noise.
        patterns, _ = leading_patterns(anomalies, min(MEMORY_MODES, max(1, len(anomalies) // 12)))
        scores = anomalies @ patterns.T
        memory = bounded(memory_between(scores), SLOW)
        for buffer, of_slow, of_rest in (
            (self.memory_from, slow.taken, patterns - (patterns @ slow.modes.T) @ slow.taken),
            (self.memory_to, slow.following, memory @ patterns),
        ):
            buffer.zero_()[: len(of_slow)] = of_slow.to(buffer)
            buffer[SLOW_MODES : SLOW_MODES + len(of_rest)] = of_rest.to(buffer)
        self.slow_to.zero_()[: len(slow.modes)] = slow.modes.to(self.slow_to)

        departures = anomalies[1:]
        _add_product(departures, -scores[:-1] @ memory, patterns)
        _add_product(departures, amplitudes[1:], slow.modes)
        _add_product(departures, -amplitudes[:-1], slow.following)
        self._fit_color(departures, months[1:])
        self._fit_slow_noise(slow, amplitudes)

    def _fit_color(self, departures: torch.Tensor, months: torch.Tensor) -> None:
        """Measure C of departures x, float64 (time, size)."""
        # Of no more than half the months, or they would hold all that these have, and nothing that others have.
        patterns, _ = leading_patterns(departures, min(len(self.patterns), max(1, len(departures) // 2)))
        squares = (departures @ patterns.T).square()
        power = torch.cat([part.square().sum(1) for part in departures.split(12)])
        rest = (power - squares.sum(1)).clamp_min(0) / max(1, departures.shape[1] - len(patterns))
        cycle = annual_cycle(torch.cat([squares, rest[:, None]], dim=1), months)
        deviations, rest = cycle[:, :-1].sqrt(), cycle[:, -1:].sqrt()
        self.patterns.zero_()[: len(patterns)] = patterns.to(self.patterns)
        self.gain.zero_()[:, : len(patterns)] = (deviations - rest).to(self.gain)
        self.rest.copy_(rest[:, 0])

    def _fit_slow_noise(self, slow: SlowModes, amplitudes: torch.Tensor) -> None:
        """Measure what slow modes of `amplitudes` (time, n) lack in C to keep their variance."""
        patterns, gain, rest = (values.double() for values in (self.patterns, self.gain, self.rest))
        # C is symmetric: what it makes of the vectors that take the amplitudes has the covariance of their noise.
        made = rest[:, None, None] * slow.taken + ((slow.taken @ patterns.T) * gain[:, None]) @ patterns
        given = (made @ made.mT).mean(0)  # of the year
        memory = slow.following @ slow.taken.T
        shocks = amplitudes[1:] - amplitudes[:-1] @ memory
        wanted = shocks.T @ shocks / max(1, len(shocks))
        kept = stationary(memory, wanted).trace().clamp_min(TINY)
        wanted = wanted * amplitudes.square().sum(1).mean() / kept
        change = root(given, -0.5) @ root(wanted, 0.5)
        change.diagonal().sub_(1)
        self.slow_noise.zero_()[: len(change), : len(change)] = change


def count_slow(anomalies: torch.Tensor) -> int:
    """Return how many modes of `anomalies` (time, size) are slow by either half of the months, and in the other.

    None of less than LEAST_MONTHS: halves share the means of calendar months, which few years make each other's mirror.
    """
    if len(anomalies) < LEAST_MONTHS:
        return 0
    middle = len(anomalies) // 2
    halves = anomalies[:middle], anomalies[middle:]
    return min(confirmed(other, slow_modes(half, SLOW_MODES)) for half, other in (halves, halves[::-1]))


def slow_modes(anomalies: torch.Tensor, most: int) -> SlowModes:
    """Return at most `most` modes of `anomalies` (time, size) that keep more than SLOW, none too oblique."""
    patterns, variance = leading_patterns(anomalies, min(SEARCH, max(1, len(anomalies) // 6)))
    patterns = patterns[variance > RANK * variance[0]]
    # Never a growing mode: a rollout of any length must stay.
    memory = bounded(memory_between(anomalies @ patterns.T), LARGEST)
    values, vectors = slowest_first(memory)
    count = min(most, int((values.abs() > SLOW).sum()))
    while True:
        if 0 < count < len(values) and torch.isclose(values[count], values[count - 1].conj()) and values[count].imag:
            count -= 1  # the halves of a pair of complex modes go or stay together
        chosen = (torch.arange(len(values), device=values.device) < count).to(vectors)
        projector = torch.linalg.solve(vectors.mT, (vectors * chosen).mT).mT.real
        left, singular, right = torch.linalg.svd(projector)
        if not count or singular[0] <= OBLIQUE:
            break
        count -= 1
    taken, modes = (left[:, :count] * singular[:count]).T, right[:count]
    return SlowModes(taken @ patterns, modes @ patterns, modes @ memory @ patterns)


def confirmed(anomalies: torch.Tensor, found: SlowModes) -> int:
    """Return of how many `found` modes, the slowest first, other months keep more than CONFIRMED.

    Of a pair of complex modes, whose plane may have two real ones in few months, it is what they keep together.
    """
    values, vectors = slowest_first(found.following @ found.taken.T)
    kept = torch.linalg.solve(vectors, memory_between(anomalies @ found.taken.T).to(vectors) @ vectors)
    count = 0
    while count < len(values):
        end = count + (2 if values[count].imag else 1)
        if torch.linalg.det(kept[count:end, count:end]).abs() <= CONFIRMED ** (end - count):
            break
        count = end
    return count


def slowest_first(memory: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the complex amplitudes (n,) that the modes of a memory (n, n) keep, and their vectors, by columns."""
    values, vectors = torch.linalg.eig(memory)
    order = values.abs().argsort(descending=True)
    return values[order], vectors[:, order]


def root(covariance: torch.Tensor, power: float) -> torch.Tensor:
    """Return the symmetric power of a covariance (n, n)."""
    values, vectors = torch.linalg.eigh(covariance)
    return vectors * values.clamp_min(LEAST * values.sum()) ** power @ vectors.T


def stationary(memory: torch.Tensor, shocks: torch.Tensor) -> torch.Tensor:
    """Return the covariance (n, n) that a memory [from, to], of no mode above LARGEST, makes of its shocks'."""
    for _ in range(DOUBLINGS):
        shocks = shocks + memory.T @ shocks @ memory
        memory = memory @ memory
    return shocks


def memory_between(scores: torch.Tensor) -> torch.Tensor:
    """Return the matrix a [from, to] of least squares from each month's `scores` (time, n) to the next's."""
    before, after = scores[:-1], scores[1:]
    ridge = RIDGE * len(before) * torch.diag(before.square().mean(0).clamp_min(1e-12))
    return torch.linalg.solve(before.T @ before + ridge, before.T @ after)


def bounded(memory: torch.Tensor, largest: float) -> torch.Tensor:
    """Return a memory of which no mode keeps more than `largest` of its amplitude: all of it scaled, if need be."""
    return memory * (largest / torch.linalg.eigvals(memory).abs().max().clamp_min(1e-12)).clamp(max=1)


def _add_product(values: torch.Tensor, amplitudes: torch.Tensor, patterns: torch.Tensor) -> None:
    """Add amplitudes (time, n) times patterns (n, size) to values (time, size), a part at a time."""
    for part, pattern in zip(values.split(PART, dim=1), patterns.split(PART, dim=1), strict=True):
        part.add_(amplitudes @ pattern)


def annual_cycle(squares: torch.Tensor, months: torch.Tensor) -> torch.Tensor:
    """Return the mean of `squares` (time, n) in each calendar month, (12, n), as their mean and one annual wave.

    months: 1..12, (time,). Nowhere less than SMALLEST of the mean; the mean alone from less than two years.
    """
    mean = squares.mean(0)
    if len(months) < 24:
        return mean.expand(12, -1)
    season = annual_waves(torch.arange(1, 13, device=squares.device))
    waves = torch.cat([torch.ones_like(season[:, :1]), season], dim=1)
    shares = torch.linalg.lstsq(waves[months - 1], squares).solution
    return torch.maximum(waves @ shares, SMALLEST * mean)
