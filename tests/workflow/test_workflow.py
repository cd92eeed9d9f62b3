"""The workflow as a whole: lint, the DAGs of the shipped configs, and the test config run to its end."""

import filecmp
import json
import os
import re
import shutil
import subprocess
import sys

import netCDF4
import numpy as np
import pytest
import yaml

from tests.helpers.checkpoints import write_checkpoint
from tests.helpers.project import INDEX, ROOT, VARIABLES, load_config, snakemake
from workflow.growth import read_rules
from workflow.scripts.common.settings import validate_config
from workflow.scripts.common.skill import BASELINES, BOX_FIELDS
from workflow.scripts.evaluate.metrics.table import read_table

STAGES = [
    "download",
    "regrid",
    "aggregate",
    "normalize",
    "train",
    "rollout",
    "long_run",
    "cmorize",
    "check",
    "publish",
    "evaluate",
    "evaluate_baselines",
    "response",
    "evaluate_plots",
    "gcm",
]


def job_counts(output):
    """Rule -> number of jobs from the table that a dry-run prints."""
    table = output.split("Job stats:")[-1].split("total")[0]
    return {name: int(count) for name, count in re.findall(r"(?m)^(\S+)\s+(\d+)\s*$", table)}


def rules():
    """(name of the file, text of one rule) for every rule of the workflow."""
    for path in sorted((ROOT / "workflow/rules").glob("*.smk")):
        for block in re.split(r"(?m)^\s*rule\b", path.read_text())[1:]:
            yield path.name, block


def test_lint(tmp_path):
    done = snakemake(tmp_path, "--lint", overlay=ROOT / "config/test.yaml")
    assert "Congratulations" in done.stdout + done.stderr


@pytest.mark.parametrize("stage", STAGES)
def test_one_rule_file_per_stage_that_opens_with_its_files(stage):
    text = (ROOT / f"workflow/rules/{stage}.smk").read_text()
    assert text.startswith('"""')
    assert "INPUTS" in text and "OUTPUTS" in text


@pytest.mark.parametrize("directive", ["message:", "log:", "benchmark:", "conda:", "resources:"])
def test_every_rule_has(directive):
    lacking = [f"{name}: {block.split(':')[0].strip()}" for name, block in rules() if directive not in block]
    assert not lacking


def test_no_rule_hides_or_loses_data():
    assert not [name for name, block in rules() if re.search(r"\b(temp|ancient|protected)\(", block)]


def test_full_submission_has_the_expected_jobs(tmp_path):
    counts = job_counts(snakemake(tmp_path, "--dry-run", "all").stdout)
    assert counts["download_era5"] == 2 * 47
    assert counts["regrid_era5"] == counts["aggregate_era5"] == 47
    assert counts["train"] == counts["check_submission"] == counts["evaluate"] == counts["long_run"] == 1
    assert counts["rollout_1"] == counts["check_experiment"] == 3
    assert counts["cmorize"] == counts["check_simulation"] == counts["summarize"] == 15


def test_one_experiment_needs_no_test_period(tmp_path):
    """The years after training are downloaded for the evaluation alone: nothing that makes a simulation reads them."""
    done = snakemake(tmp_path, "--dry-run", "aimip-p2k")
    counts = job_counts(done.stdout)
    assert counts["download_era5"] == 2 * 37
    assert counts["cmorize"] == 5
    assert "single-levels/2014.era5" in done.stdout
    assert "single-levels/2015.era5" not in done.stdout


def test_members_come_in_blocks_of_fixed_place(tmp_path):
    overlay = ROOT / "config/demo.yaml"
    counts = job_counts(
        snakemake(tmp_path, "--dry-run", "submission", "--config", "members=12", overlay=overlay).stdout
    )
    assert (counts["rollout_1"], counts["rollout_2"], counts["rollout_3"]) == (3, 3, 3)
    assert counts["cmorize"] == 36


@pytest.mark.parametrize(("overlay", "lacking"), [("demo", set()), ("test", {"long_run"})])
def test_an_overlay_plans_every_rule_that_was_measured(tmp_path, overlay, lacking):
    """None but that of experiments with a forcing of their own, and those that the overlay switches off."""
    counts = job_counts(snakemake(tmp_path, "--dry-run", "all", overlay=ROOT / f"config/{overlay}.yaml").stdout)
    planned = {re.sub(r"^rollout_\d+$", "rollout", name) for name in counts}
    assert planned - {"all", "plot_training"} == set(read_rules()) - {"aggregate_experiment"} - lacking
    config = load_config(overlay)
    experiments = [name for name, entry in config["experiments"].items() if entry is not None]
    assert counts["cmorize"] == len(experiments) * config["members"]


