"""Skill against baselines: paired differences worked out by hand, verdicts, and where a prescribed field is scored."""

import csv
import json
from types import SimpleNamespace

import netCDF4
import numpy as np
import pytest

from tests.helpers.evaluation_run import LAT, LON, run
from workflow.scripts.common.months import month_range
from workflow.scripts.common.ncfiles import add_field, add_grid, add_months, new_file
from workflow.scripts.common.skill import BASELINES, BOX_FIELDS, baseline_members
from workflow.scripts.evaluate.evaluation import baseline_paths
from workflow.scripts.evaluate.measures.along_time import standard_error
from workflow.scripts.evaluate.metrics.scores import Area, Results, evaluate_ensemble_mean
from workflow.scripts.evaluate.metrics.table import Table, read_table, scaled_rmsb
from workflow.scripts.evaluate.scorecard.baselines import baseline_table, sign_of, spread_word
from workflow.scripts.evaluate.summarize.baseline import PrescribedSea


@pytest.mark.parametrize("ice", [True, False])
def test_without_ice_nothing_tells_open_sea_and_ts_is_the_skin_temperature(tmp_path, ice):
    months = month_range("1979-01", "1979-12")
    with new_file(tmp_path / "sea.nc", "forcing") as file:
        add_grid(file, LAT, LON)
        add_months(file, months)
        for name, value in {"sst": 300.0, **({"siconc": 0.0} if ice else {})}.items():
            add_field(file, name, ("time", "lat", "lon"), units="1")[:] = np.full((12, len(LAT), len(LON)), value)
        add_field(file, "lsm", ("lat", "lon"), units="1")[:] = np.zeros((len(LAT), len(LON)))
    skin = np.full((3, len(LAT), len(LON)), 290.0, np.float32)
    found = PrescribedSea(tmp_path / "sea.nc", months).surface_temperature(skin, slice(2, 5))
    np.testing.assert_array_equal(found, 300 if ice else skin)


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """Three members with biases of 0.5, 0.25 and 0 spreads; a worse baseline, a perfect one, and one that is ours."""
    ours = {("aimip", f"r{number}i1p1f1"): {"seed": 0, "bias": bias} for number, bias in enumerate((0.5, 0.25, 0), 1)}
    baselines = {
        "persistence": {"r1i1p1f1": {"seed": 0, "bias": 0.5}},
        "regression": {"r1i1p1f1": {"seed": 0, "bias": 0.0}},
        "no-diffusion": {member: arguments for (_, member), arguments in ours.items()},
    }
    return run(tmp_path_factory.mktemp("baselines"), ours, baselines=baselines)


def test_standard_error_of_blocks_by_hand():
    """Blocks of mean 1, 2 and 6: deviation sqrt(7), standard error sqrt(7 / 3); the rest of a year is left out."""
    swing = np.tile([5.0, -5.0], 6)
    series = np.concatenate([1 + swing, 2 - swing, 6 + 2 * swing, [1e6] * 11])
    assert standard_error(series) == pytest.approx((7 / 3) ** 0.5)
    assert standard_error([1.0, 3.0, 2.0, 4.0, 9.0], block=2) == pytest.approx(0.5)
    assert np.isnan(standard_error(series[:23]))


def test_standard_error_of_months_that_hang_together_is_that_of_blocks():
    """Years of one value each: a year is one sample and not twelve."""
    years = np.random.default_rng(1).normal(size=2000)
    assert standard_error(np.repeat(years, 12)) == pytest.approx(1 / 2000**0.5, rel=0.05)


def test_crps_of_a_baseline_is_fair_and_of_one_forecast_its_absolute_error(scored):
    """tas has a spread of 3 K: |1.5| for persistence; of 1.5, 0.75 and 0 K the mean less half the mean distance, 1."""
    table = read_table(scored / "metrics.csv")

    def crps(source, experiment="aimip"):
        return table.members(source, "ensemble_crps", "test", "tas", experiment)

    assert crps("persistence") == pytest.approx([1.5], abs=1e-4)
    assert crps("regression") == pytest.approx([0.0], abs=1e-4)
    assert crps("MD-made") == pytest.approx([0.25], abs=1e-4)
    assert crps("no-diffusion") == pytest.approx([0.25], abs=1e-4)


def test_differences_are_ours_less_the_baselines_with_an_error_from_both_years(scored):
    table = read_table(scored / "metrics.csv")
    for source, expected in (("persistence", -1.25), ("regression", 0.25), ("no-diffusion", 0.0)):
        found = table.members(source, "crps_ours_less_this", "test", "tas", "aimip")
        assert found == pytest.approx([expected], abs=1e-4)
        error = table.members(source, "crps_ours_less_this_error", "test", "tas", "aimip")
        assert error == pytest.approx([0.0], abs=1e-4), "the difference is the same in every month"
    assert table.members("climatology", "crps_ours_less_this_error", "test", "pr", "").size == 1
    assert not table.members("MD-made", "crps_ours_less_this", "test", "tas", "aimip").size


