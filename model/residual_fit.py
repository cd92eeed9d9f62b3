r"""Measuring the noise of model/residual.py: its shape, its variance at each place, and its power at each degree.

The shape, what fields and places have to do with each other and the memory, is that of what reconstruction leaves of
training months: patterns with the share of each degree that half of the months confirms of the other, what is alike
everywhere with the rest. Variance and power are what a free run lacks of the data's (model/calibration.py). Scaled by
place, u has other power than e, which is known in closed form: of patterns by their maps, of what is alike everywhere
by the kernel of `product_power`, of white cells by their rows; some rounds of corrected shares close the gap.
"""

from collections.abc import Callable, Iterable, Iterator

import torch

from model.climatology import LEAST_YEARS, variance_cycles
from model.covariance import confirmed_share, leading_patterns
from model.residual import PATTERNS, ResidualNoise
from model.rounding import TINY
from model.sphere import product_power

POWER_ROUNDS = 3  # in which the power of e comes near the wanted one
POWER_MONTHS = 1, 4, 7, 10  # whose mean is nearly the year's
CHANGE = 10.0  # of a share in a round, at most
LARGEST = 0.95  # correlation from month to month, at most: slow variations are the latents' to give


@torch.no_grad()
def fit_shape(noise: ResidualNoise, residuals: Callable[[], Iterable[torch.Tensor]]) -> None:
    """Measure patterns, correlation between fields and memory of the `residuals`, gone through twice.

    residuals: gives what is left of each month in turn, (fields, nlat, nlon), normalized.
    """
    count = 0
    total, squares = (torch.zeros_like(noise.known[0], dtype=torch.float64) for _ in range(2))
    for residual in residuals():
        count += 1
        total += residual
        squares += residual.double().square()
    mean = total / count
    deviation = (squares / count - mean.square()).clamp_min(0).sqrt()
    scale = torch.where(deviation > 1e-6, 1 / deviation, 0.0).float()

    fields, degrees = len(mean), noise.harmonics.keep.lmax
    covariance = torch.zeros_like(noise.mixing, dtype=torch.float64)
    lagged, power = torch.zeros(2, degrees + 1, dtype=torch.float64, device=covariance.device)
    before: tuple[torch.Tensor, torch.Tensor] | None = None
    sample = noise.patterns.new_zeros(count, *noise.patterns.shape[1:])
    for time, residual in enumerate(residuals()):
        unit = (residual - mean.float()) * scale
        spectrum = noise.harmonics(unit)
        cells = (unit - noise.harmonics.maps(spectrum)).flatten(1)
        products = (spectrum[:, None] * spectrum[None]).flatten(0, 1)
        covariance[:-1] += noise.harmonics.by_degree(products).T.unflatten(1, (fields, fields)).double()
        covariance[-1] += (cells @ cells.T).double() / cells.shape[1]
        power += torch.cat([noise.harmonics.power(spectrum).sum(0), cells.square().sum()[None]]).double()
        if before is not None:
            both = spectrum * before[0], (cells * before[1]).sum()[None]
            lagged += torch.cat([noise.harmonics.by_degree(both[0]).sum(0), both[1]]).double()
        before = spectrum, cells
        sample[time] = spectrum[:, : sample.shape[-1]]
    deviation = covariance.diagonal(dim1=1, dim2=2).clamp_min(TINY).sqrt()
    values, vectors = torch.linalg.eigh(covariance / (deviation[:, :, None] * deviation[:, None]))
    noise.mixing.copy_(vectors * values.clamp_min(0).sqrt()[:, None] @ vectors.mT)
    noise.memory.copy_((lagged / power.clamp_min(TINY)).clamp(0, LARGEST))
    _fit_patterns(noise, sample)


def _fit_patterns(noise: ResidualNoise, sample: torch.Tensor) -> None:
    """Take patterns of the harmonics of low degree, (time, fields, harmonics), and their share from G_l.

    Until `fit_power` patterns have their share of a power of 1 at each degree, G_l the rest in each harmonic.
    """
    noise.patterns.zero_()
    noise.pattern_memory.zero_()
    if len(sample) < 12 * LEAST_YEARS:
        return
    sample = sample.double()
    degree = noise.harmonics.degree[: sample.shape[-1]]
    shares = [confirmed_share(sample[..., degree == number]) for number in range(int(degree[-1]) + 1)]
    share = torch.stack(shares, dim=1)
    patterns, variance = leading_patterns(sample.flatten(1), PATTERNS)
    scores = sample.flatten(1) @ patterns.T
    maps = (patterns * variance.sqrt()[:, None]).unflatten(1, sample.shape[1:])
    power = noise.harmonics.by_degree(sample.square().sum(0))[:, : share.shape[1]] / len(sample)
    maps *= (share / power.clamp_min(TINY)).sqrt()[:, degree]
    noise.patterns[: len(maps)] = maps
    memory = (scores[1:] * scores[:-1]).sum(0) / scores.square().sum(0).clamp_min(TINY)
    noise.pattern_memory[: len(maps)] = memory.clamp(0, LARGEST)
    taken = noise.harmonics.by_degree(maps.square().sum(0))
    noise.mixing[:-1] *= (1 - taken).clamp_min(0).sqrt().T[:, :, None]


