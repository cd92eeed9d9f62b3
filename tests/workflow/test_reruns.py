"""A change reruns what it touches and nothing else: each row of the docs' table, asked of Snakemake on a finished run.

Jobs that close a run by reading the files of what changed (checks, evaluation) are implied in every row.
"""

import json
import os
import re
import shutil

import pytest
import yaml
from snakemake.utils import update_config

from tests.helpers.pages import rows, section
from tests.helpers.project import snakemake

CLOSING = {
    *("check_simulation", "check_experiment", "check_submission", "publish"),
    *("summarize", "summarize_baseline", "truth", "evaluate", "all"),
    *("plot_maps", "plot_lines", "plot_training"),
}
ERA5 = {"regrid_era5", "aggregate_era5", "complete", "summarize_reference"}
LEARNING = {
    *("normalize_statistics", "normalize_training", "normalize_initial", "normalize_forcing", "train"),
    "fit_response",
}
SIMULATION = {"rollout_1", "cmorize"}


# The rows of that table, and the tests that prove them.
ROWS = {
    "nothing, or the same bytes with a new time stamp": ["nothing", "same_bytes_with_a_new_time_stamp"],
    "a test-period year replaced": ["test_period_year_replaced"],
    "a training-period year replaced": ["training_period_year_replaced"],
    "forcing file replaced": ["forcing_replaced"],
    "one more member": ["one_more_member", "one_more_member_in_a_partly_filled_block"],
    "one more experiment, or another `sst_offset` for one": ["one_more_experiment", "another_sst_offset"],
    "the contact": ["contact"],
    "`evaluation.regression_modes`": ["patterns_of_the_regression"],
    "how often training saves its state, how long a server is waited for": ["how_patient_a_run_is"],
    "the look of a figure": ["colour_of_a_figure"],
    "a change in `model/` or in a module that a script imports": [
        "change_in_the_model",
        "first_guess_of_warming",
        "change_in_an_imported_module",
    ],
    "a year added at the end": ["year_added_at_the_end"],
}


@pytest.fixture
def copy(finished, tmp_path):
    """The finished run and its project, copied with their time stamps, to be changed."""
    for name in ("project", "run"):
        shutil.copytree(finished.folder / name, tmp_path / name, symlinks=True)
    return tmp_path


def replace(path):
    """Other bytes in the same place, as when a corrected file is put there."""
    path.write_bytes(path.read_bytes() + b"\n")


def edit(path, old, new):
    """Change text of a file; fails if it is not there."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def planned(folder, **changes):
    """What a dry-run would do with changes of the config: (rule -> number of jobs, the whole output)."""
    overlay = folder / "project/config/test.yaml"
    config = yaml.safe_load(overlay.read_text())
    update_config(config, changes)
    overlay.write_text(yaml.safe_dump(config, sort_keys=False))
    done = snakemake(folder / "run", "--dry-run", "all", overlay=overlay, project=folder / "project")
    if "Job stats:" not in done.stdout:
        return {}, done.stdout
    table = done.stdout.split("Job stats:")[-1].split("total")[0]
    return {name: int(count) for name, count in re.findall(r"(?m)^(\S+)\s+(\d+)\s*$", table)}, done.stdout


def assert_reruns(jobs, expected):
    assert set(jobs) - CLOSING == set(expected), jobs


def test_the_table_in_the_docs_has_these_rows():
    assert sorted(row[0] for row in rows(section("What a change reruns"))) == sorted(ROWS)
    here = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    assert here - {"the_table_in_the_docs_has_these_rows"} == {name for names in ROWS.values() for name in names}


def test_nothing(copy):
    assert planned(copy)[0] == {}


def test_same_bytes_with_a_new_time_stamp(copy):
    for path in (copy / "run/results").rglob("*.*"):
        if path.parts[-2] in ("forcing", "single-levels", "normalize", "train", "rollout"):
            os.utime(path)
    os.utime(copy / "project/config/variables.csv")
    os.utime(copy / "project/model/blocks.py")
    assert planned(copy)[0] == {}


def test_test_period_year_replaced(copy):
    replace(copy / "run/results/download/single-levels/1981.era5")
    jobs, text = planned(copy)
    assert_reruns(jobs, ERA5)
    assert jobs["regrid_era5"] == jobs["aggregate_era5"] == 1
    assert "check_simulation" not in jobs and "summarize" not in jobs


def test_training_period_year_replaced(copy):
    replace(copy / "run/results/download/single-levels/1979.era5")
    jobs, text = planned(copy)
    assert_reruns(jobs, ERA5 | LEARNING | SIMULATION)
    assert jobs["regrid_era5"] == jobs["aggregate_era5"] == 1
    assert "Regridding synthetic planet of 1979" in text


def test_forcing_replaced(copy):
    replace(copy / "run/results/download/forcing.nc")
    jobs, _ = planned(copy)
    assert_reruns(jobs, {"regrid_forcing", "aggregate_forcing"} | LEARNING | SIMULATION)


def test_patterns_of_the_regression(copy):
    jobs, text = planned(copy, evaluation={"regression_modes": 2})
    assert_reruns(jobs, {"fit_response"})
    assert jobs["summarize_baseline"] == 3 and "summarize" not in jobs
    assert "persistence" not in text.replace("baselines/persistence", "") and "no-diffusion r" not in text


def test_first_guess_of_warming(copy):
    edit(copy / "project/model/data/uniform_warming.csv", "#", "# ")
    assert_reruns(planned(copy)[0], {"train", "fit_response"} | SIMULATION)


def test_one_more_member(copy):
    jobs, text = planned(copy, members=3)
    assert_reruns(jobs, {"rollout_2", "cmorize"})
    assert jobs["rollout_2"] == jobs["cmorize"] == 2
    assert "Rolling out aimip, members 1" not in text
    assert jobs["summarize_baseline"] == 2, "forecasts of one member have no third"


def test_one_more_member_in_a_partly_filled_block(copy):
    assert_reruns(planned(copy, rollout={"block": 5})[0], set())
    jobs, _ = planned(copy, members=3)
    assert_reruns(jobs, {"rollout_1", "cmorize"})


def test_one_more_experiment(copy):
    jobs, text = planned(copy, experiments={"aimip-p2k": {"sst_offset": 2}})
    assert_reruns(jobs, {"cmor_tables", "normalize_forcing", *SIMULATION})
    assert jobs["normalize_forcing"] == jobs["rollout_1"] == 1
    assert jobs["cmorize"] == 2
    assert "Rolling out aimip-p4k" not in text


def files_below(folder):
    """Path -> (time stamp, bytes) of every file of a run's results."""
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*.*") if path.is_file()}


