"""The networks against the plain implementation, and the properties that v0.9 lacks."""

import dataclasses

import pytest
import torch

from model import fast as fast_form
from model import pointwise
from model.blocks import ConditionalNorm, calibrating
from model.config import PUBLISHED, ModelConfig, TrainingConfig
from model.data import MonthPairs
from model.device import pick_device
from model.fast import FastModel
from model.loss import draw_noise, loss_terms, pair_inputs, validation_score
from model.monthly_diffusion import MonthlyDiffusion
from model.spectral import Grid, LowRank, Resample, row_weights, truncation
from model.train import RealAdamW, clone_state, update_average
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
        fields, forcings, months = torch.randn(48, FIELDS, *grid), forcing_like(48, grid), torch.arange(48) % 12 + 1
        model.forced.fit(fields + forcings[:, :1], forcings, months)
    if model.latents is not None:
        model.fit_latents(torch.randn(20, *model.latent_shape).cumsum(-1) * 0.3 + 1)
    return model


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
    following = fast.sample_next(state, month, model.color(noise))
    assert relative(following, model.sample_next(state, *given, noise=noise)) < 1e-5
    assert relative(fast.decode(state, month), model.decode(state, *given)) < 1e-5
    assert relative(fast.decode(state, month), plain.decode(model, state, *given)) < 1e-5
    if model.config.sampler == "ancestral":
        assert relative(following, plain.sample_ancestral(model, state, *given, noise)) < 1e-5
    alone = fast.sample_next(state[1:2], month, model.color(noise)[:, 1:2])
    assert relative(alone, following[1:2]) < 1e-5


@pytest.mark.parametrize("kind", ["published", "alias_free"])
@pytest.mark.parametrize(("source", "target"), [((13, 24), (4, 8)), ((4, 8), (13, 24)), ((20, 40), (20, 40))])
@torch.no_grad()
def test_both_forms_of_the_spectral_operator_agree(kind, source, target, monkeypatch):
    torch.manual_seed(0)
    operator = LowRank(3, 4, 5, Grid(*source), Grid(*target), kind)
    u = torch.randn(2, 3, *source)
    wanted = plain.low_rank(operator, u, target, kind)
    for maps in (True, False):
        monkeypatch.setattr(LowRank, "maps_win", lambda *_, answer=maps: answer)
        assert relative(operator([u[:, :1], u[:, 1:]]), wanted) < 2e-6
        offset = torch.randn(3, 1)
        shifted = plain.low_rank(operator, u + offset[:, :, None], target, kind)
        assert relative(operator([u], offset), shifted) < 2e-6


def test_alias_free_transforms_are_exact_and_the_published_ones_are_not():
    """A field of the harmonics kept on the latent grid survives the way down and up; in v0.9 it comes back altered."""
    fine, coarse = Grid(40, 80), Grid(13, 26)
    errors = {}
    for kind in ("alias_free", "published"):
        keep = truncation(coarse, "alias_free")
        spectrum = torch.randn(4, *keep, dtype=torch.complex64).tril()
        field = plain.inverse_transform(fine, keep)(spectrum)
        errors[kind] = relative(Resample(coarse, fine, kind)(Resample(fine, coarse, kind)(field)), field)
    assert errors["alias_free"] < 1e-5
    # White noise on the fine grid: whatever the coarse grid cannot hold must vanish, not show up as another harmonic.
    noise = torch.randn(8, *fine)
    for kind in errors:
        down = Resample(fine, coarse, kind)(noise)
        keep = truncation(coarse, "alias_free")
        truth = plain.inverse_transform(coarse, keep)(plain.forward_transform(fine, keep)(noise))
        errors[kind] = relative(down, truth)
    assert errors["alias_free"] < 1e-5
    assert errors["published"] > 0.5


def test_row_weights_are_areas():
    weights = row_weights(13)
    assert weights.mean().item() == pytest.approx(1, abs=1e-6)
    lat = torch.linspace(-90, 90, 13)[:, None]
    assert (weights * torch.sin(torch.deg2rad(lat)) ** 2).mean().item() == pytest.approx(1 / 3, abs=0.01)
    assert weights[0] < 0.2 * weights[6]


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


