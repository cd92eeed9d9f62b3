"""Least squares of fields on what forces them, in which sampling error is kept small: pooled, confirmed, filtered."""

from typing import NamedTuple

import torch
from torch import nn

from model.sphere import Grid, Harmonics, row_weights, transforms, truncation

TINY = 1e-30  # keeps quotients of what is zero, as with a single year of training, from being NaN
POOL = 10  # degree of the harmonics to which the moments of what is at a place are smoothed
LEAST = 1e-3  # of the unit variance of anomalies: less, beside the amplitudes, is what they leave to rounding
STILL = 1e-2  # of the mean variance of what is at a place: where it varies less, nothing is regressed on it
RIDGE = 3e-2  # of that variance, added to it


class Part(NamedTuple):
    """A part of the months, and the moments of what is at a place over it."""

    span: slice
    moments: torch.Tensor  # <l l'> plus the ridge, (nlat, nlon, places, places)


class Regression:
    r"""Least squares of a field y on amplitudes p_k and on what is at each place, l_j:  y = sum p_k R_k + sum l_j a_j.

    With the amplitudes known, a solves  <l l'> a = <l y>  for the parts of l and y that are no amplitudes' (the theorem
    of Frisch and Waugh 1933), where <> are means over time, pooled over a neighbourhood. Of each a_j the share s_j is
    kept that solves  <<f f'>> s = <<f y>>, f_j = l_j a_j with the a_j of one half of the months, << >> means over the
    other half and the globe (both ways, summed), clipped to 0..1: what one half does not confirm of the other is
    sampling error.

    Args:
        amplitudes: p, float64 (time, modes).
        places: l, (time, places, nlat, nlon).
        harmonics: of the grid.
    """

    def __init__(self, amplitudes: torch.Tensor, places: torch.Tensor, harmonics: Harmonics):
        self.harmonics = harmonics
        self.rows = row_weights(places.shape[-2]).to(places.device).double()
        self.predictors = amplitudes - amplitudes.mean(0)
        self.inverse = torch.linalg.pinv(self.predictors, rtol=1e-6)
        diagonal = self.inverse.square().sum(1)  # of (P^T P)^-1
        self.uncertainty = torch.where(diagonal > 0, diagonal, torch.inf)  # of what does not vary nothing is known
        self.places = places - places.mean(0)
        self.free = torch.stack([self.without_amplitudes(place.double()) for place in self.places.unbind(1)], dim=1)
        variance = torch.stack([place.square().mean(0) for place in self.free.unbind(1)])
        usual = (variance * self.rows).mean((1, 2)).clamp_min(LEAST)[:, None, None]
        self.moving = variance > STILL * usual
        self.ridge = torch.diag_embed((RIDGE * usual).expand_as(variance).movedim(0, -1))
        middle = len(places) // 2
        self.whole, *self.halves = (
            Part(span, self._moments(self.free[span]))
            for span in (slice(None), slice(None, middle), slice(middle, None))
        )

    def __call__(self, field: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return a (places, nlat, nlon), R (modes, nlat, nlon) and what is left of `field` (time, nlat, nlon)."""
        free = self.without_amplitudes(field)
        local = self._solve(self.whole, free) * self._confirmed(free)[:, None, None]
        for place, value in zip(self.places.unbind(1), local, strict=True):
            field = field - place * value
        response = torch.tensordot(self.inverse, field, dims=1)
        return local, response, field - torch.tensordot(self.predictors, response, dims=1)

    def without_amplitudes(self, values: torch.Tensor) -> torch.Tensor:
        """Return values (time, ...) less what the amplitudes explain."""
        return values - torch.tensordot(self.predictors, torch.tensordot(self.inverse, values, dims=1), dims=1)

    def _pooled(self, maps: torch.Tensor) -> torch.Tensor:
        return self.harmonics.smooth(maps.float(), POOL).double()

    def _moments(self, free: torch.Tensor) -> torch.Tensor:
        """Return <l l'> plus the ridge, (nlat, nlon, places, places), of l without amplitudes (time, places, ...)."""
        each = free.unbind(1)  # a pair at a time: all together are the largest part of a job's memory
        products = torch.stack([torch.stack([(one * other).sum(0) for other in each]) for one in each])
        return self._pooled(products / max(len(free), 1)).movedim((0, 1), (-2, -1)) + self.ridge

    def _solve(self, part: Part, free: torch.Tensor) -> torch.Tensor:
        """Return a (places, nlat, nlon) of a field without amplitudes (time, nlat, nlon) by the months of a part."""
        places, field = self.free[part.span], free[part.span]
        products = torch.stack([(place * field).sum(0) for place in places.unbind(1)]) / max(len(field), 1)
        solution = torch.linalg.solve(part.moments, self._pooled(products).movedim(0, -1)[..., None])
        return solution[..., 0].movedim(-1, 0) * self.moving

    def _confirmed(self, free: torch.Tensor) -> torch.Tensor:
        """Return s, from 0 to 1, (places,)."""
        size, weight = self.free.shape[1], self.rows.sqrt()
        covariance, products = self.free.new_zeros(size), self.free.new_zeros(size, size)
        for half, (other, _) in (self.halves, self.halves[::-1]):
            told = (self._solve(half, free) * self.free[other] * weight).transpose(0, 1).flatten(1)
            covariance += told @ (free[other] * weight).flatten()
            products += told @ told.T
        return (torch.linalg.pinv(products, rtol=1e-6) @ covariance).clamp(0, 1)


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
