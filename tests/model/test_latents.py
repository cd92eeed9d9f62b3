"""What is fitted of the latents while the networks train: the color of their noise, its season, and their memory."""

import math

import pytest
import torch

from model.diffusion import Diffusion
from model.latents import SLOW_MODES, LatentStatistics, SlowModes, confirmed, count_slow, slow_modes
from tests.helpers.model_networks import make_model, make_pairs

SHAPE = (2, 10, 20)

JANUARY = torch.ones(1)


def red_latents(count=400, seed=0):
    """Latents of one channel that are smooth in space, as an encoder's are."""
    generator = torch.Generator().manual_seed(seed)
    spectrum = torch.fft.rfft2(torch.randn(count, 1, 8, 16, generator=generator))
    rows, columns = torch.fft.fftfreq(8)[:, None] * 8, torch.fft.rfftfreq(16)[None] * 16
    return torch.fft.irfft2(spectrum * torch.exp(-(rows**2 + columns**2) / 4), s=(8, 16)) * 4 + 0.5


def calendar(count):
    return torch.arange(count) % 12 + 1


def zonal_deviation(latents):
    return latents.mean(-1).std().item() / latents.std().item()


def test_colored_noise_has_the_covariance_of_the_latents_and_white_noise_has_not():
    latents = red_latents()
    statistics = LatentStatistics(40, (1, 8, 16))
    statistics.fit(latents[torch.randperm(len(latents))], calendar(len(latents)))
    white = torch.randn(20000, 1, 8, 16, generator=torch.Generator().manual_seed(1))
    colored = statistics.color(white, calendar(20000)) + statistics.mean
    assert colored.std().item() == pytest.approx(latents.std().item(), rel=0.04)
    assert zonal_deviation(colored) == pytest.approx(zonal_deviation(latents), rel=0.05)
    assert zonal_deviation(white) < 0.7 * zonal_deviation(latents)
    # With v = 0, before any training, the sampler already gives the climate of the latents.
    sample = Diffusion(15).second_order(lambda x, _: torch.zeros_like(x), colored, 15)
    assert torch.equal(sample, colored)


def test_the_memory_of_the_latents_is_found_and_its_departures_colored():
    """Red noise in time, and a rotating pair of patterns such as the QBO's: iterated, both keep variance and memory."""
    generator = torch.Generator().manual_seed(2)
    shocks, count = red_latents(count=600, seed=3) - 0.5, 600
    latents = shocks.clone()
    for month in range(1, count):
        latents[month] = 0.6 * latents[month - 1] + 0.8 * shocks[month]
    phase = 2 * torch.pi * torch.arange(count) / 28
    patterns = torch.linalg.qr(torch.randn(128, 2, generator=generator))[0].T.view(2, 1, 8, 16)
    latents += 5 * (
        torch.cos(phase)[:, None, None, None] * patterns[0] + torch.sin(phase)[:, None, None, None] * patterns[1]
    )
    statistics = LatentStatistics(60, (1, 8, 16))
    statistics.find_slow(latents.flatten(1))
    statistics.fit(latents, calendar(len(latents)))
    state, run = latents[:1] - statistics.mean, []
    for _ in range(3000):
        state = statistics.predict(state) + statistics.color(torch.randn(1, 1, 8, 16, generator=generator), JANUARY)
        run.append(state)
    run = torch.cat(run)
    assert run.std().item() == pytest.approx(latents.std().item(), rel=0.1)
    first, second = ((run.flatten(1) @ pattern.flatten()) for pattern in patterns)
    # A quarter of a period later the second pattern follows the first, half a period later the first is reversed.
    assert torch.corrcoef(torch.stack([first[:-7], second[7:]]))[0, 1] > 0.7
    assert torch.corrcoef(torch.stack([first[:-14], first[14:]]))[0, 1] < -0.5


def test_the_noise_of_a_season_has_the_variance_of_its_latents():
    months = calendar(1200)
    deviation = (1 + 0.6 * torch.cos(2 * torch.pi * months / 12)).sqrt()
    statistics = LatentStatistics(40, (1, 8, 16))
    statistics.fit(red_latents(count=1200) * deviation[:, None, None, None], months)
    white = torch.randn(4000, 1, 8, 16, generator=torch.Generator().manual_seed(1))
    january, july = (statistics.color(white, torch.full((4000,), float(month))).var() for month in (1, 7))
    wave = 0.6 * math.cos(math.pi / 6)
    assert january / july == pytest.approx((1 + wave) / (1 - wave), rel=0.15)


