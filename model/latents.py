r"""The linear part of the latents' dynamics: their mean, their memory from month to month, and the color of the noise.

v0.9 standardizes latents by one learned mean and sigma and diffuses them with white noise, so that a network has to
learn from the data that neighboring latents belong together and that a month resembles the one before; until it does,
samples lack their large scales and their persistence. Here a linear inverse model (Penland and Sardeshmukh 1995) of the
standardized latents z gives both from the start,

    z_{t+1} = A z_t + x,    A = sum_jk e_j a_jk e_k^T over the leading patterns e_k (EOFs) of z,

and the diffusion is of the departure x, with noise of x's own covariance: of its leading patterns f_k with variances
lambda_k, and an even rest r^2, both with an annual cycle, for storms and vortices of winter are not those of summer,

    noise = C xi,    C = r I + sum_k (sqrt(lambda_k) - r) f_k f_k^T,    xi white.

Where the memory is long, a month's error lasts for years: what A keeps more than SLOW of (its invariant subspace of
eigenvalues beyond it, such as the stratosphere's oscillation) follows the linear model alone. The networks neither see
it in the state nor add to it, so that its memory and variance are those fitted, bounded whatever they learn.

Data and noise have the same variance in every direction: with v = 0 a sample already has the climate's covariance and
memory, and what is left to learn is all that is not linear, or depends on forcing.
"""

import torch
from torch import nn

from model.regression import annual_waves

MEMORY_MODES = 20  # patterns of z between which the memory a_jk is fitted
SLOW = 0.7  # amplitude kept from month to month, by a mode that the networks have no part in
LARGEST = 0.99  # amplitude that a mode keeps from month to month, at most
SMALLEST = 0.1  # variance of a season, of the year's mean, at least
PART = 1 << 14  # numbers of a latent at a time
RIDGE = 1e-3  # of the variance; more would damp slow oscillations


class LatentStatistics(nn.Module):
    """Mean, memory and covariance of standardized latents, measured on the training months; nothing until then."""

    mean: torch.Tensor
    memory_from: torch.Tensor
    memory_to: torch.Tensor
    slow_to: torch.Tensor
    patterns: torch.Tensor
    gain: torch.Tensor
    rest: torch.Tensor

    def __init__(self, modes: int, shape: tuple[int, int, int]):
        super().__init__()
        size = shape[0] * shape[1] * shape[2]
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("memory_from", torch.zeros(MEMORY_MODES, size))  # e_k
        self.register_buffer("memory_to", torch.zeros(MEMORY_MODES, size))  # sum_j a_jk e_j
        self.register_buffer("slow_to", torch.zeros(MEMORY_MODES, size))  # sum_j p_jk e_j, p the slow modes' projector
        self.register_buffer("patterns", torch.zeros(modes, size))  # f_k
        self.register_buffer("gain", torch.zeros(12, modes))  # sqrt(lambda_k) - r in each calendar month
        self.register_buffer("rest", torch.ones(12))  # r

    def predict(self, latent: torch.Tensor) -> torch.Tensor:
        """Return A z of `latent` (batch, channels, nlat, nlon)."""
        return ((latent.flatten(1) @ self.memory_from.T) @ self.memory_to).view_as(latent)

    def slow(self, latent: torch.Tensor) -> torch.Tensor:
        """Return the part of `latent` (batch, channels, nlat, nlon) in the slow modes."""
        return ((latent.flatten(1) @ self.memory_from.T) @ self.slow_to).view_as(latent)

    def color(self, white: torch.Tensor, month: torch.Tensor) -> torch.Tensor:
        """Return C xi of `white` noise (..., channels, nlat, nlon) for latents of the calendar `month`, 1..12, (...).

        Dimensions of `month` may be of length 1 where those of `white` are not.
        """
        flat, place = white.flatten(-3), month.long() - 1
        inside = (flat @ self.patterns.T) * self.gain[place]
        return (self.rest[place][..., None] * flat + inside @ self.patterns).view_as(white)

    @torch.no_grad()
    def fit(self, latents: torch.Tensor, months: torch.Tensor) -> None:
        """Measure the statistics of `latents` (time, channels, nlat, nlon), scaled already.

        months: their calendar months 1..12, (time,), one after the other.
        """
        self.mean.copy_(latents.mean(0))
        anomalies = (latents - self.mean).flatten(1).double()
        # A pattern per year of data and no more, or the memory would be fitted to noise.
        patterns, _ = leading_patterns(anomalies, min(MEMORY_MODES, max(1, len(anomalies) // 12)))
        scores = anomalies @ patterns.T
        before, after = scores[:-1], scores[1:]
        ridge = RIDGE * len(before) * torch.diag(before.square().mean(0).clamp_min(1e-12))
        memory = torch.linalg.solve(before.T @ before + ridge, before.T @ after)  # [from, to]
        # Never a growing mode: a rollout of any length must stay.
        memory *= (LARGEST / torch.linalg.eigvals(memory).abs().max().clamp_min(1e-12)).clamp(max=1)
        self.memory_from.zero_()[: len(patterns)] = patterns.to(self.memory_from)
        self.memory_to.zero_()[: len(patterns)] = (memory @ patterns).to(self.memory_to)
        self.slow_to.zero_()[: len(patterns)] = (slow_projector(memory) @ patterns).to(self.slow_to)

        # In place and in parts: on fine grids a copy of all latents in double precision is a gigabyte.
        departures, kept = anomalies[1:], before @ memory
        for part, pattern in zip(departures.split(PART, dim=1), patterns.split(PART, dim=1), strict=True):
            part.sub_(kept @ pattern)
        patterns, variance = leading_patterns(departures, len(self.patterns))
        squares = (departures @ patterns.T).square()
        power = torch.cat([part.square().sum(1) for part in departures.split(12)])
        rest = (power - squares.sum(1)).clamp_min(0) / max(1, departures.shape[1] - len(patterns))
        cycle = annual_cycle(torch.cat([squares, rest[:, None]], dim=1), months[1:])
        deviations, rest = cycle[:, :-1].sqrt(), cycle[:, -1:].sqrt()
        self.patterns.zero_()[: len(patterns)] = patterns.to(self.patterns)
        self.gain.zero_()[:, : len(patterns)] = (deviations - rest).to(self.gain)
        self.rest.copy_(rest[:, 0])


def slow_projector(memory: torch.Tensor) -> torch.Tensor:
    """Return the projector (n, n) of scores (n,) on modes of `memory` that keep more than SLOW, along the others."""
    values, vectors = torch.linalg.eig(memory)
    slow = (values.abs() > SLOW).to(vectors)
    return torch.linalg.solve(vectors.mT, (vectors * slow).mT).mT.real


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


def leading_patterns(anomalies: torch.Tensor, modes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return at most `modes` orthonormal patterns (k, size) of `anomalies` (time, size), and their variances (k,)."""
    modes = min(modes, len(anomalies) - 1)
    variance, times = torch.linalg.eigh(anomalies @ anomalies.T / len(anomalies))
    variance, times = variance[-modes:].flip(0).clamp_min(1e-12), times[:, -modes:].flip(1)
    return (times.T @ anomalies) / (variance * len(anomalies)).sqrt()[:, None], variance
