"""How the weights move: the optimizer against torch's, the learning rate, and the average."""

import numpy as np
import pytest
import torch

from model.config import TrainingConfig
from model.optimizer import RealAdamW, averaged, clone_state, learning_rate, update_average
from tests.helpers.model_networks import make_model, relative


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


def test_learning_rate_rises_then_falls():
    config = TrainingConfig(learning_rate=1.0, warmup_steps=10)
    rates = [learning_rate(step, 1000, config) for step in range(1000)]
    assert rates[0] == pytest.approx(0.1) and max(rates) == 1.0 and np.argmax(rates) in (9, 10)
    assert all(np.diff(rates[10:]) < 0) and rates[-1] == pytest.approx(0.01, abs=1e-3)
    constant = TrainingConfig(learning_rate=1.0, warmup_steps=0, decay="constant")
    assert {learning_rate(step, 1000, constant) for step in range(1000)} == {1.0}


def test_the_average_of_the_weights_is_what_the_decay_says():
    model = make_model()
    average = clone_state(model)
    with torch.no_grad():
        model.latent_mean += 1.0
    update_average(average, model, 0.9, step=10_000)
    assert average["latent_mean"].item() == pytest.approx(0.1)
    update_average(average, model, 0.0, step=10_000)
    assert torch.equal(average["latent_mean"], model.latent_mean)


def test_the_model_is_lent_its_average_and_has_its_own_weights_again():
    model = make_model().train()
    average = clone_state(model)
    with torch.no_grad():
        model.latent_mean += 1.0
    own = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(RuntimeError, match="stop"), averaged(model, average):
        assert not model.training and all(
            torch.equal(value, average[name]) for name, value in model.state_dict().items()
        )
        raise RuntimeError("stop")
    assert model.training and all(torch.equal(value, own[name]) for name, value in model.state_dict().items())


def test_copies_of_a_state_have_their_own_of_what_moves_alone():
    model = make_model()
    copied, shared = clone_state(model), model.state_dict()
    own = {name for name in copied if copied[name].data_ptr() != shared[name].data_ptr()}
    assert own >= {name for name, _ in model.named_parameters()} | {"latents.patterns", "latents.mean"}
    assert not own & {"forced.response", "forced.local", "climate_offset", "residual.known", "statics"}