def test_baselines_have_the_metrics_of_a_model_and_climatology_is_there_once(scored):
    with open(scored / "metrics.csv", newline="", encoding="utf-8") as file:
        rows = [
            (row["source"], row["metric"], row["period"], row["field"], row["member"]) for row in csv.DictReader(file)
        ]
    assert len(rows) == len(set(rows))
    by_source = {
        name: {row[1] for row in rows if row[0] == name} for name in ("MD-made", "no-diffusion", "persistence")
    }
    differences = {"crps_ours_less_this", "crps_ours_less_this_error"}
    assert by_source["no-diffusion"] - differences == by_source["MD-made"]
    assert {"E1_rmsb", "E1_rmsb_land", "trend_global", "index_std", "power_1-3"} <= by_source["persistence"]
    with netCDF4.Dataset(scored / "metrics.nc") as data:
        assert {"persistence", "regression", "no-diffusion"} <= set(data["source"][:].tolist())


def test_the_card_sets_ours_beside_every_baseline(scored):
    card = json.loads((scored / "card.json").read_text())
    assert card["baselines"]["columns"] == ["climatology", "persistence", "regression", "no-diffusion"]
    rows = {row["name"]: row for row in card["baselines"]["rows"]}
    rmsb_rows = {"RMSB, mean of all fields", "RMSB of the ensemble mean"}
    assert set(rows) == rmsb_rows | {*(f"CRPS, {name}{mark(name)}" for name in BOX_FIELDS)}
    tas = rows["CRPS, tas *"]
    assert tas["ours"] == pytest.approx(0.25, abs=1e-4)
    assert tas["baselines"]["persistence"] == {"value": pytest.approx(1.5, abs=1e-4), "sign": "better"}
    assert tas["baselines"]["regression"]["sign"] == "worse"
    assert tas["baselines"]["no-diffusion"]["sign"] == "even"
    rmsb = rows["RMSB, mean of all fields"]
    assert rmsb["baselines"]["persistence"]["value"] == pytest.approx(2 * rmsb["ours"], rel=1e-3)
    mean = rows["RMSB of the ensemble mean"]
    assert mean["ours"] == pytest.approx(rmsb["ours"], rel=0.02), (
        "the mean of these biases is that of the median member"
    )
    assert mean["baselines"]["persistence"] == rmsb["baselines"]["persistence"], "one member is its own mean"
    (line,) = (line for line in card["lines"] if line["name"] == "mean of all fields, ensemble mean")
    assert (line["median"], line["reference"]) == (mean["ours"], mean["baselines"]["climatology"]["value"])
    assert card["criterion"]["tas"] == ["regression", "no-diffusion"] and not card["criterion_met"]
    text, html = (scored / "card.txt").read_text(), (scored / "card.html").read_text()
    assert max(map(len, text.split("Skill criterion")[0].splitlines())) <= 100
    line = next(line for line in text.splitlines() if line.startswith("  CRPS, tas *"))
    assert line.split()[3:5] == ["K", "0.25"] and "1.5+" in line.replace(" +", "+") and line.count("=") == 1
    assert '<td class="worse">' in html and "CRPS, tas *" in html


class MapsOf(SimpleNamespace):
    """What a summary says of time means: ``values`` {field: (lat, lon)} of the test period, or nothing."""

    def has(self, statistic):
        return statistic == "mean_test" and bool(self.values)

    def maps(self, statistic, fields):
        return np.stack([self.values[field] for field in fields])

    def maps_on(self, reference, statistic, fields):
        return self.maps(statistic, fields)


def test_the_ensemble_mean_has_the_mean_bias_of_members_and_the_fields_that_all_have():
    """Of 0.5, -0.5 and 0.3 K a mean of 0.1 K, of ts three times as much over the sea, which is half of the world."""
    land = np.broadcast_to(LON < 180, (len(LAT), len(LON))).astype(float)
    units = {"ts": "K", "tas": "K", "pr": "kg m-2 s-1"}
    known = {"ts": 280 + land, "tas": 281 + land, "pr": land}
    members = [
        MapsOf(
            fields=["ts", "tas", "pr"][:count],
            units=units,
            experiment="aimip",
            values={name: value + bias * (3 - 2 * land if name == "ts" else 1) for name, value in known.items()},
        )
        for bias, count in ((0.5, 3), (-0.5, 3), (0.3, 2))
    ]
    reference, area = MapsOf(fields=[*units], values=known), Area(LAT, 87.5, land)
    results = Results()
    evaluate_ensemble_mean(results, reference, members, "M", area)
    found = {(row["member"], row["metric"], row["field"]): row["value"] for row in results.rows}
    assert found == {
        ("all", "E1_ensemble_mean_rmsb", "ts"): pytest.approx(0.05**0.5),
        ("all", "E1_ensemble_mean_rmsb_land", "ts"): pytest.approx(0.1),
        ("all", "E1_ensemble_mean_rmsb", "tas"): pytest.approx(0.1),
    }
    for others in ([*members, MapsOf(fields=["huss"], values={"huss": land})], [MapsOf(fields=["tas"], values={})]):
        results = Results()
        evaluate_ensemble_mean(results, reference, others, "M", area)
        assert not results.rows, "of no field that all have, or no test period, there is none"


