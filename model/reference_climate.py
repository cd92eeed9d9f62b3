r"""The climate that a run of the model is held against, in few numbers: global means, large-scale patterns, powers.

Patterns are the leading EOFs of what the networks model, the normalized fields less their forced response: of its
departures from the mean of the calendar month, each field in units of their spread, up to degree 20. Harmonics are
orthonormal on the sphere, so that all is weighted by area.

A run is judged by anomalies from the reference's calendar months: of the global mean of each field without its forced
response, in physical units, and of the amplitude of each pattern, in the reference's standard deviations; so a sea that
is warmer than any the reference has seen is no runaway. It has run away where in a block of months (a decade) one of
them lies outside the range of the reference's blocks by more than FACTOR units, or varies by more than FACTOR units;
the unit is the reference's standard deviation from month to month. So that errors of what hardly varies are no runaway,
it is for a global mean not less than SHARE of the spread that the field has at a place, and for a pattern not less than
a third of the leading pattern's.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch

from model.covariance import leading_patterns
from model.data import Metadata, ToPhysical
from model.monthly_diffusion import MonthlyDiffusion
from model.sphere import Harmonics, row_weights

MODES = 10  # patterns
LARGE = 21  # degrees of the harmonics that patterns are made of: l < 21
FACTOR = 3.0
SHARE = 0.1


class View(NamedTuple):
    """A month as it is judged: of the fields less their forced response; batch first."""

    means: torch.Tensor  # global means in physical units, (batch, fields), float64
    harmonics: torch.Tensor  # of the normalized departures, (batch, fields, harmonics)


class Viewer:
    """Looks at months of a model: what is the same for reference and runs."""

    def __init__(self, model: MonthlyDiffusion, metadata: Metadata):
        device = model.latent_mean.device
        self.model, self.channels = model, metadata.channels
        self.physical = ToPhysical(metadata, device)
        self.harmonics = Harmonics(model.grid).to(device)
        self.large = int((self.harmonics.degree < LARGE).sum())  # harmonics that patterns are made of: they come first
        self.rows = row_weights(model.grid.nlat).to(device)

    def area_mean(self, maps: torch.Tensor) -> torch.Tensor:
        """Return the area mean, float64, of maps (..., nlat, nlon)."""
        return (maps.double() * self.rows).mean((-2, -1))

    @torch.inference_mode()
    def __call__(self, normalized: torch.Tensor, forcing: torch.Tensor, month: int) -> View:
        """Return the view of normalized fields (batch, fields, nlat, nlon) under a forcing (1, ...) in a month."""
        departures = self.model.departures(normalized, forcing, torch.tensor([month], device=forcing.device))
        return View(self.area_mean(self.physical(departures, month)), self.harmonics(departures))


class Climate:
    """Climatology, spread, patterns and series of the reference months, each seen once.

    Args:
        viewer: looks at them.
        months: (normalized fields (1, fields, nlat, nlon), forcing (1, forcings, nlat, nlon)) of each.
        dates: (year, month) of each.
    """

    def __init__(
        self, viewer: Viewer, months: Iterable[tuple[torch.Tensor, torch.Tensor]], dates: list[tuple[int, int]]
    ):
        numbers = np.array([month for _, month in dates])
        counts = np.bincount(numbers - 1, minlength=12)
        # Without two of each calendar month there is no departure from it, so that the season counts as one.
        self.seasonal = bool(counts.min() >= 2)
        slots = np.array([self.slot(month) for month in numbers])
        shares = torch.from_numpy(np.bincount(slots, minlength=12) / len(slots))
        elapsed = np.array([12 * year + month for year, month in dates])
        self.follows = np.diff(elapsed) == 1

        means: list[np.ndarray] = []
        large: list[torch.Tensor] = []
        for slot, month, (fields, forcing) in zip(slots, numbers, months, strict=True):
            view, physical = viewer(fields, forcing, int(month)), viewer.physical(fields, int(month))[0].double()
            if not means:
                cells = physical.new_zeros(12, *physical.shape)
                center = view.harmonics.new_zeros(12, *view.harmonics.shape[1:], dtype=torch.float64)
                scatter, squares = (torch.zeros_like(center[0, :, 0]) for _ in range(2))
            weight = 1 / (shares[slot].item() * len(slots))
            cells[slot] += physical * weight
            center[slot] += view.harmonics[0].double() * weight
            squares += viewer.area_mean(physical.square()) / len(slots)
            scatter += view.harmonics[0].double().square().sum(-1) / len(slots)
            means.append(view.means[0].cpu().numpy())
            large.append(view.harmonics[0, :, : viewer.large].cpu())
        shares = shares.to(center.device)
        square_means = torch.tensordot(shares, viewer.area_mean(cells.square()), dims=1)
        self.spread = (squares - square_means).clamp_min(0).sqrt().cpu().numpy()  # of cells (fields,), physical units
        deviation = (scatter - torch.tensordot(shares, center.square().sum(-1), dims=1)).clamp_min(0).sqrt()
        # A field that never varies has no part in patterns and powers.
        self.weight = torch.where(deviation > 1e-6, 1 / deviation, 0.0).float()
        self.center = center.float()

        monthly = np.stack(means)
        self.usual = np.zeros((12, monthly.shape[1]))
        for place in set(slots.tolist()):
            self.usual[place] = monthly[slots == place].mean(0)
        anomalies = torch.stack(large) - self.center[slots, :, : viewer.large].cpu()
        anomalies = (anomalies * self.weight.cpu()[:, None]).flatten(1).double()
        patterns, variance = leading_patterns(anomalies, MODES)
        varied = variance > 1e-6 * variance[0]
        patterns, self.variance = patterns[varied], variance[varied].numpy()
        self.patterns = (patterns / variance[varied].sqrt()[:, None]).float().to(self.center.device)
        amplitudes = (anomalies @ self.patterns.double().cpu().T).numpy()
        self.series = np.concatenate([monthly - self.usual[slots], amplitudes], axis=1)  # (time, fields + patterns)

        deviation = self.series.std(0)
        least = np.sqrt(self.variance[0] / self.variance) / 3
        self.units = np.maximum(deviation, np.concatenate([SHARE * self.spread, least]))
        shares_of_fields = self.patterns.square().unflatten(1, (len(viewer.channels), -1)).sum(-1)
        most = [viewer.channels[index].name for index in shares_of_fields.argmax(1).tolist()]
        self.names = [
            f"the global mean of {channel.name} less its forced response ({channel.units})"
            for channel in viewer.channels
        ]
        self.names += [
            f"the amplitude of pattern {number}, most of it in {name} (standard deviations)"
            for number, name in enumerate(most, start=1)
        ]

    def slot(self, month: int) -> int:
        """Return the place of a calendar month in the climatology."""
        return int(month) - 1 if self.seasonal else 0

    def anomalies(self, view: View, month: int) -> torch.Tensor:
        """Return the harmonics of a view as anomalies in units of the fields' spread, (batch, fields, harmonics)."""
        return (view.harmonics - self.center[self.slot(month)]) * self.weight[:, None]

    def indices(self, view: View, month: int) -> np.ndarray:
        """Return the anomalies of global means and patterns of a view, (batch, fields + patterns)."""
        large = self.patterns.shape[1] // len(self.weight)
        amplitudes = self.anomalies(view, month)[:, :, :large].flatten(1) @ self.patterns.T
        means = view.means.cpu().numpy() - self.usual[self.slot(month)]
        return np.concatenate([means, amplitudes.double().cpu().numpy()], axis=1)

    def allowed(self, block: int) -> tuple[np.ndarray, np.ndarray]:
        """Return least and largest mean (n,) that a block of a run may have."""
        means = block_means(self.series[None], block)
        return means.min((0, 1)) - FACTOR * self.units, means.max((0, 1)) + FACTOR * self.units

    def runaway(self, run: np.ndarray, block: int) -> str | None:
        """Return a sentence on the first block of `run` (members, time, fields + patterns) that ran away; None if none.

        The last block takes the months that make no block of their own. A season that is wrong in the same way every
        year is an error, but no runaway, and is not seen.
        """
        low, high = self.allowed(block)
        finite = np.isfinite(run).all((0, 2))
        count = len(finite) if finite.all() else int(finite.argmin())
        for first, values in blocks(without_season(run[:, :count]), block) if count else ():
            mean, deviation = values.mean(1), values.std(1)
            for member, index in np.ndindex(mean.shape):
                where = f"in months {first + 1} to {first + values.shape[1]}"
                what = f"member {member + 1} ran away {where}: {self.names[index]}"
                found, allowed = mean[member, index], FACTOR * self.units[index]
                if not low[index] <= found <= high[index]:
                    return (
                        f"{what} is on average {found:.4g} off its climatology, allowed are {low[index]:.4g} to "
                        f"{high[index]:.4g} (the reference over {block} months, and {FACTOR:g} standard deviations)."
                    )
                if deviation[member, index] > allowed:
                    return (
                        f"{what} has a standard deviation of {deviation[member, index]:.4g}, allowed is {allowed:.4g} "
                        f"({FACTOR:g} times the reference's)."
                    )
        if count < len(finite):
            member, index = np.argwhere(~np.isfinite(run[:, count]))[0]
            return f"member {member + 1} ran away in month {count + 1}: {self.names[index]} is not a finite number."
        return None


def blocks(run: np.ndarray, block: int) -> list[tuple[int, np.ndarray]]:
    """Return (first month, values) of the whole blocks of `run` (members, time, n), the rest in the last one."""
    firsts = [number * block for number in range(max(1, run.shape[1] // block))]
    return [(first, run[:, first:last]) for first, last in zip(firsts, [*firsts[1:], None], strict=True)]


def without_season(run: np.ndarray) -> np.ndarray:
    """Return `run` (members, time, n) less the median year about its median, which few wild months do not change."""
    run, middle = run.copy(), np.median(run, (0, 1))
    for first in range(min(12, run.shape[1])):
        run[:, first::12] -= np.median(run[:, first::12], (0, 1)) - middle
    return run


def block_means(series: np.ndarray, block: int) -> np.ndarray:
    """Return the means over any `block` months in a row, or over all if fewer, of `series` (members, time, n)."""
    block = min(block, series.shape[1])
    sums = np.concatenate([np.zeros_like(series[:, :1]), series.cumsum(1)], axis=1)
    return (sums[:, block:] - sums[:, :-block]) / block
