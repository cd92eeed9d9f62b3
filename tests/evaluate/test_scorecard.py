"""The scorecard: its verdicts, and how people see it."""

import json

import pytest

from tests.helpers.evaluation_run import run
from workflow.scripts.evaluate.metrics.table import Table
from workflow.scripts.evaluate.scorecard.closing import closing_words
from workflow.scripts.evaluate.scorecard.lines import response_lines


def test_scorecard_judges_the_median_member_against_climatology(result, table):
    card = json.loads((result / "card.json").read_text())
    tas = next(row for row in card["lines"] if row["name"] == "2 m temperature" and row["section"].startswith("E1"))
    assert tas["median"] == pytest.approx(0.75, abs=1e-4)
    assert tas["reference"] == pytest.approx(table.single("climatology", "E1_rmsb", "test", "tas"))
    assert tas["verdict"] == ("better" if tas["median"] < tas["reference"] else "worse")
    assert set(card["criterion"]) == {"tas", "ta850"}
    assert card["criterion_met"] == (not any(card["criterion"].values()))
    rain = next(row for row in card["lines"] if row["name"] == "precipitation")
    assert rain["median"] == pytest.approx(0.25 * 5e-6 * 86400, rel=1e-2)
    assert rain["units"] == "mm/day"


def test_scorecard_text_fits_a_terminal_and_html_names_every_line(result):
    text, html = (result / "card.txt").read_text(), (result / "card.html").read_text()
    body = text.split("Skill criterion")[0]
    assert max(map(len, body.splitlines())) <= 100
    for row in json.loads((result / "card.json").read_text())["lines"]:
        assert row["name"] in text
        assert row["name"] in html
    assert "E4: the temporal variance metric needs daily data" in text


def test_closing_words_name_the_report(result, tmp_path):
    report = tmp_path / "report.html"
    with pytest.raises(ValueError, match="report.html is not there"):
        closing_words(result / "card.txt", report)
    report.write_text("")
    assert closing_words(result / "card.txt", report).endswith(f"Report: {report}")


@pytest.mark.parametrize(
    ("sea", "words", "verdict"),
    [
        ({"sst_offset": -4}, "SST -4 K)", "outside -9..-1.8"),
        ({"sst_offset": 4}, "SST +4 K)", "within 1.8..9"),
        ({"sst_offset": 4, "ice": "follow"}, "SST +4 K, ice follows)", ""),
        ({"sst_offset": 4, "sst_pattern": "maps/el-nino.nc"}, "SST +4 K and el-nino.nc)", ""),
    ],
)
def test_the_response_is_labelled_by_what_was_added_and_judged_where_one_number_scales_it(sea, words, verdict):
    row = {"source": "MD", "experiment": "aimip-x", "metric": "E5_response", "period": "simulation", "field": "tas"}
    table = Table([row | {"value": 3.0, "units": "K"}])
    (line,) = response_lines(table, "MD", "aimip", {"aimip": {"sst_offset": 0}, "aimip-x": sea}, "ERA5")
    assert line["section"] == f"E5 aimip-x - aimip, whole run ({words}"
    assert line["verdict"] == verdict


def test_better_than_climatology_is_met_by_a_perfect_member(tmp_path):
    run(tmp_path, {("aimip", "r1i1p1f1"): {"seed": 0}})
    card = json.loads((tmp_path / "card.json").read_text())
    assert card["criterion_met"]
    assert {row["verdict"] for row in card["lines"] if row["section"].startswith("E1")} == {"better"}
