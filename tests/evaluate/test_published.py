"""AIMIP's published submissions beside ours: the numbers of their table, where they belong and not twice."""

import csv
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest

from workflow.scripts.common.field_names import split_field
from workflow.scripts.common.periods import evaluation_periods
from workflow.scripts.evaluate.metrics.scores import Results, evaluate_response
from workflow.scripts.evaluate.metrics.table import Table
from workflow.scripts.evaluate.plots.response import land_sea_figure
from workflow.scripts.evaluate.plots.scores import scores_figure
from workflow.scripts.evaluate.plots.style import GREY
from workflow.scripts.evaluate.published import FILE_UNITS, SCORES, comparable, read_scores, responses_of, scores_of
from workflow.scripts.evaluate.scorecard.layout import published_html, published_text
from workflow.scripts.evaluate.scorecard.published import published_table

EXPERIMENTS = {
    "aimip": {"sst_offset": 0},
    "aimip-p4k": {"sst_offset": 4.0},
    "aimip-melt": {"sst_offset": 4, "ice": "follow"},
    "aimip-p3k": {"sst_offset": 3},
}
PROTOCOL = {
    "simulation": ["1978-10", "2024-12"],
    "training": ["1985-01", "2014-12"],
    "validation": ["1979-01", "1984-12"],
    "test": ["2015-01", "2024-12"],
}


def settings(reference="ERA5", **periods):
    return {"periods": evaluation_periods({**PROTOCOL, **periods}), "reference_name": reference}


def rows():
    """Rows of metrics of two members."""
    known = [
        ("MD", "aimip", "E1_rmsb_1deg", "test", "tas", 0.4, "K"),
        ("MD", "aimip", "E1_rmsb_1deg", "test", "tas", 0.6, "K"),
        ("MD", "aimip", "E1_rmsb_1deg", "test", "pr", 1e-5, "kg m-2 s-1"),
        ("MD", "aimip", "trend_global", "training", "tas", 0.15, "K decade-1"),
        *(("MD", name, "E5_response", "simulation", "tas", 4.2, "K") for name in list(EXPERIMENTS)[1:]),
        *(("MD", name, "E5_response", "first", "tas", 3.9, "K") for name in list(EXPERIMENTS)[1:]),
    ]
    columns = ("source", "experiment", "metric", "period", "field", "value", "units")
    return [dict(zip(columns, row, strict=True)) for row in known]


def table_of(source="MD", trees=None, **changes):
    found = [{**row, "source": source} for row in rows()]
    return published_table(Table(found), source, "aimip", EXPERIMENTS, settings(**changes) | (trees or {}))


def test_a_response_of_a_decade_stands_beside_ours_of_its_first_decade():
    (response,) = [row for row in table_of()["rows"] if row["name"].startswith("E5")]
    assert (response["name"], response["ours"]) == ("E5 aimip-p4k, globe, first decade", pytest.approx(3.9))
    (response,) = [row for row in table_of(reference="SPEEDY")["rows"] if row["name"].startswith("E5")]
    assert (response["name"], response["ours"]) == ("E5 aimip-p4k, globe, about the first decade", None)


class Summary:
    """A warmed or a control run of one field: the maps of its statistics are 2 by 4 cells of one value each."""

    experiment, fields, units = "aimip-p4k", ["tas"], {"tas": "K"}
    lat = np.array([-45.0, 45.0])

    def __init__(self, **statistics):
        self.statistics = statistics

    def has(self, statistic):
        return statistic in self.statistics

    def maps_on(self, grid, statistic, fields):
        return np.full((1, 2, 4), self.statistics[statistic])


def test_the_response_of_the_first_decade_is_computed_where_both_runs_have_one():
    land = np.eye(2, 4)
    runs = Summary(mean_simulation=290.0, mean_first=289.0), Summary(mean_simulation=294.0, mean_first=291.5)
    results = Results()
    evaluate_response(results, runs[0], {"r1": runs[0]}, {"r1": runs[1]}, "MD", land)
    found = {(row["metric"], row["period"]): row["value"] for row in results.rows}
    for metric in ("E5_response", "E5_response_land", "E5_response_sea"):
        assert (found[metric, "simulation"], found[metric, "first"]) == pytest.approx((4.0, 2.5))
    del runs[0].statistics["mean_first"]
    results = Results()
    evaluate_response(results, runs[0], {"r1": runs[0]}, {"r1": runs[1]}, "MD", land)
    assert {row["period"] for row in results.rows} == {"simulation"}