def test_the_validation_score_is_the_same_at_every_call_and_leaves_the_generator_alone():
    """v0.9 chooses its checkpoint by one draw of noise and times, another at every epoch."""
    model = make_model()
    batches = [pair_inputs(model, make_pairs(seed=seed)) for seed in (1, 2)]
    before = torch.get_rng_state()
    first = validation_score(model, batches, TrainingConfig())
    torch.randn(5)
    assert validation_score(model, batches, TrainingConfig()) == first
    torch.set_rng_state(before)
    assert first[0] > 0 and set(first[1]) == {"reconstruction", "diffusion", "predicted", "kl", "latent"}


def test_the_average_of_the_weights_is_what_the_decay_says():
    model = make_model()
    average = clone_state(model)
    with torch.no_grad():
        model.latent_mean += 1.0
    update_average(average, model, 0.9, step=10_000)
    assert average["latent_mean"].item() == pytest.approx(0.1)
    update_average(average, model, 0.0, step=10_000)
    assert torch.equal(average["latent_mean"], model.latent_mean)


def test_the_optimizer_takes_the_steps_of_torch_adamw():
    """Complex parameters as pairs of real numbers, and no step where there is no gradient."""
    models = [make_model(), make_model()]
    settings = {"lr": 0.1, "weight_decay": 0.2}
    optimizers = [RealAdamW(models[0], **settings), torch.optim.AdamW(models[1].parameters(), **settings)]
    before = clone_state(models[0])
    for step in range(3):
        for model, optimizer in zip(models, optimizers, strict=True):
            torch.manual_seed(step)
            for value in model.parameters():
                value.grad = torch.randn_like(value)
            model.latent_mean.grad = None
            optimizer.step()
    for (name, found), wanted in zip(models[0].named_parameters(), models[1].parameters(), strict=True):
        assert relative(torch.view_as_real(found + 0j), torch.view_as_real(wanted + 0j)) < 1e-5, name
        assert torch.equal(found, before[name]) == (name == "latent_mean")


def test_area_weights_enter_the_losses():
    """The same error at the poles costs less than at the equator, and in v0.9 as much."""
    costs = {}
    for recipe, (choices, training) in RECIPES.items():
        model, pairs, config = make_model(**choices), make_pairs(), TrainingConfig(**training)
        noise = draw_noise(model, 3, torch.Generator(), "cpu")
        with torch.no_grad():
            for row in (0, 6):
                truth = model.decode(torch.zeros(3, *model.latent_shape), pairs.forcing, pairs.month)
                truth[:, :, row] += 100
                changed = pairs._replace(fields=truth)
                costs[recipe, row] = loss_terms(model, pair_inputs(model, changed), noise, config)["reconstruction"]
    assert costs["defaults", 0] < 0.3 * costs["defaults", 6]
    assert costs["v0p9", 0] > 0.7 * costs["v0p9", 6]


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


@pytest.mark.parametrize("key", ["truncation", "norm", "sampler", "initial_state"])
def test_a_wrong_choice_is_named(key):
    with pytest.raises(ValueError, match=f"model.{key} is 'other'; allowed are"):
        ModelConfig(**{key: "other"})


def test_defaults_are_those_of_the_config_file():
    yaml = pytest.importorskip("yaml")
    with open("config/config.yaml") as file:
        config = yaml.safe_load(file)
    assert config["model"] == {"checkpoint": None} | dataclasses.asdict(ModelConfig())
    assert config["training"] == dataclasses.asdict(TrainingConfig()) | {"checkpoint_minutes": 10.0}


def test_the_published_recipe_is_that_of_the_preset():
    yaml = pytest.importorskip("yaml")
    with open("config/presets/v0p9.yaml") as file:
        preset = yaml.safe_load(file)
    assert {section: preset[section] for section in PUBLISHED} == PUBLISHED


def test_float32_matrix_products_stay_float32():
    """The spectral transforms are matrix products; TF32 would leave them three digits."""
    torch.set_float32_matmul_precision("high")
    pick_device()
    assert torch.get_float32_matmul_precision() == "highest"
    assert not torch.backends.cuda.matmul.allow_tf32 and not torch.backends.cudnn.allow_tf32
