"""The model's months without repeated work: the same numbers as MonthlyDiffusion, several times sooner.

Every linear layer takes its input in parts that change at different times: statics and diffusion times once per model,
season and forcing once per month, the state once per member and month, the noisy latent at every evaluation. Bases of
the spectral operators are made once. Fields are flattened: (batch, channels, points).
"""

from typing import NamedTuple

import torch
from torch.nn import functional

from model.blocks import EPSILON, ConditionalBlock, ConditionalNorm
from model.monthly_diffusion import Conditions, MonthlyDiffusion
from model.pointwise import add_pointwise, mean_square
from model.spectral import LowRank


class Operator:
    """A low-rank operator with its constants at hand, all real."""

    def __init__(self, operator: LowRank, inputs: int):
        self.operator = operator
        outputs, rank = operator.W_out.shape
        self.maps_in = operator.maps_win(inputs, operator.source, len(operator.packed_in), kept=True)
        self.maps_out = operator.maps_win(outputs, operator.target, len(operator.packed_out), kept=True)
        self.constant_in = operator.input_constant(self.maps_in).contiguous()
        self.constant_out = operator.output_constant(self.maps_out).contiguous()
        # Products with complex weights as products with real 2x2 ones: [channel, from, to, rank].
        self.weight_in = real_weights(operator.W_in.T).contiguous()
        self.weight_out = real_weights(operator.W_out).contiguous()
        self.rank = rank

    def scores(self, u: torch.Tensor, first: int = 0) -> torch.Tensor:
        """Return the share in s, (batch, 2, rank), of inputs `u` (batch, n, nlat, nlon), from number `first` on."""
        return self.weigh(self.operator.inner(u, self.constant_in, self.maps_in), first)

    def weigh(self, inner: torch.Tensor, first: int = 0) -> torch.Tensor:
        """Return sum_i W_in[r,i] <B_r, U_i>, (batch, 2, rank), of `inner` (batch, n, 2 rank)."""
        weight = self.weight_in[first : first + inner.shape[1]]
        return (inner.view(len(inner), -1, 2, 1, self.rank) * weight).sum((1, 2))

    def mix(self, scores: torch.Tensor) -> torch.Tensor:
        """Return W_out s, (batch, outputs, 2 rank), of `scores` (batch, 2, rank)."""
        return (scores[:, None, :, None] * self.weight_out).sum(2).flatten(2)

    def fields(self, scores: torch.Tensor) -> torch.Tensor:
        """Return the output fields (batch, outputs, points) of the whole s."""
        return self.operator.outer(self.mix(scores), self.constant_out, self.maps_out).flatten(2)


def real_weights(weight: torch.Tensor) -> torch.Tensor:
    """Return complex weights (n, rank) as (n, 2, 2, rank): from and to real and imaginary parts."""
    real, imag = weight.real, weight.imag
    return torch.stack([torch.stack([real, imag], 1), torch.stack([-imag, real], 1)], 1)


