"""How the weights move: the optimizer, its learning rate, and the average of the weights."""

import contextlib
import math
from collections.abc import Iterator

import torch

from model.config import TrainingConfig
from model.monthly_diffusion import MonthlyDiffusion


class RealAdamW(torch.optim.AdamW):
    """AdamW on the real and imaginary parts of all parameters, as torch has it too, in one pass over the memory."""

    def __init__(self, model: MonthlyDiffusion, **settings):
        self.model = model
        super().__init__([as_parts(value.detach()) for value in model.parameters()], fused=True, **settings)

    @torch.no_grad()
    def step(self, closure=None):
        """Take a step with the gradients of the model's parameters."""
        for own, value in zip(self.param_groups[0]["params"], self.model.parameters(), strict=True):
            own.grad = None if value.grad is None else as_parts(value.grad)
        return super().step(closure)


def as_parts(value: torch.Tensor) -> torch.Tensor:
    """Return a view of complex numbers as pairs of real ones; real numbers as they are."""
    return torch.view_as_real(value) if value.is_complex() else value


def learning_rate(step: int, steps: int, config: TrainingConfig) -> float:
    """Return the rate of a step: a linear rise, then constant or half a cosine down to a hundredth."""
    warmup = min(config.warmup_steps, steps // 10)
    if step < warmup:
        return config.learning_rate * (step + 1) / warmup
    if config.decay == "constant":
        return config.learning_rate
    fraction = (step - warmup) / max(1, steps - warmup)
    return config.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * fraction)))


def clip(model, config: TrainingConfig) -> torch.Tensor:
    """Shorten the gradients to the norm that the config allows, if any, and return the norm that they had."""
    return torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip or math.inf)


@torch.no_grad()
def update_average(average: dict, model: MonthlyDiffusion, decay: float, step: int) -> None:
    """Move the averaged weights toward the model's; early on the average forgets faster. Buffers do not change."""
    decay = min(decay, (1 + step) / (10 + step)) if decay else 0.0
    names, values = zip(*model.named_parameters(), strict=True)
    # One operation for all: complex ones too, part by part.
    averages = [as_parts(average[name]) for name in names]
    torch._foreach_lerp_(averages, [as_parts(value) for value in values], 1 - decay)


@contextlib.contextmanager
def averaged(model: MonthlyDiffusion, average: dict) -> Iterator[None]:
    """Lend the model its averaged weights, in evaluation mode: a second model would be a large part of the memory."""
    own, training = clone_state(model), model.training
    model.load_state_dict(average)
    model.eval()
    try:
        yield
    finally:
        model.load_state_dict(own)
        model.train(training)


def clone_state(model: MonthlyDiffusion, state: dict | None = None) -> dict:
    """Return a copy of what training changes of a `state` of the model, by default its own; the rest is shared.

    What is fitted before the first step (the forced response) or measured after the last (offset and noise) is by far
    the largest part of a state, and need not be there again for each of its copies.
    """
    moving = {name for name, _ in model.named_parameters()}
    if model.latents is not None:
        moving |= {f"latents.{name}" for name, _ in model.latents.named_buffers()}
    state = model.state_dict() if state is None else state
    return {name: value.detach().clone() if name in moving else value.detach() for name, value in state.items()}
