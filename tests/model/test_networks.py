"""The networks against the plain implementation, and the properties that v0.9 lacks."""

import pytest
import torch

from model import fast as fast_form
from model import pointwise
from model.blocks import calibrating
from model.config import PUBLISHED, TrainingConfig
from model.fast import FastModel
from model.loss import draw_noise, loss_terms, pair_inputs
from model.spectral import LowRank
from model.sphere import Grid
from tests.helpers import model_plain as plain
from tests.helpers.model_networks import GRID, RECIPES, make_model, make_pairs, moved, relative


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize(("seed", "tile"), [(0, "whole grid"), (0, 7), (1, 800)])
def test_loss_and_every_gradient_equal_the_plain_implementation(recipe, seed, tile, monkeypatch):
    """Whatever the tiles are, and where all samples of a batch are one, as on a GPU."""
    if tile == "whole grid":
        monkeypatch.setattr(pointwise, "tiles", lambda *_: [(slice(None), slice(None))])
    else:
        monkeypatch.setattr(pointwise, "tiles", lambda u, *_, tiles=pointwise.tiles: tiles(u, tile))
    choices, training = RECIPES[recipe]
    model, config = moved(make_model(seed=seed, **choices)), TrainingConfig(**training)
    model.climate_offset.zero_()  # as it is while training
    pairs = make_pairs(seed=seed + 10)
    noise = draw_noise(model, 3, torch.Generator().manual_seed(seed), "cpu")
    inputs = pair_inputs(model, pairs)
    with calibrating(model), torch.no_grad():
        loss_terms(model, inputs, noise, config)
    found, wanted = loss_terms(model, inputs, noise, config), plain.loss_terms(model, pairs, noise, config)
    assert found.keys() == wanted.keys()
    parameters = dict(model.named_parameters())
    for term in wanted:
        assert found[term].item() == pytest.approx(wanted[term].item(), rel=1e-5), term
    gradients = [
        torch.autograd.grad(sum(terms.values()), list(parameters.values()), allow_unused=True)
        for terms in (found, wanted)
    ]
    for name, mine, truth in zip(parameters, *gradients, strict=True):
        assert mine is not None, f"{name} gets no gradient"
        difference = (mine - truth).abs().square().mean().sqrt()
        assert difference <= 1e-4 * truth.abs().square().mean().sqrt() + 1e-7, name


@pytest.mark.parametrize("recipe", RECIPES)
@torch.no_grad()
def test_every_stage_equals_the_plain_implementation(recipe):
    model, pairs = moved(make_model(seed=3, **RECIPES[recipe][0])), make_pairs()
    given = (pairs.forcing, pairs.month)
    for found, wanted in zip(
        model.encode(pairs.fields, *given), plain.encode(model, pairs.fields, *given), strict=True
    ):
        assert relative(found, wanted) < 1e-5
    state, noisy = torch.randn(2, 3, *model.latent_shape)
    assert relative(model.decode(state, *given), plain.decode(model, state, *given)) < 1e-5
    time = torch.tensor([0.1, 0.5, 1.0])
    assert relative(model.denoise(noisy, state, *given, time), plain.denoise(model, noisy, state, *given, time)) < 1e-5
    model = moved(make_model(seed=4, **PUBLISHED["model"]))
    noise = torch.randn(15, 3, *model.latent_shape)
    wanted = plain.sample_ancestral(model, state, *given, noise)
    assert relative(model.sample_next(state, *given, noise=noise), wanted) < 1e-5


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize(("grid", "tile"), [(GRID, 3200), (Grid(25, 48), 7), (Grid(25, 48), "whole grid")])
@torch.no_grad()
def test_the_fast_form_of_rollouts_equals_the_model(recipe, grid, tile, monkeypatch):
    """Whatever the tiles are, and where all samples of a batch are one, as on a GPU."""
    if tile == "whole grid":
        monkeypatch.setattr(fast_form, "tiles", lambda *_: [(slice(None), slice(None))])
    else:
        monkeypatch.setattr(fast_form, "TILE", tile)
    model = moved(make_model(grid=grid, seed=5, **RECIPES[recipe][0])).eval()
    pairs = make_pairs(batch=1, grid=grid)
    fast, given = FastModel(model), (pairs.forcing, pairs.month)
    month = fast.month(*given)
    state, noise = torch.randn(3, *model.latent_shape), torch.randn(model.draws, 3, *model.latent_shape)
    given = tuple(values.expand(3, *values.shape[1:]) for values in given)
    following = fast.sample_next(state, month.denoiser, model.color(noise, pairs.month % 12 + 1))
    assert relative(following, model.sample_next(state, *given, noise=noise)) < 1e-5
    assert relative(fast.decode(state, month), model.decode(state, *given)) < 1e-5
    assert relative(fast.decode(state, month), plain.decode(model, state, *given)) < 1e-5
    if model.config.sampler == "ancestral":
        assert relative(following, plain.sample_ancestral(model, state, *given, noise)) < 1e-5
    alone = fast.sample_next(state[1:2], month.denoiser, model.color(noise, pairs.month % 12 + 1)[:, 1:2])
    assert relative(alone, following[1:2]) < 1e-5


