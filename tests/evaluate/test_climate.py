"""Metrics that the field asks for, against closed forms and other packages."""

import numpy as np
import pytest
import scipy.stats
import xarray as xr

from tests.helpers.evaluation_run import LAT, LON, MONTHS, PERIODS, members
from tests.helpers.evaluation_tree import channels
from tests.helpers.project import INDEX
from workflow.scripts.common.grids import cell_areas, centres
from workflow.scripts.common.months import mid_times, month_of_year, month_range, year_of
from workflow.scripts.common.periods import evaluation_periods
from workflow.scripts.evaluate.measures.along_time import TooShort, annual_deviation, asymmetry_weights
from workflow.scripts.evaluate.measures.over_area import weighted_mean
from workflow.scripts.evaluate.measures.rainfall import QUANTILES, RainHistogram, itcz_latitude
from workflow.scripts.evaluate.metrics.climate import evaluate_climate, evaluate_seasonal_response
from workflow.scripts.evaluate.metrics.scores import Results
from workflow.scripts.evaluate.metrics.table import REFERENCE, Table, scaled_trend_error
from workflow.scripts.evaluate.summarize.enso import read_index
from workflow.scripts.evaluate.summarize.reader import SummaryFile
from workflow.scripts.evaluate.summarize.summary import Summary

MM_DAY = 1 / 86400


def test_quantiles_are_those_of_all_values_sorted_by_area():
    rng = np.random.default_rng(1)
    values = rng.lognormal(0, 2, (40, len(LAT), len(LON))) * MM_DAY
    values[rng.random(values.shape) < 0.05] = 0
    areas = cell_areas(LAT, LON)
    histogram = RainHistogram(areas)
    for part in np.split(values, 4):
        histogram.add(part)
    weights = np.broadcast_to(areas, values.shape).ravel()
    exact = np.quantile(values.ravel(), QUANTILES, weights=weights, method="inverted_cdf")
    assert histogram.quantiles() == pytest.approx(exact, rel=5e-3, abs=1e-3 * MM_DAY)
    histogram.add(np.full((1, len(LAT), len(LON)), np.nan))
    assert histogram.quantiles() == pytest.approx(exact, rel=5e-3, abs=1e-3 * MM_DAY)


def test_quantiles_know_the_ends_of_their_bins():
    histogram = RainHistogram(cell_areas(LAT, LON))
    assert np.isnan(histogram.quantiles()).all()
    histogram.add(np.full((1, len(LAT), len(LON)), 5000 * MM_DAY))
    assert histogram.quantiles((0.5,)) == pytest.approx(1000 * MM_DAY, rel=5e-3)


@pytest.mark.parametrize("resolution", [15.0, 4.5, 1.5])
def test_itcz_halves_the_tropical_rain(resolution):
    lat, _ = centres(resolution)
    assert itcz_latitude(np.ones(len(lat)), lat) == pytest.approx(0, abs=1e-9)
    assert np.isnan(itcz_latitude(np.zeros(len(lat)), lat))
    beyond = np.where(np.abs(lat) - resolution / 2 >= 20, 99.0, 1.0)  # rain outside the tropics does not count
    beyond[lat > 0] *= 3
    # South of the cell on the equator and in it 1, north of it 3: half of the amounts lies at x = sin(latitude).
    edge, end = np.sin(np.deg2rad(resolution / 2)), np.sin(np.deg2rad(20))
    half = (edge + end + 3 * (end - edge)) / 2
    x = half - end if half < edge + end else edge + (half - edge - end) / 3
    assert itcz_latitude(beyond, lat) == pytest.approx(np.rad2deg(np.arcsin(x)))
    one = np.zeros((2, len(lat)))
    one[0, np.searchsorted(lat, 10)] = one[1, np.searchsorted(lat, -12) - 1] = 1
    assert itcz_latitude(one, lat)[0] > 5 and itcz_latitude(one, lat)[1] < -5


