"""AIMIP's own results as rows of the table of published scores: medians by hand, units, names; and the merged table."""

import csv

import netCDF4
import numpy as np
import pytest

from tests.helpers.aimip_results import write_rmsb
from workflow.scripts.evaluate.published import COLUMNS, SCORES, read_scores, scores_in, scores_of
from workflow.scripts.evaluate.published_results import read_results, write_results

NAN = np.nan
# (period, model, member), models as in the helper; the second has two members in training, the third no test.
TAS = np.array(
    [
        [[0.1, 0.5, 0.3], [1.0, NAN, 2.0], [9.0, 9.0, 9.0], [NAN, NAN, NAN]],
        [[0.7, 0.8, 0.9], [NAN, NAN, 4.0], [NAN, NAN, NAN], [0.2, 0.2, 0.6]],
    ]
)
BY_HAND = {
    ("training", "ACE2.1"): 0.3,
    ("training", "MD-1p5"): 1.5,
    ("training", "GFDL-CM4"): 9.0,
    ("test", "ACE2.1"): 0.8,
    ("test", "MD-1p5"): 4.0,
    ("test", "NeuralGCM"): 0.2,
}


def found(rows, field):
    return {(row["period"], row["model"]): row["value"] for row in rows if row["field"] == field}


@pytest.mark.parametrize(
    "order",
    [("time_period", "experiment_submission", "realization"), ("realization", "experiment_submission", "time_period")],
)
def test_a_score_is_the_median_of_the_members_that_there_are(order, tmp_path):
    ta = np.stack([TAS, 10 * TAS])
    path = write_rmsb(tmp_path / "rmsb.nc", {"tas": TAS, "ta": ta, "zg": 2 * TAS, "rlut": TAS}, order=order)
    rows = read_results(path)
    assert {row["field"] for row in rows} == {"tas", "ta850", "ta250", "zg500"}, "rlut is nobody's here"
    assert found(rows, "tas") == found(rows, "ta850") == pytest.approx(BY_HAND)
    assert found(rows, "ta250") == pytest.approx({key: 10 * value for key, value in BY_HAND.items()})
    assert found(rows, "zg500") == pytest.approx({key: 2 * value for key, value in BY_HAND.items()})
    assert {(row["metric"], row["grid_or_region"]) for row in rows} == {("E1_rmsb", "1deg")}


def test_values_are_in_the_units_that_the_file_states_or_else_in_si(tmp_path):
    values = {"psl": TAS, "ps": TAS, "hus": np.stack([TAS, TAS]), "pr": TAS}
    rows = read_results(write_rmsb(tmp_path / "rmsb.nc", values, units={"psl": "hPa", "hus": "g/kg"}))
    by_units = {row["field"]: (row["units"], row["value"]) for row in rows if row["model"] == "GFDL-CM4"}
    assert by_units["psl"] == ("Pa", pytest.approx(900)) and by_units["ps"] == ("Pa", pytest.approx(9))
    assert by_units["hus850"] == ("1", pytest.approx(9e-3)) and by_units["pr"] == ("kg m-2 s-1", pytest.approx(9))
    # Theirs of a submission that names none, and a scale whose zero is another: an RMSB is a difference.
    theirs = {"tas": "degC", "pr": "kg / s / m **2", "huss": "-", "ps": ""}
    rows = read_results(write_rmsb(tmp_path / "rmsb.nc", dict.fromkeys(theirs, TAS), units=theirs))
    assert {row["field"]: row["value"] for row in rows if row["model"] == "GFDL-CM4"} == pytest.approx(
        dict.fromkeys(theirs, 9)
    )


def test_what_has_units_of_another_kind_is_left_out_and_named(tmp_path, caplog):
    path = write_rmsb(tmp_path / "rmsb.nc", {"tas": TAS, "ts": TAS}, units={"tas": "m"})
    assert {row["field"] for row in read_results(path)} == {"ts"}
    assert "'tas' is in 'm', which is no K: not read" in caplog.text