def test_an_experiment_with_a_pattern_has_a_forcing_of_its_own_and_no_gcm(tmp_path):
    (tmp_path / "wave.nc").touch()
    overlay = tmp_path / "wave.yaml"
    overlay.write_text("source: synthetic\nexperiments: {aimip-wave: {sst_pattern: wave.nc, ice: follow}}\n")
    done = snakemake(tmp_path, "--dry-run", "--printshellcmds", "submission", "gcm", overlay=overlay)
    counts = job_counts(done.stdout)
    assert counts["aggregate_experiment"] == 1 and counts["rollout_1"] == 4 and counts["gcm_fixed"] == 3
    own = [line for line in done.stdout.splitlines() if "forcing results/aggregate/forcing/aimip-wave.nc" in line]
    programs = {"normalize.forcing": 1, "cmorize.simulation": 5, "check.simulation": 5}
    assert {name: sum(f"scripts.{name} " in line for line in own) for name in programs} == programs
    assert "--changed results/aggregate/forcing/aimip-wave.nc" in done.stdout
    refused = snakemake(tmp_path, "--dry-run", "results/gcm/aimip-wave/forcing.nc", overlay=overlay, check=False)
    assert refused.returncode != 0
    assert "config: 'experiments.aimip-wave' has a sst_pattern or ice that follows" in refused.stdout + refused.stderr


def test_published_checkpoint_takes_the_place_of_training(tmp_path):
    checkpoint = tmp_path / "published.zip"
    write_checkpoint(checkpoint)
    setting = f'model={{"checkpoint": "{checkpoint}"}}'
    counts = job_counts(snakemake(tmp_path, "--dry-run", "submission", "--config", setting).stdout)
    assert "train" not in counts
    assert counts["rollout_1"] == 3


def test_wrong_config_stops_in_one_sentence(tmp_path):
    done = snakemake(tmp_path, "--dry-run", "all", "--config", "membres=3", check=False)
    assert done.returncode != 0
    (sentence,) = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("config: ")]
    assert "'membres' = 3" in sentence and "members" in sentence


def test_a_run_on_real_data_does_not_start_with_the_shipped_contact(tmp_path):
    done = snakemake(tmp_path, "submission", check=False)
    assert done.returncode != 0
    assert "config: 'submission.contact' is 'monthly-diffusion@example.org'" in done.stdout + done.stderr
    assert not (tmp_path / "results").exists()
    assert not (tmp_path / "logs").exists()


def test_run_to_the_end(finished):
    config = load_config("test")
    submission = finished.run / "results/submission"
    experiments = [name for name, entry in config["experiments"].items() if entry is not None]
    files = sorted(submission.rglob("*.nc"))
    assert len(files) == len(experiments) * config["members"] * 14 * 2
    beside = {path.name for path in submission.rglob("*") if path.is_file() and path.suffix != ".nc"}
    assert {"manifest.csv", "catalog.json", "catalog.csv", "provenance.json", "README.md"} <= beside
    assert not [path for path in submission.rglob(".*")], "a file was left half-written"
    (published,) = submission.glob("*/*/config.yaml")
    again = yaml.safe_load(published.read_text())
    assert validate_config(again, ROOT / "workflow/schemas/config.schema.yaml", VARIABLES), "it makes the files again"
    for path in files:
        variable, table, source, experiment, member, grid, period = path.stem.split("_")
        below = path.relative_to(submission).parts
        assert below[:-1] == (
            "UMD-PARETO", source, experiment, member, table, variable, grid, config["submission"]["version"]
        )  # fmt: skip
        assert period == "197810-198112"
        with netCDF4.Dataset(path) as data:
            assert data[variable].shape[0] == 39
            assert data[variable].dtype == np.float32
            assert np.isfinite(np.ma.filled(data[variable][:], np.nan)).all()
            assert data.cmor_version
            assert data.experiment_id == experiment and data.variant_label == member


def test_the_reference_is_called_what_it_is(finished):
    results = finished.run / "results"
    texts = [results / f"evaluate/scorecard.{ending}" for ending in ("txt", "html", "json")]
    for path in (*texts, *results.glob("submission/*/*/README.md")):
        # The published submissions alone are held against ERA5, and the table says so.
        words = " ".join(path.read_text().split()).replace("against ERA5, not synthetic planet", "")
        assert "planet" in words and "ERA5" not in words, path
    made = ("regrid/era5/1979.nc", "regrid/static.nc", "aggregate/era5/1979.nc", "aggregate/static.nc")
    for path in (*made, "evaluate/reference.nc"):
        with netCDF4.Dataset(results / path) as data:
            assert "ERA5" not in data.title and ("synthetic planet" in data.title) == (path not in made), path