def test_deviation_about_the_trend_is_that_of_a_regression():
    rng = np.random.default_rng(2)
    years = np.arange(1979, 2015)
    values = rng.normal(size=(3, len(years))) + 0.1 * (years - 1979)
    assert annual_deviation(values) == pytest.approx(values.std(-1, ddof=1))
    spread = np.sqrt(((years - years.mean()) ** 2).sum())
    expected = [scipy.stats.linregress(years, row).stderr * spread for row in values]
    assert annual_deviation(values, detrended=True) == pytest.approx(expected)


def test_asymmetry_is_the_sum_of_the_composites_of_xarray():
    months = month_range("1979-01", "2014-12")
    field = np.random.default_rng(3).normal(size=len(months)) + month_of_year(months)
    times, values = read_index(INDEX)
    index = np.interp(mid_times(months), times, values)
    index -= index.mean()
    data = xr.DataArray(field, {"time": months.astype("datetime64[ns]")}, ("time",))
    departures = data.groupby("time.month") - data.groupby("time.month").mean()
    expected = float(departures[index >= 0.5].mean() + departures[index <= -0.5].mean())
    weights = asymmetry_weights(months, times, values, "1979-01", "2014-12")
    assert weights @ field == pytest.approx(expected)


def test_asymmetry_tells_a_rectified_answer_from_a_linear_one():
    """Index +1, -1, 0, 0 K year after year: a linear answer leaves nothing, one to warm years alone leaves itself."""
    months = month_range("1980-01", "1987-12")
    index = np.repeat(np.tile([1.0, -1.0, 0.0, 0.0], 2), 12)
    weights = asymmetry_weights(months, mid_times(months), index, "1980-01", "1987-12")
    season = 30 * np.cos(month_of_year(months))
    assert weights @ (5 * index + season) == pytest.approx(0, abs=1e-12)
    # Mean of 4 K max(I, 0) is 1: warm years depart by 3 and cold ones by -1.
    assert weights @ (4 * np.maximum(index, 0) + season) == pytest.approx(2)
    with pytest.raises(TooShort, match="no month of 1980-01..1987-12 has an ENSO index 0.5 K above the mean"):
        asymmetry_weights(months, mid_times(months), 0.2 * index, "1980-01", "1987-12")


def summarized(path, fields, lat=LAT, lon=LON):
    """The summary, written and read, of ``fields`` {name: (month, lat, lon)}, given to it year by year."""
    summary = Summary(MONTHS, lat, lon, evaluation_periods(PERIODS), read_index(INDEX), 2)
    years = year_of(MONTHS)
    for field, values in fields.items():
        for year in np.unique(years):
            summary.add(field, MONTHS[years == year], values[years == year], "K")
    summary.write(path, "made")
    return SummaryFile(path)


def test_monthly_means_and_variance_are_those_of_xarray(tmp_path):
    values = channels(MONTHS, LAT, LON, seed=5)["t2m"].astype(np.float64)
    summary = summarized(tmp_path / "r1.nc", {"tas": values})
    data = xr.DataArray(values, {"time": MONTHS.astype("datetime64[ns]")}, ("time", "lat", "lon"))
    means = data.groupby("time.month").mean()
    departures = data.groupby("time.month") - means
    ours, variance = summary.monthly_on(summary, "tas")
    assert np.allclose(ours, means, rtol=1e-6)
    assert np.allclose(variance, (departures**2).sum("time") / (len(MONTHS) - 12), rtol=1e-5)


