"""The program that tells what a submission costs: it counts as Snakemake plans and continues what it is given."""

import math
import re

import numpy as np
import pytest
import yaml

from tests.helpers.project import ROOT, load_config
from workflow import cost
from workflow.growth import read_rules

CONFIG = load_config()
RULES = read_rules(ROOT / "workflow/rules.csv")


@pytest.fixture(scope="module")
def plans():
    """Planned jobs of one, two and four blocks of members."""
    return {members: cost.dry_run(members) for members in (5, 10, 20)}


def test_jobs_are_counted_as_snakemake_plans_them(plans):
    counts = cost.count_jobs(20, 5, plans.get)
    assert counts == plans[20]
    assert counts["cmorize"] == 60 and counts["rollout"] == 12 and counts["train"] == 1


def test_jobs_of_a_group_are_one_submission(plans):
    profile = {"groups": {"cmorize": "simulations", "check_simulation": "simulations"}}
    counts = {"train": 1, "cmorize": 15, "check_simulation": 15, "rollout": 3, "submission": 1}
    assert cost.count_submissions(counts, profile | {"group-components": {"simulations": 4}}) == 1 + 4 + 3
    profile = yaml.safe_load((ROOT / "workflow/profiles/slurm/config.yaml").read_text())
    # Downloads of 47 years and two more, training, rollouts, years by twelves, simulations by fives; a job per group.
    assert cost.count_submissions(plans[10], profile) == 96 + 1 + 6 + math.ceil(47 / 12) + 6 + len(
        {"grid", "normalization", "closing"}
    )


@pytest.mark.parametrize("law", [(0.02, 3e-5, 1e-7), (0.1, 0.0, 2e-7), (0.0, 5e-5, 0.0)])
def test_the_fit_continues_a_law_of_its_form(law):
    def seconds(resolution):
        return float(np.dot(cost.terms(resolution, True), law))

    continued = cost.fit(cost.MEASURED, [seconds(resolution) for resolution in cost.MEASURED], True)
    for resolution in (*cost.MEASURED, *cost.GRIDS):
        assert continued(resolution) == pytest.approx(seconds(resolution), rel=1e-6)


def test_no_term_of_the_fit_is_negative():
    """Noise that makes a finer grid look cheaper must not make the finest one free."""
    continued = cost.fit(cost.MEASURED, [0.3, 0.2, 0.25, 0.2], True)
    assert continued(0.75) >= continued(1.5) > 0.1


def test_every_rule_of_a_submission_was_measured(plans):
    assert set(plans[5]) - set(RULES) == {"submission"}


def fits_of(scale=1e-6):
    """Parts that all take ``scale`` s and MB a cell, whatever machine."""
    names = ("step", "month", "step_mb", "month_mb")
    return {name: (lambda resolution: scale * cost.cells(resolution)) for name in names}


def measured_rows():
    """Rule -> (processor seconds of the median job, MB) of the table of the full-size run in docs/performance.md."""
    page = (ROOT / "docs/performance.md").read_text().split("## The whole at full size")[1].split("## ")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("|")]
    return {row[0].split()[0].strip(","): (float(row[2].split(",")[-1]), float(row[3])) for row in rows[2:-3]}, page


@pytest.mark.parametrize("scale", [1e-6, 3e-5])
def test_at_the_measured_grid_the_cost_is_what_the_full_size_run_took(plans, scale):
    """On a machine of any speed; training there was of 10 epochs, which rules.csv continues."""
    rows, page = measured_rows()
    found = cost.cost(5, 1.5, CONFIG, plans[5], fits_of(scale), RULES)
    assert found["rollout_h"] == pytest.approx(rows["rollout"][0] / 3600)
    assert found["rollout_gb"] == pytest.approx(rows["rollout"][1] / 1000)
    assert found["training_gb"] == pytest.approx(rows["train"][1] / 1000)
    assert RULES["train"]["seconds"] / (89 * 103) == pytest.approx(rows["train"][0] / (89 * 10), rel=0.6)
    for key, stage in (("rollouts_gb", "rollouts"), ("submission_gb", "submission")):
        assert round(found[key]) == int(re.search(rf"{stage} (\d+)", page)[1])
    assert found["submission_gb"] / 15 == pytest.approx(
        float(re.search(r"beside ([\d.]+)\s+for `gn`", page)[1]), abs=0.05
    )


