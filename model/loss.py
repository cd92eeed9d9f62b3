"""The joint loss of autoencoder and diffusion, and the fixed score that chooses the checkpoint."""

import functools
import math
from collections.abc import Iterable

import torch

from model.config import TrainingConfig
from model.data import MonthPairs
from model.monthly_diffusion import MonthInputs, MonthlyDiffusion
from model.sphere import row_weights

VALIDATION_DRAWS = 2  # of noise and time, for each validation pair


def draw_noise(model: MonthlyDiffusion, batch: int, generator: torch.Generator, device) -> dict[str, torch.Tensor]:
    """Return the random numbers of one evaluation of the loss: posterior and diffusion noise, and diffusion times.

    They are drawn where the generator is, whatever torch's default device, and are then on `device`.
    """
    shape, there = (batch, *model.latent_shape), generator.device
    noise = {
        "posterior": torch.randn(shape, generator=generator, device=there),
        "diffusion": torch.randn(shape, generator=generator, device=there),
        "time": torch.rand(batch, generator=generator, device=there),
    }
    return {name: values.to(device) for name, values in noise.items()}


def pair_inputs(model: MonthlyDiffusion, pairs: MonthPairs) -> MonthInputs:
    """Return pairs of months as `loss_terms` takes them."""
    return model.inputs(
        torch.cat([pairs.fields, pairs.next_fields]),
        torch.cat([pairs.forcing, pairs.next_forcing]),
        torch.cat([pairs.month, pairs.next_month]),
    )


def loss_terms(
    model: MonthlyDiffusion, pairs: MonthInputs, noise: dict[str, torch.Tensor], config: TrainingConfig
) -> dict[str, torch.Tensor]:
    """Return the unweighted terms of the loss on pairs of months, scalars; the first months of all pairs come first.

    reconstruction: mean square error of the fields of month t from a draw of their posterior.
    diffusion: mean square error of v for the mean latent of month t + 1, given the drawn latent of month t and
        month t's conditions.
    predicted: mean square error of the fields of month t + 1 decoded from the denoised latent, weighted by how much
        of the latent was left (alpha_bar): the decoder meets what the diffusion gives, not posteriors alone.
    kl: mean divergence of the posterior of month t from the standard normal.
    latent: squared distance of the learned latent mean and sigma from those of the batch.
    """
    batch = len(pairs.month) // 2
    conditions = model.conditions_of(pairs)
    now = conditions.first(batch)
    mean, log_variance = model.encode_given(pairs, conditions)
    mean, next_mean = mean.split(batch)
    log_variance = log_variance[:batch]
    latent = mean + torch.exp(0.5 * log_variance) * noise["posterior"]

    standard = model.standardize(latent)
    predicted = model.predict(standard)
    clean = model.standardize(next_mean) - predicted
    if config.detach_target:
        clean = clean.detach()
    time, phi = model.diffusion.draw_times(noise["time"], config.times == "continuous")
    cos, sin = torch.cos(phi)[:, None, None, None], torch.sin(phi)[:, None, None, None]
    colored = model.color(noise["diffusion"], pairs.month[batch:])
    noisy = cos * clean + sin * colored
    v = model.denoise_given(noisy, standard, now.coarse, time)

    fields, next_fields = pairs.departures.split(batch)
    fine = model_rows(model.grid.nlat, model, fields)
    coarse = model_rows(model.latent_grid.nlat, model, fields)
    terms = {}
    if config.predicted_weight:
        denoised = model.unstandardize(cos * noisy - sin * v + predicted)
        decoded = model.decode_given(torch.cat([latent, denoised]), conditions)
        decoded, following = decoded.split(batch)
        terms["predicted"] = mean_square_error(following, next_fields, cos.square() * fine)
    else:
        decoded = model.decode_given(latent, now)
    terms["reconstruction"] = mean_square_error(decoded, fields, fine)
    terms["diffusion"] = mean_square_error(v, cos * colored - sin * clean, coarse)
    terms["kl"] = (0.5 * (mean.square() + log_variance.exp() - 1 - log_variance) * coarse).mean()
    target = mean.detach()
    average = (target * coarse).mean()
    deviation = ((target - average).square() * coarse).mean().sqrt()
    terms["latent"] = (
        (model.latent_mean - average).square() + (model.latent_log_sigma.exp() - deviation).square()
    ).sum()
    return terms


def mean_square_error(found: torch.Tensor, wanted: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Return the mean of the weighted squares of a difference; `weights` broadcast."""
    return MeanSquare.apply(found - wanted, weights)


class MeanSquare(torch.autograd.Function):
    """The mean of the weighted squares of x (batch, channels, nlat, nlon), in few passes; no gradient of weights."""

    @staticmethod
    def forward(ctx, x, weights):
        """Return the mean; `weights` broadcast."""
        weighted = x * weights
        ctx.save_for_backward(weighted)
        return torch.linalg.vecdot(x.flatten(2), weighted.flatten(2)).sum() / x.numel()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        """Return the gradient of x."""
        (weighted,) = ctx.saved_tensors
        return weighted * (gradient * (2 / weighted.numel())), None


def model_rows(nlat: int, model: MonthlyDiffusion, like: torch.Tensor) -> torch.Tensor:
    """Return the weight of each row (nlat, 1), mean one: its area, or one where the config does not weigh by area."""
    return _rows(nlat, model.config.area_weighted, like.device)


@functools.lru_cache(maxsize=16)
@torch.inference_mode(False)
def _rows(nlat: int, area_weighted: bool, device: torch.device) -> torch.Tensor:
    """Return the weights of `model_rows`, kept: a GPU waits for what comes from the host."""
    return (row_weights(nlat) if area_weighted else torch.ones(nlat, 1)).to(device)


def total(terms: dict[str, torch.Tensor], config: TrainingConfig) -> torch.Tensor:
    """Return the weighted sum of the terms."""
    return sum(getattr(config, f"{name}_weight") * value for name, value in terms.items())


def gradients(model, pairs: MonthInputs, config: TrainingConfig, noise) -> dict[str, torch.Tensor]:
    """Give the model's parameters their gradients; return the loss, then its terms."""
    terms = loss_terms(model, pairs, noise, config)
    loss = total(terms, config)
    model.zero_grad(set_to_none=True)
    loss.backward()
    return {name: value.detach() for name, value in [("loss", loss), *terms.items()]}


@torch.no_grad()
def validation_score(
    model: MonthlyDiffusion, batches: Iterable[MonthInputs], config: TrainingConfig
) -> tuple[float, dict[str, float]]:
    """Return the score of the validation pairs, and its terms: the same noise and times at every call.

    The score leaves out the KL and latent terms, which measure no skill. Times are spread evenly over the schedule.
    """
    sums: dict[str, float] = {}
    position = 0
    for number, batch in enumerate(batches):
        size = len(batch.month) // 2
        for repeat in range(VALIDATION_DRAWS):
            generator = torch.Generator().manual_seed(1_000_003 * repeat + number)
            noise = draw_noise(model, size, generator, batch.month.device)
            even = ((position + torch.arange(size)) * (math.sqrt(5) - 1) / 2) % 1
            noise["time"] = even.to(batch.month.device)
            position += size
            for name, value in loss_terms(model, batch, noise, config).items():
                sums[name] = sums.get(name, 0.0) + value.item() * size
    sums = {name: value / position for name, value in sums.items()}
    score = sum(
        getattr(config, f"{name}_weight") * value for name, value in sums.items() if name not in ("kl", "latent")
    )
    return score, sums