@torch.no_grad()
def fit_variance(noise: ResidualNoise, known: torch.Tensor, run: torch.Tensor, years: int) -> None:
    """Take the variance of data and run in each calendar month, (12, fields, nlat, nlon), normalized units.

    years: of the data, which tell how much of its season is real.
    """
    found = variance_cycles(known, run, years, noise.harmonics)
    for logarithms, values in zip((noise.known, noise.run), found, strict=True):
        logarithms.copy_(values)


@torch.no_grad()
def fit_power(noise: ResidualNoise, lacking: torch.Tensor) -> None:
    """Take the power that a run lacks at each degree, and beyond them all, (fields, degrees + 1).

    After `fit_shape` and `fit_variance`. It counts up to a factor; where it is negative nothing lacks. Scaled by
    place u has other power, more of high degrees; where so, or from the cells, more comes than lacks, it stays.
    """
    wanted = lacking.clamp_min(0) + TINY
    wanted = wanted / wanted.sum(1, keepdim=True)
    shape, white, share = (noise.patterns.clone(), noise.mixing.clone()), noise.harmonics.white_power(), wanted
    variance = noise.variances(POWER_MONTHS)
    for _ in range(POWER_ROUNDS):
        _share_out(noise, share, *shape, white.sum(0))
        found = _power(noise, white, variance)
        share = share * (wanted / torch.where(found > 0, found, wanted)).clamp(1 / CHANGE, CHANGE)
    _share_out(noise, share / share.sum(1, keepdim=True), *shape, white.sum(0))


def _share_out(noise: ResidualNoise, share, patterns: torch.Tensor, mixing: torch.Tensor, white: torch.Tensor) -> None:
    """Give u a share of power at each degree, and beyond, from patterns and mixing of power 1, and even it."""
    # White cells have power at every degree, which the harmonics need not give again.
    cells = share[:, -1:] / (1 - white.sum())
    degrees = (share[:, :-1] - cells * white).clamp_min(0)
    noise.patterns.copy_(patterns * degrees.sqrt()[:, noise.harmonics.degree[: patterns.shape[-1]]])
    noise.mixing.copy_(mixing * torch.cat([degrees / noise.harmonics.counts, cells], dim=1).T.sqrt()[:, :, None])
    # Patterns vary more in some places than in others, the rest alike everywhere.
    variance = _alike(noise).sum(1)[:, None, None].expand_as(noise.even).clone()
    for pattern in _pattern_maps(noise):
        variance += pattern.square()
    noise.even.copy_(variance.clamp_min(TINY).rsqrt())


def _alike(noise: ResidualNoise) -> torch.Tensor:
    """Return the power of what u has alike everywhere, at each degree and of the cells, (fields, degrees + 1)."""
    alike = noise.mixing.square().sum(2).T
    return torch.cat([alike[:, :-1] * noise.harmonics.counts, alike[:, -1:]], dim=1)


def _pattern_maps(noise: ResidualNoise) -> Iterator[torch.Tensor]:
    """Yield the maps (fields, nlat, nlon) of patterns that are not zero."""
    yield from (noise.harmonics.maps(pattern) for pattern in noise.patterns if pattern.any())


def _power(noise: ResidualNoise, white: torch.Tensor, variance: torch.Tensor) -> torch.Tensor:
    """Return the share of the power of e at each degree, and beyond, (fields, degrees + 1); 0 without variance."""
    scale = variance.sqrt() * noise.even
    alike = _alike(noise)
    power = product_power(alike[:, :-1], noise.harmonics.power(noise.harmonics(scale))).mean(0)
    power += scale.square().mean((0, 3)) @ white * alike[:, -1:]
    for pattern in _pattern_maps(noise):
        power += noise.harmonics.power(noise.harmonics(scale * pattern)).mean(0)
    total = (variance * noise.means.rows).mean((0, 2, 3))[:, None]
    both = torch.cat([power, (total - power.sum(1, keepdim=True)).clamp_min(0)], dim=1)
    return torch.where(total > TINY, both / total.clamp_min(TINY), 0.0)
