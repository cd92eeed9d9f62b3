r"""What the decoder does not give comes back as noise: scales that pass no latent, and variance lost on the way.

A month is decoded from few numbers, so that its fields lack what these do not hold: half of the variance of monthly
precipitation, most of all beyond the degrees of the latent grid. Without it every ensemble has too little spread, and
what is no linear function of the fields (precipitation behind its square root) a biased mean. The noise is

    x = L + g(m) d + e,    e = s(m) u,    u = sum_lk G_l n_lk Y_lk + H n,    n_t = r_l n_{t-1} + sqrt(1 - r_l^2) xi,

with L the forced response, d what is decoded, m the calendar month and xi white: homogeneous on the sphere but for its
standard deviation s, red in time, G_l G_l^T the covariance between the fields at degree l, and H H^T that of all that
lies beyond the transform's truncation.

The noise closes the gap that encoder, sampler and decoder leave together, and adds nothing where they leave none: s^2
is what a free run of the training period lacks of the data's variance about the seasonal mean at each place, with its
annual cycle, and the diagonal of G_l G_l^T what it lacks of the power of each field at degree l. Where the run varies
more than the data, g < 1 takes that away. What fields have to do with each other, and r, are those of what
reconstructed training months leave, x - D(E(x)).

Global means that conservation holds still (the mass of the air, and rain, which the energy of the air allows) are sums
of large terms that cancel; neither what L makes of single places nor decoder and noise respect this. Where those of
whole years vary more in a run than in the data, their departure from the run's mean for the calendar month and from
what L makes of the sea's mean temperature p_0,

    A = <X> - M(m) - b(m) p_0,    <.> the area mean,    X = x, or max(0, x + c(m))^2 of a field behind a square root,

is multiplied by k, the quotient of its deviations, the data's over the run's. c is what the normalization takes off a
root, so that X is the field up to a factor; x gets a constant, and a root a factor: it rains where it rained, and what
is dry stays dry.
"""

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import nn

from model.regression import TINY, annual_waves
from model.sphere import Grid, Harmonics, row_weights

SMOOTH = 12  # degree of the harmonics beyond which maps of variance are smoothed
SHARPEST = 4.0  # variance at a place over that of its surroundings, at most
FLOOR = 0.01  # of the year's mean, which no month is below in a wave
LARGEST = 0.95  # correlation from month to month, at most: slow variations are the latents' to give


class NoiseState(NamedTuple):
    """The noise of a month: n by harmonics (batch, fields, harmonics), and on the cells (batch, fields, nlat, nlon)."""

    harmonics: torch.Tensor
    cells: torch.Tensor


class Held(NamedTuple):
    """What holds the global means of n fields in a calendar month; numbers are (n, 1, 1)."""

    places: torch.Tensor  # among the fields, (n,)
    root: torch.Tensor  # whether they are behind a square root
    shift: torch.Tensor  # c of those, 0 of others, (n, nlat, nlon)
    usual: torch.Tensor  # M
    slope: torch.Tensor  # b
    excess: torch.Tensor  # 1 - k


class Scales(NamedTuple):
    """What the noise of a calendar month is scaled by."""

    kept: torch.Tensor  # g, (fields, nlat, nlon)
    deviation: torch.Tensor  # s, (fields, nlat, nlon)
    held: Held


class Rates(NamedTuple):
    """What the noise keeps from month to month, r, and what comes new, sqrt(1 - r^2)."""

    kept: torch.Tensor  # of the harmonics, (harmonics,)
    new: torch.Tensor
    cells_kept: torch.Tensor  # of the cells, ()
    cells_new: torch.Tensor


