"""Grids of any step that divides 180 degrees: transforms against closed forms, and the whole model on each."""

import numpy as np
import pytest
import torch
from scipy.special import sph_legendre_p

from model.fast import FastModel
from model.simulate import simulate
from model.spectral import LowRank, Resample
from model.sphere import Grid, analysis_weights, fourier_analysis, truncation
from tests.helpers import model_plain as plain
from tests.helpers.model_networks import make_model, make_pairs, moved, relative

# 0.75, 1, 2.5 and 3.75 degrees; and two with an even number of rows, 4 and 12 degrees.
GRIDS = [Grid(round(180 / step) + 1, 2 * round(180 / step)) for step in (0.75, 1.0, 2.5, 3.75, 4.0, 12.0)]
SMALL = {"encoder_rank": 3, "decoder_rank": 3, "denoiser_rank": 3, "latent_channels": 2, "hidden": 4}


def harmonic(grid, degree, order):
    """The field 2 P_lm(colatitude) cos(m lon) on a grid, which is Y_lm and its conjugate; P of scipy, orthonormal."""
    colatitude = np.linspace(0, np.pi, grid.nlat)  # torch-harmonics' rows
    legendre = sph_legendre_p(degree, order, colatitude)[0]
    longitude = 2 * np.pi * np.arange(grid.nlon) / grid.nlon
    return torch.from_numpy(2 * legendre[:, None] * np.cos(order * longitude)).float()


@pytest.mark.parametrize("grid", GRIDS, ids=lambda grid: f"{grid.nlat}x{grid.nlon}")
@torch.no_grad()
def test_a_spherical_harmonic_is_analysed_as_itself_and_carried_to_other_grids(grid):
    """Its spectrum is the one number; down to the latent grid and up again it is the same function of position."""
    latent = grid.coarsened(3)
    keep, coarse = truncation(grid, "alias_free"), truncation(latent, "alias_free")
    weights, fourier = analysis_weights(grid, keep), fourier_analysis(keep.mmax, grid.nlon)
    assert keep.lmax == (grid.nlat + 1) // 2
    for degree, order in (
        (0, 0),
        (1, 1),
        (2, 0),
        (keep.lmax - 1, 0),
        (keep.lmax - 1, keep.mmax - 1),
        (keep.lmax - 1, 1),
    ):
        rows = torch.mm(fourier, harmonic(grid, degree, order).T).view(keep.mmax, 2, grid.nlat)
        spectrum = torch.einsum("mlk,mpk->mlp", weights, rows)
        wanted = torch.zeros_like(spectrum)
        # A real field cos(m lon) has half of its amplitude in order m, the other half in -m.
        wanted[order, degree, 0] = 2.0 if order == 0 else 1.0
        assert (spectrum - wanted).abs().max() < 2e-5 * keep.lmax**0.5, (degree, order)
    down, up = Resample(grid, latent, "alias_free"), Resample(latent, grid, "alias_free")
    for degree, order in ((0, 0), (1, 1), (coarse.lmax - 1, 0), (coarse.lmax - 1, coarse.mmax - 1)):
        field, small = harmonic(grid, degree, order), harmonic(latent, degree, order)
        assert relative(down(field), small) < 1e-4 and relative(up(small), field) < 1e-4, (degree, order)


@pytest.mark.parametrize("grid", GRIDS, ids=lambda grid: f"{grid.nlat}x{grid.nlon}")
@torch.no_grad()
def test_the_whole_model_equals_the_plain_one(grid):
    model = moved(make_model(grid=grid, seed=3, forced_modes=0, noise_modes=0, **SMALL)).eval()
    pairs = make_pairs(batch=1, grid=grid)
    given = (pairs.forcing, pairs.month)
    mean, log_variance = model.encode(pairs.fields, *given)
    assert mean.shape[-2:] == grid.coarsened(3)
    for found, wanted in zip((mean, log_variance), plain.encode(model, pairs.fields, *given), strict=True):
        assert relative(found, wanted) < 1e-4
    wanted = plain.decode(model, mean, *given)
    assert relative(model.decode(mean, *given), wanted) < 1e-4
    fast = FastModel(model)
    assert relative(fast.decode(mean, fast.month(*given)), wanted) < 1e-4


@pytest.mark.parametrize(
    "grid", [Grid(49, 96), Grid(46, 90), Grid(73, 144)], ids=lambda grid: f"{grid.nlat}x{grid.nlon}"
)
def test_a_rollout_starts_from_what_the_decoder_makes_of_its_first_month(grid):
    """With every fit: the response to SST and the statistics of the latents."""
    model = make_model(grid=grid, forced_modes=3, noise_modes=8, initial_state="mean", **SMALL).eval()
    pairs = make_pairs(batch=1, grid=grid)
    months = [(1990, int(pairs.month)), (1990 + int(pairs.month) // 12, int(pairs.month) % 12 + 1)]
    forcing = [pairs.forcing, pairs.next_forcing]
    run = list(simulate(model, pairs.fields, pairs.forcing, months, forcing.__getitem__, [1, 2], 7))
    with torch.no_grad():
        mean, _ = plain.encode(model, pairs.fields, pairs.forcing, pairs.month)
        wanted = plain.decode(model, mean, pairs.forcing, pairs.month)
    assert relative(run[0], wanted.expand(2, -1, -1, -1)) < 1e-4
    assert all(fields.isfinite().all() for fields in run) and (run[1][0] - run[1][1]).abs().mean() > 0.003


@pytest.mark.parametrize("columns", [(46, 90), (49, 96)])
@torch.no_grad()
def test_a_latent_grid_may_have_an_odd_number_of_columns(columns):
    """49 x 96 by 5 is 9 x 19: no order at the Nyquist limit."""
    torch.manual_seed(0)
    grid = Grid(*columns)
    latent = grid.coarsened(5)
    operator, u = LowRank(2, 3, 4, latent, grid, "alias_free"), torch.randn(2, 2, *latent)
    assert relative(operator([u]), plain.low_rank(operator, u, grid, "alias_free")) < 1e-5
