"""The spectral operator and the change of grid against plain transforms, and the areas of the rows."""

import pytest
import torch

from model.spectral import LowRank, Resample
from model.sphere import Grid, row_weights, truncation
from tests.helpers import model_plain as plain
from tests.helpers.model_networks import relative


@pytest.mark.parametrize("kind", ["published", "alias_free"])
@pytest.mark.parametrize(("source", "target"), [((13, 24), (4, 8)), ((4, 8), (13, 24)), ((20, 40), (20, 40))])
@torch.no_grad()
def test_both_forms_of_the_spectral_operator_agree(kind, source, target, monkeypatch):
    torch.manual_seed(0)
    operator = LowRank(3, 4, 5, Grid(*source), Grid(*target), kind)
    u = torch.randn(2, 3, *source)
    wanted = plain.low_rank(operator, u, target, kind)
    for maps in (True, False):
        monkeypatch.setattr(LowRank, "maps_win", lambda *_, answer=maps: answer)
        assert relative(operator([u[:, :1], u[:, 1:]]), wanted) < 2e-6
        offset = torch.randn(3, 1)
        shifted = plain.low_rank(operator, u + offset[:, :, None], target, kind)
        assert relative(operator([u], offset), shifted) < 2e-6


def test_alias_free_transforms_are_exact_and_the_published_ones_are_not():
    """A field of the harmonics kept on the latent grid survives the way down and up; in v0.9 it comes back altered."""
    fine, coarse = Grid(40, 80), Grid(13, 26)
    errors = {}
    for kind in ("alias_free", "published"):
        keep = truncation(coarse, "alias_free")
        spectrum = torch.randn(4, *keep, dtype=torch.complex64).tril()
        field = plain.inverse_transform(fine, keep)(spectrum)
        errors[kind] = relative(Resample(coarse, fine, kind)(Resample(fine, coarse, kind)(field)), field)
    assert errors["alias_free"] < 1e-5
    # White noise on the fine grid: whatever the coarse grid cannot hold must vanish, not show up as another harmonic.
    noise = torch.randn(8, *fine)
    for kind in errors:
        down = Resample(fine, coarse, kind)(noise)
        keep = truncation(coarse, "alias_free")
        truth = plain.inverse_transform(coarse, keep)(plain.forward_transform(fine, keep)(noise))
        errors[kind] = relative(down, truth)
    assert errors["alias_free"] < 1e-5
    assert errors["published"] > 0.5


def test_row_weights_are_areas():
    weights = row_weights(13)
    assert weights.mean().item() == pytest.approx(1, abs=1e-6)
    lat = torch.linspace(-90, 90, 13)[:, None]
    assert (weights * torch.sin(torch.deg2rad(lat)) ** 2).mean().item() == pytest.approx(1 / 3, abs=0.01)
    assert weights[0] < 0.2 * weights[6]
