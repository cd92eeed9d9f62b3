"""The months of an ensemble, one after the other, and the offset that a free run of the training period shows."""

from collections.abc import Callable, Iterator

import numpy as np
import torch

from model.data import TRAINING, Months
from model.fast import FastModel
from model.monthly_diffusion import MonthlyDiffusion
from model.noise import CALIBRATION, DIFFUSION, INITIAL, SUBMISSION, Key, month_number, normals_of

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
) -> Iterator[torch.Tensor]:
    """Yield the normalized fields (members, fields, nlat, nlon) of each month, on the model's device.

    The first month is decoded from the encoded initial state, encoded with its own forcing, which is the same in every
    experiment; the latent of each later month is drawn given the conditions of the month before, and decoded with its
    own. The noise of a member's month depends on `seed`, `stream`, its number and the date alone: a run that begins
    later has the same.

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
    """
    device = model.latent_mean.device
    size, ahead = members_together(device), months_colored_together(model)
    blocks = filled(members, size)
    numbers = [month_number(*date) for date in dates]

    def draw(stage, block, months, draws):
        keys = [Key(seed, stream, stage, member, month) for month in months for member in block]
        drawn = normals_of(keys, (draws, *model.latent_shape), device)
        return drawn.unflatten(0, (len(months), size)).transpose(1, 2)

    def noises(block):
        for months in filled(numbers[1:], ahead):
            yield from model.color(draw(DIFFUSION, block, months, model.draws))

    def number(index):
        return torch.tensor([dates[index][1]], device=device)

    mean, log_variance = model.encode(initial.to(device), observed.to(device), number(0))
    latents = []
    for block in blocks:
        latent = mean.expand(size, -1, -1, -1)
        if model.config.initial_state == "posterior":
            latent = latent + torch.exp(0.5 * log_variance) * draw(INITIAL, block, numbers[:1], 1)[0, 0]
        latents.append(latent)

    fast, before, noise = prepare(model), None, [noises(block) for block in blocks]
    for index in range(len(dates)):
        given = fast.month(forcing(index).to(device), number(index))
        if before is not None:
            latents = [
                fast.sample_next(latent, before, next(drawn)) for latent, drawn in zip(latents, noise, strict=True)
            ]
        before = given
        yield torch.cat([fast.decode(latent, given) for latent in latents])[: len(members)]


def free_run(
    model: MonthlyDiffusion, months: Months, inside: np.ndarray, members: int, seed: int, stream: int = SUBMISSION
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
    )


def climate_offset(model: MonthlyDiffusion, months: Months, members: int, seed: int) -> torch.Tensor:
    """Return by how much a free run of the training period differs from it in the mean, (fields, nlat, nlon).

    The run takes the training period's forcing and the given number of members, with noise of its own: none is one of
    the submission. What the networks add to the mean of the fields over many months is an error of theirs: the data's
    mean is in the normalization and the forced response.
    """
    inside = np.flatnonzero(months.split == TRAINING)
    total = np.zeros(months.fields.shape[1:])
    for fields in free_run(model, months, inside, members, seed, CALIBRATION):
        total += fields.cpu().numpy().mean(0)
    average = months.fields[inside].double().mean(0).cpu()
    return (torch.from_numpy(total / len(inside)) - average).float()
