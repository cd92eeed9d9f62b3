"""Small models with random weights, and months to put through them."""

import torch

from model import checkpoint
from model.blocks import ConditionalNorm
from model.climatology import LEAST_YEARS
from model.config import PUBLISHED, ModelConfig
from model.data import MonthPairs
from model.monthly_diffusion import MonthlyDiffusion
from model.prefit import prefit
from model.sphere import Grid, row_weights
from tests.helpers import model_data
from tests.helpers import model_plain as plain

GRID, FIELDS, FORCINGS, STATICS = Grid(13, 24), 5, 3, 2
SIZES = {"latent_channels": 4, "hidden": 8, "encoder_rank": 5, "decoder_rank": 7, "denoiser_rank": 6}
RECIPES = {"defaults": ({}, {}), "v0p9": (PUBLISHED["model"], PUBLISHED["training"])}


def make_model(grid=GRID, seed=0, **choices):
    torch.manual_seed(seed)
    config = ModelConfig(**(SIZES | choices))
    channels = torch.tensor([(i, i % 2) for i in range(FIELDS + FORCINGS + config.season_maps + STATICS)])
    model = MonthlyDiffusion(config, FIELDS, FORCINGS, torch.randn(STATICS, *grid), channels)
    if model.forced is not None:
        count = 12 * LEAST_YEARS
        fields, forcings, months = (
            torch.randn(count, FIELDS, *grid),
            forcing_like(count, grid),
            torch.arange(count) % 12 + 1,
        )
        model.forced.fit(fields + forcings[:, :1], forcings, months, kelvin=1.0)
    if model.latents is not None:
        # A random walk, and weather that knows nothing of the month before: one slow mode.
        walk = torch.randn(120, 1, 1, 1).cumsum(0) * torch.randn(model.latent_shape)
        weather = torch.randn(120, *model.latent_shape).cumsum(-1)
        latents = (walk + weather) * 0.1 + 1
        model.latents.find_slow(latents.flatten(1))
        model.fit_latents(latents, torch.arange(120) % 12 + 1)
        assert model.latents.slow_to.any()
    return model


def untrained_model(months):
    """A small model of `months` that has its response to the sea, and networks as they are before training."""
    torch.manual_seed(2)
    model = checkpoint.new_model(ModelConfig(**model_data.SMALL["model"]), months.metadata, months.statics).eval()
    prefit(model, months)
    return model


def area_mean(maps):
    """The area mean, float64, of maps (..., nlat, nlon)."""
    return (maps.double() * row_weights(maps.shape[-2])).mean((-2, -1))


@torch.no_grad()
def moved(model):
    """Return the model with everything that starts at 0 or 1 moved from there, so that an error in its use shows."""
    for module in model.modules():
        if isinstance(module, ConditionalNorm):
            module.weight.normal_(1, 0.3)
            module.bias.normal_()
            if module.calibrated:
                module.scale.fill_(1.7)
    model.climate_offset.normal_()
    model.latent_mean.fill_(0.3)
    model.latent_log_sigma.fill_(0.2)
    return model


def forcing_like(batch, grid=GRID):
    forcing = smooth(batch, FORCINGS, grid=grid)
    forcing[:, :, :, : grid.nlon // 4] = 0  # land
    return forcing


def smooth(*shape, grid=GRID):
    """Random fields of unit variance on large scales."""
    spectrum = torch.randn(*shape, 4, 4, dtype=torch.complex64).tril() * 1.4
    return plain.inverse_transform(grid, (4, 4))(spectrum)


def make_pairs(batch=3, grid=GRID, seed=1):
    torch.manual_seed(seed)
    fields, following = smooth(2, batch, FIELDS, grid=grid)
    month = torch.randint(1, 13, (batch,))
    return MonthPairs(fields, forcing_like(batch, grid), month, following, forcing_like(batch, grid), month % 12 + 1)


def relative(found, wanted):
    assert found.shape == wanted.shape
    return ((found - wanted).square().mean() / wanted.square().mean().clamp_min(1e-12)).sqrt().item()
