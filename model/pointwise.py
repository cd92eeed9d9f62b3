"""What a block does point by point, in tiles that stay in a CPU's cache: W2 GELU(W1 u + b1) + b2, and modulated norms.

The hidden channels are several times the fields' memory: they never leave a tile, and training computes them again on
the way back. On a GPU the tile is the whole grid. Everything is flattened: (batch, channels, points).
"""

from collections.abc import Sequence

import torch
from torch.nn import functional

TILE = 800  # points whose hidden channels stay in a CPU's cache
WIDE = 3200  # points of which a few channels do


def tiles(u: torch.Tensor, size: int = TILE) -> list[tuple[int | slice, slice]]:
    """Return the parts (sample, points) in which to go through `u` (batch, channels, points): all of it on a GPU."""
    batch, _, points = u.shape
    if u.device.type != "cpu":
        return [(slice(None), slice(None))]
    return [(sample, slice(start, start + size)) for sample in range(batch) for start in range(0, points, size)]


class PointwiseNetwork(torch.autograd.Function):
    """y + W2 GELU(W1 u + b1) of y (batch, outputs, points) and of u, which is given in parts."""

    @staticmethod
    def forward(ctx, y, weight1, bias1, weight2, *parts):
        """Return the sum in the memory of `y`.

        Args:
            y: changed in place.
            weight1: (hidden, inputs).
            bias1: (hidden,).
            weight2: (outputs, hidden).
            parts: of u, each (batch, n, points).
        """
        weight1 = torch.cat([weight1, bias1[:, None]], dim=1)
        for sample, points in tiles(y):
            hidden = product(weight1, rows_and_one(parts, sample, points))
            tile = y[sample, :, points]
            product_and(tile, weight2, torch.ops.aten.gelu_(hidden), out=tile)
        ctx.mark_dirty(y)
        ctx.save_for_backward(weight1, weight2, *parts)
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        """Return the gradients of all inputs; the hidden channels are computed again, tile by tile."""
        weight1, weight2, *parts = ctx.saved_tensors
        grads = [torch.empty_like(part) if ctx.needs_input_grad[4 + i] else None for i, part in enumerate(parts)]
        columns = weight1[:, :-1].split([part.shape[1] for part in parts], dim=1)
        grad1 = grad2 = None
        for sample, points in tiles(gradient):
            outside = gradient[sample, :, points]
            rows = rows_and_one(parts, sample, points)
            before = product(weight1, rows)
            grad2 = add_outer(grad2, outside, functional.gelu(before))
            hidden = product(weight2.T, outside)
            torch.ops.aten.gelu_backward.grad_input(hidden, before, grad_input=hidden)
            grad1 = add_outer(grad1, rows, hidden)
            for weight, grad in zip(columns, grads, strict=True):
                if grad is not None:
                    product(weight.T, hidden, out=grad[sample, :, points])
        return gradient, grad1[:-1].T, grad1[-1], grad2, *grads


def rows_and_one(parts: Sequence[torch.Tensor], sample: int | slice, points: slice) -> torch.Tensor:
    """Return a tile of parts (batch, n, points) as one, with a last row of ones, whose weight is a bias."""
    rows = [part[sample, :, points] for part in parts]
    return torch.cat([*rows, torch.ones_like(rows[0][..., :1, :])], dim=-2)


def product(weight: torch.Tensor, x: torch.Tensor, out: torch.Tensor | None = None) -> torch.Tensor:
    """Return weight x of a sample, (channels, points), or of several; written to `out`, if given."""
    if x.ndim == 2:
        return torch.mm(weight, x, out=out)
    # Not matmul, which would copy all of x to have a single product.
    return torch.bmm(weight.expand(len(x), -1, -1), x, out=out)


def product_and(constant: torch.Tensor, weight: torch.Tensor, x: torch.Tensor, out: torch.Tensor) -> None:
    """Write constant + weight x to `out`, which may be the constant; of a sample, (channels, points), or of several."""
    if x.ndim == 2:
        torch.addmm(constant, weight, x, out=out)
    else:
        torch.baddbmm(constant, weight.expand(len(x), -1, -1), x, out=out)


