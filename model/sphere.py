"""The sphere: grids and their areas, the harmonics that a grid holds, and the matrices of the transforms between them.

Fields live on regular latitude-longitude grids that include both poles ("equiangular", Clenshaw-Curtis quadrature);
the transforms are torch-harmonics' (orthonormal, with the Condon-Shortley phase).
"""

import math
from typing import NamedTuple

import numpy as np
import torch
import torch_harmonics
from torch import nn

LEAST_TAPER = 1.75  # degrees that a transform holds over the degree to which it may smooth


class Grid(NamedTuple):
    """A global grid: `nlat` rows from pole to pole, `nlon` columns from 0 to 360 degrees east."""

    nlat: int
    nlon: int

    def coarsened(self, factor: int) -> "Grid":
        """Return the grid with `factor` times fewer rows and columns, rounded down (121x240 by 3: 40x80)."""
        return Grid(self.nlat // factor, self.nlon // factor)


class Truncation(NamedTuple):
    """Degrees l < `lmax` and orders m < `mmax` that a transform keeps."""

    lmax: int
    mmax: int


def truncation(grid: Grid, kind: str) -> Truncation:
    """Return the harmonics kept on `grid`.

    "published": lmax = nlat, mmax = nlon // 2 + 1 (capped at lmax), as in v0.9: more than the quadrature resolves.
    "alias_free": degrees whose products the quadrature integrates exactly, 2 (lmax - 1) <= nlat - 1, and orders below
    the Nyquist limit, so that a forward transform after an inverse one is the identity.
    """
    if kind == "published":
        return Truncation(grid.nlat, min(grid.nlon // 2 + 1, grid.nlat))
    lmax = (grid.nlat + 1) // 2
    return Truncation(lmax, min(lmax, (grid.nlon + 1) // 2))


def row_weights(nlat: int) -> torch.Tensor:
    """Return the area of each row of cells relative to the mean row, shape (nlat, 1); the polar rows are half cells."""
    edges = torch.linspace(-90 - 90 / (nlat - 1), 90 + 90 / (nlat - 1), nlat + 1, dtype=torch.float64)
    area = torch.sin(torch.deg2rad(edges.clamp(-90, 90))).diff()
    return (area / area.mean()).float()[:, None]


def analysis_weights(grid: Grid, keep: Truncation) -> torch.Tensor:
    """Return Legendre functions times quadrature weights, shape (mmax, lmax, nlat): U[l,m] = sum_k w[m,l,k] rfft(u)."""
    return torch_harmonics.RealSHT(*grid, lmax=keep.lmax, mmax=keep.mmax, grid="equiangular").weights.float()


def synthesis_weights(grid: Grid, keep: Truncation) -> torch.Tensor:
    """Return Legendre functions on the rows of `grid`, shape (mmax, nlat, lmax), orders above its Nyquist limit cut."""
    pct = torch_harmonics.InverseRealSHT(*grid, lmax=keep.lmax, mmax=keep.mmax, grid="equiangular").pct.float()
    return pct[: grid.nlon // 2 + 1]


def order_counts(orders: int, nlon: int) -> torch.Tensor:
    """Return how often each order m < `orders` counts in a real field of `nlon` columns: 1 for 0 and Nyquist, or 2."""
    order = torch.arange(orders)
    return torch.where((order == 0) | (2 * order == nlon), 1.0, 2.0)


def fourier_analysis(orders: int, nlon: int) -> torch.Tensor:
    """Return the matrix (2 orders, nlon) from a row of a field to real and imaginary parts of its lowest orders."""
    angle = 2 * torch.pi / nlon * torch.arange(orders, dtype=torch.float64)[:, None] * torch.arange(nlon)
    return (torch.stack([torch.cos(angle), -torch.sin(angle)], 1).flatten(0, 1) / nlon).float()


def fourier_synthesis(orders: int, nlon: int) -> torch.Tensor:
    """Return the matrix (2 orders, nlon) from real and imaginary parts of orders to a row of a real field.

    Orders other than 0 and Nyquist count twice; the imaginary parts of those two carry nothing on the grid.
    """
    angle = 2 * torch.pi / nlon * torch.arange(orders, dtype=torch.float64)[:, None] * torch.arange(nlon)
    counts = order_counts(orders, nlon)[:, None].double()
    imaginary = torch.where(counts == 2, -2 * torch.sin(angle), 0.0)
    return torch.stack([counts * torch.cos(angle), imaginary], 1).flatten(0, 1).float()


def transforms(grid: Grid, keep: Truncation) -> tuple[torch_harmonics.RealSHT, torch_harmonics.InverseRealSHT]:
    """Return the transforms between maps on `grid` and the harmonics that `keep` keeps."""
    sizes = {"lmax": keep.lmax, "mmax": keep.mmax, "grid": "equiangular"}
    return torch_harmonics.RealSHT(*grid, **sizes), torch_harmonics.InverseRealSHT(*grid, **sizes)


def product_power(noise: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return the power of each degree (..., degrees) of isotropic noise times a map, both of known power by degree.

    At each distance x, the cosine of an angle, the covariance sum_l C_l P_l(x) of one is multiplied by the other's: the
    kernel of Hivon et al. (2002, doi:10.1086/338126), eq. A31, by quadrature in place of Wigner's symbols.
    """
    degrees = noise.shape[-1]
    distance, quadrature = np.polynomial.legendre.leggauss(2 * degrees)  # exact for the product of three P_l
    legendre = torch.from_numpy(np.polynomial.legendre.legvander(distance, degrees - 1)).to(noise.device)
    covariance = (noise.double() @ legendre.T) * (weight.double() @ legendre.T)
    projected = (covariance * torch.from_numpy(quadrature).to(noise.device)) @ legendre
    return ((torch.arange(degrees, device=noise.device) + 0.5) * projected).to(noise)


class Harmonics(nn.Module):
    """Spherical harmonics of maps as real numbers, of which the sum of squares is the area mean of the square.

    They are those that the transforms of `grid` hold without aliasing, ordered by degree, orthonormal on the sphere.
    """

    degree: torch.Tensor
    counts: torch.Tensor
    factor: torch.Tensor
    places: torch.Tensor
    legendre: torch.Tensor
    columns: torch.Tensor

    def __init__(self, grid: Grid):
        super().__init__()
        self.grid, self.keep = grid, (keep := truncation(grid, "alias_free"))
        self.analysis, synthesis = transforms(grid, keep)
        degree, order, part = torch.meshgrid(*map(torch.arange, (keep.lmax, keep.mmax, 2)), indexing="ij")
        kept = (order <= degree) & ((part == 0) | (order > 0))
        factor = torch.where(order[kept] > 0, 2.0, 1.0).div(4 * math.pi).sqrt()
        self.register_buffer("degree", degree[kept], persistent=False)
        self.register_buffer("counts", torch.bincount(self.degree), persistent=False)  # of harmonics of a degree
        self.register_buffer("factor", factor, persistent=False)
        self.register_buffer("places", kept.flatten().nonzero()[:, 0], persistent=False)
        # For each order, degree and part the place of its harmonic, or of a zero behind the last.
        columns = torch.full(kept.shape, len(self.degree))
        columns[kept] = torch.arange(len(self.degree))
        self.register_buffer("columns", columns.transpose(0, 1).flatten(), persistent=False)
        self.register_buffer("legendre", synthesis.pct.float(), persistent=False)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Return (..., harmonics) of maps (..., nlat, nlon), by degree."""
        values = torch.view_as_real(self.analysis(maps)).flatten(-3)
        return values.index_select(-1, self.places) * self.factor

    def maps(self, values: torch.Tensor) -> torch.Tensor:
        """Return the maps (..., nlat, nlon) of `values` (..., harmonics), or of the first harmonics alone."""
        known = values.shape[-1]
        flat = (values / self.factor[:known]).reshape(-1, known)
        flat = nn.functional.pad(flat, (0, len(self.factor) + 1 - known))
        # One product of real matrices for each order: a third of the time of torch_harmonics' complex ones.
        spectrum = flat.index_select(-1, self.columns).unflatten(-1, (self.keep.mmax, self.keep.lmax, 2))
        rows = torch.bmm(self.legendre, spectrum.permute(1, 2, 0, 3).flatten(2))
        rows = torch.view_as_complex(rows.unflatten(-1, (len(flat), 2))).permute(2, 1, 0)
        maps = torch.fft.irfft(rows.contiguous(), n=self.grid.nlon, norm="forward")
        return maps.view(*values.shape[:-1], *self.grid)

    def smooth(self, maps: torch.Tensor, degree: float) -> torch.Tensor:
        """Return maps (..., nlat, nlon) of which each degree l keeps exp(-l (l + 1) / (n (n + 1))), n = `degree`.

        On coarse grids n is less, so that the transform's truncation leaves the kernel hardly any negative lobes.
        """
        degree = min(degree, self.keep.lmax / LEAST_TAPER)
        taper = torch.exp(-self.degree * (self.degree + 1) / (degree * (degree + 1)))
        return self.maps(self(maps) * taper)

    def by_degree(self, values: torch.Tensor) -> torch.Tensor:
        """Return the sums over the harmonics of each degree, (..., degrees), of `values` (..., harmonics).

        Of the first harmonics alone it is 0 at the degrees beyond them.
        """
        degree = self.degree[: values.shape[-1]]
        return values.new_zeros(*values.shape[:-1], self.keep.lmax).index_add(-1, degree, values)

    def power(self, values: torch.Tensor) -> torch.Tensor:
        """Return the power of each degree (..., degrees) of `values` (..., harmonics)."""
        return self.by_degree(values.square())

    def white_power(self) -> torch.Tensor:
        """Return the power at each degree (nlat, degrees) of white noise of variance 1 in the cells of each row."""
        nlat, nlon = self.grid
        ones = self.legendre.new_zeros(nlat, nlat, nlon)
        ones[:, :, 0] = torch.eye(nlat)
        # Each cell of a row adds the power of the row's first.
        return nlon * self.power(self(ones))