class Norm:
    """A conditional norm: its modulation as few numbers times the maps that span gamma and beta.

    `offset` (channels,) is a constant to add to the output.
    """

    def __init__(self, norm: ConditionalNorm, offset: torch.Tensor | None = None):
        channels = len(norm.weight)
        self.first = Operator(norm.first, norm.first.W_in.shape[1])
        self.second = Operator(norm.second, norm.second.W_in.shape[1])
        self.second.constant_in = norm.second.input_constant(True)
        self.second.weight_out[:channels] *= norm.weight[:, None, None, None]
        maps = norm.second.output_constant(True)
        self.maps = torch.cat([maps, torch.ones_like(maps[:1])])
        bias = norm.bias if offset is None else norm.bias + offset
        self.constants = torch.cat([torch.ones_like(bias), bias])[None, :, None]
        self.inverse_scale = 1 / norm.scale if norm.calibrated else None
        self.point_weights = norm.point_weights

    def modulation(self, scores: torch.Tensor) -> torch.Tensor:
        """Return what `maps` are multiplied with for factor and shift, (batch, 2 channels, n), of the first's s."""
        hidden = functional.relu(self.first.fields(scores))
        scores = self.second.weigh(torch.matmul(hidden, self.second.constant_in.T))
        return torch.cat([self.second.mix(scores), self.constants.expand(len(hidden), -1, -1)], dim=2)

    def apply(self, x: torch.Tensor, modulation: torch.Tensor) -> torch.Tensor:
        """Return the norm of `x` (batch, channels, points), in place."""
        channels = x.shape[1]
        factor = torch.matmul(modulation[:, :channels] * self.inverse_size(x), self.maps)
        return torch.addcmul(torch.matmul(modulation[:, channels:], self.maps), x, factor, out=x)

    def inverse_size(self, x: torch.Tensor) -> torch.Tensor | float:
        """Return 1 / r of `x` (batch, channels, points), shape (batch, 1, 1), or the constant of a calibrated norm."""
        if self.inverse_scale is not None:
            return self.inverse_scale
        return (1 / (mean_square(x, self.point_weights).sqrt() + EPSILON))[:, None, None]


class Block:
    """A conditional block with its constants at hand."""

    def __init__(self, block: ConditionalBlock, inputs: int):
        self.spectral = Operator(block.spectral, inputs)
        self.resample = block.resample
        self.weight1, self.bias1 = block.mlp1.weight.flatten(1)[None], block.mlp1.bias[None, :, None]
        self.weight2 = block.mlp2.weight.flatten(1)[None]
        self.weight_out, self.bias_out = block.out.weight.flatten(1), block.out.bias
        # The second layer's bias joins the first norm's, to save a pass over the fields.
        self.norms = (Norm(block.norm1, block.mlp2.bias), Norm(block.norm2))


class Latents(NamedTuple):
    """What a time of diffusion, a month's conditions or a state add to the denoiser's linear layers."""

    scores: torch.Tensor  # of the spectral operator
    norm_scores: tuple[torch.Tensor, torch.Tensor]  # of the norms' first operators
    hidden: torch.Tensor  # of the pointwise network's first layer


class Month(NamedTuple):
    """What a month's conditions give: to the denoiser of the following month, and to the decoder."""

    denoiser: Latents
    decoder_scores: torch.Tensor
    decoder_rows: torch.Tensor  # conditions and statics on the fields' grid, (1, n, points)
    modulations: list[tuple[torch.Tensor, torch.Tensor]]  # factor and shift maps of the decoder's norms
    added: torch.Tensor  # the forced response and the last bias, less the offset of the climate


