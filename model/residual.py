r"""What the decoder does not give comes back as noise: scales that pass no latent, and variance lost on the way.

A month is decoded from few numbers, so that its fields lack what these do not hold: half of the variance of monthly
precipitation, most of all beyond the degrees of the latent grid. Without it every ensemble has too little spread, and
what is no linear function of the fields (precipitation behind its square root) a biased mean. The noise is

    x = L + g(m) d + e,    e = s(m) u,    u = sum_j B_j n_j + sum_lk G_l n_lk Y_lk + H n,
    n_t = r n_{t-1} + sqrt(1 - r^2) xi,

with L the forced response, d what is decoded, m the calendar month and xi white: red in time, G_l G_l^T the covariance
between the fields at degree l, the same everywhere on the sphere, and H H^T that of all that lies beyond the
transform's truncation. B_j are patterns of all fields, with what is no such covariance: far connections, and what is
unlike from place to place; of a degree they have the share that half of the months confirms of the other
(model/covariance.py), G_l the rest. u is brought to variance 1 at every place, so that s is the deviation of e.

The noise closes the gap that encoder, sampler and decoder leave together, and adds nothing where they leave none: s^2
is what a free run of the training period lacks of the data's variance about the seasonal mean at each place, with its
annual cycle (model/climatology.py), and patterns and G_l together have the power that gives e what it lacks of each
field's at degree l. Where the run varies more than the data, g < 1 takes that away. What fields and places have to do
with each other, and r of each degree and pattern, are those of what reconstructed training months leave, x - D(E(x)).

Last, global means that conservation holds still are held (model/global_means.py).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import nn

from model.climatology import LEAST_YEARS, LOGARITHMS, variance_cycles, variance_in
from model.covariance import confirmed_share, leading_patterns
from model.global_means import GlobalMeans, Held
from model.regression import TINY
from model.sphere import Grid, Harmonics, product_power

PATTERNS = 128  # B_j, at most
PATTERN_DEGREE = 20  # of the harmonics, the last that patterns have
POWER_ROUNDS = 3  # in which the power of e comes near the wanted one
POWER_MONTHS = 1, 4, 7, 10  # whose mean is nearly the year's
CHANGE = 10.0  # of a share in a round, at most
LARGEST = 0.95  # correlation from month to month, at most: slow variations are the latents' to give


class NoiseState(NamedTuple):
    """The noise of a month: n."""

    harmonics: torch.Tensor  # (batch, fields, harmonics)
    cells: torch.Tensor  # (batch, fields, nlat, nlon)
    patterns: torch.Tensor  # (batch, patterns)


class Scales(NamedTuple):
    """What the noise of a calendar month is scaled by."""

    kept: torch.Tensor  # g, (fields, nlat, nlon)
    deviation: torch.Tensor  # s over the deviation of u, (fields, nlat, nlon)
    held: Held


class Rates(NamedTuple):
    """What the noise keeps from month to month, r, and what comes new, sqrt(1 - r^2)."""

    kept: torch.Tensor  # of the harmonics, (harmonics,)
    new: torch.Tensor
    cells_kept: torch.Tensor  # of the cells, ()
    cells_new: torch.Tensor
    patterns_kept: torch.Tensor  # of the patterns, (patterns,)
    patterns_new: torch.Tensor


class ResidualNoise(nn.Module):
    """The noise of `fields` fields on `grid`; none until it is measured."""

    known: torch.Tensor
    run: torch.Tensor
    even: torch.Tensor
    mixing: torch.Tensor
    memory: torch.Tensor
    patterns: torch.Tensor
    pattern_memory: torch.Tensor
    padded: torch.Tensor
    unpadded: torch.Tensor

    def __init__(self, fields: int, grid: Grid):
        super().__init__()
        self.harmonics = Harmonics(grid)
        degrees = self.harmonics.keep.lmax
        # Variance of the data and of a free run, as `variance_cycles` has it.
        self.register_buffer("known", torch.zeros(LOGARITHMS, fields, *grid))
        self.register_buffer("run", torch.zeros(LOGARITHMS, fields, *grid))
        self.register_buffer("even", torch.ones(fields, *grid))  # 1 over the deviation of u
        self.means = GlobalMeans(fields, grid)
        self.register_buffer("mixing", torch.zeros(degrees + 1, fields, fields))  # G_l, and H in the last place
        self.register_buffer("memory", torch.zeros(degrees + 1))  # r_l, and that of the cells
        low = int((self.harmonics.degree <= PATTERN_DEGREE).sum())
        self.register_buffer("patterns", torch.zeros(PATTERNS, fields, low))  # B_j by harmonics
        self.register_buffer("pattern_memory", torch.zeros(PATTERNS))
        # The harmonics of each degree, padded to the number of the most, and where they are there.
        first, place = (counts := self.harmonics.counts).cumsum(0) - counts, torch.arange(int(counts.max()))
        padded = (first[:, None] + place).clamp_max(len(self.harmonics.degree) - 1)
        self.register_buffer("padded", padded.flatten(), persistent=False)
        self.register_buffer("unpadded", (place < counts[:, None]).flatten().nonzero()[:, 0], persistent=False)

    def reset(self) -> None:
        """Forget what was measured."""
        shape = self.mixing, self.memory, self.patterns, self.pattern_memory
        for values in (self.known, self.run, *shape):
            values.zero_()
        self.even.fill_(1)
        self.means.reset()

    @property
    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
        """Shapes of the white noise that a month takes: of the harmonics of each field, of its cells, of patterns."""
        shape = self.known.shape[1:]
        return (shape[0], len(self.harmonics.degree)), shape, self.pattern_memory.shape

    def rates(self) -> Rates:
        """Return what `step` takes of the memory, the same in every month."""
        kept = self.memory[:-1][self.harmonics.degree], self.memory[-1], self.pattern_memory
        return Rates(*(value for each in kept for value in (each, (1 - each.square()).sqrt())))

    def step(self, state: NoiseState | None, white: Sequence[torch.Tensor], rates: Rates | None = None) -> NoiseState:
        """Return the state of the next month, or of the first, from white noise (batch, ...) of `shapes`.

        The noise becomes the state. rates: as `rates` gives them, if at hand.
        """
        if state is None:
            return NoiseState(*white)
        rates = self.rates() if rates is None else rates
        pairs = zip(white, state, rates[::2], rates[1::2], strict=True)
        return NoiseState(*(noise.mul_(new).addcmul_(kept, before) for noise, before, kept, new in pairs))

    def scales(self, month: int) -> Scales:
        """Return what changes with the calendar month, 1..12, alone."""
        kept, variance = self._kept_and_lacking(month)
        return Scales(kept.sqrt(), variance.sqrt() * self.even, self.means.held(month))

    def variance(self, month: int) -> torch.Tensor:
        """Return the variance of the noise at each place in a calendar month, 1..12, (fields, nlat, nlon)."""
        return self._kept_and_lacking(month)[1]

    def variances(self, months: Iterable[int] = range(1, 13)) -> torch.Tensor:
        """Return the `variance` of each of the months, (months, fields, nlat, nlon)."""
        return torch.stack([self.variance(month) for month in months])

    def _kept_and_lacking(self, month: int) -> tuple[torch.Tensor, torch.Tensor]:
        known, run = (variance_in(logarithms, month) for logarithms in (self.known, self.run))
        kept = (known / run).clamp_max(1)
        return kept, (known - kept * run).clamp_min(0)

    def maps(self, state: NoiseState) -> torch.Tensor:
        """Return u (batch, fields, nlat, nlon) of a state."""
        # One product for all degrees.
        degrees = state.harmonics.index_select(-1, self.padded).unflatten(-1, (self.harmonics.keep.lmax, -1))
        mixed = torch.matmul(self.mixing[:-1], degrees.transpose(1, 2)).transpose(1, 2).flatten(2)
        mixed = mixed.index_select(-1, self.unpadded)
        mixed[..., : self.patterns.shape[-1]] += torch.tensordot(state.patterns, self.patterns, dims=1)
        cells = (self.mixing[-1] @ state.cells.flatten(2)).view_as(state.cells)
        return self.harmonics.maps(mixed).add_(cells)

    def complete(self, decoded, added, warming, scales: Scales, state: NoiseState | None) -> torch.Tensor:
        """Return a month's fields (batch, fields, nlat, nlon), x = L + g d + e; without e where `state` is None.

        Args:
            decoded: what the decoder gives and what is added to it, (batch, fields, nlat, nlon).
            added: L less the offset, of as many numbers as a field of each kind has.
            warming: p_0, (1, 1, 1), or 0.
            scales: of the month.
            state: of the noise.
        """
        fields = torch.lerp(added.view_as(decoded[0]), decoded, scales.kept)
        if state is not None:
            fields.addcmul_(scales.deviation, self.maps(state))
        return self.means.hold(fields, warming, scales.held)

    @torch.no_grad()
    def fit_shape(self, residuals: Callable[[], Iterable[torch.Tensor]]) -> None:
        """Measure patterns, correlation between fields and memory of the `residuals`, gone through twice.

        residuals: gives what is left of each month in turn, (fields, nlat, nlon), normalized.
        """
        count = 0
        total, squares = (torch.zeros_like(self.known[0], dtype=torch.float64) for _ in range(2))
        for residual in residuals():
            count += 1
            total += residual
            squares += residual.double().square()
        mean = total / count
        deviation = (squares / count - mean.square()).clamp_min(0).sqrt()
        scale = torch.where(deviation > 1e-6, 1 / deviation, 0.0).float()

        fields, degrees = len(mean), self.harmonics.keep.lmax
        covariance = torch.zeros_like(self.mixing, dtype=torch.float64)
        lagged, power = torch.zeros(2, degrees + 1, dtype=torch.float64, device=covariance.device)
        before: tuple[torch.Tensor, torch.Tensor] | None = None
        sample = self.patterns.new_zeros(count, *self.patterns.shape[1:])
        for time, residual in enumerate(residuals()):
            unit = (residual - mean.float()) * scale
            spectrum = self.harmonics(unit)
            cells = (unit - self.harmonics.maps(spectrum)).flatten(1)
            products = (spectrum[:, None] * spectrum[None]).flatten(0, 1)
            covariance[:-1] += self.harmonics.by_degree(products).T.unflatten(1, (fields, fields)).double()
            covariance[-1] += (cells @ cells.T).double() / cells.shape[1]
            power += torch.cat([self.harmonics.power(spectrum).sum(0), cells.square().sum()[None]]).double()
            if before is not None:
                both = spectrum * before[0], (cells * before[1]).sum()[None]
                lagged += torch.cat([self.harmonics.by_degree(both[0]).sum(0), both[1]]).double()
            before = spectrum, cells
            sample[time] = spectrum[:, : sample.shape[-1]]
        deviation = covariance.diagonal(dim1=1, dim2=2).clamp_min(TINY).sqrt()
        values, vectors = torch.linalg.eigh(covariance / (deviation[:, :, None] * deviation[:, None]))
        self.mixing.copy_(vectors * values.clamp_min(0).sqrt()[:, None] @ vectors.mT)
        self.memory.copy_((lagged / power.clamp_min(TINY)).clamp(0, LARGEST))
        self._fit_patterns(sample)

    def _fit_patterns(self, sample: torch.Tensor) -> None:
        """Take patterns of the harmonics of low degree, (time, fields, harmonics), and their share from G_l.

        Until `fit_power` patterns have their share of a power of 1 at each degree, G_l the rest in each harmonic.
        """
        self.patterns.zero_()
        self.pattern_memory.zero_()
        if len(sample) < 12 * LEAST_YEARS:
            return
        sample = sample.double()
        degree = self.harmonics.degree[: sample.shape[-1]]
        shares = [confirmed_share(sample[..., degree == number]) for number in range(int(degree[-1]) + 1)]
        share = torch.stack(shares, dim=1)
        patterns, variance = leading_patterns(sample.flatten(1), PATTERNS)
        scores = sample.flatten(1) @ patterns.T
        maps = (patterns * variance.sqrt()[:, None]).unflatten(1, sample.shape[1:])
        power = self.harmonics.by_degree(sample.square().sum(0))[:, : share.shape[1]] / len(sample)
        maps *= (share / power.clamp_min(TINY)).sqrt()[:, degree]
        self.patterns[: len(maps)] = maps
        memory = (scores[1:] * scores[:-1]).sum(0) / scores.square().sum(0).clamp_min(TINY)
        self.pattern_memory[: len(maps)] = memory.clamp(0, LARGEST)
        taken = self.harmonics.by_degree(maps.square().sum(0))
        self.mixing[:-1] *= (1 - taken).clamp_min(0).sqrt().T[:, :, None]

    @torch.no_grad()
    def fit_variance(self, known: torch.Tensor, run: torch.Tensor, years: int) -> None:
        """Take the variance of data and run in each calendar month, (12, fields, nlat, nlon), normalized units.

        years: of the data, which tell how much of its season is real.
        """
        found = variance_cycles(known, run, years, self.harmonics)
        for logarithms, values in zip((self.known, self.run), found, strict=True):
            logarithms.copy_(values)

    @torch.no_grad()
    def fit_power(self, lacking: torch.Tensor) -> None:
        """Take the power that a run lacks at each degree, and beyond them all, (fields, degrees + 1).

        After `fit_shape` and `fit_variance`. It counts up to a factor; where it is negative nothing lacks. Scaled by
        place u has other power, more of high degrees; where so, or from the cells, more comes than lacks, it stays.
        """
        wanted = lacking.clamp_min(0) + TINY
        wanted = wanted / wanted.sum(1, keepdim=True)
        shape, white, share = (self.patterns.clone(), self.mixing.clone()), self.harmonics.white_power(), wanted
        variance = self.variances(POWER_MONTHS)
        for _ in range(POWER_ROUNDS):
            self._share_out(share, *shape, white.sum(0))
            found = self._power(white, variance)
            share = share * (wanted / torch.where(found > 0, found, wanted)).clamp(1 / CHANGE, CHANGE)
        self._share_out(share / share.sum(1, keepdim=True), *shape, white.sum(0))

    def _share_out(self, share, patterns: torch.Tensor, mixing: torch.Tensor, white: torch.Tensor) -> None:
        """Give u a share of power at each degree, and beyond, from patterns and mixing of power 1, and even it."""
        # White cells have power at every degree, which the harmonics need not give again.
        cells = share[:, -1:] / (1 - white.sum())
        degrees = (share[:, :-1] - cells * white).clamp_min(0)
        self.patterns.copy_(patterns * degrees.sqrt()[:, self.harmonics.degree[: patterns.shape[-1]]])
        self.mixing.copy_(mixing * torch.cat([degrees / self.harmonics.counts, cells], dim=1).T.sqrt()[:, :, None])
        # Patterns vary more in some places than in others, the rest alike everywhere.
        variance = self._alike().sum(1)[:, None, None].expand_as(self.even).clone()
        for pattern in self._pattern_maps():
            variance += pattern.square()
        self.even.copy_(variance.clamp_min(TINY).rsqrt())

    def _alike(self) -> torch.Tensor:
        """Return the power of what u has alike everywhere, at each degree and of the cells, (fields, degrees + 1)."""
        alike = self.mixing.square().sum(2).T
        return torch.cat([alike[:, :-1] * self.harmonics.counts, alike[:, -1:]], dim=1)

    def _pattern_maps(self) -> Iterator[torch.Tensor]:
        """Yield the maps (fields, nlat, nlon) of patterns that are not zero."""
        yield from (self.harmonics.maps(pattern) for pattern in self.patterns if pattern.any())

    def _power(self, white: torch.Tensor, variance: torch.Tensor) -> torch.Tensor:
        """Return the share of the power of e at each degree, and beyond, (fields, degrees + 1); 0 without variance."""
        scale = variance.sqrt() * self.even
        alike = self._alike()
        power = product_power(alike[:, :-1], self.harmonics.power(self.harmonics(scale))).mean(0)
        power += scale.square().mean((0, 3)) @ white * alike[:, -1:]
        for pattern in self._pattern_maps():
            power += self.harmonics.power(self.harmonics(scale * pattern)).mean(0)
        total = (variance * self.means.rows).mean((0, 2, 3))[:, None]
        both = torch.cat([power, (total - power.sum(1, keepdim=True)).clamp_min(0)], dim=1)
        return torch.where(total > TINY, both / total.clamp_min(TINY), 0.0)
