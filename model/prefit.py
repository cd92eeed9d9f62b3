"""What is fitted to the training months before networks train: the response to the sea, and how many modes are slow."""

import torch

from model import first_guess
from model.climatology import monthly_means
from model.data import Months, months_in_turn, training_months
from model.monthly_diffusion import MonthlyDiffusion
from model.sphere import Harmonics

DEGREE = 10  # of the harmonics, the last by which slow modes are looked for


def prefit(model: MonthlyDiffusion, months: Months) -> None:
    """Fit what the config asks for: the response to the sea, and how many modes of what departs from it are slow."""
    training = training_months(months)
    if model.forced is not None:
        first_guess.fit(model.forced, training)
    if model.latents is not None:
        model.latents.find_slow(large_scales(model, training))


@torch.no_grad()
def large_scales(model: MonthlyDiffusion, training: Months) -> torch.Tensor:
    """Return what fields have beside season and response at low degrees, by harmonics, (time, fields * harmonics)."""
    harmonics = Harmonics(model.grid).to(training.fields.device)
    low = int((harmonics.degree <= DEGREE).sum())
    departures = (model.departures(*given) for given in months_in_turn(training))
    values = torch.stack([harmonics(maps)[0, :, :low].flatten() for maps in departures])
    return values - monthly_means(values, training.number)[training.number - 1]
