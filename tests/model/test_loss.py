"""The loss and the score that chooses the checkpoint: what counts, and how much."""

import torch

from model.config import TrainingConfig
from model.loss import draw_noise, loss_terms, pair_inputs, validation_score
from tests.helpers.model_networks import RECIPES, make_model, make_pairs


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


def test_noise_is_the_generator_s_whatever_the_default_device():
    """A benchmark on a GPU makes that the default, where a generator of the CPU draws nothing."""
    model = make_model()
    wanted = draw_noise(model, 3, torch.Generator().manual_seed(1), "cpu")
    with torch.device("meta"):
        found = draw_noise(model, 3, torch.Generator("cpu").manual_seed(1), "cpu")
    assert found.keys() == wanted.keys() and all(torch.equal(found[name], wanted[name]) for name in wanted)
