"""The synthetic planet's truth, and what is set beside it."""

import json

import netCDF4
import numpy as np
import pytest

from tests.helpers.evaluation_run import EXPERIMENTS, LAT, LON, members, run
from tests.helpers.project import VARIABLES
from workflow.scripts.evaluate.measures.along_time import deseasonalize
from workflow.scripts.evaluate.measures.indices import index_weights
from workflow.scripts.evaluate.metrics.table import read_table
from workflow.scripts.evaluate.summarize.true_response import read_truth
from workflow.scripts.evaluate.truth import planet_truth
from workflow.scripts.planet.world import Planet


def test_response_is_set_beside_the_truth_where_that_is_known(tmp_path):
    simulations = {("aimip", "r1i1p1f1"): {"seed": 0}, ("aimip-p4k", "r1i1p1f1"): {"seed": 0, "warming": 3.0}}
    run(tmp_path, simulations, truth=2.5)
    table = read_table(tmp_path / "metrics.csv")
    assert members(table, "E5_error_rms", "simulation", "tas", "aimip-p4k") == pytest.approx([0.5], abs=1e-4)
    assert table.members("truth", "E5_response_land", "simulation", "tas", "aimip-p4k") == pytest.approx([2.5])
    lines = json.loads((tmp_path / "card.json").read_text())["lines"]
    tas = next(row for row in lines if row["section"].startswith("E5") and row["name"] == "2 m temperature")
    assert (tas["reference"], tas["verdict"]) == (pytest.approx(2.5), "1.20 x")
    nao = next(row for row in lines if row["name"] == "NAO")
    assert "truth" in nao["section"] and nao["reference"] == pytest.approx(5.0)  # hPa


def test_truth_of_the_planet_is_its_forced_response(tmp_path):
    path, year = tmp_path / "truth.nc", ("1983-01", "1990-12")
    spans = {"simulation": ("1990-11", "1991-02"), "training": year, "validation": year, "test": ("1991-01", "1991-02")}
    planet_truth(path, VARIABLES, 7, 15.0, spans, EXPERIMENTS)
    with netCDF4.Dataset(path) as data:
        assert data["experiment"][:].tolist() == ["aimip-p4k"]
        found = data["response"][0, data["field"][:].tolist().index("ta850")]
        found_std = dict(zip(data["index"][:].tolist(), data["index_std"][:].tolist(), strict=True))
    # Years of the planet itself scatter about its expected deviations, the periodic QBO's less than the others'.
    months = np.arange("1983-01", "1991-01", dtype="datetime64[M]")
    wind = dict(Planet(7).fields(months, LAT, LON, ["u50", "msl"]))
    for name, channel, tolerance in (("QBO", "u50", 0.1), ("NAO", "msl", 0.25), ("SAM", "msl", 0.3)):
        series = np.tensordot(wind[channel], index_weights(name, LAT, LON), axes=2)
        assert found_std[name] == pytest.approx(deseasonalize(series, months).std(), rel=tolerance), name
    direct = Planet(7).forced_response(np.arange("1990-11", "1991-03", dtype="datetime64[M]"), LAT, LON, 4.0, ["t850"])
    assert np.allclose(found, direct["t850"].mean(0), atol=1e-4)
    assert 2 < found.mean() < 9


def test_an_experiment_with_more_than_an_offset_has_no_truth_of_the_planet(tmp_path):
    spans = {name: ("1990-01", "1990-12") for name in ("simulation", "training", "validation", "test")}
    more = {"aimip-x": {"sst_offset": 4, "ice": "follow"}, "aimip-y": {"sst_offset": 0, "sst_pattern": "y.nc"}}
    planet_truth(tmp_path / "some.nc", VARIABLES, 7, 15.0, spans, EXPERIMENTS | more)
    planet_truth(tmp_path / "none.nc", VARIABLES, 7, 15.0, spans, {"aimip": {"sst_offset": 0}} | more)
    assert set(read_truth(tmp_path / "some.nc")[0]) == {"aimip-p4k"}
    assert read_truth(tmp_path / "none.nc")[0] == {}


def test_truth_of_fewer_fields_is_the_same_and_heights_may_be_heights(tmp_path):
    kept = ("role", "geopotential", "2m_temperature", "sea_surface")
    lines = [line for line in VARIABLES.open() if any(name in line for name in kept)]
    (tmp_path / "short.csv").write_text("".join(lines).replace("m2 s-2,40000,65000", "m,4000,6500"))
    spans = {name: ("1990-01", "1991-12") for name in ("simulation", "training", "validation", "test")}
    found = {}
    for name, table in (("short", tmp_path / "short.csv"), ("whole", VARIABLES)):
        planet_truth(tmp_path / f"{name}.nc", table, 7, 15.0, spans, EXPERIMENTS)
        with netCDF4.Dataset(tmp_path / f"{name}.nc") as data:
            fields = dict(zip(data["field"][:].tolist(), data["response"][0], strict=True))
            found[name] = fields, dict(zip(data["index"][:].tolist(), data["index_std"][:].tolist(), strict=True))
    assert set(found["short"][0]) == {"tas", "zg500"} and set(found["short"][1]) == {"PNA"}
    for short, whole in zip(found["short"], found["whole"], strict=True):
        for name, values in short.items():
            np.testing.assert_allclose(values, whole[name], rtol=1e-5)