def autoregression(memory, count, seed=0):
    """Months (time, n) of which each is the last times `memory`, and white noise."""
    white = torch.randn(count, len(memory), dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    months = [white[0]]
    for shock in white[1:]:
        months.append(months[-1] @ memory + shock)
    return torch.stack(months)


def test_slow_modes_are_those_that_the_memory_keeps_and_nothing_else():
    """Of a memory with modes of 0.95 and 0.3 that are not at right angles."""
    turn = torch.tensor([[1.0, 0.4, 0], [0, 1, 0.3], [0.2, 0, 1]], dtype=torch.float64)
    memory = torch.linalg.solve(turn, torch.diag(torch.tensor([0.95, 0.3, -0.1], dtype=torch.float64)) @ turn)
    months = autoregression(memory, 2400)
    slow = slow_modes(months, count_slow(months))
    values, vectors = torch.linalg.eig(memory)
    chosen = (values.abs() > 0.7).to(vectors)
    wanted = torch.linalg.solve(vectors.mT, (vectors * chosen).mT).mT.real  # the projector along the other modes
    assert len(slow.taken) == 1
    assert torch.allclose(slow.taken.T @ slow.modes, wanted, atol=0.1)
    assert torch.allclose(slow.taken @ slow.modes.T, torch.eye(1, dtype=torch.float64), atol=1e-9)
    assert (slow.following @ slow.taken.T).item() == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize("keep", [0.0, 0.4, 0.5])
def test_what_forgets_within_months_has_no_slow_modes(keep):
    """Though between so many patterns some would seem to keep more than they do."""
    memory = keep * torch.eye(200, dtype=torch.float64)
    assert count_slow(autoregression(memory, 360)) == 0


def test_a_slow_oscillation_of_little_variance_keeps_its_memory_its_period_and_its_variance():
    """A damped pair such as the QBO's, a seventieth of the variance beside forty patterns of no memory."""
    angle, keep, count = 2 * math.pi / 28, 0.97, 480
    turn = torch.tensor([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]], dtype=torch.float64)
    pair = autoregression(keep * turn, count, seed=1) * math.sqrt(1 - keep**2) * 0.8
    basis = torch.linalg.qr(torch.randn(128, 128, generator=torch.Generator().manual_seed(2)).double())[0]
    loud = torch.randn(count, 40, generator=torch.Generator().manual_seed(3)).double() * torch.linspace(2.5, 0.1, 40)
    # Each pattern of the latents has a little of it, and none has much.
    latents = loud @ basis[:, :40].T + pair @ (basis[:, 90:92] + 0.3 * basis[:, :2]).T
    statistics = LatentStatistics(60, (1, 8, 16))
    statistics.find_slow(latents)
    statistics.fit(latents.float().view(count, 1, 8, 16), calendar(count))
    adjoint, modes = statistics.memory_from[:SLOW_MODES].double(), statistics.memory_to[:SLOW_MODES].double()
    values = torch.linalg.eigvals(modes @ adjoint.T)
    slowest = values[values.abs().argmax()]
    assert abs(slowest).item() == pytest.approx(keep, abs=0.03)
    assert abs(slowest.angle().item()) == pytest.approx(angle, abs=0.03)
    state, run = torch.zeros(1, 1, 8, 16), []
    generator = torch.Generator().manual_seed(4)
    for _ in range(6000):
        state = statistics.predict(state) + statistics.color(torch.randn(1, 1, 8, 16, generator=generator), JANUARY)
        run.append(state.flatten().double() @ basis[:, 90:92])
    found = torch.stack(run).var(0).sum()
    known = (latents @ basis[:, 90:92]).var(0).sum()
    assert found.item() == pytest.approx(known.item(), rel=0.25)


