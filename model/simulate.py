"""The months of an ensemble, one after the other.

What takes the members from a month to the next asks the host for nothing, so that a GPU has it as one graph
(model/graph.py): what does not change is made before the first month, and what does is given as tensors.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch

from model.data import Months
from model.device import to_device
from model.fast import FastModel, Given
from model.graph import Captured
from model.monthly_diffusion import MonthlyDiffusion
from model.noise import DIFFUSION, INITIAL, RESIDUAL_STAGES, SUBMISSION, Key, MonthlyNoise, month_number
from model.residual import NoiseState, Scales

NOISE_DRAWS = 8  # of a member that are colored together: the patterns of the color are many times their memory


def months_colored_together(model: MonthlyDiffusion) -> int:
    """Return of how many months the noise of a member is colored at a time."""
    return max(1, NOISE_DRAWS // model.draws)


def members_together(device: torch.device, members: int) -> int:
    """Return how many of the members are computed at a time: one on a CPU, which stays in cache, all on a GPU.

    On a CPU a member's numbers so depend on no other; on a GPU they do by rounding.
    """
    return 1 if device.type == "cpu" else members


def in_blocks(numbers: list[int], size: int) -> list[list[int]]:
    """Return the numbers in blocks of `size`, of which the last may have fewer."""
    return [numbers[start : start + size] for start in range(0, len(numbers), size)]


class Now(NamedTuple):
    """What sets a month apart from others."""

    forcing: torch.Tensor  # normalized, (1, forcings, nlat, nlon)
    calendar: torch.Tensor  # month, (1,), 1..12
    number: torch.Tensor  # as `month_number` counts, (1,)
    scales: Scales | None  # of what the decoder does not give; none if the model gives all


class Carried(NamedTuple):
    """What a month leaves to the next."""

    conditions: Given  # what it gives the denoiser
    latents: list[torch.Tensor]  # of each block of members
    noise: list[NoiseState]  # likewise; empty where the fields have none


class Ensemble:
    """Members in blocks, and what takes them from a month to the next.

    Args:
        model: in evaluation mode.
        blocks: numbers of the members that are computed together.
        key: of the noise, of any member, month and stage.
        noisy: whether fields have that noise.
        prepare: makes of the model what steps the latents.
    """

    def __init__(
        self,
        model: MonthlyDiffusion,
        blocks: list[list[int]],
        key: Key,
        noisy: bool,
        prepare: Callable[[MonthlyDiffusion], FastModel] = FastModel,
    ):
        self.fast, self.residual = prepare(model), model.residual
        self.white: list[MonthlyNoise] = []
        if noisy and model.residual is not None:
            self.rates = model.residual.rates()
            shapes, device = dict(zip(RESIDUAL_STAGES, model.residual.shapes, strict=True)), model.latent_mean.device
            self.white = [MonthlyNoise(key, shapes, block, device) for block in blocks]

    def start(self, now: Now, latents: list[torch.Tensor]) -> tuple[list[torch.Tensor], Carried]:
        """Return the fields of the first month by blocks, each (members, fields, nlat, nlon), and what it leaves."""
        return self._month(now, latents, [None] * len(latents))

    def advance(self, now: Now, before: Carried, noise: list[torch.Tensor]) -> tuple[list[torch.Tensor], Carried]:
        """Return what `start` does of the month that follows `before`.

        noise: of the diffusion of each block, colored, (draws, members, *latent_shape).
        """
        latents = [
            self.fast.sample_next(latent, before.conditions, drawn)
            for latent, drawn in zip(before.latents, noise, strict=True)
        ]
        return self._month(now, latents, before.noise)

    def _month(
        self, now: Now, latents: list[torch.Tensor], before: list[NoiseState] | list[None]
    ) -> tuple[list[torch.Tensor], Carried]:
        given = self.fast.month(now.forcing, now.calendar)
        fields = [self.fast.decode(latent, given) for latent in latents]
        states: list[NoiseState] = []
        if now.scales is not None and self.residual is not None:
            warming = 0.0 if given.uniform is None else given.uniform
            for place, decoded in enumerate(fields):
                if self.white:
                    white = [each[0] for each in self.white[place](now.number)]
                    states.append(self.residual.step(before[place], white, self.rates))
                state = states[-1] if states else None
                fields[place] = self.residual.complete(decoded, given.added, warming, now.scales, state)
        return fields, Carried(given.denoiser, latents, states)


@torch.inference_mode()
def simulate(
    model: MonthlyDiffusion,
    initial: torch.Tensor,
    observed: torch.Tensor,
    dates: list[tuple[int, int]],
    forcing: Callable[[int], torch.Tensor],
    members: list[int],
    seed: int,
    prepare: Callable[[MonthlyDiffusion], FastModel] = FastModel,
    stream: int = SUBMISSION,
    residual: bool = True,
    experiment: int = 0,
    graphs: bool = True,
) -> Iterator[torch.Tensor]:
    """Yield the normalized fields (members, fields, nlat, nlon) of each month, on the model's device.

    The first month is decoded from the encoded initial state, encoded with its own forcing, which is the same in every
    experiment; the latent of each later month is drawn given the conditions of the month before, and decoded with its
    own. The white noise of a member's month depends on `seed`, `stream`, `experiment`, its number and the date alone: a
    run that begins later has the same. Experiments start from one state, and have weather of their own from then on.

    Args:
        model: in evaluation mode.
        initial: normalized fields of the first month, (1, fields, nlat, nlon).
        observed: the forcing they came with, (1, forcings, nlat, nlon).
        dates: (year, month) of every month.
        forcing: gives the forcing (1, forcings, nlat, nlon) of the month of an index.
        members: their numbers; -n has the noise of n with the other sign, n from 1 on.
        seed: of all random numbers.
        prepare: makes of the model what steps the latents.
        stream: of model/noise.py, what kind of run it is; the noise of others is independent.
        residual: whether fields have the noise of what the decoder does not give, if the model has one.
        experiment: its number, as of model/noise.py.
        graphs: whether a month is one graph where the device has them.
    """
    # Made once, for all months.
    device = model.latent_mean.device
    blocks = in_blocks(members, members_together(device, len(members)))
    key = Key(seed, stream, DIFFUSION, 0, 0, experiment)
    calendar = torch.tensor([month for _, month in dates], device=device)
    numbers = torch.tensor([month_number(*date) for date in dates], device=device)
    scales: dict[int, Scales] = {}
    noisy = False
    if model.residual is not None:
        scales = {month: model.residual.scales(month) for month in {month for _, month in dates}}
        # None that is measured, none to draw.
        noisy = residual and bool(model.residual.mixing.any())
    ensemble = Ensemble(model, blocks, key, noisy, prepare)
    advance = Captured(ensemble.advance, device) if graphs else ensemble.advance

    mean, log_variance = model.encode(initial.to(device), observed.to(device), calendar[:1])
    latents = []
    for block in blocks:
        latent = mean.expand(len(block), -1, -1, -1)
        if model.config.initial_state == "posterior":
            # The same in every experiment.
            white = MonthlyNoise(key._replace(experiment=0), {INITIAL: model.latent_shape}, block, device)
            latent = latent + torch.exp(0.5 * log_variance) * white(numbers[:1])[0][0]
        latents.append(latent)
    colored = [diffusion_noise(model, key, block, numbers, calendar) for block in blocks]

    carried: Carried | None = None
    for index, (_, month) in enumerate(dates):
        at = slice(index, index + 1)
        now = Now(to_device(forcing(index), device), calendar[at], numbers[at], scales.get(month))
        if carried is None:
            fields, carried = ensemble.start(now, latents)
        else:
            fields, carried = advance(now, carried, [next(drawn) for drawn in colored])
        yield torch.cat(fields)


def diffusion_noise(
    model: MonthlyDiffusion, key: Key, block: list[int], numbers: torch.Tensor, calendar: torch.Tensor
) -> Iterator[torch.Tensor]:
    """Yield the colored noise (draws, members, *latent_shape) of each month but the first, several at a time."""
    white = MonthlyNoise(key, {DIFFUSION: (model.draws, *model.latent_shape)}, block, numbers.device)
    ahead = months_colored_together(model)
    for start in range(1, len(numbers), ahead):
        # As many every time, or the last months of a run would be others' by rounding.
        places = [min(place, len(numbers) - 1) for place in range(start, start + ahead)]
        months = torch.stack([numbers[place] for place in places])
        season = torch.stack([calendar[place] for place in places])
        (drawn,) = white(months)
        yield from model.color(drawn.transpose(1, 2), season[:, None, None])


def free_run(
    model: MonthlyDiffusion,
    months: Months,
    inside: np.ndarray,
    members: int,
    seed: int,
    stream: int,
    mirrored: bool = False,
    **choices,
) -> Iterator[torch.Tensor]:
    """Yield the fields of a run under the forcing of the months `inside`, from the first of them on, as `simulate`.

    mirrored: whether members come in pairs of opposite noise (antithetic variates, Hammersley and Morton 1956,
        doi:10.1017/S0305004100031455), one more if `members` is odd: of the mean of a pair the weather goes that is
        linear in the noise.
    """
    first, numbers = inside[:1], list(range(1, members + 1))
    if mirrored:
        numbers = [number for each in numbers[: (members + 1) // 2] for number in (each, -each)]
    return simulate(
        model,
        months.fields[first],
        months.forcings[first],
        [months.dates[index] for index in inside],
        lambda index: months.forcings[inside[index] : inside[index] + 1],
        numbers,
        seed,
        stream=stream,
        **choices,
    )
