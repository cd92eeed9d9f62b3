"""What a free run of the training period lacks of the data: the mean of its fields, and variance.

What the networks add to the mean of the fields over many months is an error of theirs: the data's mean is in the
normalization and the forced response. It is taken off as an offset per place and calendar month (one for all months of
a single year), such that the mean of the *physical* fields is that of the data's climate, as far as its years tell
(model/climatology.py): for what is normalized behind a square root (precipitation, humidity) it depends on the
variance, and a mean that agrees in normalized units is dry where variance lacks. Variance that lacks comes back as the
noise of model/residual.py. Members of the run that tells the offset come in pairs of opposite noise, in which nearly
all weather cancels. The runs have random numbers of their own, so that no member of the submission is one that the
model was calibrated on. Last comes how much more the global means of whole years vary in a run with all this than in
the data, for model/global_means.py to hold them.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from model.climatology import Climatology, Means, climatology_of, monthly_means
from model.data import TRAINING, Metadata, Months, ToPhysical, months_in_turn
from model.monthly_diffusion import MonthlyDiffusion
from model.noise import CALIBRATION
from model.residual_fit import fit_power, fit_shape, fit_variance
from model.rounding import TINY
from model.simulate import free_run
from model.sphere import row_weights

MEANS_YEARS = 5  # whose means tell within a third how much they vary: runs of a few years vary several times too much
TELLING = 1.645  # errors by which a run must vary more than the data: one in twenty does by chance
DRY = 1e-4  # of the square of a root's scale, below which a field is none
LIMIT = 3.0  # of an offset of roots, normalized units
HALVINGS = 30  # of the interval in which it is looked for


class Moments(Means):
    """Mean and variance in each calendar month of values of one shape."""

    def __init__(self, shape: Sequence[int], device: torch.device):
        super().__init__(shape, device)
        self.squares = torch.zeros_like(self.sums)

    def add(self, values: torch.Tensor, month: int) -> None:
        """Add values (batch, *shape) of a calendar month, 1..12."""
        super().add(values, month)
        self.squares[month - 1] += values.double().square().sum(0)

    @property
    def variance(self) -> torch.Tensor:
        """The unbiased variance about that mean, (12, *shape); 0 of a single value."""
        return self._squares_about_mean / (self.count - 1).clamp_min(1)

    @property
    def mean_square(self) -> torch.Tensor:
        """The mean square about that mean, (12, *shape): the variance where the mean hardly errs."""
        return self._squares_about_mean / self.count.clamp_min(1)

    @property
    def _squares_about_mean(self) -> torch.Tensor:
        return (self.squares - self.sums.square() / self.count.clamp_min(1)).clamp_min(0)


@torch.inference_mode()
def calibrate(model: MonthlyDiffusion, months: Months, members: int, seed: int) -> None:
    """Measure the model's offset and its noise, if it has one, by a free run of the training period.

    Args:
        model: in evaluation mode; its offset and the noise's numbers are replaced.
        months: the normalized months, with their split.
        members: of each run; of that for the offset one more if they are odd, for they come in pairs.
        seed: of its random numbers.
    """
    assert months.split is not None  # training has looked for its pairs
    inside = np.flatnonzero(months.split == TRAINING)
    device, shape = months.fields.device, months.fields.shape[1:]
    model.climate_offset.zero_()
    if model.residual is not None:
        model.residual.reset()
    # A calendar month that training met once has no variance, and a mean that is weather.
    seasons = bool(np.bincount(months.number[inside].cpu(), minlength=13)[1:].min() > 1)
    if model.residual is not None and seasons:
        fit_shape(model.residual, lambda: residuals(model, months, inside))
        fit_noise(model, months, inside, members, seed)
    departures = (model.departures(*given)[0] for given in months_in_turn(months, inside))
    climatology = climatology_of(departures, months.number[torch.from_numpy(inside).to(device)], months.metadata)
    run, physical_mean = Moments(shape, device), Means(shape, device)
    physical = ToPhysical(months.metadata, device)
    for index, fields in run_of(model, months, inside, members, seed, mirrored=True):
        month, observed = months.dates[index][1], months.fields[index : index + 1]
        run.add(fields, month)
        physical_mean.add(physical(observed, month), month)
    variance = run.mean_square  # the mean of members of opposite noise hardly errs
    if model.residual is not None:
        variance += model.residual.variances()
    offset = offset_of_run(run.mean, variance, climatology, physical_mean.mean, months.metadata)
    if not seasons:
        offset = offset[run.count[:, 0, 0, 0] > 0].mean(0)
    model.climate_offset.copy_(offset)
    if model.residual is not None and seasons:
        fit_means(model, months, inside, members, seed)


def offset_of_run(
    mean: torch.Tensor,
    variance: torch.Tensor,
    climatology: Climatology,
    physical_mean: torch.Tensor,
    metadata: Metadata,
) -> torch.Tensor:
    """Return what to take off a run, such that the mean of its physical fields is that of the climate.

    Shape (12, fields, nlat, nlon).

    Args:
        mean: of the run in each calendar month, (12, fields, nlat, nlon), normalized.
        variance: likewise, with the noise that the run is to have.
        climatology: of the training months.
        physical_mean: of these, physical units.
        metadata: of the fields.
    """
    sample, cycle = climatology
    offset = (mean - cycle).float()
    for channel, transform in enumerate(channel.transform for channel in metadata.channels):
        if transform == "sqrt":
            scale = float(metadata.scale[channel])
            center = torch.from_numpy(metadata.center[:, channel]).to(mean)
            root, known = (values[:, channel] * scale + center for values in (mean, sample.to(mean)))
            # Squares of roots that are shifted from their mean in the sample to that of the climate, not below zero.
            shift = torch.maximum((cycle - sample)[:, channel] * scale, -known)
            wanted = physical_mean[:, channel] + (2 * known + shift) * shift
            offset[:, channel] = offset_of_roots(root, variance[:, channel].sqrt() * scale, wanted, scale)
    return offset


def fit_means(model: MonthlyDiffusion, months: Months, inside: np.ndarray, members: int, seed: int) -> None:
    """Measure the global means of a run with noise and offset: usual, with a warmer sea, and how much more they vary.

    The last between whole years, about what the sea's mean makes of them, as in the data.
    """
    residual = model.residual
    assert residual is not None
    if len(inside) // 12 < MEANS_YEARS:
        return
    fields = torch.arange(months.fields.shape[1], device=months.fields.device)
    series: list[torch.Tensor] = []
    warming: list[torch.Tensor] = []
    slope = Means(fields.shape, fields.device)
    for index, drawn in run_of(model, months, inside, members, seed, residual=True):
        month, observed = months.dates[index][1], months.fields[index : index + 1]
        held = residual.means.held(month, fields)
        series.append(torch.cat([residual.means.of(each, held) for each in (observed, drawn)])[:, :, 0, 0].double())
        if model.forced is None:
            warming.append(series[-1].new_zeros(()))
            continue
        _, amplitudes = model.forced.split(months.forcings[index : index + 1], fields.new_tensor([month]))
        warming.append(amplitudes[0, 0].double())
        # The square of a root changes by twice the root, other fields by one.
        change = torch.where(held.root, 2 * (observed + held.shift).clamp_min(0), 1.0) * model.forced.response[0]
        slope.add((change * residual.means.rows).mean((2, 3)), month)
    means = torch.stack(series)  # (time, 1 + members, fields)
    number = months.number[torch.from_numpy(inside).to(fields.device)]
    bend, warmth = means.new_zeros(len(fields)), torch.stack(warming)[:, None]
    if model.forced is not None:
        squares = (model.forced.response[0].square() * residual.means.rows).mean((1, 2))
        bend = torch.where(residual.means.root, squares, 0.0).double()
    rest = means - ((slope.mean[number - 1] + bend * warmth) * warmth)[:, None]
    usual = monthly_means(rest, number)
    departures = rest - usual[number - 1]
    years = departures[: len(departures) // 12 * 12].unflatten(0, (-1, 12)).mean(1)
    kept = kept_share(years[:, 0], years[:, 1:])
    residual.means.fit(usual[:, 1:].mean(1).float(), slope.mean.float(), bend.float(), kept.float())


def kept_share(known: torch.Tensor, run: torch.Tensor) -> torch.Tensor:
    """Return what to keep of the deviation of a run's yearly means (fields,): 1 where it varies as the data may.

    A run as variable as the data has the larger variance half the time, so that it is held only where the logarithms
    of both variances, of which one of n years errs by a variance of 2 / (n - 1), differ by more than TELLING errors.

    Args:
        known: yearly means of the data, (years, fields).
        run: of the members, (years, members, fields).
    """
    deviation = run.var(0).mean(0).sqrt()
    kept = torch.where(deviation > 0, known.std(0) / deviation.clamp_min(TINY), 1.0).clamp_max(1)
    error = math.sqrt(2 / (len(known) - 1) * (1 + 1 / run.shape[1]))
    return torch.where(2 * kept.clamp_min(TINY).log() < -TELLING * error, kept, 1.0)


def run_of(
    model, months: Months, inside: np.ndarray, members: int, seed: int, residual: bool = False, mirrored: bool = False
) -> Iterator[tuple[int, torch.Tensor]]:
    """Yield the index of each month inside, and the fields (members, fields, nlat, nlon) of a run with noise or not."""
    fields = free_run(model, months, inside, members, seed, CALIBRATION, mirrored, residual=residual)
    return zip(inside, fields, strict=True)


def fit_noise(model: MonthlyDiffusion, months: Months, inside: np.ndarray, members: int, seed: int) -> None:
    """Measure how much of the data's variance two runs lack at each place, and then at each degree.

    The first run has all that is decoded; of the second what is too much at a place is taken away.
    """
    assert model.residual is not None
    harmonics = model.residual.harmonics
    for look in (lambda maps: maps, harmonics):
        run, known = (Moments(look(months.fields[0]).shape, months.fields.device) for _ in range(2))
        for index, fields in run_of(model, months, inside, members, seed):
            month, observed = months.dates[index][1], months.fields[index : index + 1]
            number = torch.tensor([month], device=fields.device)
            both = torch.cat([observed, fields])
            both = model.departures(both, months.forcings[index : index + 1], number)
            known.add(look(both[:1]), month)
            run.add(look(both[1:]), month)
        if look is not harmonics:
            fit_variance(model.residual, known.variance.float(), run.variance.float(), len(inside) // 12)
    power = harmonics.by_degree((known.variance - run.variance).mean(0))
    rows = row_weights(model.grid.nlat).to(power)
    variance = model.residual.variances().double().mean(0)
    beyond = (variance * rows).mean((1, 2)) - power.sum(1)
    fit_power(model.residual, torch.cat([power, beyond[:, None]], dim=1).float())


def offset_of_roots(mean: torch.Tensor, deviation: torch.Tensor, wanted: torch.Tensor, scale: float) -> torch.Tensor:
    """Return what to take off the normalized square root of a field, so that the field's mean is `wanted`.

    Roots are taken as Gaussian; those below zero stand for zero: with mean a and deviation b the field's mean is
    E max(0, x)^2 = (a^2 + b^2) Phi(a / b) + a b phi(a / b).

    Args:
        mean: of the roots, any shape.
        deviation: of the roots about it, of that shape.
        wanted: mean of the field, of that shape.
        scale: of the normalization of the roots.
    """
    deviation = deviation.clamp_min(1e-6 * scale)
    # No mean square is zero: where it never rains, an offset without bounds would come as near as it may.
    wanted = wanted.clamp_min(DRY * scale**2)
    low, high = torch.full_like(wanted, -LIMIT), torch.full_like(wanted, LIMIT)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        centre = mean - middle * scale
        ratio = centre / deviation
        density = torch.exp(-0.5 * ratio.square()) / math.sqrt(2 * math.pi)
        squares = (centre.square() + deviation.square()) * torch.special.ndtr(ratio) + centre * deviation * density
        above = squares > wanted
        low, high = torch.where(above, middle, low), torch.where(above, high, middle)
    return (low + high) / 2


def residuals(model: MonthlyDiffusion, months: Months, inside: np.ndarray) -> Iterator[torch.Tensor]:
    """Yield what the decoder leaves of the months `inside` when it is given their posterior mean, a month at a time."""
    for fields, forcing, number in months_in_turn(months, inside):
        latent, _ = model.encode(fields, forcing, number)
        yield (fields - model.decode(latent, forcing, number))[0]
