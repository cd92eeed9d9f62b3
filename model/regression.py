"""Least squares of fields on what forces them, in which sampling error is kept small: pooled, confirmed, filtered."""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import nn

from model.rounding import RANK, TINY
from model.sphere import Grid, Harmonics, row_weights, transforms, truncation

POOL = 10  # degree of the harmonics to which the moments of what is at a place are smoothed
LEAST = 1e-3  # of the unit variance of anomalies: less, beside the amplitudes, is what they leave to rounding
STILL = 1e-2  # of the mean variance of what is at a place: where it varies less, nothing is regressed on it
RIDGE = 3e-2  # of that variance, added to it
CONFIRMING = 36  # months, of which less confirm nothing: halves of a mean of two years are each other's mirror images


class Predictors:
    """Least squares of maps on numbers of each month, float64 (time, predictors)."""

    def __init__(self, values: torch.Tensor):
        self.values = values - values.mean(0)
        self.inverse = torch.linalg.pinv(self.values, rtol=RANK)

    @property
    def count(self) -> int:
        """The number of predictors that do not follow from others."""
        return int(torch.linalg.matrix_rank(self.values, rtol=RANK))

    @property
    def uncertainty(self) -> torch.Tensor:
        """The variance of each coefficient, (predictors,), for white residuals of variance 1; infinite if still."""
        diagonal = self.inverse.square().sum(1)  # of (P^T P)^-1
        return torch.where(diagonal > 0, diagonal, torch.inf)

    def fit(self, maps: torch.Tensor) -> torch.Tensor:
        """Return the coefficients (predictors, ...) of maps (time, ...)."""
        return torch.tensordot(self.inverse, maps, dims=1)

    def rest(self, maps: torch.Tensor) -> torch.Tensor:
        """Return maps (time, ...) less what the predictors explain."""
        return maps - torch.tensordot(self.values, self.fit(maps), dims=1)


class Part(NamedTuple):
    """A part of the months, and the moments of what is at a place over it."""

    span: slice
    moments: torch.Tensor  # <l l'> plus the ridge, (nlat, nlon, places, places)


class Found(NamedTuple):
    """What a regression finds of a field."""

    places: torch.Tensor  # a, (places, nlat, nlon)
    seasonal: torch.Tensor  # S, (waves, amplitudes, nlat, nlon)
    response: torch.Tensor  # R, (modes, nlat, nlon)
    residual: torch.Tensor  # what is left, (time, nlat, nlon), as large as the errors that it is of


