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
from model.pointwise import mean_square, product_and, tiles
from model.spectral import LowRank, as_real, input_maps, output_maps

TILE = 3200  # points whose hidden channels a CPU's cache can hold


class Operator:
    """A low-rank operator with its constants at hand."""

    def __init__(self, operator: LowRank, inputs: int):
        self.operator = operator
        outputs = len(operator.W_out)
        maps = operator.maps_win(inputs, operator.source, len(operator.packed_in), kept=True)
        self.constant_in = input_maps([operator]) if maps else operator.input_spectra()
        maps = operator.maps_win(outputs, operator.target, len(operator.packed_out), kept=True)
        self.constant_out = output_maps([operator]) if maps else operator.output_spectra()
        self.weight_in = operator.W_in.T.contiguous()

    def scores(self, u: torch.Tensor, first: int = 0) -> torch.Tensor:
        """Return the share in s, (batch, rank), of inputs `u` (batch, n, nlat, nlon), from number `first` on."""
        weight = self.weight_in[first : first + u.shape[1]]
        return (self.operator.inner(u, self.constant_in) * weight).sum(1)

    def fields(self, scores: torch.Tensor) -> torch.Tensor:
        """Return the output fields (batch, outputs, points) of the whole s."""
        return self.operator.fields(scores, self.constant_out).flatten(2)


class Norm:
    """A conditional norm: its modulation as few numbers times the maps that span gamma and beta.

    What follows the norm takes its output linearly: `weight` (outputs, channels) of that enters the shift, and so does
    `bias` (outputs,), to save passes over the fields.
    """

    def __init__(self, norm: ConditionalNorm, bias: torch.Tensor, weight: torch.Tensor | None = None):
        channels = len(norm.weight)
        self.first = Operator(norm.first, norm.first.W_in.shape[1])
        maps = output_maps([norm.second])
        self.maps = torch.cat([maps, torch.ones_like(maps[:1])])
        factor, shift = norm.second.W_out.split(channels)
        factor = factor * norm.weight[:, None]
        constants = [torch.ones_like(norm.bias), norm.bias]
        if weight is not None:
            shift, constants[1] = weight.to(shift) @ shift, weight @ norm.bias
        self.calibrated = norm.calibrated
        if self.calibrated:
            factor, constants[0] = factor / norm.scale, constants[0] / norm.scale
        self.second, self.second_maps = norm.second, input_maps([norm.second])
        self.weight_out = torch.cat([factor, shift])
        self.constants = torch.cat([constants[0], constants[1] + bias])[None, :, None]
        self.point_weights = norm.point_weights

    def numbers(self, scores: torch.Tensor) -> torch.Tensor:
        """Return what `maps` are multiplied with for factor and shift, (batch, 2 channels, n), of the first's s.

        The factor of a calibrated norm has its constant in it.
        """
        hidden = functional.relu(self.first.fields(scores)).unflatten(2, self.second.source)
        scores = self.second.scores([hidden], constant=self.second_maps)
        numbers = as_real(self.weight_out * scores[:, None])
        return torch.cat([numbers, self.constants.expand(len(numbers), -1, -1)], dim=2)


