r"""Spherical-harmonic building blocks: change of grid, and the low-rank operator that couples all wavenumbers.

The low-rank operator of Hall and Molina (2026),

    s_r = sum_{i,l,m} W_in[r,i] B[r,l,m] U_i[l,m],      Y_o[l,m] = sum_r W_out[o,r] s_r A[r,l,m],   U = SHT(u),

has two exact forms, both real matrix products. By spectra, of the harmonics l >= m alone (the others are zero). Or by
maps, without a transform per sample: with Bhat_r the adjoint transform of B_r and Ahat_r the inverse transform of A_r,

    s = W_in . <Bhat, u>,       iSHT(Y)_o = Re(sum_r W_out[o,r] s_r Ahat_r).

Maps win where they are few beside the fields (the conditioning norms), or where they can be kept (rollouts).
"""

import torch
import torch_harmonics
from torch import nn

from model.contractions import Mix, Take, Weigh
from model.sphere import (
    Grid,
    Truncation,
    analysis_weights,
    fourier_analysis,
    fourier_synthesis,
    synthesis_weights,
    truncation,
)


class Resample(nn.Module):
    """Bring fields to another grid: inverse transform on `target` of the transform on `source`; the identity if equal.

    The truncation is the source's ("published": what the target cannot hold is aliased, as in v0.9) or the coarser of
    both ("alias_free").
    """

    rows: torch.Tensor
    analysis: torch.Tensor
    synthesis: torch.Tensor

    def __init__(self, source: Grid, target: Grid, kind: str):
        super().__init__()
        self.source, self.target = source, target
        if source == target:
            return
        keep = truncation(source, kind)
        if kind == "alias_free":
            keep = Truncation(*map(min, keep, truncation(target, kind)))
        rows = _row_matrices(source, target, keep)
        self.register_buffer("rows", rows, persistent=False)
        self.register_buffer("analysis", fourier_analysis(len(rows), source.nlon), persistent=False)
        self.register_buffer("synthesis", fourier_synthesis(len(rows), target.nlon), persistent=False)

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        """Return fields (..., nlat_out, nlon_out) for fields `u` (..., nlat_in, nlon_in)."""
        if self.source == self.target:
            return u
        orders, nlat_out, nlat_in = self.rows.shape
        spectrum = torch.mm(self.analysis, u.reshape(-1, self.source.nlon).T).view(orders, -1, nlat_in)
        rows = torch.bmm(spectrum, self.rows.transpose(1, 2)).view(2 * orders, -1)
        return torch.mm(rows.T, self.synthesis).view(*u.shape[:-2], *self.target)