def raw(**wanted):
    """{model: value} of the file as it stands."""
    with open(SCORES, newline="", encoding="utf-8") as file:
        found = csv.DictReader(line for line in file if not line.startswith("#"))
        return {row["model"]: float(row["value"]) for row in found if wanted.items() <= row.items()}


def test_values_are_those_of_the_file_in_the_units_that_people_read():
    tas, rain, trend, response = table_of()["rows"]
    assert tas["values"] == raw(metric="E1_rmsb", grid_or_region="1deg", period="test", field="tas")
    assert rain["values"] == pytest.approx(raw(metric="E1_rmsb", grid_or_region="1deg", period="test", field="pr"))
    assert (tas["ours"], rain["ours"], rain["units"]) == (pytest.approx(0.5), pytest.approx(0.864), "mm/day")
    with_era5 = raw(metric="E2_trend", period="training", field="tas")
    assert trend["values"] == {name: value for name, value in with_era5.items() if name != "ERA5"}
    assert response["values"] == raw(metric="E5_response_4K", grid_or_region="global", field="tas")
    assert response["name"] == "E5 aimip-p4k, globe, first decade", "nobody published ice that follows, or +3 K"
    # In AIMIP's figures heights are in m, pressures in Pa, which people read as hPa.
    published = raw(metric="E1_rmsb", grid_or_region="1deg", period="test", field="psl")
    shown = scores_of(read_scores({}), "E1_rmsb", "1deg", "psl", "test")
    assert shown == pytest.approx({name: value / 100 for name, value in published.items()})


@pytest.mark.parametrize(
    "trees",
    [
        {"models": {"MD-1p5": "/data/anywhere"}},
        {"models": {"theirs": "/data/UMD-PARETO/MD-1p5"}},
        {"archive": {"models": {"MD-v0p9": "UMD-PARETO/MD-1p5"}}},
    ],
)
def test_a_model_whose_files_are_evaluated_is_not_there_twice(trees):
    assert "MD-1p5" in table_of()["columns"]
    once = table_of(trees=trees)
    assert "MD-1p5" not in once["columns"]
    assert all("MD-1p5" not in row["values"] for row in once["rows"])


def test_the_published_model_of_our_own_name_is_another():
    assert "MD-1p5" in table_of(source="MD-1p5")["columns"]


@pytest.mark.parametrize(
    "changes",
    [
        {"reference": "synthetic planet"},
        {"reference": "SPEEDY"},
        {"reference": "ERA5-driven regional model"},
        {"test": ["2015-01", "2019-12"]},
        {"training": ["1990-01", "2014-12"], "validation": ["1985-01", "1989-12"]},
    ],
)
def test_against_another_reference_or_over_other_years_they_are_context_without_ours(changes):
    table = table_of(**changes)
    assert "for context" in table["title"] and table["rows"]
    assert all(row["ours"] is None for row in table["rows"])
    card = {"published": table}
    assert "ours" not in "\n".join(published_text(card)) and "<th>ours</th>" not in published_html(card)


def test_local_files_of_era5_are_era5():
    assert comparable(settings()["periods"], "ERA5 (local files)")
    assert table_of(reference="ERA5 (local files)")["rows"][0]["ours"] == pytest.approx(0.5)


def test_text_fits_a_terminal_and_both_forms_have_every_number():
    card = {"published": table_of()}
    text, html = "\n".join(published_text(card)), published_html(card)
    assert max(map(len, text.splitlines())) <= 100
    for row in card["published"]["rows"]:
        for value in (row["ours"], *row["values"].values()):
            assert f"{value:.3g}" in text and f">{value:.3g}<" in html


def test_the_title_says_what_was_not_read_off(tmp_path):
    assert "published submissions, read off the figures" in table_of()["title"]
    columns = "metric,grid_or_region,period,model,field,value,units"
    (tmp_path / "own.csv").write_text(f"{columns}\nE1_rmsb,1deg,test,ACE2.1,tas,0.123,K\n")
    table = table_of(trees={"published": str(tmp_path / "own.csv")})
    assert "E1 from AIMIP's own results where they have it, the rest read off the figures" in table["title"]
    assert table["rows"][0]["values"]["ACE2.1"] == 0.123