class Block:
    """A conditional block with its constants at hand."""

    def __init__(self, block: ConditionalBlock, inputs: int):
        self.spectral = Operator(block.spectral, inputs)
        self.resample = block.resample
        bias1, bias2, bias_out = block.mlp1.bias, block.mlp2.bias, block.out.bias
        assert bias1 is not None and bias2 is not None and bias_out is not None  # of Conv2d with its defaults
        self.weight1, self.bias1 = block.mlp1.weight.flatten(1), bias1[:, None]
        self.weight2, self.weight_out = block.mlp2.weight.flatten(1), block.out.weight.flatten(1)
        self.norms = Norm(block.norm1, bias2), Norm(block.norm2, bias_out, self.weight_out)
        self.scratch = self.bias1.new_empty(0)

    def finish(self, y, u, weight1, known, numbers, added=None) -> torch.Tensor:
        """Return W_out norm2(norm1(GELU(y)) + W2 GELU(W1 u + known)) + added, shape (batch, outputs, points).

        On a CPU tile by tile, as far as a norm does not need all points of a sample before the next step.

        Args:
            y: what the spectral operator gives, (batch, outputs, points); changed in place.
            u: (batch, n, points).
            weight1: (hidden, n).
            known: a bias, or what other inputs give, (batch or 1, hidden, points or 1).
            numbers: of both norms, each (batch or 1, 2 outputs, its maps).
            added: maps (outputs, points) or None.
        """
        norm1, norm2 = self.norms
        batch, outputs, _ = y.shape
        known = known.expand(batch, -1, y.shape[2])
        numbers1, numbers2 = (each.expand(batch, -1, -1) for each in numbers)
        parts = [(y[sample, :, points], sample, points) for sample, points in tiles(y, TILE)]
        scratch = self.hidden(parts[0][0], len(weight1))
        squares = y.new_zeros(2, batch)
        out = torch.empty_like(y)

        def activate(part, sample, points):
            torch.ops.aten.gelu_(part)
            if not norm1.calibrated:
                squares[0, sample] += mean_square(part, norm1.point_weights[points])

        def mix(part, sample, points):
            factor, shift = torch.matmul(numbers1[sample], norm1.maps[:, points]).split(outputs, dim=-2)
            if not norm1.calibrated:
                part.mul_(inverse_root(squares[0, sample]))
            torch.addcmul(shift, part, factor, out=part)
            hidden = scratch[..., : part.shape[-1]]
            product_and(known[sample, :, points], weight1, u[sample, :, points], out=hidden)
            product_and(part, self.weight2, torch.ops.aten.gelu_(hidden), out=part)
            if not norm2.calibrated:
                squares[1, sample] += mean_square(part, norm2.point_weights[points])

        def close(part, sample, points):
            factor, shift = torch.matmul(numbers2[sample], norm2.maps[:, points]).split(outputs, dim=-2)
            if added is not None:
                shift = shift + added[:, points]
            weight = self.weight_out
            if not norm2.calibrated:
                weight = weight * inverse_root(squares[1, sample])
            product_and(shift, weight, part.mul_(factor), out=out[sample, :, points])

        for steps in [[activate, mix, close]] if norm1.calibrated else [[activate], [mix], [close]]:
            for part in parts:
                for step in steps:
                    step(*part)
        return out

    def hidden(self, part: torch.Tensor, channels: int) -> torch.Tensor:
        """Return memory for hidden channels at the points of `part`, the same at every call: it stays in cache."""
        shape = (*part.shape[:-2], channels, part.shape[-1])
        if self.scratch.shape != shape:
            self.scratch = part.new_empty(shape)
        return self.scratch


def inverse_root(squares: torch.Tensor) -> torch.Tensor:
    """Return 1 / r, shape (..., 1, 1), of mean squares (...)."""
    return squares.sqrt().add_(EPSILON).reciprocal_()[..., None, None]


class Given(NamedTuple):
    """What diffusion times, a month's conditions or a state add to the denoiser's linear layers; batch first."""

    scores: torch.Tensor  # of the spectral operator, complex (batch, rank)
    norm_scores: tuple[torch.Tensor, torch.Tensor]  # of the norms' first operators
    hidden: torch.Tensor  # of the pointwise network's first layer


class Month(NamedTuple):
    """What a month's conditions give: to the denoiser of the following month, and to the decoder."""

    denoiser: Given
    decoder_scores: torch.Tensor
    decoder_rows: torch.Tensor  # conditions and statics on the fields' grid, (1, n, points)
    decoder_numbers: list[torch.Tensor]  # of the norms, each (1, 2 fields, maps)
    added: torch.Tensor  # to what is decoded: the forced response less the offset, (fields, points)
    uniform: torch.Tensor | None  # mean SST anomaly over the sea (1, 1, 1), or none


