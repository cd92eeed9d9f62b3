"""Regression of fields on amplitudes of the sea: its sampling error is that which it states."""

import pytest
import torch

from model.climatology import monthly_means
from model.forced import by_waves
from model.regression import CONFIRMING, Regression, WienerFilter
from model.sphere import Grid, Harmonics

GRID = Grid(31, 60)


def regress(months, season, places):
    """The regression of months on three amplitudes, with seasons of two or none, and a white field less its season."""
    draw = torch.Generator().manual_seed(1)
    amplitudes = torch.randn(months, 3, generator=draw, dtype=torch.float64)
    number = torch.arange(months) % 12 + 1
    amplitudes -= monthly_means(amplitudes, number)[number - 1]
    local = torch.randn(months, places, *GRID, generator=draw)
    regression = Regression(amplitudes, by_waves(amplitudes[:, 1:], number) * season, local, 0, Harmonics(GRID))
    field = torch.randn(months, *GRID, generator=draw, dtype=torch.float64)
    return regression, field - monthly_means(field, number)[number - 1]


@pytest.mark.parametrize(("months", "season"), [(36, 0), (60, 1), (120, 1), (480, 1)])
def test_the_error_that_is_stated_is_the_error_of_white_noise(months, season):
    """Each coefficient of a field that does not respond is error alone, of which a grid has many."""
    regression, field = regress(months, season, 1)
    found = regression(field)
    stated = regression.amplitudes.uncertainty * found.residual.square().mean()
    assert (found.response.square().mean() / stated.mean()).item() == pytest.approx(1, abs=0.08)
    number = WienerFilter.error(found.residual[:, 5, 7])
    assert number > 0


@pytest.mark.parametrize("months", [CONFIRMING - 12, CONFIRMING - 1])
def test_halves_of_two_years_confirm_nothing(months):
    """Less the means of calendar months they are each other's mirror images, and would confirm all noise."""
    regression, field = regress(months, 0, 2)
    assert not regression(field).places.any()
