r"""Global means that are held as still as the data's.

The mass of the air, and rain, which the energy of the air allows, have global means that conservation holds still: sums
of large terms that cancel; neither what L makes of single places nor decoder and noise respect this. Where those of
whole years vary more in a run than in the data, their departure from the run's mean for the calendar month and from
what L makes of the sea's mean temperature p_0,

    A = <X> - M(m) - b(m) p_0 - d p_0^2,    <.> the area mean,    X = x, or max(0, x + c(m))^2 of a square root,

is multiplied by k, the quotient of its deviations, the data's over the run's. d is that of the square of what p_0 adds
to a root, and 0 of other fields. c is what the normalization takes off a root, so that X is the field up to a factor; x
gets a constant, and a root a factor: it rains where it rained, and what is dry stays dry.
"""

from typing import NamedTuple

import torch
from torch import nn

from model.rounding import TINY
from model.sphere import Grid, row_weights


class Held(NamedTuple):
    """What holds the global means of n fields in a calendar month; numbers are (n, 1, 1)."""

    places: torch.Tensor  # among the fields, (n,)
    root: torch.Tensor  # whether they are behind a square root
    shift: torch.Tensor  # c of those, 0 of others, (n, nlat, nlon)
    usual: torch.Tensor  # M
    slope: torch.Tensor  # b
    bend: torch.Tensor  # d
    excess: torch.Tensor  # 1 - k


class GlobalMeans(nn.Module):
    """What holds the global means of `fields` fields on `grid`; nothing until it is measured."""

    usual: torch.Tensor
    slope: torch.Tensor
    bend: torch.Tensor
    kept: torch.Tensor
    root: torch.Tensor
    shift: torch.Tensor
    rows: torch.Tensor

    def __init__(self, fields: int, grid: Grid):
        super().__init__()
        # M, b, d and k of each field, and which are behind a root, with their c: known by the normalization.
        self.register_buffer("usual", torch.zeros(12, fields))
        self.register_buffer("slope", torch.zeros(12, fields))
        self.register_buffer("bend", torch.zeros(fields))
        self.register_buffer("kept", torch.ones(fields))
        self.register_buffer("root", torch.zeros(fields, dtype=torch.bool), persistent=False)
        self.register_buffer("shift", torch.zeros(12, 0, *grid), persistent=False)
        self.register_buffer("rows", row_weights(grid.nlat), persistent=False)

    def know_roots(self, root: torch.Tensor, shift: torch.Tensor) -> None:
        """Take which fields are square roots, bool (fields,), and c of these, (12, roots, nlat or 1, nlon or 1)."""
        self.root = root.to(self.root)
        self.shift = shift.to(self.shift).expand(12, -1, *self.shift.shape[2:])

    def reset(self) -> None:
        """Forget what was measured."""
        self.usual.zero_()
        self.slope.zero_()
        self.bend.zero_()
        self.kept.fill_(1)

    def held(self, month: int, places: torch.Tensor | None = None) -> Held:
        """Return what holds the global means in a calendar month, 1..12, of fields at `places` (n,), or of all held."""
        places = (self.kept < 1).nonzero()[:, 0] if places is None else places
        root, among = self.root[places], (self.root.cumsum(0) - 1)[places]
        shift = self.shift.new_zeros(len(places), *self.shift.shape[2:])
        shift[root] = self.shift[month - 1, among[root]]
        usual, slope = self.usual[month - 1, places], self.slope[month - 1, places]
        numbers = usual, slope, self.bend[places], 1 - self.kept[places]
        return Held(places, root[:, None, None], shift, *(number[:, None, None] for number in numbers))

    def of(self, x: torch.Tensor, held: Held) -> torch.Tensor:
        """Return <X> (..., n, 1, 1) of x (..., n, nlat, nlon)."""
        shifted = x + held.shift
        fields = torch.where(held.root, shifted.clamp_min(0).square(), shifted)
        return (fields * self.rows).mean((-2, -1), keepdim=True)

    def hold(self, fields: torch.Tensor, warming: torch.Tensor | float, held: Held) -> torch.Tensor:
        """Hold the global means of `fields` (batch, fields, nlat, nlon), in place, in a month of p_0 = `warming`."""
        if len(held.places):
            x = fields.index_select(1, held.places)
            mean = self.of(x, held)
            change = held.excess * (mean - held.usual - (held.slope + held.bend * warming) * warming)
            factor = (1 - change / mean.clamp_min(TINY)).clamp_min(0).sqrt()
            still = torch.where(held.root, torch.addcmul(x, factor - 1, x + held.shift), x - change)
            fields.index_copy_(1, held.places, still)
        return fields

    @torch.no_grad()
    def fit(self, usual: torch.Tensor, slope: torch.Tensor, bend: torch.Tensor, kept: torch.Tensor) -> None:
        """Take M and b in each calendar month, (12, fields), and d and k (fields,)."""
        self.usual.copy_(usual)
        self.slope.copy_(slope)
        self.bend.copy_(bend)
        self.kept.copy_(kept)