class Regression:
    r"""Least squares of a field y on amplitudes p, on some of these by season q, and on what is at each place l.

    y = sum_k p_k R_k + sum_k q_k S_k + sum_j l_j a_j,  found from the right. With the amplitudes known, a solves
    <l l'> a = <l y>  for the parts of l and y that are no amplitudes' (the theorem of Frisch and Waugh 1933), where <>
    are means over time, pooled over a neighbourhood. In the same way S is found of what is left, and R of what is left
    then. Of each a_j, and of the S of each amplitude, the share s is kept that solves  <<f f'>> s = <<f y>>,  f being
    its term by one half of the months, << >> means over the other half and the globe (both ways, summed), clipped to
    0..1: what one half does not confirm of the other is sampling error.

    The last `bends` of the l, which depend on others of them, are told apart from these: their terms are of what is
    left of them once they are regressed on the others, so that a share kept of a bend takes nothing off a line.

    Args:
        amplitudes: p, float64 (time, modes).
        seasonal: q, waves of the year times the amplitudes that have a season, float64 (time, waves, amplitudes).
        places: l, (time, places, nlat, nlon); their mean is taken off in place, for the memory.
        bends: how many of these, the last, are told apart.
        harmonics: of the grid.
    """

    def __init__(
        self,
        amplitudes: torch.Tensor,
        seasonal: torch.Tensor,
        places: torch.Tensor,
        bends: int,
        harmonics: Harmonics,
    ):
        self.harmonics = harmonics
        self.rows = row_weights(places.shape[-2]).to(places.device).double()
        self.amplitudes = Predictors(amplitudes)
        self.all = Predictors(torch.cat([amplitudes, seasonal.flatten(1)], dim=1))
        # What is left of a field has lost the means of twelve calendar months, and as many numbers as are fitted.
        fitted = min(12, len(amplitudes)) + self.all.count
        self.loss = (len(amplitudes) / max(len(amplitudes) - fitted, 1)) ** 0.5
        self.seasonal = seasonal
        self.free_seasonal = self.amplitudes.rest(seasonal)
        self.places = places.sub_(places.mean(0))
        # Single precision, and filled one by one, since this is the largest part of a job's memory.
        self.free = torch.empty_like(self.places)
        for place, free in zip(self.places.unbind(1), self.free.unbind(1), strict=True):
            free.copy_(self.all.rest(place.double()))
        self._measure()
        self.lines = self._take_lines_off(bends)
        middle = len(places) // 2
        self.whole, *self.halves = (
            Part(span, self._moments(self.free[span]))
            for span in (slice(None), slice(None, middle), slice(middle, None))
        )

    def __call__(self, field: torch.Tensor) -> Found:
        """Return what is found of `field`, float64 (time, nlat, nlon), less the mean of each calendar month."""
        places = self._at_places(self.all.rest(field))
        lines, bends = places.split(self.lines.shape[:2])
        lines -= (self.lines * bends).sum(1)
        for place, value in zip(self.places.unbind(1), places, strict=True):
            field = field - place * value
        seasonal = self._by_season(self.amplitudes.rest(field))
        field = field - _seasonal_terms(self.seasonal, seasonal).sum(0)
        return Found(places, seasonal, self.amplitudes.fit(field), self.amplitudes.rest(field) * self.loss)

    def _measure(self) -> None:
        """Measure where what is at a place moves, and the ridge by which its moments are held."""
        variance = torch.stack([place.double().square().mean(0) for place in self.free.unbind(1)])
        usual = (variance * self.rows).mean((1, 2)).clamp_min(LEAST)[:, None, None]
        self.moving = variance > STILL * usual
        self.ridge = torch.diag_embed((RIDGE * usual).expand_as(variance).movedim(0, -1))

    def _take_lines_off(self, bends: int) -> torch.Tensor:
        """Leave of the last of l what the others do not explain; return the slopes that do, (others, bends, ...)."""
        others = self.free.shape[1] - bends
        if not bends:
            return self.ridge.new_zeros(others, 0, *self.free.shape[-2:])
        moments = self._moments(self.free)
        slopes = torch.linalg.solve(moments[..., :others, :others], moments[..., :others, others:])
        slopes = slopes.movedim((-2, -1), (0, 1)) * self.moving[:others, None]
        for bend, of_others in zip(self.free[:, others:].unbind(1), slopes.unbind(1), strict=True):
            for other, slope in zip(self.free[:, :others].unbind(1), of_others.float(), strict=True):
                bend.addcmul_(other, slope, value=-1)
        self._measure()
        return slopes

    def _at_places(self, free: torch.Tensor) -> torch.Tensor:
        """Return a (places, nlat, nlon) of a field without amplitudes (time, nlat, nlon), of each what is confirmed."""
        if len(free) < CONFIRMING:
            return torch.zeros_like(self.moving, dtype=free.dtype)
        terms = (
            (self._solve(half, free)[:, None] * self.free[other.span].transpose(0, 1), free[other.span])
            for half, other in (self.halves, self.halves[::-1])
        )
        return self._solve(self.whole, free) * self._confirmed(terms)[:, None, None]

    def _by_season(self, free: torch.Tensor) -> torch.Tensor:
        """Return S (waves, amplitudes, nlat, nlon) of a field without p (time, nlat, nlon), what is confirmed of it."""

        def found(span):
            predictors = Predictors(self.free_seasonal[span].flatten(1))
            return predictors.fit(free[span]).unflatten(0, self.seasonal.shape[1:])

        terms = (
            (_seasonal_terms(self.free_seasonal[other.span], found(half.span)), free[other.span])
            for half, other in (self.halves, self.halves[::-1])
        )
        return found(self.whole.span) * self._confirmed(terms)[:, None, None]

    def _confirmed(self, pairs: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> torch.Tensor:
        """Return s, (terms,), by pairs of terms (terms, time, nlat, nlon), which change, and what they are to tell."""
        weight, covariance, products = self.rows.sqrt(), [], []
        for terms, field in pairs:
            told = terms.mul_(weight).flatten(1)
            covariance.append(told @ (field * weight).flatten())
            products.append(told @ told.T)
        return (torch.linalg.pinv(sum(products), rtol=RANK) @ sum(covariance)).clamp(0, 1)

    def _pooled(self, maps: torch.Tensor) -> torch.Tensor:
        return self.harmonics.smooth(maps.float(), POOL).double()

    def _moments(self, free: torch.Tensor) -> torch.Tensor:
        """Return <l l'> plus the ridge, (nlat, nlon, places, places), of l without amplitudes (time, places, ...)."""
        each, grid = free.unbind(1), free.shape[-2:]
        moments = torch.zeros(*grid, len(each), len(each), dtype=torch.float64, device=free.device)
        for first, one in enumerate(each):  # a row at a time, for the memory
            row = torch.stack([(one.double() * other).sum(0) for other in each[first:]])
            moments[..., first, first:] = self._pooled(row / max(len(free), 1)).movedim(0, -1)
            moments[..., first:, first] = moments[..., first, first:]
        return moments + self.ridge

    def _solve(self, part: Part, free: torch.Tensor) -> torch.Tensor:
        """Return a (places, nlat, nlon) of a field without amplitudes (time, nlat, nlon) by the months of a part."""
        places, field = self.free[part.span], free[part.span]
        products = torch.stack([(place * field).sum(0) for place in places.unbind(1)]) / max(len(field), 1)
        solution = torch.linalg.solve(part.moments, self._pooled(products).movedim(0, -1)[..., None])
        return solution[..., 0].movedim(-1, 0) * self.moving


def _seasonal_terms(seasonal: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
    """Return what each amplitude adds by season, (amplitudes, time, nlat, nlon), to q (time, waves, amplitudes)."""
    return torch.einsum("twk,wkyx->ktyx", seasonal, maps)


class WienerFilter(nn.Module):
    """Takes from regression maps what sampling error explains, degree by degree of the spherical harmonics."""

    rows: torch.Tensor

    def __init__(self, grid: Grid):
        super().__init__()
        self.analysis, self.synthesis = transforms(grid, truncation(grid, "alias_free"))
        self.register_buffer("rows", row_weights(grid.nlat))

    def forward(self, maps: torch.Tensor, residual: torch.Tensor, uncertainty: torch.Tensor) -> torch.Tensor:
        """Return the maps (modes, nlat, nlon), filtered.

        A degree keeps the share 1 - N / P of its power P that is above N, the error variance of a regression on
        predictors of `uncertainty` (modes,) whose residuals (time, nlat, nlon) are red noise of one lag-one
        correlation per degree. What lies beyond the truncation counts as one more degree.
        """
        spectrum, noise = self.analysis(maps), self.analysis(residual)
        rest, rest_noise = maps - self.synthesis(spectrum), residual - self.synthesis(noise)
        covariance = (noise[1:] * noise[:-1].conj()).real
        error = self._red(_by_degree(noise.abs().square()), _by_degree(covariance))
        share = _share(uncertainty[:, None] * error, _by_degree(spectrum.abs().square()))
        covariance = (rest_noise[1:] * rest_noise[:-1] * self.rows).mean((1, 2))
        rest_error = self._red((rest_noise.square() * self.rows).mean((1, 2)), covariance)
        rest_share = _share(uncertainty * rest_error, (rest.square() * self.rows).mean((1, 2)))
        return self.synthesis(spectrum * share[:, :, None]) + rest * rest_share[:, None, None]

    @classmethod
    def error(cls, residual: torch.Tensor) -> torch.Tensor:
        """Return the error variance of a regression of one number on a predictor of uncertainty 1.

        residual: of that number, (time,), red noise.
        """
        return cls._red(residual.square(), residual[1:] * residual[:-1])

    @staticmethod
    def _red(power: torch.Tensor, covariance: torch.Tensor) -> torch.Tensor:
        """Return mean variance (time, ...) -> (...), raised by what red noise takes from the number of samples."""
        variance = power.mean(0).clamp_min(TINY)
        correlation = (covariance.mean(0) / variance.clamp_min(TINY)).clamp(0, 0.95)
        return variance * (1 + correlation) / (1 - correlation)


def _share(noise: torch.Tensor, power: torch.Tensor) -> torch.Tensor:
    return (1 - noise / power.clamp_min(TINY)).clamp_min(0)


def _by_degree(power: torch.Tensor) -> torch.Tensor:
    """Return the sum over orders of `power` (..., lmax, mmax); positive orders count for negative ones too."""
    return 2 * power.sum(-1) - power[..., 0]