class FastModel:
    """A model prepared for rollouts; `model` must be in evaluation mode and not change afterwards."""

    @torch.no_grad()
    def __init__(self, model: MonthlyDiffusion):
        self.model = model
        latent = model.config.latent_channels
        self.latent = latent
        self.denoiser, self.decoder = Block(model.denoiser, latent), Block(model.decoder, latent)
        maps = model.time(model.sampler_times())[:, :, None, None].expand(-1, -1, *model.latent_grid)
        times = self._given(maps, latent + model.forcings + model.config.season_maps)
        # The first layer's weights of x, with a bias, for each time: what a time adds is the same at every point.
        bias = times.hidden[:, :, :1] + self.denoiser.bias1
        self.times = times._replace(hidden=bias)
        self.rows = torch.empty(0)  # memory for x and a row of ones, whose weight is a bias
        self.weights1 = torch.cat([self.denoiser.weight1[:, :latent].expand(len(bias), -1, -1), bias], dim=2)

    def _given(self, maps: torch.Tensor, first: int) -> Given:
        """Return what maps of the condition (batch, n, nlat, nlon), from its number `first` on, add in the denoiser."""
        block, start = self.denoiser, self.latent + first
        # Not matmul, whose result of one matrix and a batch lies in memory transposed.
        weight = block.weight1[:, start : start + maps.shape[1]].expand(len(maps), -1, -1)
        hidden = torch.bmm(weight, maps.flatten(2))
        scores1, scores2 = (norm.first.scores(maps, first) for norm in block.norms)
        return Given(block.spectral.scores(maps, start), (scores1, scores2), hidden)

    @torch.no_grad()
    def month(self, forcing: torch.Tensor, month: torch.Tensor) -> Month:
        """Return what the conditions of a month give; `forcing` (1, forcings, nlat, nlon), `month` (1,)."""
        return self.month_given(self.model.conditions(forcing, month))

    def month_given(self, given: Conditions) -> Month:
        """Prepare a month whose conditions are at hand."""
        model, block = self.model, self.decoder
        scores = block.spectral.scores(torch.cat([given.coarse, model.statics_coarse[None]], dim=1), self.latent)
        numbers = [norm.numbers(norm.first.scores(given.fine)) for norm in block.norms]
        rows = torch.cat([block.resample(given.coarse).flatten(2), model.statics_smooth[None].flatten(2)], dim=1)
        assert given.added is not None  # of conditions_of alone, in training
        denoiser, uniform = self._given(given.coarse, self.latent), given.uniform
        added = given.added[0].flatten(1)
        return Month(denoiser, scores, rows, numbers, added, None if uniform is None else uniform[..., None])

    @torch.no_grad()
    def sample_next(self, state: torch.Tensor, month: Given, noise: torch.Tensor) -> torch.Tensor:
        """Return the next latent as MonthlyDiffusion.sample_given does.

        `month` is what the month of `state` gives the denoiser; `noise` is as MonthlyDiffusion.color gives it.
        """
        standard = self.model.standardize(state)
        now = self._given(self.model.seen(standard), 0)
        scores = self.times.scores[:, None] + (now.scores + month.scores)
        parts = zip(self.times.norm_scores, now.norm_scores, month.norm_scores, strict=True)
        norm_scores = [time[:, None] + (here + given) for time, here, given in parts]
        # Modulations do not depend on the sample: those of all times are computed together.
        numbers = [
            norm.numbers(each.flatten(0, 1)).unflatten(0, each.shape[:2])
            for norm, each in zip(self.denoiser.norms, norm_scores, strict=True)
        ]
        hidden = now.hidden.add_(month.hidden)
        evaluations = list(zip(self.weights1, scores, *numbers, strict=True))
        return self.model.sample_by(lambda x, number: self._velocity(x, hidden, *evaluations[number]), standard, noise)

    def _velocity(self, x, hidden, weight1, scores, *numbers) -> torch.Tensor:
        block, flat = self.denoiser, x.flatten(2)
        if len(self.rows) != len(flat):
            self.rows = torch.ones(len(flat), self.latent + 1, flat.shape[2], device=flat.device)
        self.rows[:, : self.latent] = flat
        y = block.spectral.fields(block.spectral.scores(x) + scores)
        return block.finish(y, self.rows, weight1, hidden, numbers).view_as(x)

    @torch.no_grad()
    def decode(self, latent: torch.Tensor, month: Month) -> torch.Tensor:
        """Return the fields (batch, fields, nlat, nlon) as MonthlyDiffusion.decode_given does."""
        block = self.decoder
        y = block.spectral.fields(block.spectral.scores(latent) + month.decoder_scores)
        rows = torch.cat([block.resample(latent).flatten(2), month.decoder_rows.expand(len(latent), -1, -1)], dim=1)
        out = block.finish(y, rows, block.weight1, block.bias1, month.decoder_numbers, month.added)
        return out.unflatten(2, self.model.grid)
