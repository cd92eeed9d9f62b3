"""Models of random weights and months of random numbers, of full size, to measure with."""

import torch

from model.config import PUBLISHED, ModelConfig
from model.data import MonthPairs
from model.device import seeded
from model.monthly_diffusion import MonthlyDiffusion
from model.sphere import Grid

FIELDS, FORCINGS, STATICS = 37, 3, 5
RECIPES = {
    "plain": (PUBLISHED["model"], PUBLISHED["training"]),
    "v0p9": (PUBLISHED["model"], PUBLISHED["training"]),
    "defaults": ({}, {}),
}


def make_model(grid: Grid, device: torch.device, choices: dict) -> MonthlyDiffusion:
    """Return a model of full-size ranks and random weights."""
    config = ModelConfig(**choices)
    inputs = FIELDS + FORCINGS + config.season_maps + STATICS
    channels = torch.tensor([(number, number % 8) for number in range(inputs)])
    with seeded(0):
        model = MonthlyDiffusion(config, FIELDS, FORCINGS, torch.randn(STATICS, *grid), channels)
    return model.to(device)


def make_pairs(grid: Grid, batch: int, device: torch.device) -> MonthPairs:
    """Return random pairs of months."""
    fields, forcing = torch.randn(2, batch, FIELDS, *grid), torch.randn(2, batch, FORCINGS, *grid)
    month = torch.arange(batch) % 12 + 1
    pairs = MonthPairs(fields[0], forcing[0], month, fields[1], forcing[1], month % 12 + 1)
    return MonthPairs(*(values.to(device) for values in pairs))