def test_response_by_month_and_change_of_variance(tmp_path):
    """A warming of as many K as the month's number over land and half that over sea, departures twice as large."""
    noise = np.random.default_rng(6).normal(size=(len(MONTHS), len(LAT), len(LON)))
    calendar = month_of_year(MONTHS)
    for month in range(1, 13):
        noise[calendar == month] -= noise[calendar == month].mean(0)
    land = np.broadcast_to(LON < 180, noise.shape[1:]).astype(float)
    warming = calendar[:, None, None] * (0.5 + 0.5 * land)
    for name, values in (("aimip", 280 + noise), ("aimip-p4k", 280 + 2 * noise + warming)):
        (tmp_path / name).mkdir()
        summarized(tmp_path / name / "r1.nc", {"tas": values})
    control, warmed = ({"r1": SummaryFile(tmp_path / name / "r1.nc")} for name in ("aimip", "aimip-p4k"))
    results = Results()
    evaluate_seasonal_response(results, control["r1"], control, warmed, "made", land)
    table = Table(results.rows)

    def value(metric):
        (found,) = table.members("made", metric, "simulation", "tas", "aimip-p4k")
        return pytest.approx(found, rel=1e-4)

    for month in (1, 7, 12):
        assert month == value(f"E5_response_land_month_{month:02d}")
        assert month / 2 == value(f"E5_response_sea_month_{month:02d}")
        assert month * 0.75 == value(f"E5_response_month_{month:02d}")
    assert 11 == value("E5_seasonal_range_land")
    for place in ("", "_land", "_sea"):
        assert 4 == value(f"E5_variance_ratio{place}")


def test_the_itcz_of_a_summary_follows_the_sun(tmp_path):
    """Rain in one row of cells, at 15S in winter and at 15N in summer."""
    north = (month_of_year(MONTHS) >= 4) & (month_of_year(MONTHS) <= 9)
    rain = (LAT[None, :, None] == np.where(north, 15, -15)[:, None, None]) * np.ones(len(LON)) * MM_DAY
    summary = summarized(tmp_path / "r1.nc", {"pr": rain})
    results = Results()
    evaluate_climate(results, [summary], REFERENCE, evaluation_periods(PERIODS), summary, 87.5)
    table = Table(results.rows)
    middle = np.rad2deg(np.arcsin((np.sin(np.deg2rad(7.5)) + np.sin(np.deg2rad(20))) / 2))  # of what is south of 20N
    assert table.single(REFERENCE, "itcz_seasonal_range", "test", "pr") == pytest.approx(2 * middle)
    assert table.single(REFERENCE, "itcz_latitude", "test", "pr") == pytest.approx(0, abs=7.5)
    assert table.single(REFERENCE, "quantile_50", "test", "pr") < 1e-3 * MM_DAY
    assert table.single(REFERENCE, "quantile_99", "test", "pr") == pytest.approx(MM_DAY, rel=5e-3)


def test_every_field_has_a_trend_and_a_deviation_of_its_global_mean(table):
    for metric in ("trend_global", "global_std", "global_std_detrended"):
        assert len(table.fields(metric, "training")) == 38
    tas = channels(MONTHS, LAT, LON, seed=0)["t2m"].astype(np.float64)
    annual = [weighted_mean(tas[year_of(MONTHS) == year], LAT).mean() for year in range(1979, 1984)]
    expected = scipy.stats.linregress(np.arange(5), annual).stderr * np.sqrt(10)
    assert table.single("reference", "global_std_detrended", "training", "tas") == pytest.approx(expected, rel=1e-4)
    assert table.single("reference", "global_std", "training", "tas") == pytest.approx(np.std(annual, ddof=1), rel=1e-4)
    assert scaled_trend_error(table, "MD-made", "aimip", "training") == pytest.approx([0, 0, 0], abs=0.1)


def test_members_of_the_same_noise_have_the_same_asymmetry_and_quantiles(table):
    assert members(table, "ENSO_asymmetry_rms", "training", "zg500") == pytest.approx([0, 0, 0], abs=1e-2)
    known = table.single("reference", "ENSO_asymmetry_size", "training", "tas")
    assert members(table, "ENSO_asymmetry_size", "training", "tas") == pytest.approx([known] * 3, rel=1e-3)
    assert members(table, "quantile_50_ratio", "test", "pr")[2] == pytest.approx(1)
    shift = 0.5 * 5e-6 / table.single("reference", "quantile_50", "test", "pr")
    assert members(table, "quantile_50_ratio", "test", "pr")[0] == pytest.approx(1 + shift, abs=5e-3)
