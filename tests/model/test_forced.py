"""The response to the sea, against planets whose response is known."""

import numpy as np
import pytest
import torch

from model.climatology import monthly_means
from model.forced import ForcedResponse
from model.sphere import Grid, Harmonics, row_weights

GRID = Grid(21, 40)


def planet(years=30, noise=0.3, seed=0):
    """Fields of known response to a sea with a mean warming and one pattern; noise is white in time."""
    random = np.random.default_rng(seed)
    lat = np.deg2rad(np.linspace(-90, 90, GRID.nlat))[:, None]
    lon = np.deg2rad(np.arange(GRID.nlon) * 360 / GRID.nlon)[None]
    months = np.arange(12 * years) % 12 + 1
    sea = np.broadcast_to(np.cos(3 * lon) > -0.6, GRID).astype(float)
    warming = np.linspace(-0.3, 0.3, len(months)) + 0.1 * random.normal(size=len(months))
    wave = random.normal(size=len(months))
    season = 3 * np.sin(2 * np.pi * months / 12)[:, None, None] * np.sin(lat)
    sst = (season + warming[:, None, None] + wave[:, None, None] * np.cos(lat) ** 2 * np.cos(lon)) * sea
    land = np.broadcast_to(1 - sea, sst.shape)
    truth = np.stack([1 + np.sin(lat) ** 2 + 0 * lon, 0.5 + 0 * lat + 0 * lon])  # of each field per unit of warming
    weather = random.normal(size=(len(months), 2, 4)) @ random.normal(size=(4, GRID.nlat * GRID.nlon)) * noise
    fields = warming[:, None, None, None] * truth + season[:, None] + weather.reshape(-1, 2, *GRID)
    forcings = np.stack([sst, land], axis=1)
    return (*(torch.from_numpy(a.astype("f4")) for a in (fields, forcings)), torch.from_numpy(months), sea, truth)


def test_the_response_to_uniform_warming_is_found_far_outside_the_training_range():
    fields, forcings, months, sea, truth = planet()
    forced = ForcedResponse(3, 2, 2, GRID)
    forced.fit(fields, forcings, months)
    warm = forcings.clone()
    warm[:, 0] += 4 * torch.from_numpy(sea)

    def response(forcing):
        return forced.respond(forcing, months)[1]

    change = (response(warm) - response(forcings)).mean(0)
    area = row_weights(GRID.nlat)
    found, wanted = ((field * area).mean((1, 2)) for field in (change, 4 * torch.from_numpy(truth).float()))
    assert torch.allclose(found, wanted, rtol=0.1)
    assert ((change - 4 * torch.from_numpy(truth)) * area).abs().mean() < 0.15 * 4


def test_the_filter_takes_noise_from_the_response():
    fields, forcings, months, sea, truth = planet(years=10, noise=1.0)
    noise_only = fields - fields + torch.randn(fields.shape, generator=torch.Generator().manual_seed(1))
    forced = ForcedResponse(2, 2, 2, GRID)
    forced.fit(noise_only, forcings, months)
    filtered = forced.response.square().mean().sqrt()
    predictors = forced.amplitudes(forced.anomalies(forcings, months))
    predictors = predictors - predictors.mean(0)
    raw = torch.tensordot(torch.linalg.pinv(predictors), noise_only, dims=1).square().mean().sqrt()
    assert filtered < 0.5 * raw


def test_networks_see_anomalies_without_their_global_mean_and_the_land_mask_as_it_is():
    fields, forcings, months, sea, _ = planet()
    forced = ForcedResponse(2, 2, 2, GRID)
    forced.fit(fields, forcings, months)
    anomalies = forced.anomalies(forcings, months)
    seen = forced.without_mean(anomalies, forced.amplitudes(anomalies))
    area = row_weights(GRID.nlat) * torch.from_numpy(sea).float()
    assert ((seen[:, 0] * area).sum((1, 2)) / area.sum()).abs().max() < 1e-4
    assert torch.equal(seen[:, 1], forcings[:, 1])
    for month in range(1, 13):
        assert anomalies[months == month, 0].mean(0).abs().max() < 1e-4


def test_a_single_year_of_training_gives_no_response_and_no_error():
    fields, forcings, months, *_ = planet(years=1)
    forced = ForcedResponse(3, 2, 2, GRID)
    forced.fit(fields, forcings, months, kelvin=2.0)
    assert forced.respond(forcings, months)[1].abs().max() == 0