@pytest.mark.parametrize(("kept", "of_pair", "of_two"), [((0.78, 0.51), 2, 1), ((0.7, 0.4), 0, 1), ((0.5, 0.4), 0, 0)])
def test_a_pair_is_confirmed_by_what_other_months_keep_of_its_plane(kept, of_pair, of_two):
    """Of two modes of their own, as slow, each by itself."""
    plane = torch.eye(2, dtype=torch.float64)
    angle = torch.tensor(0.2, dtype=torch.float64)
    turn = torch.stack([torch.stack([angle.cos(), angle.sin()]), torch.stack([-angle.sin(), angle.cos()])])
    months = autoregression(torch.diag(torch.tensor(kept, dtype=torch.float64)), 4000)
    assert confirmed(months, SlowModes(plane, plane, 0.9 * turn)) == of_pair
    assert confirmed(months, SlowModes(plane, plane, torch.diag(torch.tensor([0.9, 0.89]).double()))) == of_two


@torch.no_grad()
def test_networks_neither_see_nor_move_the_slow_modes():
    """So that whatever they learn, the slow modes are an autoregression with the fitted memory, and bounded."""
    model = make_model(seed=3).eval()
    latents = model.latents
    pairs = make_pairs(batch=1)
    state, white = (torch.randn(1, *model.latent_shape) for _ in range(2))
    slow = latents.slow(torch.randn(1, *model.latent_shape) * 50)
    given = pairs.forcing, pairs.month, torch.full((1,), 0.5)
    assert slow.norm() > 10
    moved = state + slow * torch.exp(model.latent_log_sigma)
    assert torch.allclose(model.denoise(white, state, *given), model.denoise(white, moved, *given), atol=1e-3)
    following = model.standardize(model.sample_next(state, pairs.forcing, pairs.month, noise=white[None]))
    noise = model.color(white, pairs.month % 12 + 1)
    expected = latents.predict(model.standardize(state)) + noise
    assert torch.allclose(latents.slow(following), latents.slow(expected), atol=1e-3)
    assert not torch.allclose(following, expected, atol=1e-2), "the networks do nothing at all"


@pytest.mark.parametrize("count", [6, 12, 18, 24, 60])
@pytest.mark.parametrize("seed", range(5))
def test_memory_fitted_to_few_months_never_grows(count, seed):
    statistics = LatentStatistics(40, (1, 8, 16))
    latents = torch.randn(count, 1, 8, 16, generator=torch.Generator().manual_seed(1000 * count + seed)).cumsum(0)
    statistics.find_slow(latents.flatten(1))
    statistics.fit(latents, calendar(count))
    state = torch.randn(1, 1, 8, 16)
    assert statistics.color(state, JANUARY).isfinite().all()
    first = statistics.predict(state)
    for _ in range(2000):
        state = statistics.predict(state)
    assert state.norm() < first.norm()


def test_the_color_is_white_until_it_is_measured_and_survives_few_months():
    statistics = LatentStatistics(40, (1, 8, 16))
    white = torch.randn(3, 1, 8, 16)
    assert torch.equal(statistics.color(white, JANUARY), white) and not statistics.predict(white).any()
    statistics.fit(red_latents(count=6), calendar(6))
    assert torch.isfinite(statistics.color(white, JANUARY)).all()


@pytest.mark.parametrize("months", [48, 60, 120])
def test_the_noise_of_few_months_has_what_other_months_have(months):
    """Weather of many patterns alike: noise in those of the training months alone would be noise of nothing else."""
    draw = torch.Generator().manual_seed(months)
    latents = torch.randn(months, *SHAPE, generator=draw)
    statistics = LatentStatistics(128, SHAPE)
    statistics.fit(latents.clone(), torch.arange(months) % 12 + 1)
    noise = statistics.color(torch.randn(500, *SHAPE, generator=draw), torch.full((500,), 3)).flatten(1)
    inside = torch.linalg.svd(latents.flatten(1), full_matrices=False)[2]
    assert (noise @ inside.T).square().sum() < 0.85 * noise.square().sum()
    assert noise.var().item() == pytest.approx(1, abs=0.15)


def test_two_years_tell_no_slow_modes():
    """Halves of two years are each other's mirror images, whatever the weather."""
    draw = torch.Generator().manual_seed(5)
    weather = torch.randn(24, 40, generator=draw, dtype=torch.float64)
    for month in range(1, 24):
        weather[month] += 0.9 * weather[month - 1]
    calendar = weather.unflatten(0, (2, 12)).mean(0).repeat(2, 1)
    assert count_slow(weather - calendar) == 0
