"""The noise of what the decoder does not give, against fields of known covariance."""

import math

import pytest
import torch

from model import residual_fit
from model.covariance import confirmed_share
from model.residual import ResidualNoise
from model.residual_fit import LARGEST, fit_power, fit_shape, fit_variance
from model.sphere import Grid, Harmonics, product_power
from tests.helpers.model_networks import area_mean

GRID = Grid(19, 36)
HARMONICS = Harmonics(GRID)


def red_fields(count, keep=0.5, seed=0):
    """Two fields of degrees 2 and 7 alike, correlated by 0.6, times a deviation of the place: (time, 2, nlat, nlon)."""
    random = torch.Generator().manual_seed(seed)
    white = torch.randn(count, 2, len(HARMONICS.degree), generator=random)
    white[:, 1] = 0.6 * white[:, 0] + 0.8 * white[:, 1]
    white *= (HARMONICS.degree == 2) / math.sqrt(10) + (HARMONICS.degree == 7) / math.sqrt(30)
    for month in range(1, count):
        white[month] = keep * white[month - 1] + math.sqrt(1 - keep**2) * white[month]
    return HARMONICS.maps(white)


def draw(residual, count, seed=1):
    """States of a run of `count` months of the noise."""
    random, state = torch.Generator().manual_seed(seed), None
    for _ in range(count):
        state = residual.step(state, [torch.randn(1, *shape, generator=random) for shape in residual.shapes])
        yield state


def test_harmonics_and_their_maps_are_each_other_s_inverse_and_keep_the_mean_square():
    values = torch.randn(3, len(HARMONICS.degree))
    maps = HARMONICS.maps(values)
    assert torch.allclose(HARMONICS(maps), values, atol=1e-5)
    assert torch.allclose(area_mean(maps.square()), values.double().square().sum(1), rtol=1e-2)
    power = HARMONICS.power(values)
    assert torch.allclose(power[:, 3], values[:, 9:16].square().sum(1), rtol=1e-5)


def test_the_noise_has_the_correlation_the_memory_and_the_spectrum_of_what_is_left():
    fields = red_fields(800)
    deviation = 1 + 0.5 * torch.linspace(-1, 1, GRID.nlat)[:, None].expand(*GRID)
    residual = ResidualNoise(2, GRID)
    fit_shape(residual, lambda: iter(fields * deviation))
    degrees = HARMONICS.keep.lmax
    lacking = torch.zeros(2, degrees + 1)
    lacking[0, 2], lacking[0, 7], lacking[1, 2], lacking[1, 7] = 3, 1, 1, 1
    fit_power(residual, lacking)
    assert residual.memory[[2, 7]] == pytest.approx(0.5, abs=0.05)
    states = list(draw(residual, 500))
    maps = torch.cat([residual.maps(state) for state in states])
    assert area_mean(maps.square()).mean(0) == pytest.approx(1, abs=0.05)
    power = HARMONICS.power(HARMONICS(maps)).mean(0)
    assert power[0, [2, 7]] == pytest.approx([0.75, 0.25], abs=0.05)
    assert power[1, [2, 7]] == pytest.approx([0.5, 0.5], abs=0.05)
    one, two = maps[:, 0], maps[:, 1]
    both = area_mean(one * two).mean() / (area_mean(one.square()).mean() * area_mean(two.square()).mean()).sqrt()
    wanted = 0.6 * (math.sqrt(0.75 * 0.5) + math.sqrt(0.25 * 0.5))
    assert both == pytest.approx(wanted, abs=0.05)
    assert area_mean(maps[1:] * maps[:-1]).mean() == pytest.approx(0.5, abs=0.05)


