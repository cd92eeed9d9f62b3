"""The conditional spectral block, of which encoder, decoder and denoiser are one each, and the three embeddings."""

import contextlib
import math

import torch
from torch import nn
from torch.nn import functional

from model.contractions import Mix, Weigh
from model.pointwise import ModulatedNorm, PointwiseNetwork, mean_square
from model.spectral import LowRank, Resample, as_real, input_maps, output_maps
from model.sphere import Grid, row_weights

EPSILON = 1e-8


class ConditionalNorm(nn.Module):
    """x / r * (w gamma + 1) + (b + beta), with gamma and beta maps computed from the conditions.

    r is the root mean square over channels and grid of each sample ("sample", as published: the amplitude of an
    anomaly is divided out), or one constant per norm, measured on the first training batch ("calibrated": outputs of
    order one, and an anomaly of twice the size stays so). (gamma, beta) = K2(ReLU(K1(conditions))), K low-rank.
    """

    point_weights: torch.Tensor
    scale: torch.Tensor  # of a calibrated norm

    def __init__(self, channels, conditions, hidden, rank, grid: Grid, kind: str, norm: str, area_weighted: bool):
        super().__init__()
        self.first = LowRank(conditions, hidden, rank, grid, grid, kind)
        self.second = LowRank(hidden, 2 * channels, rank, grid, grid, kind)
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        rows = row_weights(grid.nlat) if area_weighted else torch.ones(grid.nlat, 1)
        weights = (rows / (channels * grid.nlat * grid.nlon)).expand(*grid).flatten()
        self.register_buffer("point_weights", weights, persistent=False)
        self.calibrated = norm == "calibrated"
        self.measuring = False
        if self.calibrated:
            self.register_buffer("scale", torch.tensor(1.0))

    def forward(self, x, modulation, weight=None, bias=None) -> torch.Tensor:
        """Return the normalized and modulated `x` (batch, channels, points), or of that what a linear layer gives.

        Args:
            x: (batch, channels, points).
            modulation: numbers and maps.
            weight: of the linear layer, (outputs, channels).
            bias: of the linear layer, (outputs,).
        """
        weights, scale = (None, self.scale) if self.calibrated else (self.point_weights, EPSILON)
        if self.calibrated and self.measuring:
            self.scale.copy_(mean_square(x, self.point_weights).mean().sqrt() + EPSILON)
        return ModulatedNorm.apply(x, *modulation, weights, scale, weight, bias)


@contextlib.contextmanager
def calibrating(model: nn.Module):
    """Let the calibrated norms of `model` measure their constants on what passes through them in this block."""
    norms = [module for module in model.modules() if isinstance(module, ConditionalNorm)]
    for norm in norms:
        norm.measuring = True
    try:
        yield
    finally:
        for norm in norms:
            norm.measuring = False


