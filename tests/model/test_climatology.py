"""Annual cycles of mean and variance from few years, against the cycles that they were drawn from."""

import math

import numpy as np
import pytest
import torch

from model import data
from model.climatology import (
    climatology_of,
    monthly_means,
    sampled,
    shrunk,
    variance_cycles,
    variance_in,
    waves_of_year,
    year_basis,
)
from model.sphere import Grid, Harmonics
from tests.helpers import model_data
from tests.helpers.model_networks import area_mean

GRID = Grid(19, 36)
HARMONICS = Harmonics(GRID)
MONTHS = torch.arange(1, 13)


def drawn(cycle, years, seed=0, first=1):
    """Months (time, nlat, nlon) of a cycle (12, nlat, nlon) and weather of variance 1, and their numbers."""
    months = (torch.arange(12 * years) + first - 1) % 12 + 1
    weather = torch.randn(12 * years, *GRID, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return cycle[months - 1] + weather, months


def error_of(found, cycle):
    return area_mean((found - cycle).square()).mean().item()


def test_waves_of_the_year_are_an_orthonormal_basis():
    assert torch.allclose(year_basis() @ year_basis().T, torch.eye(12, dtype=torch.float64), atol=1e-12)
    assert sorted(number for wave in waves_of_year() for number in range(12)[wave]) == list(range(1, 12))


@pytest.mark.parametrize("first", [1, 10])
def test_a_smooth_cycle_errs_by_its_own_waves_alone(first):
    """Of the error of twelve means, 1 / n, the mean and one wave leave 3 of 12 parts."""
    cycle = 3 + 2 * torch.cos(2 * torch.pi * (MONTHS.double() - 1) / 12)[:, None, None].expand(12, *GRID)
    values, months = drawn(cycle, 20, first=first)
    means, error = sampled(values, months)
    assert error_of(means, cycle) == pytest.approx(1 / 20, rel=0.05)
    found = shrunk(means, error, HARMONICS)
    assert error_of(found, cycle) == pytest.approx(3 / 12 / 20, rel=0.2)


def test_a_wave_is_kept_where_it_is_real_and_goes_where_it_is_not():
    """A month of rain, of which every wave is a part, in one half of the world; nothing in the other."""
    east = torch.arange(GRID.nlon) < GRID.nlon // 2
    cycle = 4.0 * (MONTHS == 7)[:, None, None] * east.expand(*GRID).double()
    values, months = drawn(cycle, 20)
    means, error = sampled(values, months)
    found = shrunk(means, error, HARMONICS)
    inside, outside = slice(5, GRID.nlon // 2 - 5), slice(GRID.nlon // 2 + 5, -5)
    assert (found - means)[..., inside].abs().mean() < 0.15 * 20**-0.5
    assert found[..., outside].square().mean() < 0.3 * means[..., outside].square().mean()


def test_years_that_are_warm_as_a_whole_say_nothing_of_the_season():
    values, months = drawn(torch.zeros(12, *GRID, dtype=torch.float64), 24)
    shift = torch.randn(24, generator=torch.Generator().manual_seed(1)).repeat_interleave(12)[:, None, None]
    error, shifted = (sampled(some, months)[1] for some in (values, values + 3 * shift))
    assert torch.allclose(shifted[1:], error[1:], rtol=1e-6)
    assert shifted[0].mean() == pytest.approx(12 * 9 / 24 * shift[::12].var().item(), rel=0.2)


@pytest.mark.parametrize("months", [MONTHS, torch.cat([MONTHS, MONTHS.flip(0)]), MONTHS.repeat(2)[:23]])
def test_without_two_years_of_months_in_turn_there_is_no_error_to_tell(months):
    assert sampled(torch.zeros(len(months), *GRID), months)[1] is None


def test_a_year_that_breaks_off_counts_in_the_means_alone():
    values, months = drawn(torch.zeros(12, *GRID, dtype=torch.float64), 6)
    months = torch.cat([months[:29], months[36:], months[:7]])
    values = torch.cat([values[:29], values[36:], values[:7]])
    sample, error = sampled(values, months)
    whole = torch.cat([values[:24], values[29:65]]), torch.cat([months[:24], months[29:65]])
    assert torch.allclose(error, sampled(*whole)[1]) and torch.allclose(sample, monthly_means(values, months))


def test_the_climatology_of_a_file_is_nearer_to_the_next_years_than_the_means_of_its_months(tmp_path):
    """In normalized units, whatever mean the fields are anomalies from."""
    months = data.read_months(model_data.write_months(tmp_path / "training.nc", count=12 * 13))
    split = np.flatnonzero(months.split == data.VALIDATION)
    number = months.number - 1
    months.fields[:] = torch.randn(months.fields.shape, generator=torch.Generator().manual_seed(2))
    months.fields[:] += 2 * torch.cos(2 * torch.pi * number / 12)[:, None, None, None]
    training = data.training_months(months)
    sample, cycle = climatology_of(training.fields, training.number, training.metadata)
    assert torch.allclose(sample, monthly_means(training.fields, training.number), atol=1e-5)
    error, before = ((months.fields[split] - maps[number[split]]).square().mean() for maps in (cycle, sample))
    # What a variance of 1 has added to it: 1/12 of it by monthly means, a quarter of that by mean and one wave.
    assert before == pytest.approx(1 + 1 / 12, abs=0.02) and error == pytest.approx(1 + 1 / 48, abs=0.02)
    other = data.dataclasses.replace(
        training.metadata, center=training.metadata.center - training.metadata.scale[:, None, None] * sample.numpy()
    )
    moved = data.dataclasses.replace(training, metadata=other, fields=training.fields + sample[training.number - 1])
    found = climatology_of(moved.fields, moved.number, moved.metadata).cycle
    assert torch.allclose(found, cycle + sample, atol=1e-3)


def variances(logarithm, years, members=1, seed=0):
    """Sample variances (12, 1, nlat, nlon) of months of `years`, of the variances exp(logarithm) (12, nlat, nlon)."""
    freedom = years * members - 1
    chi = torch.distributions.Chi2(torch.full((12, 1, *GRID), float(freedom)))
    torch.manual_seed(seed)
    return (logarithm.exp()[:, None] * chi.sample() / freedom).float()


def test_the_season_of_a_variance_is_found_and_of_sampling_error_none():
    """A ratio of 20 between winter and summer, winter half a year long, and in the south no season at all."""
    north = torch.linspace(1, -1, GRID.nlat)[:, None] > 0
    angle = 2 * math.pi * MONTHS[:, None, None] / 12
    logarithm = (1.5 * angle.cos() - 0.4 * (2 * angle).cos()) * north.expand(*GRID)
    known, run = variances(logarithm, 30), variances(logarithm, 30, members=4, seed=1)
    found = [
        torch.stack([variance_in(cycle, month) for month in range(1, 13)])[:, 0]
        for cycle in variance_cycles(known, run, 30, HARMONICS)
    ]
    for values, given in zip(found, (known, run), strict=True):
        assert torch.allclose(values.mean(0), given.mean(0)[0], rtol=1e-4), "the year's mean is that of the sample"
        far = slice(0, 6)
        error = ((values / logarithm.exp()).log()[:, far] - (given[:, 0] / logarithm.exp()).log()[:, far]).mean((1, 2))
        assert error.abs().max() < 0.12
    south = slice(-6, None)
    season = (found[0] / found[0].mean(0)).log()[:, south].square().mean()
    raw = (known[:, 0] / known[:, 0].mean(0)).log()[:, south].square().mean()
    assert season < 0.15 * raw


def test_what_never_varies_has_a_variance_of_nothing_and_no_season():
    still = torch.zeros(12, 1, *GRID)
    for cycle in variance_cycles(still, still, 30, HARMONICS):
        assert cycle.isfinite().all() and not cycle[1:].any() and variance_in(cycle, 3).max() < 1e-20
