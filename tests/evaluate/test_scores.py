"""Metrics from files, on a made climate whose biases, trends and responses are known."""

import csv
import json
import warnings

import netCDF4
import numpy as np
import pytest

from tests.helpers.evaluation_run import LAT, LON, MONTHS, members, run
from tests.helpers.evaluation_tree import channels, periods
from workflow.scripts.common.field_names import field_order
from workflow.scripts.common.months import year_of
from workflow.scripts.evaluate.measures.over_area import rms
from workflow.scripts.evaluate.metrics.table import read_table


def test_a_uniform_bias_is_found_member_by_member(table):
    for period in ("training", "test"):
        assert members(table, "E1_bias", period, "tas") == pytest.approx([1.5, 0.75, 0], abs=1e-4)
        assert members(table, "E1_rmsb", period, "ua250") == pytest.approx([1.5, 0.75, 0], abs=1e-4)
    assert members(table, "E1_rmsb", "test", "zg500") == pytest.approx([300 / 9.80665, 150 / 9.80665, 0], abs=1e-2)


def test_climatology_baseline_is_the_training_mean_taken_for_the_test_period(table):
    tas = channels(MONTHS, LAT, LON, seed=0)["t2m"].astype(np.float64)
    years = year_of(MONTHS)
    bias = tas[(years >= 1979) & (years <= 1983)].mean(0) - tas[years >= 1984].mean(0)
    assert table.single("climatology", "E1_rmsb", "test", "tas") == pytest.approx(rms(bias, LAT, 87.5), rel=1e-4)


def test_interannual_deviation_is_that_of_annual_means(table):
    tas = channels(MONTHS, LAT, LON, seed=0)["t2m"].astype(np.float64)
    annual = np.stack([tas[year_of(MONTHS) == year].mean(0) for year in range(1979, 1984)])
    expected = rms(annual.std(0, ddof=1), LAT, 87.5)
    assert table.single("reference", "interannual_std", "training", "tas") == pytest.approx(expected, rel=1e-5)


def test_trend_bias_vanishes_for_the_same_trend_and_equals_polyfit(table):
    assert members(table, "E2_trend_rms", "training", "tas") == pytest.approx([0, 0, 0], abs=1e-4)
    tas = channels(MONTHS, LAT, LON, seed=0)["t2m"].astype(np.float64)
    years = np.arange(1979, 1984)
    annual = np.stack([tas[year_of(MONTHS) == year].mean(0) for year in years])
    slope = np.polyfit(years / 10, annual.reshape(5, -1), 1)[0].reshape(len(LAT), len(LON))
    weights = np.where(np.abs(LAT) <= 87.5, np.cos(np.deg2rad(LAT)), 0)[:, None] + np.zeros(len(LON))
    expected = np.average(slope, weights=weights)
    assert table.single("reference", "trend_global", "training", "tas") == pytest.approx(expected, rel=1e-4)


def test_response_to_warming_is_exact_over_land_and_sea(table):
    for metric in ("E5_response", "E5_response_land", "E5_response_sea"):
        assert members(table, metric, "simulation", "ta850", "aimip-p4k") == pytest.approx([3.0] * 3, abs=1e-4)
    assert members(table, "E5_land_sea_ratio", "simulation", "tas", "aimip-p4k") == pytest.approx([1.0] * 3, abs=1e-4)
    assert members(table, "E5_response", "simulation", "psl", "aimip-p4k") == pytest.approx([0.0] * 3, abs=1e-2)


def test_every_submitted_field_is_evaluated(table):
    fields = table.fields("E1_rmsb", "test")
    assert len(fields) == 38
    assert {"tas", "huss", "tdas", "pr", "zg500", "ta1000", "hus50", "va250"} <= set(fields)
    assert sorted(["ta50", "tas", "ta1000", "pr"], key=field_order) == ["pr", "tas", "ta1000", "ta50"]


def test_netcdf_holds_the_same_numbers_and_the_mean_maps(result, table):
    with netCDF4.Dataset(result / "metrics.nc") as data:
        axes = [data[name][:].tolist() for name in ("source", "experiment", "member", "period", "field")]
        key = ("MD-made", "aimip", "r2i1p1f1", "test", "tas")
        place = tuple(axis.index(value) for axis, value in zip(axes, key, strict=True))
        assert data["E1_rmsb"][place] == pytest.approx(members(table, "E1_rmsb", "test", "tas")[1], rel=1e-12)
        field = data["spectral_field"][:].tolist().index("zg500")
        power = data["spectrum"][(*(axes[k].index(v) for k, v in enumerate(("reference", "", ""))), field)]
        assert power[1:4].sum() == pytest.approx(table.single("reference", "power_1-3", "test", "zg500"))
        index = data["index"][:].tolist().index("NAO")
        density = data["index_spectrum"][(*(axes[k].index(v) for k, v in enumerate(key[:3])), index)]
        assert density.shape == data["index_period"].shape and np.isfinite(density).all()
        place = axes[1].index("aimip"), axes[3].index("test"), axes[4].index("tas")
        assert np.allclose(data["E1_bias_map"][place], 0.75, atol=1e-4)


def test_members_like_the_reference_have_as_much_spread_as_error(tmp_path):
    run(tmp_path, {("aimip", f"r{seed}i1p1f1"): {"seed": seed} for seed in (1, 2, 3)})
    table = read_table(tmp_path / "metrics.csv")
    assert members(table, "ensemble_spread_skill", "test", "zg500") == pytest.approx([1.0], abs=0.05)
    shares = [members(table, f"ensemble_rank_{rank}", "test", "zg500")[0] for rank in range(4)]
    assert shares == pytest.approx([0.25] * 4, abs=0.03)
    card = json.loads((tmp_path / "card.json").read_text())
    row = next(row for row in card["baselines"]["rows"] if row["name"] == "CRPS, zg500")
    assert row["spread"] == pytest.approx(1.0, abs=0.05)
    assert card["members"] == 3


def test_short_periods_skip_with_a_reason_and_without_warnings(tmp_path):
    spans = periods(training=("1979-01", "1979-12"), validation=("1980-01", "1980-12"), test=("1981-01", "1981-12"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(tmp_path, {("aimip", "r1i1p1f1"): {"seed": 1}}, spans, minimum_years=5)
    card = json.loads((tmp_path / "card.json").read_text())
    assert card["skipped"]["trend_test"] == "1981-01..1981-12 has 1 complete year in the data and 5 are needed"
    assert {"enso_training", "std_test", "mean_first", "E4"} <= set(card["skipped"])
    with open(tmp_path / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert not [row for row in rows if row["metric"].startswith(("E2", "E3"))]
    assert not [row for row in rows if row["value"] == "nan" and row["metric"].startswith("E1")]