def mark(field):
    return " *" if field in ("tas", "ta850") else ""


def row(source, metric, value, field="tas", experiment="aimip"):
    return {
        **{"source": source, "experiment": experiment, "metric": metric, "period": "test", "field": field},
        **{"value": str(value), "units": "K", "member": "all"},
    }


def card_of(ours, climatology, regression, ratio=1.0):
    rows = [row("M", "ensemble_crps", ours), row("M", "ensemble_spread_skill", ratio)]
    rows += [
        row("climatology", "ensemble_crps", climatology, experiment=""),
        row("regression", "ensemble_crps", regression),
    ]
    return baseline_table(Table(rows), "M", "aimip", ["tas", "pr"])


def test_the_criterion_asks_for_a_lower_crps_than_every_baseline_and_not_for_a_spread():
    assert card_of(0.3, 0.5, 0.4, ratio=5.0)[1] == {"tas": []}
    assert card_of(0.45, 0.5, 0.4)[1] == {"tas": ["regression"]}
    assert card_of(0.4, 0.4, 0.4)[1] == {"tas": ["climatology", "regression"]}
    (line,) = card_of(0.3, 0.5, 0.4, ratio=5.0)[0]["rows"]
    assert line["spread"] == 5.0 and line["baselines"]["regression"] == {"value": 0.4, "sign": ""}


def test_signs_and_the_band_of_the_spread():
    assert [sign_of(difference, 0.1) for difference in (-0.3, 0.3, 0.2, -0.1)] == ["better", "worse", "even", "even"]
    assert sign_of(-0.3, None) == "", "a test period of one year has no standard error"
    assert [spread_word(ratio) for ratio in (0.89, 0.9, 1.1, 1.11)] == ["low", "right", "right", "high"]


def test_surface_temperature_is_scored_where_it_is_not_prescribed():
    """An error of 3 K over the sea alone counts in AIMIP's own E1 and not in the score; one of 2 K over land does."""
    results = Results()
    land = np.broadcast_to(LON < 180, (len(LAT), len(LON))).astype(float)
    area = Area(LAT, 87.5, land)
    maps = np.stack([3 * (1 - land), 3 * (1 - land) + 2 * land, 3 * (1 - land)])
    results.add_rms(("M", "aimip", "r1"), "E1_rmsb", "test", ["tas", "ts", "pr"], maps, area, "K")
    found = {(row["metric"], row["field"]): row["value"] for row in results.rows}
    assert found["E1_rmsb", "ts"] == pytest.approx(6.5**0.5)
    assert found["E1_rmsb_land", "ts"] == pytest.approx(2.0)
    assert {field for metric, field in found if metric == "E1_rmsb_land"} == {"ts"}


def test_the_mean_of_all_fields_takes_surface_temperature_over_land():
    rows = [row("M", "E1_rmsb", 1.0), row("M", "E1_rmsb", 8.0, "ts"), row("M", "E1_rmsb_land", 2.0, "ts")]
    rows += [
        row("climatology", metric, 4.0, field, "") for metric, field in (("E1_rmsb", "tas"), ("E1_rmsb_land", "ts"))
    ]
    for metric, field, value in (
        ("interannual_std", "tas", 1),
        ("interannual_std", "ts", 8),
        ("interannual_std_land", "ts", 4),
    ):
        rows.append(row("reference", metric, value, field, "") | {"period": "training"})
    ours, climatology = scaled_rmsb(Table(rows), "M", "aimip", "test")
    assert ours == pytest.approx([(1 + 2 / 4) / 2]) and climatology == pytest.approx((4 + 4 / 4) / 2)


def test_a_forecast_of_one_member_has_one_file_and_an_ensemble_as_many_as_ours():
    paths = baseline_paths("folder", 3)
    assert list(paths) == list(BASELINES)
    assert [path.as_posix() for path in paths["persistence"]] == ["folder/persistence/aimip/r1i1p1f1.nc"]
    assert [path.name for path in paths["no-diffusion"]] == ["r1i1p1f1.nc", "r2i1p1f1.nc", "r3i1p1f1.nc"]
    assert list(baseline_members("regression+residuals", 2)) == [1, 2]
