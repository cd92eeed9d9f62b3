"""The evaluation's metrics on series and fields whose answers are known from elsewhere."""

import math

import numpy as np
import pytest

from tests.helpers.project import INDEX
from workflow.scripts.common.grids import area_mean, centres
from workflow.scripts.common.months import mid_times, month_of_year, month_range, year_of
from workflow.scripts.evaluate.measures.along_time import (
    TooShort,
    band_variance,
    complete_years,
    decorrelation_time,
    deseasonalize,
    mean_weights,
    regression_weights,
    smooth_spectrum,
    trend_weights,
)
from workflow.scripts.evaluate.measures.ensemble import (
    Boxes,
    box_mean,
    climatology_crps,
    crps,
    rank_shares,
    spread_and_error,
)
from workflow.scripts.evaluate.measures.over_area import land_sea_means, rms, weighted_mean
from workflow.scripts.evaluate.summarize.enso import read_index

LAT = np.arange(-90, 90.1, 1.5)
MONTHS = month_range("1978-10", "1990-12")


def test_weighted_mean_of_sine_squared_is_one_third():
    field = np.sin(np.deg2rad(LAT))[:, None] ** 2 + np.zeros((1, 240))
    assert weighted_mean(field, LAT) == pytest.approx(1 / 3, abs=1e-3)


def test_weighted_mean_leaves_out_nan_and_high_latitudes():
    field = np.where(np.abs(LAT)[:, None] > 87.5, 1e6, 2.0) + np.zeros((1, 4))
    field[60, 1] = np.nan
    assert weighted_mean(field, LAT, 87.5) == pytest.approx(2.0, rel=1e-12)
    assert np.isnan(weighted_mean(np.full((121, 4), np.nan), LAT))


def test_rms_of_a_checkerboard_is_its_amplitude():
    board = 3.0 * (-1.0) ** np.add.outer(np.arange(121), np.arange(8))
    assert rms(board, LAT) == pytest.approx(3.0)
    assert weighted_mean(board, LAT) == pytest.approx(0.0, abs=1e-12)


def test_mean_weights_give_the_unweighted_mean_of_the_period():
    series = np.random.default_rng(1).normal(size=len(MONTHS))
    inside = (year_of(MONTHS) >= 1980) & (year_of(MONTHS) <= 1984)
    assert mean_weights(MONTHS, "1980-01", "1984-12") @ series == pytest.approx(series[inside].mean())


def test_mean_weights_name_the_first_month_that_is_missing():
    with pytest.raises(TooShort, match=r"12 months of 1980-01..1991-12, the first is 1991-01"):
        mean_weights(MONTHS, "1980-01", "1991-12")


def test_trend_weights_equal_polyfit_of_annual_means():
    series = np.random.default_rng(2).normal(size=len(MONTHS)) + 0.3 * np.arange(len(MONTHS))
    years = np.arange(1979, 1991)
    annual = [series[year_of(MONTHS) == year].mean() for year in years]
    slope = np.polyfit(years / 10, annual, 1)[0]
    assert trend_weights(MONTHS, "1979-01", "1990-12") @ series == pytest.approx(slope, rel=1e-9)


def test_trend_ignores_the_incomplete_first_year():
    series = np.where(year_of(MONTHS) == 1978, 1e6, 0.2 * (year_of(MONTHS) - 1979))
    assert trend_weights(MONTHS, "1978-10", "1990-12") @ series == pytest.approx(2.0)
    assert complete_years(MONTHS, "1978-10", "1980-12").tolist() == [1979, 1980]


def test_trend_of_too_few_years_says_how_many():
    with pytest.raises(TooShort, match="has 1 complete year in the data and 5 are needed"):
        trend_weights(MONTHS, "1979-01", "1979-12", 5)


def test_regression_equals_the_least_squares_slope_on_the_interpolated_index(nino34):
    times, values = nino34
    rng = np.random.default_rng(3)
    inside = (year_of(MONTHS) >= 1979) & (year_of(MONTHS) <= 1990)
    index = np.interp(mid_times(MONTHS), times, values)
    field = 2.5 * index + rng.normal(size=len(MONTHS))
    slope = np.polyfit(index[inside], field[inside], 1)[0]
    assert regression_weights(MONTHS, times, values, "1979-01", "1990-12") @ field == pytest.approx(slope, rel=1e-9)


def test_index_is_read_at_true_mid_month(nino34):
    times, values = nino34
    # The table has -0.124 K at 1978-10-01 and 0.040 K at 1979-01-01, 92 days later; mid-October is day 15.5.
    assert np.interp(mid_times(MONTHS)[0], times, values) == pytest.approx(-0.124 + 0.164 * 15.5 / 92)


def test_regression_outside_the_index_is_skipped(nino34):
    months = month_range("2020-01", "2029-12")
    with pytest.raises(TooShort, match="does not cover"):
        regression_weights(months, *nino34, "2020-01", "2029-12")


