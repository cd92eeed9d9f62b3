r"""The response of the fields to sea surface temperature, fitted by regression before the networks train.

L(c, m, x) = sum_k p_k(c) [R_k(x) + w(m) S_k(x)] + sum_j l_j(c, x) [a_j(x) + w(m) b_j(x)] + sum_i e_i(c, m, x) d_i(x):
p_0 is the mean SST anomaly over the sea, p_1.. are the amplitudes of the leading patterns (EOFs) of what is left of the
SST anomaly, and R_k are maps of every field; l_j are the anomalies of the forcings at the place itself (SST less p_0,
sea ice) and of the SST less p_0 in its wider neighbourhood, and a_j maps too; w are the two annual waves of the month
m, by which all but R_0 and d_i has a season, S_k and b_j. So rain follows the sea that is warmer than elsewhere, air
the ice beneath it, and what the whole sea does is told from what the sea near by does.

e_i bends what is linear otherwise: by how much the SST at the place exceeds that of the mean tropical sea and a
threshold, less what is usual in the month. Deep convection begins near the tropics' mean, and moves with it (Johnson
and Xie 2010, doi:10.1038/ngeo1008), so that El Nino brings more rain than La Nina takes away, and a uniform warming
changes no e_i. A sea that stays as it is on average has e_i below 0 where it crosses a threshold from year to year.

a_j, b_j, d_i and S_k are by least squares (model/regression.py), of which a field keeps the share that either half of
the training period confirms of the other's. R_k is by least squares of the rest; each degree of the spherical harmonics
keeps the share that its sampling error leaves (a Wiener filter), of R_0 of what it departs from a first guess
(model/first_guess.py): a few decades do not tell what a uniform warming does, still less by season, and a few years
nothing. A degree does not know land from sea: of fields whose guess states its error, the means of R_0 over land and
over sea, or over the globe, go from the guess to the data by the variances of both. What ozone and carbon dioxide do to
the stratosphere while the sea warms is not the sea's.

The networks model fields - L(c), and see anomalies of SST and ice in units of their own spread, the SST's without its
global mean p_0. So a uniform warming, which in the +2 K and +4 K experiments lies far outside what training has met,
acts through R_0 alone, in proportion to its size, and networks that divide amplitudes out, saturate or fold never
extrapolate in it.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import nn

from model.climatology import LEAST_YEARS, annual_waves, monthly_means
from model.covariance import leading_patterns
from model.regression import Regression, WienerFilter
from model.rounding import TINY
from model.sphere import Grid, Harmonics, row_weights

NO_SPREAD = 1e-3  # anomalies this small beside the forcing's own size are rounding or packing of a climatology
ROUNDING = 1e-6  # of the variance of the SST's anomalies, below which a pattern is none
FAR = 0.05  # share of the sea near by, below which a place is far inland
NEAR = 12  # degree of the harmonics to which the SST near by is smoothed
TROPICS = 20.001  # degrees north and south, of which the mean is that of the tropics, with rows at 20
THRESHOLDS = (-1.0, 1.0)  # K above the mean SST of the tropics


class KnownMean(NamedTuple):
    """What is known beforehand of the mean that a field's R_0 has over a region: the globe, the land or the sea."""

    region: torch.Tensor  # 1 within, (nlat, nlon)
    weights: torch.Tensor  # of the area mean, (nlat, nlon): what a normalized unit at a place is of the field there
    error: torch.Tensor  # of the first guess, as the guess is given, (nlat, nlon)
    between: float  # of what years tell that are warm by El Nino, as a share of the first guess
    other: bool = False  # whether other causes than the sea have trends in it