def test_the_share_of_a_sample_is_what_brings_it_nearest_to_the_truth():
    """By closed form: the sampling error of a covariance C of T months is (tr(C)^2 + |C|^2) / T in squared norm."""
    random, months, orders = torch.Generator().manual_seed(7), 240, 9
    pattern = torch.randn(2 * orders, generator=random) * 0.6
    white = torch.randn(months, 2 * orders, generator=random)
    sample = (white + torch.randn(months, 1, generator=random) * pattern).unflatten(1, (2, orders))
    truth = torch.eye(2 * orders) + pattern.outer(pattern)
    blocks = truth.unflatten(0, (2, orders)).unflatten(2, (2, orders))
    homogeneous = torch.einsum("fkgk->fg", blocks) / orders
    apart = (blocks - torch.einsum("fg,kj->fkgj", homogeneous, torch.eye(orders))).square().sum((1, 2, 3))
    row = truth.trace() * blocks.diagonal(dim1=0, dim2=2).diagonal().sum(-1) + blocks.square().sum((1, 2, 3))
    assert confirmed_share(sample) == pytest.approx((apart / (apart + row / months)).double(), abs=0.1)
    assert confirmed_share(white.unflatten(1, (2, orders))).max() < 0.3
    assert confirmed_share(sample[:1]).tolist() == [0, 0]
    red = torch.randn(60, 8, 13, generator=random)
    for month in range(1, 60):
        red[month] = 0.9 * red[month - 1] + math.sqrt(1 - 0.9**2) * red[month]
    assert confirmed_share(red - red.mean(0)).mean() < 0.2, "slow weather is no pattern"
    assert confirmed_share(sample[..., :1]).tolist() == pytest.approx([0, 0], abs=1e-6), "one order is as homogeneous"