@pytest.mark.parametrize(("reference", "marked"), [("ERA5", True), ("synthetic planet", False)])
def test_the_response_figure_has_grey_marks_against_era5_alone(reference, marked):
    class Made:
        table = Table(
            [
                {**row, "metric": metric}
                for row in rows()
                if row["metric"] == "E5_response"
                for metric in ("E5_response", "E5_response_land", "E5_response_sea", "E5_land_sea_ratio")
            ]
        )
        experiments, control, source, reference_name, settings = EXPERIMENTS, "aimip", "MD", reference, {}
        periods = evaluation_periods(PROTOCOL)

        def span(self, period):
            return period

        def members(self, metric, period, field, experiment):
            return self.table.members("MD", metric, period, field, experiment)

    figure = land_sea_figure(Made())
    (axes,) = figure.axes
    marks = [line for line in axes.lines if line.get_marker() == "_"]
    drawn = sorted(value for line in marks for value in line.get_ydata())
    plt.close(figure)
    published = [
        value
        for metric in ("E5_response_land", "E5_response")
        for value in responses_of(read_scores({}), metric, {"sst_offset": 4}, "tas").values()
    ]
    assert drawn == (sorted(published) if marked else [])


SIGMA = {"tas": 0.5, "ts": 0.5, "pr": 2e-6, "ta700": 0.4}


def heat_map(reference="ERA5", source="MD", published=None):
    """The figure of scores of made metrics, and its columns, names and [{field: text}], from left to right."""
    found = [
        (who, run, metric, period, field, value * SIGMA[field], FILE_UNITS[split_field(field)[0]])
        for field in SIGMA
        for run, who in (("aimip", source), ("", "reference"), ("", "climatology"))
        for metric, period, value in (
            ("interannual_std", "training", 1.0),
            ("interannual_std_land", "training", 1.0),
            *((name, period, 1.5) for name in ("E1_rmsb", "E1_rmsb_land") for period in ("training", "test")),
            ("E1_rmsb_1deg", "test", 1.75),
        )
    ]
    keys = ("source", "experiment", "metric", "period", "field", "value", "units")
    table = Table([dict(zip(keys, row, strict=True)) for row in found])
    results = SimpleNamespace(
        table=table,
        source=source,
        control="aimip",
        reference_name=reference,
        settings={"published": published},
        periods=evaluation_periods(PROTOCOL),
        span=lambda period: period,
        members=lambda metric, period, field: table.members(source, metric, period, field, "aimip"),
    )
    figure = scores_figure(results)
    axes = figure.axes[0]
    names, fields = (
        [label.get_text() for label in labels] for labels in (axes.get_xticklabels(), axes.get_yticklabels())
    )
    columns = [{} for _ in names]
    for text in axes.texts:
        column, row = text.get_position()
        columns[column][fields[row]] = text.get_text()
    return figure, names, columns


def test_the_heat_map_has_published_models_beside_ours_on_one_degree(tmp_path):
    (tmp_path / "own.csv").write_text(
        "metric,grid_or_region,period,model,field,value,units\n"
        "E1_rmsb,1deg,test,ACE2.1,tas,0.25,K\nE1_rmsb,1deg,test,NeuralGCM,ta700,0.8,K\nE1_rmsb,1deg,test,ACE2.1,ts,0.1,K\n"
    )
    figure, names, columns = heat_map(published=str(tmp_path / "own.csv"))
    grey = [label.get_text() for label in figure.axes[0].get_xticklabels() if label.get_color() == GREY]
    assert "thick" in figure.axes[0].get_xlabel() and "on 1 degree" in figure.axes[0].get_xlabel()
    plt.close(figure)
    read_off = raw(metric="E1_rmsb", grid_or_region="1deg", period="test", field="pr")
    assert names[5:] == ["median, 1°", *grey] and {"ACE2.1", "NeuralGCM", *read_off} <= set(grey)
    assert "ERA5" not in grey and len(grey) == len(set(grey))
    by_name = dict(zip(names[5:], columns[5:], strict=True))
    nothing = "-"
    assert by_name["median, 1°"] == {
        **dict.fromkeys(SIGMA, "1.75"),
        "mean of all fields": nothing,
        "ts": nothing,  # over land in the other columns, and everywhere in this
    }
    assert (by_name["ACE2.1"]["tas"], by_name["ACE2.1"]["ts"]) == ("0.50", nothing)
    assert (by_name["NeuralGCM"]["ta700"], by_name["NeuralGCM"]["tas"]) == ("2.00", nothing)
    for name, value in read_off.items():
        assert by_name[name]["pr"] == f"{value / 86400 / SIGMA['pr']:.2f}"
    assert all(column["tas"] == "1.50" for column in columns[:5])


def test_the_heat_map_has_no_published_model_where_scores_are_not_comparable():
    figure, names, _ = heat_map("synthetic planet")
    width = figure.get_size_inches()[0]
    plt.close(figure)
    assert names == ["climatology", "best member", "median", "worst member", "median"] and width == pytest.approx(6.2)