def add_outer(total: torch.Tensor | None, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return `total`, if there is one yet, plus a b^T, summed over points, and over samples if there are several."""
    if a.ndim == 2:
        return torch.mm(a, b.T) if total is None else total.addmm_(a, b.T)
    summed = torch.bmm(a, b.mT).sum(0)
    return summed if total is None else total.add_(summed)


class ModulatedNorm(torch.autograd.Function):
    """n = x / r * factor + shift, of few numbers times few maps each, or W n + b, of which n never leaves a tile."""

    @staticmethod
    def forward(ctx, x, modulation, maps, weights, scale, weight, bias):
        """Return the norm of `x`, (batch, channels, points), or (batch, outputs, points) after the linear layer.

        Args:
            x: (batch, channels, points).
            modulation: the numbers of the factors, then of the shifts, (batch, 2 channels, n).
            maps: (n, points).
            weights: of the points in the mean square of a sample, (points,), summing to 1 / channels; None: r is
                `scale`.
            scale: r without `weights`, else what is added to the root mean square.
            weight: of the linear layer, (outputs, channels); None: there is none.
            bias: of the linear layer, (outputs,).
        """
        channels = x.shape[1]
        if weights is None:
            size = scale.expand(len(x))
        else:
            size = mean_square(x, weights).sqrt() + scale
        scaled = modulation.clone()
        scaled[:, :channels] /= size[:, None, None]
        if weight is None:
            out = torch.empty_like(x)
        else:
            out = x.new_empty(len(x), *weight.shape[:1], x.shape[2])
            known = bias[:, None].expand(out.shape[1:])
        for sample, points in tiles(x, WIDE):
            factor, shift = torch.matmul(scaled[sample], maps[:, points]).split(channels, dim=-2)
            tile = out[sample, :, points]
            if weight is None:
                torch.addcmul(shift, x[sample, :, points], factor, out=tile)
            else:
                product_and(known[:, points], weight, shift.addcmul_(x[sample, :, points], factor), out=tile)
        ctx.save_for_backward(x, scaled, maps, weights, size, weight)
        ctx.scale = scale
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        """Return the gradients of x, modulation, maps, weight and bias."""
        x, scaled, maps, weights, size, weight = ctx.saved_tensors
        channels = x.shape[1]
        grad_x, parts = torch.empty_like(x), tiles(x, WIDE)
        grad_weight, grad_bias = None, None if weight is None else gradient.sum((0, 2))
        if len(parts) > 1:
            grad_maps, grad_scaled = torch.zeros_like(maps), torch.zeros_like(scaled)
        for sample, points in parts:
            outside, inside, part = gradient[sample, :, points], x[sample, :, points], maps[:, points]
            if weight is None:
                factor = torch.matmul(scaled[sample][..., :channels, :], part)
            else:
                factor, shift = torch.matmul(scaled[sample], part).split(channels, dim=-2)
                grad_weight = add_outer(grad_weight, outside, shift.addcmul_(inside, factor))
                outside = product(weight.T, outside)
            torch.mul(outside, factor, out=grad_x[sample, :, points])
            both = torch.cat([outside * inside, outside], dim=-2)
            by_numbers, numbers = product(part, both.mT).mT, scaled[sample].mT
            if len(parts) > 1:
                grad_scaled[sample] += by_numbers
                add_outer(grad_maps[:, points], numbers, both.mT)
            else:
                grad_scaled, grad_maps = by_numbers, add_outer(None, numbers, both.mT)
        by_factor = grad_scaled[:, :channels]
        if weights is not None:
            # d r / d x = w x / (r - scale), and the output depends on r through 1 / r alone.
            by_size = -(by_factor * scaled[:, :channels]).sum((1, 2)) / (size * (size - ctx.scale))
            grad_x.addcmul_(x, by_size[:, None, None] * weights)
        by_factor /= size[:, None, None]
        return grad_x, grad_scaled, grad_maps, None, None, grad_weight, grad_bias


def mean_square(x: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Return the mean square (...) of `x` (..., channels, points) under weights (points,) of sum 1 / channels."""
    return torch.matmul(x.square(), weights).sum(-1)
