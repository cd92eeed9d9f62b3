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

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import nn

from model.climatology import LOGARITHMS, variance_in
from model.global_means import GlobalMeans, Held
from model.sphere import Grid, Harmonics

PATTERNS = 128  # B_j, at most
PATTERN_DEGREE = 20  # of the harmonics, the last that patterns have


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
    """The noise of `fields` fields on `grid`; none until it is measured (model/residual_fit.py)."""

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
