r"""Reference forecasts, which the evaluation sets beside the model: physical fields, month by month.

persistence            the initial month's anomaly a_0, damped by the lag-one autocorrelation r of each point and field:
                       climatology + r^t a_0, what an AR(1) process forecasts; soon that is climatology alone
regression             climatology + L(c), the response to sea surface temperature (forced.py), of response.py
regression+residuals   the same + residuals x - climatology - L(c) of training months, drawn by whole years
no-diffusion           the model with v = 0 in the place of its denoiser; members, noise, memory and decoder as they are

Everything is fitted to the training months of training.nc, in normalized units, as the networks are; climatology is
that of model/climatology.py, which the model has, too, and residuals depart from the mean of the training months. They
are drawn in blocks of twelve months that begin with the calendar month in which training begins (calendar years, where
that is January), with replacement: months keep their season, their memory within the year and the variance of annual
means; between two years the memory is cut.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch

from model import checkpoint, data
from model.climatology import Climatology, climatology_of, monthly_means
from model.data import Channel, Metadata, Months
from model.device import pick_device
from model.fast import FastModel
from model.forced import ForcedResponse
from model.response import read_response
from model.rounding import TINY
from model.run_inputs import open_inputs
from model.simulate import simulate

YEAR = 12  # months of a block of residuals


class Sources(NamedTuple):
    """Paths of what baselines are made from; those of one need not all be there."""

    training: str | None
    initial: str
    forcing: str
    checkpoint: str | None = None
    response: str | None = None  # of model/response.py


class Options(NamedTuple):
    """What a forecast depends on beside its data: the member, and the seed of its random numbers."""

    member: int
    seed: int


class Forecast(NamedTuple):
    """A forecast under way: what its fields are, and the fields (channels, nlat, nlon) of each month in turn."""

    channels: list[Channel]
    lat: np.ndarray  # degrees north
    lon: np.ndarray  # degrees east
    dates: list[tuple[int, int]]  # (year, month)
    fields: Iterator[np.ndarray]  # float32, physical units


def climatology(training: Months, forced: ForcedResponse | None = None) -> Climatology:
    """Return the climatology of the training months, of what departs from L(c) where that is known."""
    departures = (
        (fields if forced is None else fields - forced.respond(forcing, month)[1])[0]
        for fields, forcing, month in data.months_in_turn(training)
    )
    return climatology_of(departures, training.number, training.metadata)


def channels_of(training: Months) -> Iterator[torch.Tensor]:
    """Yield the months (time, nlat, nlon) of each channel: those of all at once are too many for the memory."""
    return (training.fields[:, channel] for channel in range(training.fields.shape[1]))


def lag_one(values: torch.Tensor, months: torch.Tensor) -> torch.Tensor:
    """Return the correlation (nlat, nlon) of the anomalies of a month and of the next, from 0 to 1.

    values: (time, nlat, nlon); months: calendar months 1..12 (time,). 0 where nothing varies, or the sign alternates.
    """
    anomalies = values.double()
    anomalies = anomalies - monthly_means(anomalies, months)[months - 1]
    before, after = anomalies[:-1], anomalies[1:]
    scale = (before.square().sum(0) * after.square().sum(0)).sqrt().clamp_min(TINY)
    return ((before * after).sum(0) / scale).clamp(0, 1).float()


def respond(forced: ForcedResponse, forcing: torch.Tensor, month: int) -> torch.Tensor:
    """Return L (fields, nlat, nlon) of the forcing (1, forcings, nlat, nlon) of a calendar month."""
    return forced.respond(forcing, torch.tensor([month]))[1][0]


def residual_months(dates: list[tuple[int, int]], training: list[tuple[int, int]], member: int, seed: int) -> list[int]:
    """Return for each month of `dates` the index of the training month of its name whose residual it takes.

    Years of twelve months, counted from the calendar month in which training begins, are drawn with replacement.
    """
    begin = training[0][1] - 1
    years = [(YEAR * year + month - 1 - begin) // YEAR for year, month in dates]
    random = np.random.default_rng((seed, member))
    drawn = random.integers(len(training) // YEAR, size=years[-1] - years[0] + 1)
    return [
        int(YEAR * drawn[year - years[0]]) + (month - 1 - begin) % YEAR
        for year, (_, month) in zip(years, dates, strict=True)
    ]


def persistence(
    training: Months, initial: torch.Tensor, forcing, options: Options, forced: ForcedResponse | None
) -> Iterator[torch.Tensor]:
    """Yield climatology + r^t times the anomaly of `initial` (channels, nlat, nlon), t months after the first."""
    cycle = climatology(training).cycle
    damping = torch.stack([lag_one(values, training.number) for values in channels_of(training)])
    anomaly = initial - cycle[forcing.dates[0][1] - 1]
    for lead, (_, month) in enumerate(forcing.dates):
        yield cycle[month - 1] + damping**lead * anomaly


def regression(
    training: Months, initial: torch.Tensor, forcing, options: Options, forced: ForcedResponse
) -> Iterator[torch.Tensor]:
    """Yield climatology + L(c)."""
    cycle = climatology(training, forced).cycle
    for index, (_, month) in enumerate(forcing.dates):
        yield cycle[month - 1] + respond(forced, forcing.month(index), month)


def with_residuals(
    training: Months, initial: torch.Tensor, forcing, options: Options, forced: ForcedResponse
) -> Iterator[torch.Tensor]:
    """Yield climatology + L(c) + the residual of the training month that is drawn."""
    sample, cycle = climatology(training, forced)
    drawn = residual_months(forcing.dates, training.dates, options.member, options.seed)
    for index, (_, month) in enumerate(forcing.dates):
        there = training.forcings[drawn[index] : drawn[index] + 1]
        residual = training.fields[drawn[index]] - sample[month - 1] - respond(forced, there, month)
        yield cycle[month - 1] + respond(forced, forcing.month(index), month) + residual


class WithoutDiffusion(FastModel):
    """A model whose denoiser says v = 0: the next latent is its linear memory of the state, and the noise."""

    def sample_next(self, state, month, noise) -> torch.Tensor:
        """Return the next latent as FastModel.sample_next does with a velocity of zero."""
        standard = self.model.standardize(state)
        return self.model.sample_by(lambda x, number: torch.zeros_like(x), standard, noise)


REGRESSIONS: dict[str, Callable] = {"regression": regression, "regression+residuals": with_residuals}
FITTED = {"persistence": persistence, **REGRESSIONS}
SIMULATED = "no-diffusion"
NAMES = (*FITTED, SIMULATED)


def needed(name: str) -> list[str]:
    """Return which sources the baseline `name` needs beside the first month and the forcing."""
    if name == SIMULATED:
        return ["checkpoint"]
    return ["training", "response"] if name in REGRESSIONS else ["training"]


@contextlib.contextmanager
def open_forecast(name: str, sources: Sources, options: Options) -> Iterator[Forecast]:
    """Open the baseline `name` of NAMES; its months are computed as they are taken.

    Raises:
        ValueError: the inputs do not fit each other, a source that the baseline needs is not given, or values are
            not finite.
    """
    for source in needed(name):
        if getattr(sources, source) is None:
            raise ValueError(f"the baseline {name} needs the file '{source}', which is not given.")
    months: Iterator[torch.Tensor]
    with contextlib.ExitStack() as stack:
        # What is fitted takes a few products of maps a month: reading takes longer.
        device = pick_device() if name == SIMULATED else torch.device("cpu")
        if name == SIMULATED:
            model, metadata, _ = checkpoint.load(str(sources.checkpoint), device)
        else:
            training = _training(stack.enter_context(data.open_months(str(sources.training), device)), sources)
            metadata = training.metadata
        inputs = open_inputs(sources.initial, sources.forcing, metadata)
        fields, observed, forcing = stack.enter_context(inputs)
        if name == SIMULATED:
            given = model, fields, observed, forcing.dates, forcing.month, [options.member], options.seed
            months = (batch[0] for batch in simulate(*given, WithoutDiffusion))
        else:
            response = read_response(str(sources.response), training) if name in REGRESSIONS else None
            months = FITTED[name](training, fields[0], forcing, options, response)
        yield Forecast(
            metadata.channels,
            metadata.lat,
            metadata.lon,
            forcing.dates,
            _physical(months, metadata, forcing.dates, device),
        )


def _training(months: Months, sources: Sources) -> Months:
    """Return the training months, of which whole years are drawn."""
    training = data.training_months(months)
    elapsed = [YEAR * year + month for year, month in training.dates]
    if len(elapsed) < YEAR or np.any(np.diff(elapsed) != 1):
        raise ValueError(
            f"{sources.training} has {len(elapsed)} training months, which must be {YEAR} or more, one after the "
            "other; make it again with the config's periods."
        )
    return training


@torch.inference_mode()
def _physical(months, metadata: Metadata, dates, device: torch.device) -> Iterator[np.ndarray]:
    convert = data.ToPhysical(metadata, device)
    for normalized, (_, month) in zip(months, dates, strict=True):
        yield convert(normalized, month).cpu().numpy()