@pytest.mark.parametrize("packing", [0.0, 1e-7, 1e-4])
def test_ice_that_repeats_its_annual_cycle_is_no_division_by_zero(packing):
    """Its departures are rounding, or packing that differs from year to year: they stay as small as they are."""
    fields, forcings, months, sea, truth = planet()
    season = torch.cos(2 * torch.pi * months / 12)[:, None, None] * torch.linspace(-2, 2, GRID.nlat)[:, None]
    noise = torch.from_numpy(np.random.default_rng(1).normal(size=(len(months), *GRID)).astype("f4"))
    ice = (season / 3 + packing * noise) * torch.from_numpy(sea).float()
    forced = ForcedResponse(3, 2, 3, GRID)
    forced.fit(fields, torch.cat([forcings[:, :1], ice[:, None], forcings[:, 1:]], dim=1), months)
    plain = ForcedResponse(3, 2, 2, GRID)
    plain.fit(fields, forcings, months)
    assert torch.equal(forced.response, plain.response), "the response is to SST alone"
    anomalies = forced.anomalies(torch.cat([forcings[:, :1], ice[:, None], forcings[:, 1:]], dim=1), months)
    assert anomalies[:, 1].abs().max() < 10 * packing + 1e-6
    other = ice + 0.5  # ice of another climate is seen, in the unit that normalization gave it
    anomalies = forced.anomalies(torch.cat([forcings[:, :1], other[:, None], forcings[:, 1:]], dim=1), months)
    assert torch.allclose(anomalies[:, 1], torch.tensor(0.5), atol=10 * packing + 1e-5)


def test_a_sea_that_repeats_its_annual_cycle_has_no_response_and_no_patterns_of_rounding():
    fields, forcings, months, sea, _ = planet()
    season = 3 * torch.sin(2 * torch.pi * months / 12)[:, None, None] * torch.linspace(-1, 1, GRID.nlat)[:, None]
    rounding = 1e-7 * torch.from_numpy(np.random.default_rng(1).normal(size=(len(months), *GRID)).astype("f4"))
    forcings[:, 0] = (season + rounding) * torch.from_numpy(sea).float()
    forced = ForcedResponse(3, 2, 2, GRID)
    forced.fit(fields, forcings, months, kelvin=2.0)
    assert not forced.response.any() and not forced.patterns[1:].any() and not forced.local.any()
    assert forced.anomalies(forcings, months)[:, 0].abs().max() < 1e-5


def local_planet(years=20, seed=0, ice_counts=True):
    """A planet whose first field follows the sea at the place, and near ice the ice; the second is weather alone."""
    random = np.random.default_rng(seed)
    _, forcings, months, sea, _ = planet(years)
    harmonics = Harmonics(GRID)
    degree = harmonics.degree.numpy()
    white = torch.from_numpy(random.normal(size=(len(months), len(degree))).astype("f4"))
    regional = harmonics.maps(white * torch.from_numpy((degree < 8).astype("f4")))
    cold = torch.from_numpy((np.abs(np.linspace(-90, 90, GRID.nlat)) > 60).astype("f4"))[:, None]
    ice = torch.from_numpy(random.normal(size=(len(months), 1, 1)).astype("f4")) * cold * torch.from_numpy(sea).float()
    sst = forcings[:, 0] + 0.2 * regional * torch.from_numpy(sea).float()
    weather = torch.from_numpy(random.normal(size=(2, len(months), *GRID)).astype("f4"))
    first = 2.0 * sst + (0.7 * ice if ice_counts else 0) + 0.5 * weather[0]
    given = torch.stack([sst, ice, forcings[:, 1]], dim=1)
    return torch.stack([first, weather[1]], dim=1), given, months, torch.from_numpy(sea).float(), cold


def test_a_sea_of_one_temperature_has_no_response():
    fields, forcings, months, sea, _ = planet(noise=0.1)
    forcings[:, 0] = 0  # what it is in units of its own deviation about its mean
    forced = ForcedResponse(3, 2, 2, GRID)
    forced.fit(fields, forcings, months)
    assert not forced.respond(forcings, months)[1].any() and not forced.patterns.any()


