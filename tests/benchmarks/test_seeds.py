"""Scores over training seeds: the table, the sharing of what does not depend on the seed, and a whole run."""

import json
import os
import re
import subprocess
import sys

import pytest

from benchmarks.seeds import RECORDS, card_lines, combine, read_config, share
from tests.helpers.project import ROOT, cmor_python, load_config


def card(**lines):
    """A scorecard with a line for each name: (reference, median, verdict)."""
    return {
        "lines": [
            {"section": "A", "name": name, "units": "K", "reference": reference, "median": median}
            | {"low": median - 9, "high": median + 9, "verdict": verdict}
            for name, (reference, median, verdict) in lines.items()
        ]
    }


def test_the_table_has_medians_and_ranges_over_seeds():
    cards = {
        1: card(tas=(0.5, 0.4, "better"), trend=(2.0, 3.0, "1.50 x"), itcz=(5.0, 6.0, "+1.00"), late=(None, 1.0, "")),
        2: card(tas=(0.5, 0.9, "worse"), trend=(2.0, 1.0, "0.50 x"), itcz=(5.0, 4.0, "-1.00")),
        3: card(tas=(0.5, 0.3, "better"), trend=(2.0, 5.0, "2.50 x"), itcz=(5.0, 4.5, "-0.50")),
    }
    lines = {row["name"]: row for row in combine(cards)}
    assert [lines["tas"][key] for key in ("reference", "median", "low", "high")] == [0.5, 0.4, 0.3, 0.9]
    assert lines["tas"]["verdict"] == "better 2/3"
    assert lines["tas"]["seeds"] == [0.4, 0.9, 0.3]
    assert lines["trend"]["verdict"] == "1.50 x"
    assert lines["itcz"]["verdict"] == "-0.50"
    assert lines["late"]["reference"] is None and lines["late"]["verdict"] == "(1 of 3 seeds)"


def test_scores_beside_the_baselines_are_in_the_table_too():
    row = {
        "name": "CRPS, tas *",
        "units": "K",
        "spread": 0.8,
        "baselines": {"climatology": {"value": 0.5, "sign": "better"}},
    }
    other = {**row, "name": "CRPS, pr"}
    cards = {
        seed: {**card(), "baselines": {"rows": [{**row, "ours": ours}, {**other, "ours": ours}]}}
        for seed, ours in enumerate((0.4, 0.1, 0.3))
    }
    lines = combine(cards)
    assert [line["section"].split(",")[0] for line in lines] == ["CRPS", "CRPS", *["Spread over error"] * 2]
    score, spread = lines[0], lines[2]
    assert [score[key] for key in ("reference", "median", "low", "high", "verdict")] == [0.5, 0.3, 0.1, 0.4, "better"]
    assert (spread["median"], spread["reference"]) == (0.8, 1.0)


def test_what_is_shared_is_one_file_and_is_renewed(tmp_path):
    shared, own = tmp_path / "shared", tmp_path / "seed-1"
    (shared / "results/normalize").mkdir(parents=True)
    (shared / RECORDS).mkdir(parents=True)
    training, record = shared / "results/normalize/training.nc", shared / RECORDS / "a"
    training.write_text("first")
    record.write_text("record 1")
    (own / "results/train").mkdir(parents=True)
    (own / "results/train/checkpoint.zip").write_text("own")
    share(shared, own)
    assert (own / "results/normalize/training.nc").samefile(training)
    assert (own / RECORDS / "a").read_text() == "record 1"
    assert not (own / RECORDS / "a").samefile(record), "Snakemake writes its records anew in each folder"
    training.unlink()
    training.write_text("second")
    record.write_text("record 2")
    for _ in range(2):
        share(shared, own)
        assert (own / "results/normalize/training.nc").read_text() == "second"
        assert (own / RECORDS / "a").read_text() == "record 2"
    assert (own / "results/train/checkpoint.zip").read_text() == "own"


def test_a_checkpoint_in_the_place_of_training_is_refused(tmp_path):
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("model: {checkpoint: published.zip}\n")
    with pytest.raises(ValueError, match="'model.checkpoint' is 'published.zip', so that nothing is trained"):
        read_config([overlay])
    assert read_config([ROOT / "config/test.yaml"])["seed"] == read_config([])["seed"]


@pytest.mark.slow
def test_two_seeds_share_all_but_the_training(tmp_path):
    """On the smallest networks a seed may leave the physical bounds: then it is named and counts as no other."""

    def run():
        """Exit status, table and log of a run of two seeds."""
        command = [sys.executable, ROOT / "benchmarks/seeds.py", "--config", ROOT / "config/test.yaml"]
        command += ["--seeds", "2", "--folder", tmp_path]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "CMOR_PYTHON": cmor_python()}
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=environment, check=False)
        return done.returncode, done.stdout, done.stderr

    status, table, log = run()
    first = load_config("test")["seed"]
    seeds = [first, first + 1]
    outcome = json.loads((tmp_path / "seeds.json").read_text())
    assert outcome["seeds"] and sorted(outcome["seeds"] + outcome["failed"]) == seeds
    assert status == bool(outcome["failed"]), log
    counts = re.findall(r"(?m)^(train|normalize_training|summarize_reference)\s+(\d+)$", log)
    assert sorted(counts) == [("normalize_training", "1"), ("summarize_reference", "1"), ("train", "1"), ("train", "1")]
    assert not (tmp_path / "shared/results/train").exists()
    shared = tmp_path / "shared/results/normalize/training.nc"
    folders = {seed: tmp_path / f"seed-{seed}" for seed in seeds}
    assert all((folder / "results/normalize/training.nc").samefile(shared) for folder in folders.values())
    losses = [(folder / "results/train/metrics.csv").read_text() for folder in folders.values()]
    assert losses[0] != losses[1]
    cards = [json.loads((folders[seed] / "results/evaluate/scorecard.json").read_text()) for seed in outcome["seeds"]]
    assert len(outcome["lines"]) == len(card_lines(cards[0]))
    for row, *each in zip(outcome["lines"], *map(card_lines, cards), strict=True):
        medians = [one["median"] for one in each]
        assert (row["median"], row["low"]) == (pytest.approx(sum(medians) / len(medians)), min(medians))
        assert row["name"] in table
    again, other, log = run()
    assert (again, other) == (status, table)
    assert log.count("Job stats") == len(outcome["failed"]), "a second call finds nothing to do for what has ended well"
