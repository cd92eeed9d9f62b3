"""The samplers with a perfect denoiser: for Gaussian data of standard deviation s everything is known."""

import pytest
import torch

from model.config import ModelConfig
from model.diffusion import Diffusion

DIFFUSION = Diffusion(15)


def angle(time):
    """The noise angle of a diffusion time, from the cosine schedule; the last step has its own, clipped one."""
    start = torch.cos(torch.tensor(0.008 / 1.008 * torch.pi / 2, dtype=torch.float64))
    cosine = torch.cos((time.double() + 0.008) / 1.008 * torch.pi / 2) / start
    return torch.acos(cosine.clamp(max=1)).clamp(1e-6, DIFFUSION.largest_angle)[:, None]


def second_order_times(evaluations):
    """The times at which the second-order sampler asks for a velocity."""
    return DIFFUSION.time(DIFFUSION.angles(evaluations)[:-1])


def perfect(deviation, times):
    """The velocity field of Gaussian data of mean 0 and the given standard deviation, counting its evaluations."""

    def velocity(x, number):
        velocity.calls += 1
        phi = angle(times[number].expand(len(x)))
        cos, sin = torch.cos(phi), torch.sin(phi)
        # E[v | x] for x = cos x0 + sin eps: covariance of v with x over the variance of x.
        return (cos * sin * (1 - deviation**2) / (cos**2 * deviation**2 + sin**2) * x).float()

    velocity.calls = 0
    return velocity


@pytest.mark.parametrize(
    ("evaluations", "deviation", "error"),
    [
        *((ModelConfig().evaluations, *case) for case in ((1.0, 1e-4), (0.8, 0.01), (0.5, 0.01), (0.2, 0.1))),
        *((15, *case) for case in ((1.0, 1e-4), (0.8, 0.005), (0.5, 0.005), (0.2, 0.02))),
    ],
)
def test_second_order_sampler_keeps_the_spread(evaluations, deviation, error):
    torch.manual_seed(0)
    velocity, start = perfect(deviation, second_order_times(evaluations)), torch.randn(1, 200)
    sample = DIFFUSION.second_order(velocity, start, evaluations)
    # Every step is linear: the factor from noise to sample is the standard deviation, without sampling error.
    assert torch.allclose(sample / start, (sample / start).mean(), rtol=1e-3)
    assert (sample / start).mean().item() == pytest.approx(deviation, rel=error)
    assert velocity.calls == evaluations <= 15


@pytest.mark.parametrize(("deviation", "kept"), [(1.0, 0.874), (0.5, 0.832), (0.2, 0.720)])
def test_published_sampler_loses_spread_as_measured(deviation, kept):
    torch.manual_seed(0)
    noise = torch.randn(15, 1, 200_000)
    sample = DIFFUSION.ancestral(perfect(deviation, DIFFUSION.step_times()), noise)
    assert sample.std().item() / deviation == pytest.approx(kept, abs=0.01)


def test_a_point_is_sampled_exactly():
    """Data without spread: every sample is the point, whatever the noise (the zero-noise limit)."""
    point, times = torch.tensor([0.7, -1.3]), second_order_times(15)

    def velocity(x, number):
        phi = angle(times[number].expand(len(x))).float()
        # x0 is known, so eps = (x - cos x0) / sin and v = cos eps - sin x0.
        return torch.cos(phi) * (x - torch.cos(phi) * point) / torch.sin(phi) - torch.sin(phi) * point

    sample = DIFFUSION.second_order(velocity, torch.randn(50, 2), 15)
    assert (sample - point).abs().max() < 0.1


def test_the_second_order_sampler_is_of_second_order():
    def error(evaluations):
        start = torch.ones(1, 1)
        velocity = perfect(0.5, second_order_times(evaluations))
        return abs(DIFFUSION.second_order(velocity, start, evaluations).item() - 0.5)

    assert error(80) < error(40) / 3


def test_times_and_angles_are_those_of_the_schedule():
    steps = torch.arange(1, 15)
    phi = torch.acos(DIFFUSION.alpha_bar[:14].sqrt())
    assert torch.allclose(DIFFUSION.time(phi), steps / 15, atol=1e-4)
    uniform = torch.rand(1000)
    time, phi = DIFFUSION.draw_times(uniform, continuous=True)
    assert torch.allclose(DIFFUSION.time(phi), time)
    assert phi.min() > 0 and phi.max() <= DIFFUSION.largest_angle
    time, phi = DIFFUSION.draw_times(uniform, continuous=False)
    assert set((15 * time).round().int().tolist()) == set(range(1, 16))
    assert torch.allclose(
        torch.cos(phi) ** 2, DIFFUSION.alpha_bar[(15 * time).round().long() - 1], rtol=1e-3, atol=1e-6
    )
