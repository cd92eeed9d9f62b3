"""What a block does point by point, in tiles that stay in a CPU's cache: W2 GELU(W1 u + b1) + b2, and modulated norms.

The hidden channels are several times the fields' memory: they never leave a tile, and training computes them again on
the way back. On a GPU the tile is the whole grid.
"""

import torch
from torch.nn import functional

TILE = 800  # points whose hidden channels stay in a CPU's cache


def tiles(u: torch.Tensor) -> list[tuple[slice, slice]]:
    """Return the parts (samples, points) in which to go through `u` (batch, channels, points)."""
    batch, _, points = u.shape
    if u.device.type != "cpu":
        return [(slice(0, batch), slice(0, points))]
    starts = [(sample, start) for sample in range(batch) for start in range(0, points, TILE)]
    return [(slice(sample, sample + 1), slice(start, start + TILE)) for sample, start in starts]


def add_pointwise(
    y: torch.Tensor, u: torch.Tensor, weight1: torch.Tensor, weight2: torch.Tensor, known: torch.Tensor
) -> None:
    """Add W2 GELU(W1 u + known) to `y` (batch, outputs, points) in place, without a gradient.

    Args:
        y: changed in place.
        u: (batch, n, points).
        weight1: (1, hidden, n).
        weight2: (1, outputs, hidden).
        known: a bias, or what other inputs gave, (batch or 1, hidden, points or 1).
    """
    known = known.expand(len(y), -1, y.shape[2])
    for samples, points in tiles(y):
        part = y[samples, :, points]
        w1, w2 = (weight.expand(len(part), -1, -1) for weight in (weight1, weight2))
        hidden = torch.baddbmm(known[samples, :, points], w1, u[samples, :, points])
        part.baddbmm_(w2, torch.ops.aten.gelu_(hidden))


class PointwiseNetwork(torch.autograd.Function):
    """y + W2 GELU(W1 u + b1) + b2 of y (batch, outputs, points) and u (batch, inputs, points)."""

    @staticmethod
    def forward(ctx, y, u, weight1, bias1, weight2, bias2):
        """Return the sum, (batch, outputs, points)."""
        ctx.save_for_backward(u, weight1, bias1, weight2)
        out = y + bias2[:, None]
        add_pointwise(out, u, weight1[None], weight2[None], bias1[None, :, None])
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        """Return the gradients of all inputs; the hidden channels are computed again, tile by tile."""
        u, weight1, bias1, weight2 = ctx.saved_tensors
        grad_u = torch.empty_like(u) if ctx.needs_input_grad[1] else None
        grad1, grad2, grad_bias1 = torch.zeros_like(weight1), torch.zeros_like(weight2), torch.zeros_like(bias1)
        for samples, points in tiles(u):
            inputs, outside = u[samples, :, points], gradient[samples, :, points]
            w1, w2 = (weight.expand(len(inputs), -1, -1) for weight in (weight1, weight2))
            before = torch.baddbmm(bias1[:, None], w1, inputs)
            grad2 += torch.bmm(outside, functional.gelu(before).mT).sum(0)
            hidden = torch.ops.aten.gelu_backward(torch.bmm(w2.mT, outside), before)
            grad1 += torch.bmm(hidden, inputs.mT).sum(0)
            grad_bias1 += hidden.sum((0, 2))
            if grad_u is not None:
                grad_u[samples, :, points] = torch.bmm(w1.mT, hidden)
        return gradient, grad_u, grad1, grad_bias1, grad2, gradient.sum((0, 2))


class ModulatedNorm(torch.autograd.Function):
    """x / r * (factor . maps) + (shift . maps): few numbers times few maps make the modulation of every channel."""

    @staticmethod
    def forward(ctx, x, factor, shift, maps, weights, scale):
        """Return the norm of `x`.

        Args:
            x: (batch, channels, points).
            factor: (batch, channels, n).
            shift: (batch, channels, n).
            maps: (n, points).
            weights: of the points in the mean square of a sample, (points,), summing to 1 / channels; None: r is
                `scale`.
            scale: r without `weights`, else what is added to the root mean square.
        """
        if weights is None:
            size = scale.expand(len(x))
        else:
            size = mean_square(x, weights).sqrt() + scale
        out = torch.empty_like(x)
        scaled = factor / size[:, None, None]
        for samples, points in tiles(x):
            part = maps[:, points].expand(len(x[samples]), -1, -1)
            shifted = torch.bmm(shift[samples], part)
            torch.addcmul(shifted, x[samples, :, points], torch.bmm(scaled[samples], part), out=out[samples, :, points])
        ctx.save_for_backward(x, factor, shift, maps, weights, size)
        ctx.scale = scale
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        """Return the gradients of x, factor, shift and maps."""
        x, factor, shift, maps, weights, size = ctx.saved_tensors
        scaled = factor / size[:, None, None]
        grad_x, grad_maps = torch.empty_like(x), torch.zeros_like(maps)
        grad_scaled, grad_shift = torch.zeros_like(factor), torch.zeros_like(shift)
        for samples, points in tiles(x):
            outside = gradient[samples, :, points]
            product = outside * x[samples, :, points]
            part = maps[:, points].expand(len(outside), -1, -1)
            torch.mul(outside, torch.bmm(scaled[samples], part), out=grad_x[samples, :, points])
            grad_scaled[samples].baddbmm_(product, part.mT)
            grad_shift[samples].baddbmm_(outside, part.mT)
            both = torch.bmm(scaled[samples].mT, product).baddbmm_(shift[samples].mT, outside)
            grad_maps[:, points] += both.sum(0)
        if weights is not None:
            # d r / d x = w x / (r - scale), and the output depends on r through 1 / r alone.
            by_size = -(grad_scaled * scaled).sum((1, 2)) / (size * (size - ctx.scale))
            grad_x.addcmul_(x, by_size[:, None, None] * weights)
        return grad_x, grad_scaled / size[:, None, None], grad_shift, grad_maps, None, None


def mean_square(x: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Return the mean square (batch,) of `x` (batch, channels, points) under weights (points,) of sum 1 / channels."""
    return torch.matmul(x.square(), weights).sum(1)