class ResidualNoise(nn.Module):
    """The noise of `fields` fields on `grid`; none until it is measured."""

    mean_usual: torch.Tensor
    mean_slope: torch.Tensor
    mean_kept: torch.Tensor
    root: torch.Tensor
    shift: torch.Tensor
    rows: torch.Tensor
    known: torch.Tensor
    run: torch.Tensor
    detail: torch.Tensor
    mixing: torch.Tensor
    memory: torch.Tensor
    padded: torch.Tensor
    unpadded: torch.Tensor

    def __init__(self, fields: int, grid: Grid):
        super().__init__()
        self.harmonics = Harmonics(grid)
        degrees = self.harmonics.keep.lmax
        # Variance of the data and of a free run, smooth, as `fit_wave` has them; and the data's over that.
        self.register_buffer("known", torch.zeros(3, fields, *grid))
        self.register_buffer("run", torch.zeros(3, fields, *grid))
        self.register_buffer("detail", torch.ones(fields, *grid))
        # M, b and k of each field, and which are behind a root, with their c: known by the normalization.
        self.register_buffer("mean_usual", torch.zeros(12, fields))
        self.register_buffer("mean_slope", torch.zeros(12, fields))
        self.register_buffer("mean_kept", torch.ones(fields))
        self.register_buffer("root", torch.zeros(fields, dtype=torch.bool), persistent=False)
        self.register_buffer("shift", torch.zeros(12, 0, *grid), persistent=False)
        self.register_buffer("rows", row_weights(grid.nlat), persistent=False)
        self.register_buffer("mixing", torch.zeros(degrees + 1, fields, fields))  # G_l, and H in the last place
        self.register_buffer("memory", torch.zeros(degrees + 1))  # r_l, and that of the cells
        # The harmonics of each degree, padded to the number of the most, and where they are there.
        counts = torch.bincount(self.harmonics.degree)
        first, place = counts.cumsum(0) - counts, torch.arange(int(counts.max()))
        padded = (first[:, None] + place).clamp_max(len(self.harmonics.degree) - 1)
        self.register_buffer("padded", padded.flatten(), persistent=False)
        self.register_buffer("unpadded", (place < counts[:, None]).flatten().nonzero()[:, 0], persistent=False)

    def know_roots(self, root: torch.Tensor, shift: torch.Tensor) -> None:
        """Take which fields are square roots, bool (fields,), and c of these, (12, roots, nlat or 1, nlon or 1)."""
        self.root = root.to(self.root)
        self.shift = shift.to(self.shift).expand(12, -1, *self.shift.shape[2:])

    def reset(self) -> None:
        """Forget what was measured."""
        for values in (self.mean_usual, self.mean_slope, self.known, self.run, self.mixing, self.memory):
            values.zero_()
        self.mean_kept.fill_(1)
        self.detail.fill_(1)

    @property
    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Shapes of the white noise that a month takes: of the harmonics of each field, and of its cells."""
        shape = self.known.shape[1:]
        return (shape[0], len(self.harmonics.degree)), shape

    def rates(self) -> Rates:
        """Return what `step` takes of the memory, the same in every month."""
        kept, cells = self.memory[:-1][self.harmonics.degree], self.memory[-1]
        return Rates(kept, (1 - kept.square()).sqrt(), cells, (1 - cells.square()).sqrt())

    def step(
        self, state: NoiseState | None, harmonics: torch.Tensor, cells: torch.Tensor, rates: Rates | None = None
    ) -> NoiseState:
        """Return the state of the next month, or of the first, from white noise (batch, fields, ...) of both kinds.

        The noise becomes the state. rates: as `rates` gives them, if at hand.
        """
        if state is None:
            return NoiseState(harmonics, cells)
        kept, new, cells_kept, cells_new = self.rates() if rates is None else rates
        return NoiseState(
            harmonics.mul_(new).addcmul_(kept, state.harmonics),
            cells.mul_(cells_new).addcmul_(cells_kept, state.cells),
        )

    def scales(self, month: int) -> Scales:
        """Return what changes with the calendar month, 1..12, alone."""
        known, run = (wave(waves, month) for waves in (self.known, self.run))
        kept = ((known + TINY) / (run + TINY)).clamp_max(1)
        deviation = (self.detail * (known - kept * run)).clamp_min(0).sqrt()
        return Scales(kept.sqrt(), deviation, self.held((self.mean_kept < 1).nonzero()[:, 0], month))

    def held(self, places: torch.Tensor, month: int) -> Held:
        """Return what holds the global means of the fields at `places` (n,) in a calendar month, 1..12."""
        root, among = self.root[places], (self.root.cumsum(0) - 1)[places]
        shift = self.shift.new_zeros(len(places), *self.shift.shape[2:])
        shift[root] = self.shift[month - 1, among[root]]
        numbers = self.mean_usual[month - 1, places], self.mean_slope[month - 1, places], 1 - self.mean_kept[places]
        return Held(places, root[:, None, None], shift, *(number[:, None, None] for number in numbers))

    def maps(self, state: NoiseState) -> torch.Tensor:
        """Return u (batch, fields, nlat, nlon) of a state."""
        # One product for all degrees.
        degrees = state.harmonics.index_select(-1, self.padded).unflatten(-1, (self.harmonics.keep.lmax, -1))
        mixed = torch.matmul(self.mixing[:-1], degrees.transpose(1, 2)).transpose(1, 2).flatten(2)
        cells = (self.mixing[-1] @ state.cells.flatten(2)).view_as(state.cells)
        return self.harmonics.maps(mixed.index_select(-1, self.unpadded)).add_(cells)

    def global_means(self, x: torch.Tensor, held: Held) -> torch.Tensor:
        """Return <X> (..., n, 1, 1) of x (..., n, nlat, nlon)."""
        shifted = x + held.shift
        fields = torch.where(held.root, shifted.clamp_min(0).square(), shifted)
        return (fields * self.rows).mean((-2, -1), keepdim=True)

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
        held = scales.held
        if len(held.places):
            x = fields.index_select(1, held.places)
            mean = self.global_means(x, held)
            change = held.excess * (mean - held.usual - held.slope * warming)
            factor = (1 - change / mean.clamp_min(TINY)).clamp_min(0).sqrt()
            still = torch.where(held.root, torch.addcmul(x, factor - 1, x + held.shift), x - change)
            fields.index_copy_(1, held.places, still)
        return fields

    @torch.no_grad()
    def fit_shape(self, residuals: Callable[[], Iterable[torch.Tensor]]) -> None:
        """Measure correlation between fields and memory by degree of the `residuals`, gone through twice.

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
        for residual in residuals():
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
        deviation = covariance.diagonal(dim1=1, dim2=2).clamp_min(TINY).sqrt()
        values, vectors = torch.linalg.eigh(covariance / (deviation[:, :, None] * deviation[:, None]))
        self.mixing.copy_(vectors * values.clamp_min(0).sqrt()[:, None] @ vectors.mT)
        self.memory.copy_((lagged / power.clamp_min(TINY)).clamp(0, LARGEST))

    @torch.no_grad()
    def fit_variance(self, known: torch.Tensor, run: torch.Tensor) -> None:
        """Take the variance of data and run in each calendar month, (12, fields, nlat, nlon), normalized units."""
        self.known.copy_(fit_wave(self.harmonics.smooth(known, SMOOTH)))
        self.run.copy_(fit_wave(self.harmonics.smooth(run, SMOOTH)))
        self.known[0].clamp_min_(0)
        self.run[0].clamp_min_(0)
        self.detail.copy_((known.mean(0) / self.known[0].clamp_min(TINY)).clamp_max(SHARPEST))

    @torch.no_grad()
    def fit_means(self, usual: torch.Tensor, slope: torch.Tensor, kept: torch.Tensor) -> None:
        """Take M and b in each calendar month, (12, fields), and k (fields,)."""
        self.mean_usual.copy_(usual)
        self.mean_slope.copy_(slope)
        self.mean_kept.copy_(kept)

    @torch.no_grad()
    def fit_power(self, lacking: torch.Tensor) -> None:
        """Take the power that a run lacks at each degree, and beyond them all, (fields, degrees + 1).

        After `fit_shape`. It counts up to a factor; where it is negative nothing lacks.
        """
        share = lacking.clamp_min(0) + TINY
        share = share / share.sum(1, keepdim=True)
        # White cells have power at every degree, which the harmonics need not give again.
        white = self.white_power()
        cells = share[:, -1:] / (1 - white.sum())
        degrees = (share[:, :-1] - cells * white).clamp_min(0) / torch.bincount(self.harmonics.degree)
        self.mixing.mul_(torch.cat([degrees, cells], dim=1).T.sqrt()[:, :, None])

    def white_power(self) -> torch.Tensor:
        """Return the power at each degree (degrees,) of white noise of the cells, whose variance is 1."""
        nlat, nlon = self.known.shape[-2:]
        ones = self.known.new_zeros(nlat, nlat, nlon)
        ones[:, :, 0] = torch.eye(nlat)
        # Each cell of a row adds the power of the row's first.
        return nlon * self.harmonics.power(self.harmonics(ones)).sum(0)


def fit_wave(values: torch.Tensor) -> torch.Tensor:
    """Return the waves (3, ...) of positive `values` (12, ...) of the calendar months: their mean, and b of `wave`."""
    mean = values.mean(0)
    basis = annual_waves(torch.arange(1, 13, device=values.device), values.dtype).T.contiguous() / 6
    # Of logarithms, or the calm months of a strong season would come out below nothing.
    logarithm = torch.maximum(values, FLOOR * mean).clamp_min(TINY).log()
    return torch.cat([mean[None], torch.tensordot(basis, logarithm, dims=1)])


def wave(waves: torch.Tensor, month: int) -> torch.Tensor:
    """Return v_0 exp(b_1 cos m + b_2 sin m) over the year's mean of exp(..), of `waves` (3, ...), in a month 1..12."""
    angles = [2 * math.pi * number / 12 for number in range(1, 13)]
    year = sum(torch.exp(math.cos(angle) * waves[1] + math.sin(angle) * waves[2]) for angle in angles)
    angle = angles[month - 1]
    return 12 * waves[0] * torch.exp(math.cos(angle) * waves[1] + math.sin(angle) * waves[2]) / year
