r"""The diffusion of standardized latents: cosine schedule, v-prediction, and two samplers.

x_t = sqrt(ab) x0 + sqrt(1 - ab) eps = cos(phi) x0 + sin(phi) eps, and v = cos(phi) eps - sin(phi) x0 = dx / dphi
(Salimans and Ho 2022): the predicted v is the velocity of the sample along the angle phi.
"""

import functools
import math
from collections.abc import Callable

import torch
from torch import nn

OFFSET = 0.008  # s of the cosine schedule (Nichol and Dhariwal 2021)
CLUSTERING = 2.0  # exponent by which the angles of the second-order sampler gather at small noise


class Diffusion(nn.Module):
    """The schedule alpha_bar(t), t = 1..T, as buffers, with what follows from it."""

    beta: torch.Tensor
    alpha_bar: torch.Tensor
    posterior_variance: torch.Tensor

    def __init__(self, steps: int):
        super().__init__()
        self.steps = steps
        clean = torch.cos((torch.arange(steps + 1).double() / steps + OFFSET) / (1 + OFFSET) * math.pi / 2) ** 2
        beta = (1 - clean[1:] / clean[:-1]).clamp(1e-12, 0.999)
        alpha_bar = torch.cumprod(1 - beta, 0)
        before = torch.cat([torch.ones(1).double(), alpha_bar[:-1]])
        self.register_buffer("beta", beta.float())
        self.register_buffer("alpha_bar", alpha_bar.float())
        self.register_buffer("posterior_variance", (beta * (1 - before) / (1 - alpha_bar)).float())
        self.largest_angle = math.acos(math.sqrt(alpha_bar[-1].item()))
        # What the ancestral steps t = T..1 multiply x, v and noise by: as numbers, for which no device is asked.
        beta, alpha_bar = self.beta, self.alpha_bar
        by_v = beta * (alpha_bar / ((1 - alpha_bar) * (1 - beta))).sqrt()
        factors = (1 - beta).sqrt(), by_v, self.posterior_variance.sqrt()
        self.ancestral_factors = torch.stack(factors, dim=1).flip(0).tolist()

    def time(self, phi: torch.Tensor) -> torch.Tensor:
        """Return the diffusion time t / T in [0, 1] of the noise angle `phi`: the cosine schedule, inverted."""
        start = math.cos(OFFSET / (1 + OFFSET) * math.pi / 2)
        angle = torch.acos((torch.cos(phi) * start).clamp(0, 1))
        return (angle * (1 + OFFSET) * 2 / math.pi - OFFSET).clamp(0, 1)

    def draw_times(self, uniform: torch.Tensor, continuous: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """Return times t / T and their angles phi for random numbers `uniform` in [0, 1), any shape.

        `continuous`: angles uniform in (0, largest]; else one of the T steps, each as likely.
        """
        if continuous:
            phi = (1 - uniform) * self.largest_angle
            return self.time(phi), phi
        step = (uniform * self.steps).long()
        return (step + 1) / self.steps, torch.acos(self.alpha_bar[step].sqrt())

    def second_order(self, velocity: Callable, start: torch.Tensor, evaluations: int) -> torch.Tensor:
        """Integrate dx / dphi = v from pure noise `start` to phi = 0 by the two-step Adams-Bashforth method.

        `velocity(x, number)` is called `evaluations` times, at the time of that number. Deterministic given `start`.
        Exact for data of unit variance, whose velocity is zero, whatever the steps; angles gather at 0, where data of
        small variance need it.
        """
        x, before, last = start, None, 0.0
        for number, step in enumerate(second_order_steps(self.largest_angle, evaluations)):
            v = velocity(x, number)
            if before is None:
                x = x + step * v
            else:
                back = 0.5 * step * step / last
                x = torch.add(x, v, alpha=step + back).sub_(before, alpha=back)
            before, last = v, step
        return x

    def angles(self, evaluations: int) -> torch.Tensor:
        """Return the angles (evaluations + 1,) of the second-order sampler, from the largest to 0."""
        return second_order_angles(self.largest_angle, evaluations).to(self.alpha_bar)

    def step_times(self) -> torch.Tensor:
        """Return the times t / T (T,) of the ancestral sampler, from T to 1."""
        return torch.arange(self.steps, 0, -1, device=self.beta.device) / self.steps

    def ancestral(self, velocity: Callable, noise: torch.Tensor) -> torch.Tensor:
        """Sample by the published ancestral steps t = T..1; `noise`: the start, then one draw per step but the last.

        `velocity(x, number)` is called at the time of each number of `step_times`.
        """
        x = noise[0]
        # The mean of x_{t-1} is (x - beta / sqrt(1 - ab) eps) / sqrt(1 - beta), eps = sqrt(ab) v + sqrt(1 - ab) x.
        for number, (by_x, by_v, by_noise) in enumerate(self.ancestral_factors):
            x = by_x * x - by_v * velocity(x, number)
            if number + 1 < self.steps:
                x += by_noise * noise[number + 1]
        return x


def second_order_angles(largest: float, evaluations: int) -> torch.Tensor:
    """Return the angles (evaluations + 1,) from the largest to 0, on the CPU."""
    left = 1 - torch.arange(evaluations + 1, dtype=torch.float64, device="cpu") / evaluations
    return (largest * left**CLUSTERING).float()


@functools.lru_cache(maxsize=16)
def second_order_steps(largest: float, evaluations: int) -> list[float]:
    """Return the differences of the angles, as numbers."""
    return second_order_angles(largest, evaluations).diff().tolist()
