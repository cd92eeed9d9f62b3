"""The months of an ensemble, one after the other."""

import functools
from collections.abc import Callable, Iterator

import numpy as np
import torch

from model.data import Months
from model.fast import FastModel
from model.monthly_diffusion import MonthlyDiffusion
from model.noise import (
    DIFFUSION,
    INITIAL,
    RESIDUAL_STAGES,
    SUBMISSION,
    Key,
    month_number,
    normals_of,
)
from model.residual import NoiseState

NOISE_DRAWS = 8  # of a member that are colored together: the patterns of the color are many times their memory


def months_colored_together(model: MonthlyDiffusion) -> int:
    """Return of how many months the noise of a member is colored at a time."""
    return max(1, NOISE_DRAWS // model.draws)


def members_together(device: torch.device) -> int:
    """Return how many members are computed at a time: always as many, so that a member's numbers depend on no other.

    On a CPU it is one, which stays in cache; on a GPU ten, the last of a block more than once if need be.
    """
    return 1 if device.type == "cpu" else 10


def filled(numbers: list[int], size: int) -> list[list[int]]:
    """Return the numbers in blocks of `size`; the last block is filled up with the last number."""
    blocks = [numbers[start : start + size] for start in range(0, len(numbers), size)]
    return [block + block[-1:] * (size - len(block)) for block in blocks]


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
        members: numbers of the members.
        seed: of all random numbers.
        prepare: makes of the model what steps the latents.
        stream: of model/noise.py, what kind of run it is; the noise of others is independent.
        residual: whether fields have the noise of what the decoder does not give, if the model has one.
        experiment: its number, as of model/noise.py.
    """
    device = model.latent_mean.device
    size, ahead = members_together(device), months_colored_together(model)
    blocks = filled(members, size)
    numbers = [month_number(*date) for date in dates]

    def draw(stage, block, months, shape):
        run = 0 if stage == INITIAL else experiment
        keys = [Key(seed, stream, stage, member, month, run) for month in months for member in block]
        return normals_of(keys, shape, device).unflatten(0, (len(months), size))

    def noises(block):
        for months in filled(numbers[1:], ahead):
            white = draw(DIFFUSION, block, months, (model.draws, *model.latent_shape)).transpose(1, 2)
            calendar = torch.tensor(months, device=device) % 12 + 1
            yield from model.color(white, calendar[:, None, None])

    def number(index):
        return torch.tensor([dates[index][1]], device=device)

    mean, log_variance = model.encode(initial.to(device), observed.to(device), number(0))
    latents = []
    for block in blocks:
        latent = mean.expand(size, -1, -1, -1)
        if model.config.initial_state == "posterior":
            latent = latent + torch.exp(0.5 * log_variance) * draw(INITIAL, block, numbers[:1], model.latent_shape)[0]
        latents.append(latent)

    completing = model.residual
    scales = functools.cache(completing.scales) if completing is not None else None
    # None that is measured, none to draw.
    noisy = residual and completing is not None and bool(completing.mixing.any())
    left: list[NoiseState | None] = [None] * len(blocks)
    fast, before, noise = prepare(model), None, [noises(block) for block in blocks]
    for index in range(len(dates)):
        sea = forcing(index).to(device)
        given = fast.month(sea, number(index))
        if before is not None:
            latents = [
                fast.sample_next(latent, before, next(drawn)) for latent, drawn in zip(latents, noise, strict=True)
            ]
        before = given
        fields = [fast.decode(latent, given) for latent in latents]
        if completing is not None and scales is not None:
            month = dates[index][1]
            constant = given.added, model.uniform_response(sea, number(index))[0], scales(month)
            for place, block in enumerate(blocks):
                if noisy:
                    parts = zip(RESIDUAL_STAGES, completing.shapes, strict=True)
                    white = (draw(stage, block, numbers[index : index + 1], shape)[0] for stage, shape in parts)
                    left[place] = completing.step(left[place], *white)
                fields[place] = completing.complete(fields[place], *constant, left[place])
        yield torch.cat(fields)[: len(members)]


def free_run(
    model: MonthlyDiffusion, months: Months, inside: np.ndarray, members: int, seed: int, stream: int, **choices
) -> Iterator[torch.Tensor]:
    """Yield the fields of a run under the forcing of the months `inside`, from the first of them on, as `simulate`."""
    first = inside[:1]
    return simulate(
        model,
        months.fields[first],
        months.forcings[first],
        [months.dates[index] for index in inside],
        lambda index: months.forcings[inside[index] : inside[index] + 1],
        list(range(1, members + 1)),
        seed,
        stream=stream,
        **choices,
    )