def test_land_and_sea_means_of_a_warmer_land():
    land = np.zeros((121, 240))
    land[:, :60] = 1
    assert land_sea_means(2.0 + land, LAT, land) == pytest.approx((3.0, 2.0, 1.5))


def test_deseasonalize_removes_any_annual_cycle():
    cycle = np.random.default_rng(4).normal(size=13)[month_of_year(MONTHS)]
    assert np.abs(deseasonalize(cycle, MONTHS)).max() < 1e-12


def test_decorrelation_time_of_red_noise():
    rng, series = np.random.default_rng(5), np.zeros(100_000)
    noise = rng.normal(size=len(series))
    for step in range(1, len(series)):
        series[step] = 0.8 * series[step - 1] + noise[step]
    assert decorrelation_time(series) == pytest.approx(-1 / math.log(0.8), rel=0.05)
    assert np.isnan(decorrelation_time(np.zeros(10)))


def test_spectrum_integrates_to_the_variance_and_peaks_at_the_period():
    time = np.arange(480)
    wave = 3 * np.sin(2 * np.pi * time / 28)
    period, power = smooth_spectrum(wave, bins=2000)
    assert power.sum() / len(time) == pytest.approx(wave.var(), rel=1e-6)
    assert period[power.argmax()] == pytest.approx(28, rel=0.03)


def test_bands_of_periods_share_the_variance_out():
    time = np.arange(432)
    series = 3 * np.sin(2 * np.pi * time / 27) + np.cos(2 * np.pi * time / 4) + 2 * np.cos(np.pi * time)
    bands = [band_variance(series, low, high) for low, high in ((2, 3), (3, 6), (6, 18), (18, 60), (60, np.inf))]
    assert bands == pytest.approx([4, 0.5, 0, 4.5, 0], abs=1e-9)
    noise = np.random.default_rng(9).normal(size=431)
    assert band_variance(noise, 2, 12) + band_variance(noise, 12, np.inf) == pytest.approx(noise.var())


def test_crps_of_a_normal_ensemble_has_its_closed_form():
    members = np.random.default_rng(6).normal(size=(20_000, 1))
    observed = 0.7
    normal = math.erf(observed / math.sqrt(2)), math.exp(-(observed**2) / 2) / math.sqrt(2 * math.pi)
    exact = observed * normal[0] + 2 * normal[1] - 1 / math.sqrt(math.pi)
    assert crps(members, observed)[0] == pytest.approx(exact, abs=0.01)


def test_crps_of_three_members_by_its_definition():
    members = np.array([1.0, 4.0, 2.0])
    pairs = sum(abs(a - b) for a in members for b in members) / (2 * 3 * 2)
    assert crps(members[:, None], np.array([3.0]))[0] == pytest.approx(np.abs(members - 3).mean() - pairs)
    assert crps(np.array([[1.0]]), np.array([3.0]))[0] == 2.0


def test_spread_equals_error_and_ranks_are_even_where_the_observed_is_one_more_member():
    draws = np.random.default_rng(7).normal(size=(6, 200, 12, 24))
    spread, error = spread_and_error(draws[:5], draws[5])
    assert spread / error == pytest.approx(1.0, abs=0.02)
    assert rank_shares(draws[:5], draws[5]) == pytest.approx(np.full(6, 1 / 6), abs=0.01)
    spread, error = spread_and_error(0.3 * draws[:5], draws[5])
    assert spread / error == pytest.approx(math.sqrt(0.09 * 1.2 / (1 + 0.09 / 5)), rel=0.02)
    shares = rank_shares(0.3 * draws[:5], draws[5])
    assert shares.sum() == pytest.approx(1)
    assert min(shares[0], shares[-1]) > 0.3


def test_box_means_conserve_the_area_mean():
    lat, lon = centres(4.5)
    field = np.random.default_rng(8).normal(size=(len(lat), len(lon)))
    assert box_mean(Boxes(lat, lon).mean(field)) == pytest.approx(float(area_mean(field, lat, lon)), abs=1e-12)


def test_the_climatology_is_an_ensemble_of_the_same_calendar_month_in_all_years_that_have_it():
    months, wanted = month_range("1979-01", "1981-03"), month_range("2015-03", "2015-04")
    values = np.arange(27.0)[:, None, None] + np.zeros((1, 12, 24))
    score = climatology_crps(values, months, np.full((2, 12, 24), 10.0), wanted)
    # March was 2, 14 and 26, April 3 and 15; by hand: mean |x - y| less half the mean distance of pairs.
    assert score[0] == pytest.approx(np.full((12, 24), (8 + 4 + 16) / 3 - (12 + 24 + 12) / 6))
    assert score[1] == pytest.approx(np.full((12, 24), (7 + 5) / 2 - 12 / 2))
    assert np.isnan(climatology_crps(values[:5], months[:5], np.zeros((1, 12, 24)), month_range("2015-06", "2015-06")))[
        0
    ].all()


@pytest.fixture(scope="module")
def nino34():
    return read_index(INDEX)
