"""The table that sets a GCM's climate beside another's: known differences and spreads come out as they are."""

import numpy as np
import pytest

from benchmarks.gcm import FIELDS, compare, main
from tests.helpers import cds_replies
from workflow.scripts.common.grids import centres

LAT, LON = centres(15.0)


def test_means_differences_and_spread_are_those_of_the_fields():
    rng = np.random.default_rng(3)
    season = 5 * np.cos(2 * np.pi * np.arange(12) / 12)[:, None, None] * np.ones((12, 13, 24))
    weather = rng.normal(0, 2, (400, 12, 13, 24))
    theirs = 280 + season + weather / 2
    ours = 281 + 1.2 * season + weather
    mean, reference, bias, monthly, spread, known = compare(ours, theirs, LAT, LON)
    assert (mean, reference) == (pytest.approx(281, abs=0.02), pytest.approx(280, abs=0.01))
    assert bias == pytest.approx(1, abs=0.02), "an RMS of 1 K everywhere"
    assert monthly == pytest.approx(np.sqrt(1 + 0.5), abs=0.03), "and a season 1 K wider, of RMS 0.71 K"
    assert (spread, known) == (pytest.approx(2, rel=0.02), pytest.approx(1, rel=0.02))
    assert np.isnan(compare(ours[:1], theirs[:1], LAT, LON)[4:]).all(), "one year has no spread"


def test_the_table_is_of_the_years_that_both_have(tmp_path, capsys, monkeypatch):
    for name, years in (("ours", (1990, 1991)), ("theirs", (1991, 1992))):
        if name == "theirs":
            monkeypatch.setitem(cds_replies.SCALES, "t2m", (282, 20))
        for dataset in ("single-levels", "pressure-levels"):
            (tmp_path / name / dataset).mkdir(parents=True)
        for year in years:
            cds_replies.write_single_levels(tmp_path / name / f"single-levels/{year}.nc", year)
            cds_replies.write_pressure_levels(tmp_path / name / f"pressure-levels/{year}.nc", year)
    assert main([str(tmp_path / "ours"), str(tmp_path / "theirs"), "--resolution", "15"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "years 1991" and len(said) == 2 + len(FIELDS)
    tas = next(line for line in said if line.startswith("tas")).split()
    assert float(tas[2]) - float(tas[3]) == pytest.approx(2, abs=0.11) and float(tas[4]) == pytest.approx(2, abs=1e-3)
    assert main([str(tmp_path / "ours"), str(tmp_path / "theirs"), "--years", "1990", "1990"]) == 1
    assert "no year of 1990..1990 in common" in capsys.readouterr().err
