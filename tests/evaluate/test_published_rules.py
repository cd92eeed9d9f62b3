"""The rules that fetch AIMIP's own results and read them, run by Snakemake, and who is given what they make."""

import csv
import re

import pytest
import yaml

from tests.evaluate.test_published_results import BY_HAND, TAS
from tests.helpers.aimip_results import MEMBER, write_rmsb, write_tar
from tests.helpers.cds_stand_in import StandIn
from tests.helpers.project import ROOT, snakemake

TABLE = "results/evaluate/published.csv"


def overlay(folder, results):
    """A config in ``folder`` that names the results."""
    config = yaml.safe_load((ROOT / "config/test.yaml").read_text())
    config["evaluation"]["archive"] = {"results": results}
    config["download"] = {"first_wait": 0.1, "outage": 3 / 3600}
    (folder / "overlay.yaml").write_text(yaml.safe_dump(config))
    return folder / "overlay.yaml"


def write_archive(folder, factor=1):
    scores = write_rmsb(folder / "rmsb.nc", {"tas": factor * TAS})
    return write_tar(folder / "aimip.tar.gz", {f"repro/{MEMBER}": scores.read_bytes()})


def values(folder):
    with open(folder / TABLE, newline="", encoding="utf-8") as file:
        return {(row["period"], row["model"]): float(row["value"]) for row in csv.DictReader(file)}


def test_the_rules_read_the_results_of_a_record(tmp_path):
    with StandIn(files=[write_archive(tmp_path)]) as server:
        server.fault("file", zeros=True)
        snakemake(tmp_path, TABLE, "--cores", "1", overlay=overlay(tmp_path, server.record_url))
    assert values(tmp_path) == pytest.approx(BY_HAND)


def test_a_file_of_results_that_was_replaced_is_read_again(tmp_path):
    write_archive(tmp_path)
    options = {"overlay": overlay(tmp_path, "aimip.tar.gz")}
    snakemake(tmp_path, TABLE, "--cores", "1", **options)
    write_archive(tmp_path, factor=2)
    snakemake(tmp_path, TABLE, "--cores", "1", **options)
    assert values(tmp_path) == pytest.approx({key: 2 * value for key, value in BY_HAND.items()})


@pytest.mark.parametrize("results", [None, "https://zenodo.org/api/records/1"])
def test_scorecard_and_figures_are_given_the_results_where_the_config_names_some(results, tmp_path):
    targets = "results/evaluate/scorecard.json", "results/evaluate/figures/scores.png"
    done = snakemake(tmp_path, *targets, "--dry-run", "--printshellcmds", overlay=overlay(tmp_path, results))
    printed = done.stdout + done.stderr
    assert re.findall(r"--published +(\S+)", printed) == ([TABLE] * 2 if results else ["--experiments"] * 2)
    for rule in ("download_results", "published_results"):
        assert bool(re.search(rf"(?m)^{rule} +1$", printed)) == bool(results)