def test_far_connections_come_back_and_the_variance_of_every_place(monkeypatch):
    """A dipole of both fields, half of their variance, on homogeneous noise: as large in the noise as in the data."""
    months, random = 480, torch.Generator().manual_seed(8)
    pattern = torch.zeros(2, len(HARMONICS.degree))
    pattern[0, 5], pattern[0, 60], pattern[1, 7] = 0.6, 0.4, -0.7
    index = torch.randn(months, 1, 1, generator=random)
    values = 0.7 * torch.randn(months, 2, len(HARMONICS.degree), generator=random) * (HARMONICS.degree < 9) / 9
    fields = HARMONICS.maps(values + index * pattern)
    residual = ResidualNoise(2, GRID)
    fit_variance(residual, *(fields.var(0).expand(12, -1, -1, -1) * factor for factor in (1, 0)), months // 12)
    fit_shape(residual, lambda: iter(fields))
    power = HARMONICS.power(HARMONICS(fields)).mean(0)
    fit_power(residual, torch.cat([power, torch.zeros(2, 1)], dim=1))
    noise = torch.cat([residual.maps(state) for state in draw(residual, 2000)]) * residual.scales(3).deviation
    along = (pattern / pattern.norm()).flatten()
    found, known = ((HARMONICS(maps).flatten(1) @ along).var().item() for maps in (noise, fields))
    assert found == pytest.approx(known, rel=0.2)
    monkeypatch.setattr("model.residual_fit.confirmed_share", lambda sample: torch.zeros(2, dtype=torch.float64))
    fit_shape(residual, lambda: iter(fields))
    fit_power(residual, torch.cat([power, torch.zeros(2, 1)], dim=1))
    homogeneous = torch.cat([residual.maps(state) for state in draw(residual, 500)]) * residual.scales(3).deviation
    assert area_mean(homogeneous.var(0)) == pytest.approx(area_mean(fields.var(0)), rel=0.1)
    assert (HARMONICS(homogeneous).flatten(1) @ along).var() < 0.3 * known, "without them it would not"
    assert area_mean((noise.var(0) / residual.variance(3) - 1).square()).sqrt().max() < 0.1
    assert area_mean((noise.var(0) / fields.var(0) - 1).square()).sqrt().max() < 0.25


def test_noise_times_a_map_has_the_power_of_their_covariances():
    """Against draws, and in closed form: a constant map changes nothing."""
    random = torch.Generator().manual_seed(11)
    weight = torch.randn(len(HARMONICS.degree), generator=random) * (HARMONICS.degree < 4)
    noise = torch.randn(4000, len(HARMONICS.degree), generator=random) * (HARMONICS.degree == 3) / math.sqrt(7)
    power = torch.nn.functional.one_hot(torch.tensor(3), HARMONICS.keep.lmax).float()
    drawn = HARMONICS.power(HARMONICS(HARMONICS.maps(noise) * HARMONICS.maps(weight))).mean(0)
    found = product_power(power, HARMONICS.power(weight))
    assert found == pytest.approx(drawn, abs=0.03 * drawn.sum().item()) and found[:7].min() > 0.1
    assert product_power(power, torch.eye(HARMONICS.keep.lmax)[0]) == pytest.approx(power, abs=1e-6)


def test_noise_that_is_scaled_by_place_has_the_power_that_lacks(monkeypatch):
    """Of a red spectrum, with patterns, and with deviations of 0.3 at 45 degrees and 1.7 at equator and poles."""
    months, random = 480, torch.Generator().manual_seed(12)
    spectrum = torch.exp(-0.5 * torch.arange(HARMONICS.keep.lmax))
    values = torch.randn(months, 2, len(HARMONICS.degree), generator=random)
    values += 2 * torch.randn(months, 1, 1, generator=random) * torch.randn(len(HARMONICS.degree), generator=random)
    values *= (spectrum / HARMONICS.counts).sqrt()[HARMONICS.degree]
    latitude = torch.linspace(-math.pi / 2, math.pi / 2, GRID.nlat)[:, None]
    fields = HARMONICS.maps(values) * (1 + 0.7 * torch.cos(4 * latitude))
    wanted = HARMONICS.power(HARMONICS(fields)).mean(0)
    found = {}
    for rounds in (0, residual_fit.POWER_ROUNDS):
        monkeypatch.setattr(residual_fit, "POWER_ROUNDS", rounds)
        residual = ResidualNoise(2, GRID)
        fit_variance(residual, fields.var(0).expand(12, -1, -1, -1), torch.zeros(12, 2, *GRID), months // 12)
        fit_shape(residual, lambda: iter(fields))
        fit_power(residual, torch.cat([wanted, torch.zeros(2, 1)], dim=1))
        assert residual.patterns.any()
        maps = torch.cat([residual.maps(state) for state in draw(residual, 4000)]) * residual.scales(1).deviation
        power = HARMONICS.power(HARMONICS(maps)).mean(0)
        found[rounds] = power / wanted
    assert found[residual_fit.POWER_ROUNDS] == pytest.approx(torch.ones(2, 10), abs=0.12)
    assert found[0][:, 6].min() > 1.4, "without rounds it would not"


def test_cells_that_are_scaled_by_place_have_the_power_of_their_rows():
    """A third of white cells on large scales, all with a season and ten times the deviation near the poles."""
    random = torch.Generator().manual_seed(13)
    polar = torch.linspace(-1, 1, GRID.nlat)[:, None].abs() > 0.66
    season = torch.exp(torch.cos(2 * torch.pi * torch.arange(1, 13) / 12))[:, None, None, None]
    residual = ResidualNoise(1, GRID)
    fit_variance(residual, season * torch.where(polar, 1.0, 0.01).expand(12, 1, *GRID), torch.zeros(12, 1, *GRID), 100)
    fit_shape(residual, lambda: iter(torch.randn(300, 1, *GRID, generator=random)))
    maps = torch.cat([residual.variance(month).sqrt() for month in range(1, 13)])
    red = torch.exp(-0.3 * torch.arange(HARMONICS.keep.lmax))
    large = torch.randn(400, 12, len(HARMONICS.degree), generator=random)
    large = HARMONICS.maps(large * (red / red.sum() / HARMONICS.counts).sqrt()[HARMONICS.degree])
    cells = torch.randn(400, 12, *GRID, generator=random)
    found = [HARMONICS.power(HARMONICS(values * maps)).mean((0, 1)) for values in (large, cells)]
    wanted = 2 / 3 * found[0] + 1 / 3 * found[1]
    fit_power(residual, torch.cat([wanted, (area_mean(maps.square()).mean().float() - wanted.sum())[None]])[None])
    maps = torch.cat([residual.scales(month).deviation for month in range(1, 13)])
    drawn = torch.cat([residual.maps(state) for state in draw(residual, 1200)])[:, 0].unflatten(0, (-1, 12))
    assert HARMONICS.power(HARMONICS(drawn * maps)).mean((0, 1)) == pytest.approx(wanted, rel=0.15)


def test_what_lies_beyond_the_transform_comes_back_as_noise_of_the_cells():
    residual = ResidualNoise(1, GRID)
    fit_shape(residual, lambda: iter(torch.randn(300, 1, *GRID, generator=torch.Generator().manual_seed(4))))
    lacking = torch.full((1, HARMONICS.keep.lmax + 1), 0.02)
    lacking[0, -1] = 1 - 0.02 * HARMONICS.keep.lmax
    fit_power(residual, lacking)
    white = [torch.randn(1000, *shape, generator=torch.Generator().manual_seed(3)) for shape in residual.shapes]
    maps = residual.maps(residual.step(None, white))
    power = HARMONICS.power(HARMONICS(maps)).mean((0, 1))
    white_power = HARMONICS.white_power().sum(0)
    wanted = torch.maximum(lacking[0, :-1], lacking[0, -1] / (1 - white_power.sum()) * white_power)
    assert power[1:] == pytest.approx(wanted[1:], rel=0.15) and (wanted > 0.021).any() and (wanted < 0.021).any()
    # Those of few degrees, which white cells give more of than is lacking, are too much.
    assert area_mean(maps.square()).mean() == pytest.approx(1 - 0.02 * len(wanted) + wanted.sum().item(), abs=0.05)
    cells = torch.randn(500, *GRID, generator=torch.Generator().manual_seed(6))
    assert HARMONICS.power(HARMONICS(cells)).mean(0)[1:] == pytest.approx(white_power[1:], rel=0.15)


def test_few_years_tell_no_patterns():
    residual = ResidualNoise(2, GRID)
    fit_shape(residual, lambda: iter(red_fields(36)))
    assert residual.mixing.any() and not residual.patterns.any() and not residual.pattern_memory.any()


def test_what_is_left_and_never_varies_makes_no_noise():
    residual = ResidualNoise(2, GRID)
    fit_shape(residual, lambda: iter(torch.ones(120, 2, *GRID)))
    fit_power(residual, torch.zeros(2, HARMONICS.keep.lmax + 1))
    assert all(values.isfinite().all() for values in residual.buffers())
    assert not (next(draw(residual, 1)).patterns @ residual.patterns.flatten(1)).any()


def test_slow_residuals_are_the_latents_to_give():
    constant = red_fields(1)
    residual = ResidualNoise(2, GRID)
    trend = torch.linspace(-1, 1, 200)[:, None, None, None]
    fit_shape(residual, lambda: iter(trend * constant + 0.01 * red_fields(200, seed=5)))
    assert residual.memory[[2, 7]] == pytest.approx(LARGEST)


def test_noise_fills_what_a_run_lacks_and_what_is_too_much_is_scaled_away():
    """In every month, with a variance in January of 55 times that of July, and run and data unlike."""
    residual = ResidualNoise(2, GRID)
    angle = 2 * torch.pi * torch.arange(1, 13)[:, None, None, None] / 12
    known = (2 * angle.cos()).exp().expand(12, 2, *GRID)
    run = torch.stack([0.25 * known[:, 0], 4 + 0 * known[:, 1]], dim=1)
    fit_variance(residual, known, run, 1000)
    for month in range(1, 13):
        kept, deviation, *_ = residual.scales(month)
        wanted = math.exp(2 * math.cos(2 * math.pi * month / 12))
        assert kept[0] == pytest.approx(1, abs=1e-4)
        assert deviation[0].square() == pytest.approx(0.75 * wanted, rel=0.01)
        total = kept[1].square() * 4 + deviation[1].square()
        assert total == pytest.approx(wanted, rel=0.01)
        assert (deviation[1].max() < 1e-2) == (wanted < 4)


def test_the_noise_is_none_until_it_is_measured():
    residual = ResidualNoise(2, GRID)
    kept, deviation, *_ = residual.scales(3)
    assert (kept == 1).all() and not deviation.any()
    assert not next(residual.maps(state) for state in draw(residual, 1)).any()
