"""Small steps of the spectral operators, whose gradients take fewer passes than torch would make of them."""

import torch


class Take(torch.autograd.Function):
    """Entries `places` of a dimension of x, no entry twice: so its gradient is a copy back, where torch's would add."""

    @staticmethod
    def forward(ctx, x, dim, places):
        """Return `x` at the places."""
        ctx.save_for_backward(places)
        ctx.shape, ctx.dim = x.shape, dim
        return x.index_select(dim, places)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        """Return the gradient of x, zero at all other places."""
        (places,) = ctx.saved_tensors
        return gradient.new_zeros(ctx.shape).index_copy_(ctx.dim, places, gradient), None, None


class Weigh(torch.autograd.Function):
    """s_r = sum_i W_in[r,i] x[i,r] of x (batch, n, rank), and its gradients by products of matrices, one for each r."""

    @staticmethod
    def forward(ctx, x, weight):
        """Return s, (batch, rank); `weight` (rank, n)."""
        ctx.save_for_backward(x, weight)
        return (x * weight.T).sum(1)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        """Return the gradients of x and weight."""
        x, weight = ctx.saved_tensors
        grad_weight = torch.bmm(gradient.T[:, None], x.conj().permute(2, 0, 1))[:, 0]
        return gradient[:, None] * weight.conj().T, grad_weight


class Mix(torch.autograd.Function):
    """W_out[o,r] s_r of s (batch, rank), and its gradients by products of matrices, one for each r."""

    @staticmethod
    def forward(ctx, scores, weight):
        """Return (batch, outputs, rank); `weight` (outputs, rank)."""
        ctx.save_for_backward(scores, weight)
        return weight * scores[:, None]

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        """Return the gradients of scores and weight."""
        scores, weight = ctx.saved_tensors
        grad_scores = torch.bmm(gradient.permute(2, 0, 1), weight.conj().T[:, :, None])[..., 0].T
        grad_weight = torch.bmm(gradient.permute(2, 1, 0), scores.conj().T[:, :, None])[..., 0].T
        return grad_scores, grad_weight