class ForcedResponse(nn.Module):
    """The fitted response to `modes` amplitudes of the SST (input 0 of the forcings) and to what is at each place."""

    climatology: torch.Tensor
    spread: torch.Tensor
    sea: torch.Tensor
    share: torch.Tensor
    patterns: torch.Tensor
    response: torch.Tensor
    seasonal: torch.Tensor
    local: torch.Tensor
    tropics: torch.Tensor
    thresholds: torch.Tensor
    usual_excess: torch.Tensor

    def __init__(self, modes: int, fields: int, forcings: int, grid: Grid):
        super().__init__()
        self.harmonics = Harmonics(grid)
        self.register_buffer("climatology", torch.zeros(12, forcings, *grid))
        self.register_buffer("spread", torch.ones(forcings, 1, 1))
        self.register_buffer("sea", torch.zeros(*grid))
        self.register_buffer("share", torch.ones(*grid))  # of sea near by, not below FAR
        self.register_buffer("patterns", torch.zeros(modes, *grid))
        self.register_buffer("response", torch.zeros(modes, fields, *grid))
        self.register_buffer("seasonal", torch.zeros(2, modes - 1, fields, *grid))  # S, of cosine and sine
        # a, b of cosine, b of sine, d
        self.register_buffer("local", torch.zeros(3 * (1 + forcings) + len(THRESHOLDS), fields, *grid))
        self.register_buffer("tropics", torch.zeros(*grid))  # of which the sum is the mean of the tropical sea
        # In normalized units; what is unknown is never exceeded.
        self.register_buffer("thresholds", torch.full((len(THRESHOLDS), 1, 1), torch.inf))
        self.register_buffer("usual_excess", torch.zeros(12, len(THRESHOLDS), *grid))

    def anomalies(self, forcing: torch.Tensor, month: torch.Tensor) -> torch.Tensor:
        """Return anomalies of `forcing` (batch, forcings, nlat, nlon) in `month` (batch,), in units of their spread.

        A forcing that does not change, such as the land mask, stays as it is; one that repeats its annual cycle, such
        as climatological sea ice, has none.
        """
        return (forcing - self.climatology[month.long() - 1]) / self.spread

    def amplitudes(self, anomalies: torch.Tensor) -> torch.Tensor:
        """Return p, shape (batch, modes), of `anomalies` (batch, forcings, nlat, nlon)."""
        return anomalies[:, 0].flatten(1) @ self.patterns.flatten(1).T

    def without_mean(self, anomalies: torch.Tensor, amplitudes: torch.Tensor) -> torch.Tensor:
        """Return `anomalies` with the mean SST anomaly over the sea, p_0, taken out of the first map."""
        sst = anomalies[:, :1] - amplitudes[:, :1, None, None] * self.sea
        return torch.cat([sst, anomalies[:, 1:]], dim=1)

    def split(self, forcing: torch.Tensor, month: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return `forcing` (batch, forcings, nlat, nlon) of `month` (batch,) as the networks see it, and p."""
        anomalies = self.anomalies(forcing, month)
        amplitudes = self.amplitudes(anomalies)
        return self.without_mean(anomalies, amplitudes), amplitudes

    def places(self, seen: torch.Tensor, amplitudes: torch.Tensor, month: torch.Tensor) -> torch.Tensor:
        """Return l, l times each annual wave, and e, (batch, 3 (1 + forcings) + thresholds, nlat, nlon).

        The SST near by is the first of l. Arguments as those of `forward`.
        """
        near = self.harmonics.smooth(seen[:, :1], NEAR) / self.share
        places = torch.cat([near, seen], dim=1)
        waves = annual_waves(month).to(places)[:, :, None, None, None]
        index = month.long() - 1
        anomaly = seen[:, 0] + amplitudes[:, :1, None] * self.sea
        excess = self.excess(anomaly * self.spread[0] + self.climatology[index, 0]) - self.usual_excess[index]
        return torch.cat([places, (waves * places[:, None]).flatten(1, 2), excess / self.spread[0]], dim=1)

    def excess(self, sst: torch.Tensor) -> torch.Tensor:
        """Return by how much `sst` (batch, nlat, nlon) exceeds the thresholds, (batch, thresholds, nlat, nlon).

        Both in normalized units, 0 where not sea.
        """
        relative = sst - (sst * self.tropics).sum((1, 2), keepdim=True)
        return (relative[:, None] - self.thresholds).clamp_min(0) * self.sea

    def forward(self, seen: torch.Tensor, amplitudes: torch.Tensor, month: torch.Tensor) -> torch.Tensor:
        """Return L, (batch, fields, nlat, nlon).

        Args:
            seen: anomalies as `without_mean` gives them, (batch, forcings, nlat, nlon).
            amplitudes: p, (batch, modes).
            month: calendar month (batch,).
        """
        response = torch.tensordot(amplitudes, self.response, dims=1)
        response = response + torch.tensordot(by_waves(amplitudes[:, 1:], month), self.seasonal, dims=2)
        for place, local in zip(self.places(seen, amplitudes, month).unbind(1), self.local, strict=True):
            response.addcmul_(place[:, None], local)
        return response

    def respond(self, forcing: torch.Tensor, month: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return `forcing` (batch, forcings, nlat, nlon) of `month` (batch,) as the networks see it, and L."""
        seen, amplitudes = self.split(forcing, month)
        return seen, self(seen, amplitudes, month)

    @torch.no_grad()
    def fit(
        self,
        fields: torch.Tensor,
        forcings: torch.Tensor,
        months: torch.Tensor,
        guess: torch.Tensor | None = None,
        kelvin: float = math.nan,
        means: Mapping[int, Sequence[KnownMean]] | None = None,
    ) -> None:
        """Fit the response to the training months.

        Args:
            fields: normalized fields (time, fields, nlat, nlon).
            forcings: normalized forcings (time, forcings, nlat, nlon), 0 where not sea; the SST first.
            months: calendar months 1..12 (time,).
            guess: the fields' response to a uniform unit of the SST, (fields, nlat, nlon) on land and on sea; none: 0.
            kelvin: of a normalized unit of the SST; without, there is no e.
            means: by field, what is known of the means of regions beside a guess; of others the data alone tell them.
        """
        varies, few = self._fit_forcing(forcings, months, kelvin), len(months) < 12 * LEAST_YEARS
        kept = torch.cat([varies.new_ones(2), varies[1:]])
        bends = (varies[:1] & self.thresholds.isfinite().all() & (not few)).repeat(len(THRESHOLDS))
        kept = torch.cat([kept, (kept & (not few)).repeat(2), bends])  # few years tell no season, and no bend
        self.local.zero_()
        seen, amplitudes = self.split(forcings, months)
        regression = Regression(
            amplitudes.double() * varies[0],  # of a sea that repeats itself there is rounding only
            by_waves(amplitudes.double()[:, 1:], months) * (varies[0] and not few),
            self.places(seen, amplitudes, months)[:, kept],
            int(bends.sum()),
            self.harmonics,
        )
        uncertainty = regression.amplitudes.uncertainty.float()
        if few:
            uncertainty[0] = torch.inf
        wiener = WienerFilter(Grid(*self.sea.shape)).to(fields.device)
        unsteady = about_a_line(amplitudes[:, 0].double())
        for channel in range(fields.shape[1]):
            values = fields[:, channel].double()
            found = regression(values - monthly_means(values, months)[months - 1])
            first = torch.zeros_like(found.response)
            if guess is not None:
                first[0] = guess[channel] * self.spread[0]
            departure = wiener((found.response - first).float(), found.residual.float(), uncertainty)
            for known in (means or {}).get(channel, ()) if guess is not None else ():
                weights = known.weights.to(first) * known.region.to(first) * wiener.rows
                error = known.error.to(first) * self.spread[0]
                mean, beyond, error = (
                    (maps * weights).mean() for maps in (first[0], found.response[0] - first[0], error)
                )
                sampling = WienerFilter.error((found.residual * weights).mean((1, 2))) * uncertainty[0]
                unknown = sampling + (known.between * unsteady * mean).square()
                wanted = told(error.square(), unknown, beyond if known.other else None) * beyond
                lacking = (wanted - (departure[0] * weights).mean()) / weights.mean().clamp_min(TINY)
                departure[0] += (lacking * known.region.to(first)).float()
            self.local[kept, channel] = found.places.float()
            self.seasonal[:, :, channel] = found.seasonal.float()
            self.response[:, channel] = departure + first

    def _fit_forcing(self, forcings: torch.Tensor, months: torch.Tensor, kelvin: float) -> torch.Tensor:
        """Measure climatology, spread and patterns of the forcings; return which of them vary, (forcings,)."""
        sea = (forcings[:, 0] != 0).any(0)
        area = row_weights(len(sea)).double().to(forcings.device) * sea
        mean_pattern = area / area.sum().clamp_min(TINY)  # a sea of one temperature throughout reads as none
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
        patterns, variance = leading_patterns(rest, len(self.patterns) - 1)
        # A pattern below the rounding of float32 forcings is none: normalized, it would be noise.
        real = variance > ROUNDING * (anomaly.square() * area).sum((1, 2)).mean()
        leading = patterns.unflatten(1, sea.shape) * area.sqrt() * (real / variance.sqrt())[:, None, None]
        self.climatology.copy_(climatology)
        self.spread.copy_(spread[:, None, None])
        self.sea.copy_(sea)
        self.share.copy_(self.harmonics.smooth(self.sea, NEAR).clamp_min(FAR))
        self.patterns.zero_()
        self.patterns[: 1 + len(leading)] = torch.cat([mean_pattern[None], leading])
        latitude = torch.linspace(-90, 90, len(sea), device=sea.device)[:, None]
        tropical = area * (latitude.abs() <= TROPICS)
        self.tropics.copy_(tropical / tropical.sum().clamp_min(TINY))
        known = math.isfinite(kelvin) and bool(tropical.any())
        self.thresholds.copy_(torch.tensor(THRESHOLDS)[:, None, None] / kelvin if known else torch.tensor(torch.inf))
        self.usual_excess.copy_(monthly_means(self.excess(forcings[:, 0]), months))
        return ~(constant | repeated)


def about_a_line(series: torch.Tensor) -> float:
    """Return the share of the variance between whole years of months (time,) that is about a straight line, 0 to 1."""
    years = series[: len(series) // 12 * 12].unflatten(0, (-1, 12)).mean(1)
    if len(years) < 3:
        return 1.0
    line = torch.linspace(-1, 1, len(years)).to(years)
    years = years - years.mean()
    rest = years - line * (line @ years) / (line @ line)
    variance = years.square().sum() / (len(years) - 1)
    return min(1.0, float(rest.square().sum() / (len(years) - 2) / variance.clamp_min(TINY)))


def told(of_guess: torch.Tensor, of_data: torch.Tensor, beyond: torch.Tensor | None = None) -> torch.Tensor:
    """Return how far data take a mean from its guess to what they have, 0 to 1, by the variances of both errors.

    Years that are warm by El Nino tell another mean than years that are warm by a steady warming; the more of the sea's
    variance between years is no steady warming, the more of that is in the error of the data. Where a trend has other
    causes than the sea, as ozone's and carbon dioxide's in the stratosphere, what data have `beyond` the guess and
    both errors is taken for theirs, so that it is told the less the more it is.

    Args:
        of_guess: error variance of the guess.
        of_data: of the data: sampling, and what years tell that are warm by no steady warming.
        beyond: what data have beyond the guess, where other causes are.
    """
    if beyond is not None:
        of_data = torch.maximum(of_data, beyond.square() - of_guess)
    return of_guess / (of_guess + of_data).clamp_min(TINY)


def by_waves(amplitudes: torch.Tensor, month: torch.Tensor) -> torch.Tensor:
    """Return `amplitudes` (batch, n) times each annual wave of calendar months (batch,), (batch, 2, n)."""
    return annual_waves(month).to(amplitudes)[:, :, None] * amplitudes[:, None]