def test_a_sea_that_warms_as_one_has_no_patterns_of_rounding():
    fields, forcings, months, sea, _ = planet()
    warmth = torch.linspace(-1, 1, len(months)) + torch.randn(len(months), generator=torch.Generator().manual_seed(2))
    # Colder toward the poles, so that one number added rounds otherwise at every latitude.
    latitude = torch.cos(torch.linspace(-1.5, 1.5, GRID.nlat))[:, None]
    forcings[:, 0] = (3 + latitude + warmth[:, None, None]) * torch.from_numpy(sea)
    forced = ForcedResponse(4, 2, 2, GRID)
    forced.fit(fields, forcings, months)
    assert forced.patterns[0].any() and not forced.patterns[1:].any()


def test_what_the_sea_and_the_ice_do_at_the_place_is_found():
    fields, forcings, months, sea, cold = local_planet()
    forced = ForcedResponse(3, 2, 3, GRID)
    forced.fit(fields, forcings, months)
    spread = forced.spread[:, 0, 0]
    inside = sea * (1 - cold) > 0
    # The SST near by says much of what the SST at the place says: both together are the slope.
    slope = (forced.local[0, 0] + forced.local[1, 0])[inside].mean() / spread[0]
    assert slope == pytest.approx(2.0, rel=0.1)
    assert (forced.local[2, 0] * sea * cold).sum() / (sea * cold).sum() / spread[1] == pytest.approx(0.7, rel=0.1)
    assert not forced.local[2, 0][inside].any(), "no ice, no response to it"
    assert not forced.local[3::4].any(), "the land does not vary"


def test_what_half_the_years_do_not_confirm_of_the_other_half_is_no_response():
    fields, forcings, months, *_ = local_planet(ice_counts=False)
    forced = ForcedResponse(3, 2, 3, GRID)
    forced.fit(fields, forcings, months, kelvin=2.0)
    known = forced.local[:2, 0].square().mean().sqrt()
    assert forced.local[4:].square().mean().sqrt() < 0.05 * known
    assert forced.local[:, 1].square().mean().sqrt() < 0.02 * known
    assert forced.local[2, 0].square().mean().sqrt() < 0.05 * known


def test_what_the_sea_does_by_season_is_found_and_no_season_where_there_is_none():
    """The first field follows the sea at the place three times as much in December as in June; the second all year."""
    fields, forcings, months, sea, cold = local_planet()
    year = torch.cos(2 * torch.pi * months / 12)[:, None, None]
    weather = fields[:, 1].clone()
    fields[:, 0] = (2.0 + year) * forcings[:, 0] + 0.5 * weather
    fields[:, 1] = 2.0 * forcings[:, 0] + 0.5 * weather
    forced = ForcedResponse(1, 2, 3, GRID)
    forced.fit(fields, forcings, months)
    inside = sea * (1 - cold) > 0
    slopes = forced.local[:12].unflatten(0, (3, 4))[:, :2].sum(1) / forced.spread[0]  # near by and at the place
    assert slopes[:, 0][:, inside].mean(1).numpy() == pytest.approx([2.0, 1.0, 0.0], abs=0.15)
    assert slopes[:, 1][:, inside].mean(1).numpy() == pytest.approx([2.0, 0.0, 0.0], abs=0.15)


def test_a_response_that_bends_is_found_and_costs_one_that_does_not_bend_nothing():
    """The first field rises where the sea is over 1 K warmer than the tropical sea; the second rises all the way."""
    fields, forcings, months, sea, _ = local_planet(years=30)
    lat = torch.linspace(-90, 90, GRID.nlat)[:, None]
    tropics = (lat.abs() <= 20) * torch.cos(torch.deg2rad(lat)) * sea
    forcings[:, 0] += (2 * torch.cos(torch.deg2rad(lat)) ** 2 - 1) * sea  # which is above the thresholds in places
    sst, kelvin, weather = forcings[:, 0], 2.0, 0.5 * fields[:, 1].clone()
    relative = sst - (sst * tropics).sum((1, 2), keepdim=True) / tropics.sum()
    excess = (relative - 1 / kelvin).clamp(min=0) * sea
    truth = torch.stack([1.5 * excess, 1.5 * sst], dim=1)
    forced, straight = ForcedResponse(3, 2, 3, GRID), ForcedResponse(3, 2, 3, GRID)
    forced.fit(truth + weather[:, None], forcings, months, kelvin=kelvin)
    straight.fit(truth + weather[:, None], forcings, months)
    assert torch.allclose(forced.excess(sst)[:, 1], excess, atol=1e-5)
    assert not straight.local[12:].any(), "an SST of unknown scale has no threshold"

    def error(response):
        left = truth - response.respond(forcings, months)[1]
        left = left - monthly_means(left, months)[months - 1]
        return (left.square() * tropics).mean((0, 2, 3)).sqrt()

    bent, line = error(forced) / error(straight)
    assert bent < 0.4
    assert line < 1.03

    def bends(forcing):
        return forced.places(*forced.split(forcing, months), months)[:, 12:]

    warm = forcings.clone()
    warm[:, 0] += 4 * sea
    assert torch.allclose(bends(warm), bends(forcings), atol=1e-4), "a uniform warming moves the thresholds"
    forced.fit(truth, forcings, months)
    assert not forced.local[12:].any(), "a second fit begins anew"