@torch.no_grad()
def test_fresh_networks_give_outputs_of_order_one_everywhere_inside():
    """v0.9 starts with block outputs of 4e-15, below the epsilon of its norm."""
    model, pairs = make_model(grid=Grid(25, 48)), make_pairs(grid=Grid(25, 48))
    sizes = {}
    for name, module in model.named_modules():
        if isinstance(module, LowRank):
            module.register_forward_hook(
                lambda _, __, out, name=name: sizes.__setitem__(name, out.square().mean().sqrt())
            )
    mean, log_variance = model.encode(pairs.fields, pairs.forcing, pairs.month)
    fields = model.decode(mean, pairs.forcing, pairs.month)
    v = model.denoise(torch.randn_like(mean), mean, pairs.forcing, pairs.month, torch.ones(3))
    for name, value in sizes.items():
        # The modulation of the norms starts small, around the identity; the blocks' own operators of order one.
        assert (0.03 if name.endswith("spectral") else 1e-4) < value < 30, f"{name} has size {value}"
    for value in (mean, log_variance, fields, v):
        assert 0.03 < value.square().mean().sqrt() < 30


@torch.no_grad()
def test_an_anomaly_keeps_its_amplitude_and_in_v0p9_does_not():
    """Twice the anomaly is twice the latent where the norms are calibrated; the sample's own norm divides it out."""
    growth = {}
    for recipe, (choices, _) in RECIPES.items():
        model, pairs = make_model(**(choices | {"forced_modes": 0})), make_pairs()
        rest = (torch.zeros_like(pairs.forcing), pairs.month)
        one, four = (model.encode(factor * pairs.fields, *rest)[0] for factor in (20.0, 80.0))
        growth[recipe] = (four.std() / one.std()).item()
    assert growth["defaults"] > 3
    assert growth["v0p9"] < 1.5


@torch.no_grad()
def test_uniform_warming_acts_in_proportion():
    """Through the forced response alone: the networks see the SST anomaly without its global mean."""
    model, pairs = make_model(), make_pairs()
    sea = model.forced.sea
    state = torch.randn(3, *model.latent_shape)

    def decoded(kelvin):
        forcing = pairs.forcing.clone()
        forcing[:, 0] += kelvin * sea
        return model.decode(state, forcing, pairs.month)

    base, two, four = decoded(0.0), decoded(2.0), decoded(4.0)
    assert relative(four - base, 2 * (two - base)) < 1e-4
    assert (two - base).abs().mean() > 0.1


def test_parameters_and_buffers_hold_everything():
    """Latent statistics train, and statics and schedule are saved: in v0.9 the first are lost on a GPU."""
    model = make_model()
    parameters, state = dict(model.named_parameters()), model.state_dict()
    assert {"latent_mean", "latent_log_sigma"} <= parameters.keys()
    assert {"statics", "diffusion.alpha_bar", "diffusion.beta", "diffusion.posterior_variance"} <= state.keys()
    moved = make_model().to("meta")
    left = [name for name, value in [*moved.named_parameters(), *moved.named_buffers()] if value.device.type != "meta"]
    assert not left
    stray = [
        f"{name}.{key}"
        for name, module in moved.named_modules()
        for key, value in vars(module).items()
        if isinstance(value, torch.Tensor)
    ]
    assert not stray, "plain tensors do not follow the model to a device"
