"""The evaluation of a table of variables with three of AIMIP's fields: what it holds is scored, the rest is said."""

import json
import warnings

import pytest

from tests.helpers.evaluation_run import EXPERIMENTS, SETTINGS, run
from tests.helpers.project import VARIABLES
from workflow.scripts.evaluate.metrics.table import read_table
from workflow.scripts.evaluate.plots.lines import plot_lines
from workflow.scripts.evaluate.plots.maps import plot_maps
from workflow.scripts.evaluate.plots.results import Evaluated

KEPT = ("role", "geopotential", "2m_temperature", "mean_sea_level_pressure", "sea_surface_temperature")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The same two members evaluated by the short table and by AIMIP's: the two folders."""
    folder = tmp_path_factory.mktemp("fields")
    table = folder / "table.csv"
    table.write_text("".join(line for line in VARIABLES.open() if any(name in line for name in KEPT)))
    members = {("aimip", f"r{number}i1p1f1"): {"seed": number, "bias": 0.2 * number} for number in (1, 2)}
    members |= {("aimip-p4k", "r1i1p1f1"): {"seed": 1, "bias": 0.2, "warming": 3.0}}
    for name, variables in (("short", table), ("whole", VARIABLES)):
        (folder / name).mkdir()
        run(folder / name, members, variables=variables)
    return folder / "short", folder / "whole"


def test_the_fields_that_are_there_have_the_same_numbers(folders):
    short, whole = (read_table(folder / "metrics.csv").values for folder in folders)
    assert {key[-1] for key in short} == {"tas", "psl", "zg500", "NAO", "SAM", "PNA"}
    for key, values in short.items():
        assert values == pytest.approx(whole[key], nan_ok=True, rel=1e-6), key


def test_what_is_left_out_is_said_with_its_reason(folders):
    card = json.loads((folders[0] / "card.json").read_text())
    assert card["skipped"]["QBO"] == card["skipped"]["SH vortex"] == "there is no ua50"
    assert card["skipped"]["spectrum of ke250"] == "there is no ua250 and no va250"
    assert card["skipped"]["ensemble of pr"] == card["skipped"]["E1 of pr"] == "there is no pr"
    assert card["skipped"]["E1 of ta850"] == "there is no ta850"
    assert "NAO" not in card["skipped"] and "E1 of tas" not in card["skipped"]
    assert set(card["criterion"]) == {"tas"}
    text = (folders[0] / "card.txt").read_text()
    assert "Skipped: QBO, NH vortex, SH vortex" in text
    whole = json.loads((folders[1] / "card.json").read_text())["skipped"]
    assert not [reason for reason in whole.values() if reason.startswith("there is no")]


def test_every_figure_is_drawn_with_a_note_where_nothing_is_left(folders, tmp_path):
    folder = folders[0]
    paths = folder / "metrics.csv", folder / "metrics.nc", folder / "reference.nc", folder / "era5" / "static.nc"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        results = Evaluated(*paths, EXPERIMENTS, SETTINGS, "MD-made")
        assert results.fields == ["tas", "zg500"]
        plot_maps(results, tmp_path)
        plot_lines(results, sorted((folder / "summary").glob("*/*.nc")), tmp_path)
    assert len(list(tmp_path.glob("*.png"))) == 14