def test_models_are_known_by_every_name_that_they_have_had(tmp_path):
    labels = ("ArchesWeather-V2", "ArchesWeatherGen-V2", "MD1.5", "ACE2.2-ERA5")
    rows = read_results(write_rmsb(tmp_path / "rmsb.nc", {"tas": TAS}, models=labels))
    assert {row["model"] for row in rows} == {"ArchesWeather", "ArchesWeatherGen", "MD-1p5", "ACE2.2"}


def test_a_file_that_is_another_is_refused_in_a_sentence(tmp_path):
    path = tmp_path / "rmsb.nc"
    cases = {
        "has none of tas, ts": lambda: write_rmsb(path, {"rlut": TAS}),
        "has no test, so it is not AIMIP's": lambda: write_rmsb(path, {"tas": TAS}, periods=("training", "later")),
        "is no netCDF file": lambda: path.write_bytes(b"<html>"),
    }
    for sentence, write in cases.items():
        write()
        with pytest.raises(ValueError, match=sentence):
            read_results(path)
    write_rmsb(path, {"pr": TAS})
    with netCDF4.Dataset(path, "a") as data:
        data.createVariable("tas", "f8", ("time_period", "experiment_submission"))
    with pytest.raises(ValueError, match="'tas' has the dimensions time_period, experiment_submission, expected are"):
        read_results(path)


@pytest.fixture
def merged(tmp_path):
    """Settings that name the table of results, as the rule writes it."""
    ta = np.stack([TAS, 10 * TAS])
    write_results(
        write_rmsb(tmp_path / "rmsb.nc", {"tas": TAS, "ta": ta, "pr": TAS * 1e-5}), tmp_path / "published.csv"
    )
    with open(tmp_path / "published.csv", newline="", encoding="utf-8") as file:
        assert tuple(next(csv.reader(file))) == COLUMNS
    with open(SCORES, newline="", encoding="utf-8") as file:
        assert tuple(next(csv.reader(line for line in file if not line.startswith("#")))) == COLUMNS
    return {"published": str(tmp_path / "published.csv")}


def test_computed_scores_take_the_place_of_those_read_off_and_the_others_stay(merged):
    before, after = read_scores({}), read_scores(merged)
    keys = [tuple(row[name] for name in COLUMNS[:5]) for row in after]
    assert {tuple(row[name] for name in COLUMNS[:5]) for row in before} < set(keys)
    for row in after:
        assert row["computed"] == (
            row["metric"] == "E1_rmsb"
            and (row["period"], row["model"]) in BY_HAND
            and row["grid_or_region"] == "1deg"
            and row["field"] in ("tas", "pr", "ta850", "ta250")
        )
    read_off, now = (scores_of(rows, "E1_rmsb", "1deg", "tas", "test") for rows in (before, after))
    assert now == read_off | {"ACE2.1": pytest.approx(0.8), "MD-1p5": pytest.approx(4), "NeuralGCM": pytest.approx(0.2)}
    assert not any(row["computed"] for row in before)


def test_precipitation_is_told_in_one_unit_from_both_origins(merged):
    rows = read_scores(merged)
    shown, stored = (
        scores_of(rows, "E1_rmsb", "1deg", "pr", "test"),
        scores_in(rows, "E1_rmsb", "1deg", "pr", "test", "kg m-2 s-1"),
    )
    assert stored["ACE2.1"] == pytest.approx(0.8e-5) and shown["ACE2.1"] == pytest.approx(0.8e-5 * 86400)
    assert shown["DLESyM"] == pytest.approx(0.897) and stored["DLESyM"] == pytest.approx(0.897 / 86400)


@pytest.mark.parametrize(
    ("folder", "model"),
    [
        ("Ai2/ACE2-1-ERA5", "ACE2.1"),
        ("ArchesWeather/ArchesWeather-V2", "ArchesWeather"),
        ("ArchesWeather/ArchesWeatherGen-V2", "ArchesWeatherGen"),
        ("NVIDIA/CMIP6/AIMIP/NVIDIA/cBottle-1-3", "cBottle"),
        ("Google/NeuralGCM-HRD", "NeuralGCM-HRD"),
    ],
)
def test_a_model_whose_files_are_evaluated_is_in_neither(folder, model, merged):
    every, others = (
        {row["model"] for row in read_scores(settings)}
        for settings in (merged, merged | {"archive": {"models": {"theirs": folder}}})
    )
    assert every - others == {model}