class ConditionalBlock(nn.Module):
    """One conditional spectral block (Hall and Molina 2026), from `inputs` maps on `source` to `outputs` on `target`.

    y = norm1(GELU(iSHT(LowRank(SHT(u)))));  y = y + MLP(u on the target grid);  out = Conv1x1(norm2(y)).
    """

    def __init__(self, inputs, outputs, rank, conditions, source: Grid, target: Grid, config, stage: str):
        super().__init__()
        kind = config.truncation
        self.spectral = LowRank(inputs, outputs, rank, source, target, kind)
        self.resample = Resample(source, target, kind)
        # The denoiser's input has unit variance by construction: there the sample's own norm costs no amplitude, and
        # it bounds the step, whatever state a long rollout meets.
        norm = "sample" if stage == "denoiser" else config.norm
        norms = [
            ConditionalNorm(
                outputs,
                conditions,
                getattr(config, f"{stage}_condition_hidden"),
                getattr(config, f"{stage}_condition_rank"),
                target,
                kind,
                norm,
                config.area_weighted,
            )
            for _ in range(2)
        ]
        self.norm1, self.norm2 = norms
        self.mlp1 = nn.Conv2d(inputs, config.hidden, 1)
        self.mlp2 = nn.Conv2d(config.hidden, outputs, 1)
        self.out = nn.Conv2d(outputs, outputs, 1)

    def forward(self, parts, conditions, residual, offset=None) -> torch.Tensor:
        """Return (batch, outputs, *target).

        Args:
            parts: the input u in parts, each (batch or 1, n, *source), or their harmonics.
            conditions: (batch, n, *target), or their harmonics.
            residual: u on the target grid in parts, each (batch or 1, n, *target), without the offset.
            offset: constants (inputs, 1) to add to u.
        """
        batch = len(conditions)
        weight1, bias1 = self.mlp1.weight.flatten(1), self.mlp1.bias
        weight2, bias2 = self.mlp2.weight.flatten(1), self.mlp2.bias
        assert bias1 is not None and bias2 is not None  # of Conv2d with its defaults
        if offset is not None:
            bias1 = bias1 + torch.mv(weight1, offset[:, 0])
        residual = [part.flatten(2).expand(batch, -1, -1) for part in residual]
        first, second = self.modulations(conditions, bias2)
        y = functional.gelu(self.spectral(parts, offset)).flatten(2)
        y = PointwiseNetwork.apply(self.norm1(y, first), weight1, bias1, weight2, *residual)
        y = self.norm2(y, second, self.out.weight.flatten(1), self.out.bias)
        return y.unflatten(2, self.spectral.target)

    def modulations(self, conditions: torch.Tensor, bias: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Return for each norm the numbers (batch, 2 channels, n) and maps (n, points) whose products modulate it.

        Factors come before shifts. What both norms do is done together, their ranks one after the other.

        Args:
            conditions: (batch, n, nlat, nlon), or their harmonics.
            bias: to add to the first norm's shifts, (channels,).
        """
        norms, batch = (self.norm1, self.norm2), len(conditions)
        firsts, seconds = [norm.first for norm in norms], [norm.second for norm in norms]
        parts = 2 * len(firsts[0].W_in)  # real and imaginary, of a norm
        if conditions.is_complex():
            inner = torch.cat([operator.input_spectra() for operator in firsts])
            inner_hidden = input_maps(seconds)
        else:
            inner, inner_hidden = input_maps(firsts + seconds).split(2 * parts)
        outer_hidden, outer = output_maps(firsts + seconds).split(2 * parts)

        # gamma and beta = K2(ReLU(K1(conditions))).
        scores = Weigh.apply(firsts[0].inner(conditions, inner), torch.cat([operator.W_in for operator in firsts]))
        mixed = as_real(Mix.apply(scores, torch.cat([operator.W_out for operator in firsts], dim=1)))
        mixed = mixed.unflatten(2, (2, parts)).permute(2, 0, 1, 3).flatten(1, 2)
        hidden = functional.relu(torch.bmm(mixed, outer_hidden.unflatten(0, (2, parts))))
        products = torch.bmm(hidden, inner_hidden.unflatten(0, (2, parts)).mT).view(2, batch, -1, parts // 2, 2)
        products = torch.view_as_complex(products).permute(1, 2, 0, 3).flatten(2)
        scores = Weigh.apply(products, torch.cat([operator.W_in for operator in seconds]))
        numbers = as_real(Mix.apply(scores, torch.cat([operator.W_out for operator in seconds], dim=1)))
        numbers = numbers.unflatten(2, (2, parts)).permute(2, 0, 1, 3)

        # w and b enter the numbers; a map of ones carries what does not depend on the conditions.
        one = torch.ones_like(bias)
        weights = torch.cat([self.norm1.weight, one, self.norm2.weight, one]).view(2, 1, -1, 1)
        constants = torch.cat([one, self.norm1.bias + bias, one, self.norm2.bias]).view(2, 1, -1, 1)
        numbers = torch.cat([numbers * weights, constants.expand(-1, batch, -1, -1)], dim=3)
        row = torch.ones_like(outer[:1])
        maps = torch.cat([outer[:parts], row, outer[parts:], row]).unflatten(0, (2, parts + 1))
        return list(zip(numbers, maps, strict=True))


class ChannelEmbedding(nn.Module):
    """A learned offset per input channel of the encoder: Linear(8 -> 1)(variable embedding + level embedding)."""

    channel_map: torch.Tensor

    def __init__(self, channel_map: torch.Tensor):
        super().__init__()
        variables, levels = (channel_map.max(0).values + 1).tolist()
        self.variable = nn.Parameter(torch.randn(variables, 8))
        self.level = nn.Parameter(torch.randn(levels, 8))
        self.projection = nn.Linear(8, 1)
        self.register_buffer("channel_map", channel_map)

    def forward(self) -> torch.Tensor:
        """Return the offsets, shape (channels, 1)."""
        variable, level = self.channel_map.unbind(1)
        return self.projection(self.variable[variable] + self.level[level])


class SeasonEmbedding(nn.Module):
    """Maps of the month: [sin, cos](2 pi m / 12) -> MLP -> weights of learned bases, each a set of maps."""

    def __init__(self, bases: int, maps: int, grid: Grid):
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(2, 64), nn.SiLU(), nn.Linear(64, bases))
        self.basis = nn.Parameter(0.02 * torch.randn(bases, maps, *grid))

    def weights(self, month: torch.Tensor) -> torch.Tensor:
        """Return the weights of the bases (batch, bases) in `month` (batch,), 1..12."""
        angle = 2 * math.pi / 12 * month.float()
        return self.mlp(torch.stack([angle.sin(), angle.cos()], dim=-1))

    def forward(self, month: torch.Tensor) -> torch.Tensor:
        """Return the maps (batch, maps, nlat, nlon) of `month` (batch,)."""
        return torch.tensordot(self.weights(month), self.basis, dims=1)


class TimeEmbedding(nn.Module):
    """Constant maps of the diffusion time: 32-dimensional sinusoid of t / T -> MLP."""

    frequencies: torch.Tensor

    def __init__(self, maps: int, frequencies: int = 16):
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(2 * frequencies, 32), nn.SiLU(), nn.Linear(32, maps))
        exponent = torch.arange(frequencies) / (frequencies - 1)
        self.register_buffer("frequencies", torch.exp(-math.log(10000) * exponent), persistent=False)

    def forward(self, time: torch.Tensor) -> torch.Tensor:
        """Return (batch, maps) for the diffusion `time` (batch,), a fraction of T in (0, 1]."""
        angle = time[:, None] * self.frequencies
        return self.mlp(torch.cat([angle.sin(), angle.cos()], dim=-1))