def _row_matrices(source: Grid, target: Grid, keep: Truncation) -> torch.Tensor:
    """Return, per order m, the matrix (nlat_out, nlat_in) that analyses on `source` and synthesizes on `target`."""
    analysis = analysis_weights(source, keep).double()
    pct = torch_harmonics.InverseRealSHT(*target, lmax=keep.lmax, mmax=keep.mmax, grid="equiangular").pct.double()
    orders = min(len(analysis), len(pct), target.nlon // 2 + 1)
    return torch.einsum("mjl,mlk->mjk", pct[:orders], analysis[:orders]).float().contiguous()


class LowRank(nn.Module):
    """The low-rank spectral operator from `inputs` fields on `source` to `outputs` fields on `target`.

    Published form: A and B share the source's truncation. Alias-free form: B has the source's, A the target's.
    """

    analysis: torch.Tensor
    synthesis: torch.Tensor
    fourier_in: torch.Tensor
    fourier_out: torch.Tensor
    packed_in: torch.Tensor
    packed_out: torch.Tensor
    places_in: torch.Tensor
    places_out: torch.Tensor
    unit: torch.Tensor

    def __init__(self, inputs: int, outputs: int, rank: int, source: Grid, target: Grid, kind: str):
        super().__init__()
        self.source, self.target = source, target
        inner = truncation(source, kind)
        outer = inner if kind == "published" else truncation(target, kind)
        self.W_in = nn.Parameter(_complex_normal(rank, inputs) / inputs**0.5)
        self.W_out = nn.Parameter(_complex_normal(outputs, rank) / rank**0.5)
        # With these scales and an input of unit variance (sum |U|^2 = 4 pi) both s and the output are of order one.
        self.B = nn.Parameter(_red(rank, inner) / (4 * torch.pi) ** 0.5)
        self.A = nn.Parameter(_red(rank, outer) * (4 * torch.pi) ** 0.5)
        self.register_buffer("analysis", analysis_weights(source, inner), persistent=False)
        self.register_buffer("synthesis", synthesis_weights(target, outer), persistent=False)
        orders = len(self.synthesis)
        self.register_buffer("fourier_in", fourier_analysis(inner.mmax, source.nlon), persistent=False)
        self.register_buffer("fourier_out", fourier_synthesis(orders, target.nlon), persistent=False)
        self.register_buffer("packed_in", packed_harmonics(inner, inner.mmax), persistent=False)
        self.register_buffer("packed_out", packed_harmonics(outer, orders), persistent=False)
        # The same harmonics in B and A, where degrees come before orders.
        self.register_buffer("places_in", _transposed(self.packed_in, inner), persistent=False)
        self.register_buffer("places_out", _transposed(self.packed_out, outer), persistent=False)
        self.register_buffer("unit", self.harmonics(torch.ones(1, 1, *source)), persistent=False)

    def maps_win(self, fields: int, grid: Grid, harmonics: int, kept: bool = False) -> bool:
        """Tell whether maps cost less than spectra of `fields` fields: multiplications of transforms and products.

        `kept`: the maps are made once and used often.
        """
        rank, points = self.W_in.shape[0], grid.nlat * grid.nlon
        transform = 4 * grid.nlat * harmonics + 4 * points * grid.nlat // 2
        maps = 2 * rank * fields * points + (0 if kept else 2 * rank * transform)
        return maps < fields * (transform + 4 * rank * harmonics)

    def harmonics(self, u: torch.Tensor) -> torch.Tensor:
        """Return the harmonics U, packed, complex (batch, n, harmonics), of `u` (batch, n, nlat, nlon)."""
        # Transforms as matrix products, in an order that leaves little to be copied: (orders, 2 fields, nlat), then
        # (orders, degrees, 2 fields), of which the harmonics that are not zero are taken as whole rows of memory.
        orders, degrees, nlat = self.analysis.shape
        rows = torch.mm(self.fourier_in, u.reshape(-1, self.source.nlon).T).view(orders, -1, nlat)
        spectrum = torch.bmm(self.analysis, rows.transpose(1, 2)).view(orders * degrees, -1)
        spectrum = Take.apply(spectrum, 0, self.packed_in).view(len(self.packed_in), 2, -1)
        return torch.view_as_complex(spectrum.permute(2, 0, 1).contiguous()).unflatten(0, u.shape[:2])

    def input_spectra(self) -> torch.Tensor:
        """Return B, packed, complex (rank, harmonics)."""
        return Take.apply(self.B.flatten(1), 1, self.places_in)

    def output_spectra(self) -> torch.Tensor:
        """Return A, packed, complex (rank, harmonics)."""
        return Take.apply(self.A.flatten(1), 1, self.places_out)

    def inner(self, u: torch.Tensor, constant: torch.Tensor) -> torch.Tensor:
        """Return <B_r, U_i>, complex (batch, n, rank).

        Args:
            u: (batch, n, nlat, nlon), or its `harmonics`.
            constant: B, or its maps Bhat; these want `u` itself.
        """
        if constant.is_complex():
            return torch.matmul(u if u.is_complex() else self.harmonics(u), constant.T)
        return torch.view_as_complex(torch.matmul(u.flatten(2), constant.T).unflatten(2, (-1, 2)))

    def outer(self, mixed: torch.Tensor, constant: torch.Tensor) -> torch.Tensor:
        """Return the output fields (batch, outputs, nlat, nlon) of W_out s.

        Args:
            mixed: W_out s, complex (batch, outputs, rank).
            constant: A, or its maps Ahat.
        """
        batch, outputs, _ = mixed.shape
        if not constant.is_complex():
            return torch.matmul(as_real(mixed), constant).unflatten(-1, self.target)
        orders, _, degrees = self.synthesis.shape
        packed = torch.view_as_real(torch.mm(constant.T, mixed.flatten(0, 1).T)).transpose(1, 2).flatten(1)
        dense = packed.new_zeros(orders * degrees, packed.shape[1]).index_copy(0, self.packed_out, packed)
        rows = dense.unflatten(0, (orders, degrees)).transpose(1, 2)
        return synthesize(rows, self.synthesis.mT, self.fourier_out).view(batch, outputs, *self.target)

    def scores(self, parts: list[torch.Tensor], offset=None, constant: torch.Tensor | None = None) -> torch.Tensor:
        """Return s_r = sum_i W_in[r,i] <B_r, U_i>, complex (batch, rank), of an input in parts.

        Args:
            parts: consecutive inputs, each (batch or 1, n, nlat, nlon), or their `harmonics`; where a part needs no
                gradient, none is taken through its transform.
            offset: constants (inputs, 1) to add to the inputs.
            constant: B, or its maps, if at hand.
        """
        batch = max(len(part) for part in parts)
        if constant is None:
            fields = sum(len(part) * part.shape[1] for part in parts)
            maps = not parts[0].is_complex() and self.maps_win(fields, self.source, len(self.packed_in))
            constant = input_maps([self]) if maps else self.input_spectra()
        inner = torch.cat([self.inner(part, constant).expand(batch, -1, -1) for part in parts], dim=1)
        if offset is not None:
            if constant.is_complex():
                unit = torch.matmul(self.unit, constant.T)
            else:
                unit = torch.view_as_complex(constant.sum(1).unflatten(0, (-1, 2)))
            inner = inner + offset * unit
        return Weigh.apply(inner, self.W_in)

    def mix(self, scores: torch.Tensor) -> torch.Tensor:
        """Return W_out s, complex (batch, outputs, rank), of `scores` (batch, rank)."""
        return Mix.apply(scores, self.W_out)

    def fields(self, scores: torch.Tensor, constant: torch.Tensor | None = None) -> torch.Tensor:
        """Return the output fields (batch, outputs, nlat, nlon) of `scores`; `constant`: A, or its maps, if at hand."""
        mixed = self.mix(scores)
        if constant is None:
            maps = self.maps_win(mixed.shape[0] * mixed.shape[1], self.target, len(self.packed_out))
            constant = output_maps([self]) if maps else self.output_spectra()
        return self.outer(mixed, constant)

    def forward(self, parts: list[torch.Tensor], offset: torch.Tensor | None = None) -> torch.Tensor:
        """Return fields (batch, outputs, nlat_out, nlon_out) of an input in parts, as `scores` takes them."""
        return self.fields(self.scores(parts, offset))


def synthesize(rows: torch.Tensor, legendre: torch.Tensor, fourier: torch.Tensor) -> torch.Tensor:
    """Return maps (n, nlat * nlon) of real and imaginary parts of harmonics.

    Args:
        rows: (orders, 2 n, degrees).
        legendre: functions on the rows of the grid, (orders, degrees, nlat).
        fourier: (2 orders, nlon).
    """
    maps = torch.mm(torch.bmm(rows, legendre).view(len(fourier), -1).T, fourier)
    return maps.view(rows.shape[1] // 2, -1)


def input_maps(operators: list[LowRank]) -> torch.Tensor:
    """Return Bhat (2 rank, points) of operators of one source grid, in turn: each score's real, then imaginary part."""
    first = operators[0]
    return _maps([operator.B for operator in operators], first.analysis, first.fourier_in, conjugate=True)


def output_maps(operators: list[LowRank]) -> torch.Tensor:
    """Return Ahat (2 rank, points) of operators of one target grid, in turn, for the parts of each s."""
    first = operators[0]
    orders = len(first.synthesis)
    return _maps([operator.A[:, :, :orders] for operator in operators], first.synthesis.mT, first.fourier_out)


def _maps(
    spectra: list[torch.Tensor], legendre: torch.Tensor, fourier: torch.Tensor, conjugate: bool = False
) -> torch.Tensor:
    """Return the maps of each of the complex spectra (rank, degrees, orders), or conjugates, and of i times each."""
    spectrum = torch.cat(spectra)
    spectrum = spectrum.conj_physical() if conjugate else spectrum
    both = torch.view_as_real(torch.stack([spectrum, 1j * spectrum], dim=1))
    return synthesize(both.permute(3, 4, 0, 1, 2).flatten(1, 3), legendre, fourier)


def as_real(z: torch.Tensor) -> torch.Tensor:
    """Return complex (..., n) as real (..., 2 n): the real and the imaginary part of each."""
    return torch.view_as_real(z).flatten(-2)


def packed_harmonics(keep: Truncation, orders: int) -> torch.Tensor:
    """Return the places of the harmonics with l >= m in a flattened (orders, lmax) array."""
    order, degree = torch.arange(orders)[:, None], torch.arange(keep.lmax)[None]
    return (degree >= order).flatten().nonzero()[:, 0]


def _transposed(packed: torch.Tensor, keep: Truncation) -> torch.Tensor:
    """Return the places in a flattened (lmax, mmax) array of what is at `packed` in one of (orders, lmax)."""
    return packed % keep.lmax * keep.mmax + packed // keep.lmax


def _complex_normal(*shape: int) -> torch.Tensor:
    """Return complex standard normal numbers, E |z|^2 = 1."""
    return torch.randn(*shape, dtype=torch.complex64)


def _red(rank: int, keep: Truncation) -> torch.Tensor:
    """Return random spectra (rank, lmax, mmax), m <= l, that favor large scales, each with sum of |z|^2 about one."""
    degree = torch.arange(keep.lmax)[:, None].float()
    order = torch.arange(keep.mmax)[None]
    scale = torch.where(order <= degree, 1 / (1 + degree), 0.0)
    return _complex_normal(rank, *keep) * scale / scale.square().sum().sqrt()