def test_without_a_tropical_sea_nothing_bends():
    fields, forcings, months, *_ = local_planet()
    lat = torch.linspace(-90, 90, GRID.nlat)[:, None]
    forcings[:, 0] *= lat.abs() > 25
    forced = ForcedResponse(3, 2, 3, GRID)
    forced.fit(fields, forcings, months, kelvin=2.0)
    assert forced.local[:12].any() and not forced.local[12:].any()


def test_what_a_pattern_of_the_sea_does_far_away_by_season_is_found():
    fields, forcings, months, sea, _ = planet(years=20)
    forced = ForcedResponse(2, 2, 2, GRID)
    forced.fit(fields, forcings, months)
    amplitude = forced.amplitudes(forced.anomalies(forcings, months))[:, 1]
    remote = torch.from_numpy(1 - sea).float()
    year = torch.sin(2 * torch.pi * months / 12)
    fields[:, 0] += (year * amplitude)[:, None, None] * remote
    fields[:, 1] += amplitude[:, None, None] * remote
    forced.fit(fields, forcings, months)
    found = (forced.seasonal[:, 0] * remote).sum((2, 3)) / remote.sum()
    assert found[:, 0].numpy() == pytest.approx([0.0, 1.0], abs=0.1)
    assert found[:, 1].numpy() == pytest.approx([0.0, 0.0], abs=0.1)


@pytest.mark.parametrize(("years", "wanted"), [(1, 3.0), (3, 3.0), (20, 0.0)])
def test_the_first_guess_stays_where_nothing_is_known_and_goes_where_data_speak(years, wanted):
    """The field is white noise, of which twenty years say that the sea does nothing to its global mean."""
    fields, forcings, months, *_ = local_planet(years)
    fields[:, 0] = torch.randn(fields[:, 0].shape, generator=torch.Generator().manual_seed(2))
    forced = ForcedResponse(3, 2, 3, GRID)
    forced.fit(fields, forcings, months, torch.stack([torch.ones(GRID), torch.zeros(GRID)]), kelvin=2.0)
    if years < 10:
        assert not forced.seasonal.any() and not forced.local[4:].any()
    warm = forcings.clone()
    warm[:, 0] += 3 * (forcings[:, 0] != 0)
    change = (forced.respond(warm, months)[1] - forced.respond(forcings, months)[1])[0]
    found = (change * row_weights(GRID.nlat)).mean((1, 2))
    assert found.numpy() == pytest.approx([wanted, 0.0], abs=0.3)


@pytest.mark.parametrize("grid", [Grid(13, 24), Grid(19, 36), Grid(25, 48), Grid(41, 80)])
def test_what_is_at_a_place_is_found_at_every_place_of_a_coarse_grid(grid):
    """Ice that varies much at high latitudes and little farther off: pooling by a kernel with lobes would blow up."""
    random = torch.Generator().manual_seed(4)
    harmonics, months = Harmonics(grid), torch.arange(240) % 12 + 1
    lat = torch.linspace(-90, 90, grid.nlat).abs()[:, None].expand(*grid)
    white = torch.randn(240, len(harmonics.degree), generator=random) * (harmonics.degree < 6)
    sst = harmonics.maps(white) / harmonics.maps(white).std()
    share = torch.where((lat > 57) & (lat < 79), 1.0, torch.where((lat > 34) & (lat < 58), 0.15, 0.0))
    ice = torch.randn(240, *grid, generator=random) * share
    field = ice + 0.5 * sst + 0.3 * torch.randn(240, *grid, generator=random)
    forced = ForcedResponse(1, 1, 2, grid)
    forced.fit(field[:, None], torch.stack([sst, ice], dim=1), months)
    slope = forced.local[:3, 0] / forced.spread[[0, 0, 1]]
    assert slope[2][share == 1].numpy() == pytest.approx(1.0, abs=0.15)
    both = slope[0] + slope[1]
    assert both.min() > 0.2 and both.max() < 0.8
