"""Periods that begin and end in any month: what needs whole years takes those within, and the card says so."""

import json

import numpy as np
import pytest

from tests.helpers.evaluation_run import LAT, LON, run
from tests.helpers.evaluation_tree import channels, months_of, periods
from workflow.scripts.common.grids import cell_areas
from workflow.scripts.common.months import month_of_year, month_range
from workflow.scripts.common.periods import evaluation_periods
from workflow.scripts.evaluate.measures.along_time import TooShort, climatology_weights, mean_weights
from workflow.scripts.evaluate.metrics.table import read_table
from workflow.scripts.evaluate.summarize.reader import SummaryFile
from workflow.scripts.evaluate.summarize.summary import month_weights

# Fourteen months before the epoch of the file's time axis, and none of them a whole number of years.
SPANS = periods("1977-08", ("1977-11", "1981-05"), ("1981-06", "1983-03"), ("1983-10", "1986-08"))
SPANS["simulation"][1] = "1986-09"
MONTHS = months_of(SPANS)


@pytest.fixture(scope="module")
def partial(tmp_path_factory):
    simulations = {("aimip", "r1i1p1f1"): {"seed": 0}, ("aimip", "r2i1p1f1"): {"seed": 0, "bias": 0.5}}
    warmed = {("aimip-p4k", "r1i1p1f1"): {"seed": 0, "warming": 3.0}}
    return run(tmp_path_factory.mktemp("partial"), simulations | warmed, SPANS)


def inside(period):
    return np.isin(MONTHS, month_range(*period))


def test_the_climatology_predicts_the_months_that_the_test_period_has():
    """A summer that is tested is not held against the mean of whole years, nor against a training with more winters."""
    months = month_range("1979-01", "1985-12")
    season = month_of_year(months).astype(float)
    weights = climatology_weights(months, ("1979-01", "1980-04"), ("1985-06", "1985-08"))
    assert weights @ season == pytest.approx(7) and weights.sum() == pytest.approx(1)
    weights = climatology_weights(months, ("1979-01", "1980-04"), ("1984-12", "1985-02"))
    # January and February twice in training, December once: each counts once.
    assert weights @ season == pytest.approx((12 + 1 + 2) / 3) and weights[0] == pytest.approx(1 / 6)
    whole = ("1979-01", "1981-12"), ("1983-05", "1985-04")
    np.testing.assert_allclose(climatology_weights(months, *whole), mean_weights(months, *whole[0]), atol=1e-15)
    with pytest.raises(TooShort, match="1979-01..1979-05 has no month 06, which 1985-06..1985-08 has"):
        climatology_weights(months, ("1979-01", "1979-05"), ("1985-06", "1985-08"))


def test_the_baseline_is_that_climatology(partial):
    tas = channels(MONTHS, LAT, LON, 0)["t2m"].astype(float)
    season, span = month_of_year(MONTHS), inside(("1977-11", "1983-03"))
    test = inside(SPANS["test"])
    predicted = np.mean([tas[span & (season == month)].mean(0) for month in season[test]], axis=0)
    bias = predicted - tas[test].mean(0)
    area = cell_areas(LAT, LON) * (np.abs(LAT) <= 87.5)[:, None]
    rmsb = np.sqrt((bias**2 * area).sum() / area.sum())
    table = read_table(partial / "metrics.csv")
    assert table.single("climatology", "E1_rmsb", "test", "tas") == pytest.approx(rmsb, rel=0.02)
    # The mean of all training months, with three Novembers to Februaries too many, is far worse.
    plain = np.sqrt(((tas[span].mean(0) - tas[test].mean(0)) ** 2 * area).sum() / area.sum())
    assert plain > 1.5 * rmsb


def test_trends_and_deviations_take_complete_years_and_the_card_says_which(partial):
    card = json.loads((partial / "card.json").read_text())
    assert set(card["criterion"]) == {"tas", "ta850"}
    sentence = "trends and interannual deviations take the complete years {} of {}, without {} months"
    for name, years, period, left in (
        ("training", "1978..1982", "1977-11..1983-03", 5),
        ("test", "1984..1985", "1983-10..1986-08", 11),
    ):
        assert card["skipped"][f"partial years of {name}"] == sentence.format(years, period, left)
        assert sentence.format(years, period, left) in (partial / "card.txt").read_text()
    tas = channels(MONTHS, LAT, LON, 0)["t2m"].astype(float)
    annual = np.stack([tas[inside((f"{year}-01", f"{year}-12"))].mean(0) for year in range(1978, 1983)])
    reference = SummaryFile(partial / "reference.nc")
    assert reference.maps("std_training", ["tas"])[0] == pytest.approx(annual.std(0, ddof=1), rel=1e-4)
    slope = np.polyfit(np.arange(1978, 1983) / 10, annual.reshape(5, -1), 1)[0].reshape(annual.shape[1:])
    assert reference.maps("trend_training", ["tas"])[0] == pytest.approx(slope, abs=1e-3)


def test_what_the_index_does_not_reach_is_left_out_with_that_reason(partial):
    card = json.loads((partial / "card.json").read_text())
    assert card["skipped"]["enso_training"] == "the ENSO index does not cover 1977-11..1983-03"
    assert "enso_test" not in card["skipped"]


def test_a_month_of_the_year_that_training_lacks_leaves_the_climatology_out_and_stops_nothing(tmp_path):
    spans = periods("1983-01", ("1983-01", "1983-03"), ("1983-04", "1983-06"), ("1984-01", "1984-10"))
    run(tmp_path, {("aimip", "r1i1p1f1"): {"seed": 0}}, spans)
    card = json.loads((tmp_path / "card.json").read_text())
    assert card["skipped"]["climatology_test"] == "1983-01..1983-06 has no month 07, which 1984-01..1984-10 has"
    assert not card["criterion"] and not card["criterion_met"]
    assert all(row["verdict"] == "" for row in card["lines"] if row["section"].startswith("E1"))
    seasons = SummaryFile(tmp_path / "reference.nc").seasons["ua50"]
    assert np.isfinite(seasons[:6]).all() and np.isnan(seasons[6:]).all()


def test_a_test_period_may_come_before_training():
    spans = periods("1950-01", ("1965-01", "1975-12"), ("1976-01", "1977-12"), ("1950-01", "1959-12"))
    spans["simulation"][1] = "1977-12"
    months = months_of(spans)
    rows, skipped = month_weights(months, evaluation_periods(spans), ([0.0, 1.0], [0.0, 1.0]), 5)
    assert "mean_first" not in skipped and "trend_full" in rows
    year = months.astype("datetime64[Y]").astype(int) + 1970.0
    assert rows["mean_first"] @ year == pytest.approx(1954.5) and rows["mean_last"] @ year == pytest.approx(1972.5)