class FastModel:
    """A model prepared for rollouts; `model` must be in evaluation mode and not change afterwards."""

    @torch.no_grad()
    def __init__(self, model: MonthlyDiffusion):
        self.model = model
        latent = model.config.latent_channels
        self.latent = latent
        self.denoiser, self.decoder = Block(model.denoiser, latent), Block(model.decoder, latent)
        self.statics = model.decoder.resample(model.statics_coarse[None]).flatten(2)
        self.times = [self._time(time) for time in model.sampler_times()]

    def _given(self, maps: torch.Tensor, first: int) -> Latents:
        """Return what maps of the condition (batch, n, nlat, nlon), from its number `first` on, add in the denoiser."""
        block, start = self.denoiser, self.latent + first
        hidden = torch.matmul(block.weight1[:, :, start : start + maps.shape[1]], maps.flatten(2))
        norm_scores = tuple(norm.first.scores(maps, first) for norm in block.norms)
        return Latents(block.spectral.scores(maps, start), norm_scores, hidden)

    def _time(self, time: torch.Tensor) -> Latents:
        """Return what a diffusion time adds; its hidden part is the first layer's weight of x with a bias."""
        maps = self.model.time(time)[:, :, None, None].expand(-1, -1, *self.model.latent_grid)
        given = self._given(maps, self.latent + self.model.forcings + self.model.config.season_maps)
        bias = given.hidden[:, :, :1] + self.denoiser.bias1
        return given._replace(hidden=torch.cat([self.denoiser.weight1[:, :, : self.latent], bias], dim=2))

    @torch.no_grad()
    def month(self, forcing: torch.Tensor, month: torch.Tensor) -> Month:
        """Return what the conditions of a month give; `forcing` (1, forcings, nlat, nlon), `month` (1,)."""
        return self.month_given(self.model.conditions(forcing, month))

    def month_given(self, given: Conditions) -> Month:
        """Prepare a month whose conditions are at hand."""
        model, block = self.model, self.decoder
        scores = block.spectral.scores(torch.cat([given.coarse, model.statics_coarse[None]], dim=1), self.latent)
        modulations = []
        for norm in block.norms:
            modulation = norm.modulation(norm.first.scores(given.fine))
            modulations.append(torch.matmul(modulation, norm.maps).chunk(2, dim=1))
        rows = torch.cat([block.resample(given.coarse).flatten(2), self.statics], dim=1)
        added = -model.climate_offset if given.forced is None else given.forced - model.climate_offset
        added = added.reshape(1, len(block.bias_out), -1) + block.bias_out[:, None]
        return Month(
            self._given(given.coarse, self.latent),
            scores,
            rows,
            modulations,
            added,
        )

    @torch.no_grad()
    def sample_next(self, state: torch.Tensor, before: Month, noise: torch.Tensor) -> torch.Tensor:
        """Return the next latent as MonthlyDiffusion.sample_given does; `before`: the month of `state`."""
        model = self.model
        standard = model.standardize(state)
        given = self._given(standard, 0)
        given = Latents(
            given.scores + before.denoiser.scores,
            tuple(a + b for a, b in zip(given.norm_scores, before.denoiser.norm_scores, strict=True)),
            given.hidden + before.denoiser.hidden,
        )
        times = iter(self.times)
        return model.sample_by(lambda x, _: self._velocity(x, given, next(times)), standard, noise)

    def _velocity(self, x: torch.Tensor, given: Latents, time: Latents) -> torch.Tensor:
        block, batch = self.denoiser, len(x)
        flat = x.flatten(2)
        rows = torch.cat([flat, torch.ones_like(flat[:, :1])], dim=1)
        y = torch.ops.aten.gelu_(block.spectral.fields(block.spectral.scores(x) + given.scores + time.scores))
        first, second = block.norms
        y = first.apply(y, first.modulation(given.norm_scores[0] + time.norm_scores[0]))
        add_pointwise(y, rows, time.hidden, block.weight2, given.hidden)
        y = second.apply(y, second.modulation(given.norm_scores[1] + time.norm_scores[1]))
        return torch.baddbmm(block.bias_out[:, None], block.weight_out.expand(batch, -1, -1), y).view_as(x)

    @torch.no_grad()
    def decode(self, latent: torch.Tensor, month: Month) -> torch.Tensor:
        """Return the fields (batch, fields, nlat, nlon) as MonthlyDiffusion.decode_given does."""
        block, batch = self.decoder, len(latent)
        y = torch.ops.aten.gelu_(block.spectral.fields(block.spectral.scores(latent) + month.decoder_scores))
        y = self._modulate(y, 0, month)
        rows = torch.cat([block.resample(latent).flatten(2), month.decoder_rows.expand(batch, -1, -1)], dim=1)
        add_pointwise(y, rows, block.weight1, block.weight2, block.bias1)
        y = self._modulate(y, 1, month)
        out = torch.baddbmm(month.added, block.weight_out.expand(batch, -1, -1), y)
        return out.unflatten(2, self.model.grid)

    def _modulate(self, y: torch.Tensor, number: int, month: Month) -> torch.Tensor:
        """Return the decoder's norm `number` of y, in place."""
        factor, shift = month.modulations[number]
        size = self.decoder.norms[number].inverse_size(y)
        return torch.addcmul(shift, y.mul_(size), factor, out=y)