def test_members_and_experiments_differ(finished):
    def values(variable, experiment, member):
        (path,) = (finished.run / "results/submission").glob(f"*/*/{experiment}/{member}/Amon/{variable}/gn/*/*.nc")
        with netCDF4.Dataset(path) as data:
            return data[variable][:].filled()

    assert np.abs(values("tas", "aimip", "r1i1p1f1") - values("tas", "aimip", "r2i1p1f1")).max() > 1e-3
    warming = values("ts", "aimip-p4k", "r1i1p1f1") - values("ts", "aimip", "r1i1p1f1")
    assert np.isclose(warming, 4, atol=1e-3).mean() > 0.2, "the prescribed sea is not 4 K warmer"


def test_checks_gate_the_product(finished):
    result = json.loads((finished.run / "results/check/submission.json").read_text())
    assert result
    done = snakemake(finished.run, "--summary", overlay=finished.project / "config/test.yaml", project=finished.project)
    assert "results/check/aimip-p4k.json" in done.stdout


def test_a_model_that_is_no_climate_fails_the_long_run_in_a_sentence(finished, tmp_path):
    """The networks of the test config have taken eight steps: left to themselves, they leave the reference's range."""
    shutil.copytree(finished.run, tmp_path / "run", symlinks=True)
    target, overlay = "results/evaluate/long_run.json", tmp_path / "overlay.yaml"
    text = (finished.project / "config/test.yaml").read_text()
    assert "long_run_months: null" in text
    overlay.write_text(text.replace("long_run_months: null", "long_run_months: 60"))
    done = snakemake(tmp_path / "run", target, overlay=overlay, project=finished.project, check=False)
    told = (tmp_path / "run/logs/long_run.log").read_text()
    assert done.returncode != 0 and not (tmp_path / "run" / target).exists()
    assert "model.long_run: member 1 ran away in months " in told and "allowed" in told


def test_report_opens_offline(finished, tmp_path):
    report = tmp_path / "report.html"
    snakemake(finished.run, "--report", report, overlay=finished.project / "config/test.yaml", project=finished.project)
    text = report.read_text()
    assert len(text) > 100_000
    for caption in ("response_aimip-p4k", "scorecard", "free_run_score"):
        assert caption in text


def test_baselines_are_scored_and_leave_summaries_only(finished):
    below = finished.run / "results/evaluate/baselines"
    made = sorted(path.relative_to(below).as_posix() for path in below.rglob("*") if path.is_file())
    single = [f"{name}/aimip/r1i1p1f1.nc" for name in ("persistence", "regression")]
    several = [f"{name}/aimip/r{n}i1p1f1.nc" for name in ("no-diffusion", "regression+residuals") for n in (1, 2)]
    assert made == sorted(single + several)
    table = read_table(finished.run / "results/evaluate/metrics.csv")
    for baseline in BASELINES:
        for field in BOX_FIELDS:
            for metric in ("ensemble_crps", "crps_ours_less_this"):
                (value,) = table.members(baseline, metric, "test", field, "aimip")
                assert np.isfinite(value)
        count = 1 if baseline in ("persistence", "regression") else 2
        assert len(table.members(baseline, "E1_rmsb", "test", "tas", "aimip")) == count
    card = json.loads((finished.run / "results/evaluate/scorecard.json").read_text())
    assert card["baselines"]["columns"] == ["climatology", *BASELINES]
    assert not card["criterion_met"], "a year of training beats nothing, and the run went on"


@pytest.mark.parametrize("baseline", ["regression+residuals", "no-diffusion"])
def test_a_baseline_is_made_again_to_the_same_bytes(finished, tmp_path, baseline):
    """Alone, and as the program of the rule: what it drew depends on the seed and its own number."""
    config, results = load_config("test"), finished.run / "results"
    fitted = {"training": "normalize/training.nc", "response": "evaluate/response.npz"}
    data = {"checkpoint": "train/checkpoint.zip"} if baseline == "no-diffusion" else fitted
    data |= {"initial": "normalize/initial.nc", "forcing": "normalize/forcing/aimip.nc"}
    command = ["--baseline", baseline, "--member", "2", "--sea", results / "aggregate/forcing/simulation.nc"]
    command += [word for name, file in data.items() for word in (f"--{name}", results / file)]
    command += ["--seed", config["seed"], "--variables", VARIABLES]
    command += ["--index", INDEX, "--periods", json.dumps(config["periods"])]
    command += ["--minimum-years", config["evaluation"]["minimum_years"], "--out", tmp_path / "again.nc"]
    # With the rule's one thread: sums in float32 depend on how many threads share them.
    program = [sys.executable, "-m", "workflow.scripts.evaluate.summarize.baseline", *map(str, command)]
    subprocess.run(program, env=os.environ | {"OMP_NUM_THREADS": "1"}, cwd=ROOT, check=True)
    made = results / f"evaluate/baselines/{baseline}/aimip/r2i1p1f1.nc"
    assert filecmp.cmp(tmp_path / "again.nc", made, shallow=False)
