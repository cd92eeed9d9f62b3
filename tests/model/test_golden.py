"""Every stage against golden numbers of the published networks (tests/data/md_v0p9_golden.npz)."""

import numpy as np
import pytest
import torch

from model import published
from tests.helpers.project import DATA

GOLDEN = DATA / "md_v0p9_golden.npz"
TOLERANCE = 1e-5  # relative root mean square, float32


def relative(found, wanted):
    found, wanted = np.asarray(found, "f8"), np.asarray(wanted, "f8")
    assert found.shape == wanted.shape
    return np.sqrt(((found - wanted) ** 2).mean() / (wanted**2).mean())


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as file:
        return {
            name: torch.from_numpy(file[name]) if file[name].dtype.kind in "fci" else file[name] for name in file.files
        }


@pytest.fixture(scope="module")
def model(golden):
    state = {n.removeprefix("state_dict/"): v for n, v in golden.items() if n.startswith("state_dict/")}
    return published.from_state_dict(state, golden["statics"], list(golden["names/data"]))


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.no_grad():
        yield


def test_schedule(model, golden):
    assert relative(model.diffusion.alpha_bar, golden["alpha_bar"]) < TOLERANCE
    assert relative(model.diffusion.alpha_bar[-1:], golden["alpha_bar"][-1:]) < 1e-4
    assert relative(model.diffusion.posterior_variance, golden["posterior_variance"]) < TOLERANCE


@pytest.mark.parametrize("time", [0, 1])
def test_conditions(model, golden, time):
    month = golden[f"month{time}"]
    assert relative(model.season(month[:, 0]), golden[f"season{time}"]) < TOLERANCE
    given = model.conditions(golden[f"forcing{time}"], month)
    assert relative(given.coarse, golden[f"condition_coarse{time}"]) < TOLERANCE
    assert relative(model.statics_coarse, golden["statics_coarse"]) < TOLERANCE


def test_encoder(model, golden):
    mean, log_variance = model.encode(golden["x0"], golden["forcing0"], golden["month0"])
    assert relative(mean, golden["encoder_mean"]) < TOLERANCE
    assert relative(log_variance, golden["encoder_logvar"]) < TOLERANCE
    assert relative(mean + torch.exp(0.5 * log_variance) * golden["encoder_eps"], golden["z0"]) < TOLERANCE


def test_decoder(model, golden):
    fields = model.decode(golden["z0"], golden["forcing0"], golden["month0"])
    assert relative(fields, golden["reconstruction"]) < TOLERANCE


def test_denoiser(model, golden):
    v = model.denoise(
        golden["denoiser_input"], golden["z0"], golden["forcing0"], golden["month0"], golden["diffusion_step"]
    )
    assert relative(v, golden["denoiser_v"]) < TOLERANCE


def test_sampler_and_next_month(model, golden):
    state, noise = golden["encoder_mean"], golden["sampler_noise"]
    latent = model.sample_next(state, golden["forcing0"], golden["month0"], noise=noise)
    assert relative(latent, golden["sampled_next_latent"]) < TOLERANCE
    fields = model.decode(latent, golden["forcing1"], golden["month1"])
    assert relative(fields, golden["decoded_next"]) < TOLERANCE


def test_the_channel_map_tells_the_order_of_the_fields(golden, monkeypatch):
    names = list(golden["names/data"])
    monkeypatch.setattr(published, "STATICS", ("SDOR", "LSM"))
    channel_map = golden["state_dict/encoder.first_layer.embedding.channel_map"].numpy()
    assert published.field_order(channel_map, sorted(names)) == names