def test_pages_have_the_measured_numbers(plans):
    """The table on the page of clusters has at 1.5 degrees what the program says on any machine."""
    found = cost.cost(5, 1.5, CONFIG, plans[5], fits_of(), RULES)
    (line,) = re.findall(r"(?m)^\| 5 \| 1.5 \|.*$", (ROOT / "docs/cluster.md").read_text())
    cells = [cell.strip() for cell in line.split("|")[1:-1]]
    assert cells[4:] == [
        f"{found['training_h']:.1f}, {found['training_gb']:.1f}",
        f"{found['rollout_h']:.2f}, {found['rollout_gb']:.1f}",
        *(f"{found[key]:.0f}" for key in ("core_h", "rollouts_gb", "submission_gb")),
    ]
    profile = (ROOT / "workflow/profiles/slurm/README.md").read_text()
    assert f"{cells[2]} jobs in {cells[3]} submissions" in profile and f"{cells[6]} core-hours" in profile
    assert f"{float(cells[7]) + float(cells[8]):.0f} GB together" in profile


def test_cost_follows_members_and_grid_and_config(plans):
    one, four = (cost.cost(members, 1.5, CONFIG, plans[members], fits_of(), RULES) for members in (5, 20))
    assert one["training_h"] == four["training_h"] and one["rollout_h"] == four["rollout_h"]
    assert four["submission_gb"] == pytest.approx(4 * one["submission_gb"])
    finer = cost.cost(5, 0.75, CONFIG, plans[5], fits_of(), RULES)
    growth = cost.cells(0.75) / cost.cells(1.5)
    for key in ("training_h", "rollout_h", "rollouts_gb"):
        assert finer[key] / one[key] == pytest.approx(growth), key
    free = 3 * (4 * 4 * 360 + 5 * 72)
    shorter = CONFIG | {"training": CONFIG["training"] | {"epochs": 10}, "rollout": {"block": 1}}
    less = cost.cost(5, 1.5, shorter, plans[5], fits_of(), RULES)
    assert less["training_h"] / one["training_h"] == pytest.approx((89 * 10 + free) / (89 * 103 + free))
    assert less["rollout_h"] / one["rollout_h"] == pytest.approx(1 / 5)
    alone = CONFIG | {"experiments": CONFIG["experiments"] | {"aimip-p2k": None, "aimip-p4k": None}}
    small = cost.cost(5, 1.5, alone, plans[5], fits_of(), RULES)
    assert small["submission_gb"] == pytest.approx(one["submission_gb"] / 3), "an experiment set to null is none"


def test_an_overlay_of_the_config_is_planned_too(tmp_path):
    overlay = tmp_path / "control.yaml"
    overlay.write_text("experiments: {aimip-p2k: null, aimip-p4k: null}\n")
    assert cost.dry_run(5, [overlay])["rollout"] == 1


def test_the_axes_have_both_poles():
    assert cost.axes(1.5) == (121, 240) and cost.axes(0.75) == (241, 480)
    assert cost.axes(1) == (181, 360) and cost.axes(2.5) == (73, 144) and cost.axes(3.75) == (49, 96)
    assert cost.months_of(("1978-10", "2024-12")) == 555


@pytest.mark.parametrize("step", ["0.7", "20", "0.1"])
def test_a_grid_that_the_config_refuses_is_refused_before_anything_is_measured(step, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["cost.py", "--grids", "2.5", step])
    with pytest.raises(SystemExit):
        cost.main()
    assert f"--grids {step} is no step from 0.25 to 15 degrees that divides 180" in capsys.readouterr().err


@pytest.mark.slow
def test_measured_on_this_machine():
    """What is measured is what the table continues, and a finer grid takes more memory."""
    coarse, fine = (cost.measure(resolution, 2, 1) for resolution in (15, 4.5))
    assert coarse.keys() == fine.keys() == {"step", "month", "step_mb", "month_mb"}
    assert min(coarse.values()) > 0 and fine["step_mb"] > coarse["step_mb"] > 100