def test_another_sst_offset(copy):
    """Run for real: an experiment of one's own, then another offset for it; each time it alone is made, and checked."""
    overlay = copy / "project/config/test.yaml"
    results = copy / "run/results"
    old = files_below(results)
    rollouts = []
    for offset in (3, -2):
        jobs, text = planned(copy, experiments={"aimip-extra": {"sst_offset": offset}})
        assert_reruns(jobs, {"cmor_tables", "normalize_forcing", *SIMULATION})
        assert jobs["normalize_forcing"] == jobs["rollout_1"] == 1 and jobs["cmorize"] == jobs["check_simulation"] == 2
        snakemake(copy / "run", "submission", overlay=overlay, project=copy / "project")
        new = files_below(results)
        kept = [path for path in old if path.parts[-2] != "check" and "manifest" not in path.name]
        changed = [path for path in kept if new[path] != old[path] and "aimip-extra" not in str(path)]
        beside = {"README.md", "config.yaml", "provenance.json", "checkpoint.zip", "catalog.json", "catalog.csv"}
        assert {path.name for path in changed} <= beside, "a file of another experiment was made anew"
        outcome = json.loads((results / "check/submission.json").read_text())
        offsets = {one["experiment"]: one["sst_offset"] for one in outcome["simulations"]}
        assert offsets == {"aimip": 0, "aimip-p4k": 4, "aimip-extra": offset}
        assert outcome["report"]["checked"]["sea-offset"] == 8  # two experiments, two members, two grids
        rollouts.append((results / "rollout/aimip-extra/r1.nc").read_bytes())
        old = new
    assert rollouts[0] != rollouts[1]
    assert planned(copy)[0].keys() <= CLOSING, "the evaluation alone was not asked for"


def test_how_patient_a_run_is(copy):
    """What changes no number reruns nothing but the record of the config: saves of a state, waits for a server."""
    download = {"patience": 1, "outage": 1, "first_wait": 1, "in_flight": 1}
    assert_reruns(planned(copy, training={"checkpoint_minutes": 1}, download=download)[0], {})


def test_contact(copy):
    jobs, _ = planned(copy, submission={"contact": "climate@example.org"})
    assert_reruns(jobs, {"cmor_tables", "cmorize"})


def test_colour_of_a_figure(copy):
    edit(copy / "project/workflow/scripts/evaluate/plots/maps.py", '"""', '"""Another colour. ')
    jobs, _ = planned(copy)
    assert set(jobs) == {"plot_maps", "all"}


def test_change_in_the_model(copy):
    edit(copy / "project/model/rollout.py", '"""', '"""Changed. ')
    jobs, _ = planned(copy)
    assert_reruns(jobs, SIMULATION)
    edit(copy / "project/model/blocks.py", '"""', '"""Changed. ')
    jobs, _ = planned(copy)
    assert_reruns(jobs, {"train"} | SIMULATION)


def test_change_in_an_imported_module(copy):
    edit(copy / "project/workflow/scripts/submission/derive.py", '"""', '"""Changed. ')
    jobs, _ = planned(copy)
    assert_reruns(jobs, {"cmor_tables", "cmorize", "summarize_reference"})


def test_year_added_at_the_end(copy):
    periods = {"simulation": ["1978-10", "1982-12"], "test": ["1981-01", "1982-12"]}
    jobs, _ = planned(copy, periods=periods)
    assert not {"train", "normalize_training", "normalize_statistics", "regrid_forcing"} & set(jobs)
    assert jobs["download_era5"] == 2
    assert jobs["regrid_era5"] == 1
