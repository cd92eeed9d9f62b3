r"""The linear response of the fields to sea surface temperature, fitted by regression before the networks train.

L(c) = sum_k p_k(c) R_k: p_0 is the mean SST anomaly over the sea, p_1.. are the amplitudes of the leading patterns
(EOFs) of what is left of the SST anomaly, and R_k are maps of every field, by least squares over the training months,
of which each degree of the spherical harmonics keeps the share that its sampling error leaves (a Wiener filter).
The networks model fields - L(c), and see anomalies of SST and ice in units of their own spread, the SST's without its
global mean p_0. So a uniform warming, which in the +2 K and +4 K experiments lies far outside what training has met,
acts through R_0 alone, in proportion to its size, and networks that divide amplitudes out, saturate or fold never
extrapolate in it.
"""

import torch
from torch import nn

from model.sphere import Grid, row_weights, transforms, truncation

TINY = 1e-30  # keeps quotients of what is zero, as with a single year of training, from being NaN
NO_SPREAD = 1e-3  # anomalies this small beside the forcing's own size are rounding or packing of a climatology


class ForcedResponse(nn.Module):
    """The fitted response: `modes` predictors of the SST (input 0 of the forcings), and their maps of the fields."""

    climatology: torch.Tensor
    spread: torch.Tensor
    sea: torch.Tensor
    patterns: torch.Tensor
    response: torch.Tensor

    def __init__(self, modes: int, fields: int, forcings: int, grid: Grid):
        super().__init__()
        self.register_buffer("climatology", torch.zeros(12, forcings, *grid))
        self.register_buffer("spread", torch.ones(forcings, 1, 1))
        self.register_buffer("sea", torch.zeros(*grid))
        self.register_buffer("patterns", torch.zeros(modes, *grid))
        self.register_buffer("response", torch.zeros(modes, fields, *grid))

    def anomalies(self, forcing: torch.Tensor, month: torch.Tensor) -> torch.Tensor:
        """Return anomalies of `forcing` (batch, forcings, nlat, nlon) in `month` (batch,), in units of their spread.

        A forcing that does not change, such as the land mask, stays as it is; one that repeats its annual cycle, such
        as climatological sea ice, has none.
        """
        return (forcing - self.climatology[month.long() - 1]) / self.spread

    def amplitudes(self, anomalies: torch.Tensor) -> torch.Tensor:
        """Return p, shape (batch, modes), of `anomalies` (batch, forcings, nlat, nlon)."""
        return anomalies[:, 0].flatten(1) @ self.patterns.flatten(1).T

    def forward(self, amplitudes: torch.Tensor) -> torch.Tensor:
        """Return L, shape (batch, fields, nlat, nlon), for `amplitudes` (batch, modes)."""
        return torch.tensordot(amplitudes, self.response, dims=1)

    def without_mean(self, anomalies: torch.Tensor, amplitudes: torch.Tensor) -> torch.Tensor:
        """Return `anomalies` with the mean SST anomaly over the sea, p_0, taken out of the first map."""
        sst = anomalies[:, :1] - amplitudes[:, :1, None, None] * self.sea
        return torch.cat([sst, anomalies[:, 1:]], dim=1)

    @torch.no_grad()
    def fit(self, fields: torch.Tensor, forcings: torch.Tensor, months: torch.Tensor) -> None:
        """Fit the response to the training months.

        Args:
            fields: normalized fields (time, fields, nlat, nlon).
            forcings: normalized forcings (time, forcings, nlat, nlon), 0 where not sea; the SST first.
            months: calendar months 1..12 (time,).
        """
        modes = len(self.patterns)
        sea = (forcings[:, 0] != 0).any(0)
        area = row_weights(len(sea)).double().to(forcings.device) * sea
        mean_pattern = area / area.sum()
        climatology = monthly_means(forcings.double(), months)
        constant = (forcings == forcings[:1]).flatten(2).all(2).all(0)
        climatology[:, constant] = 0
        anomalies = forcings - climatology[months - 1]
        spread = (anomalies.square() * mean_pattern).sum((2, 3)).mean(0).sqrt()
        repeated = spread <= NO_SPREAD * (forcings.square() * mean_pattern).sum((2, 3)).mean(0).sqrt()
        spread[constant | repeated] = 1
        anomaly = torch.zeros_like(anomalies[:, 0]) if repeated[0] else anomalies[:, 0] / spread[0]
        mean = (anomaly * mean_pattern).sum((1, 2))
        rest = ((anomaly - mean[:, None, None]) * area.sqrt()).flatten(1)
        # EOFs from the small time-by-time matrix: rest = sum_k sqrt(variance_k) time_k space_k.
        variance, times = torch.linalg.eigh(rest @ rest.T)
        leading = [mean_pattern]
        for number in range(1, modes):
            power, time = variance[-number], times[:, -number]
            # A pattern below the rounding of float32 forcings is none: normalized, it would be noise.
            share = 1.0 if power > 1e-6 * variance[-1] and power > TINY else 0.0
            scale = share * len(rest) ** 0.5 / power.clamp_min(TINY)
            leading.append((time @ rest).unflatten(0, sea.shape) * area.sqrt() * scale)
        patterns = torch.stack(leading)
        predictors = anomaly.flatten(1) @ patterns.flatten(1).T
        predictors = predictors - predictors.mean(0)
        inverse = torch.linalg.pinv(predictors, rtol=1e-6)
        self.climatology.copy_(climatology)
        self.spread.copy_(spread[:, None, None])
        self.sea.copy_(sea)
        self.patterns.copy_(patterns)
        uncertainty = inverse.square().sum(1)  # the diagonal of (P^T P)^-1
        wiener = WienerFilter(Grid(*sea.shape)).to(fields.device)
        for channel in range(fields.shape[1]):
            values = fields[:, channel].double()
            deviation = values - monthly_means(values, months)[months - 1]
            response = torch.tensordot(inverse, deviation, dims=1)
            residual = deviation - torch.tensordot(predictors, response, dims=1)
            self.response[:, channel] = wiener(response.float(), residual.float(), uncertainty.float())


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


def monthly_means(values: torch.Tensor, months: torch.Tensor) -> torch.Tensor:
    """Return the mean of `values` (time, ...) for each calendar month, shape (12, ...); 0 where there is none."""
    total = values.new_zeros(12, *values.shape[1:]).index_add(0, months - 1, values)
    count = torch.bincount(months - 1, minlength=12).clamp_min(1).to(values)
    return total / count.view(12, *[1] * (values.ndim - 1))
