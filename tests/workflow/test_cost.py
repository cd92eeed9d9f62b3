"""The program that tells what a submission costs: it counts as Snakemake plans and continues what it is given."""

import math

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


def test_cost_follows_members_and_grid(plans):
    fits = {
        name: (lambda resolution: 1e-6 * cost.cells(resolution)) for name in ("step", "month", "step_mb", "month_mb")
    }
    one, four = (cost.cost(members, 1.5, CONFIG, plans[members], fits, RULES) for members in (5, 20))
    free = 3 * (4 * 4 * 360 + 5 * 72)
    assert one["training_h"] == four["training_h"] == pytest.approx(0.02904 * (89 * 103 + free) / 3600)
    assert one["rollout_h"] == four["rollout_h"] == pytest.approx(0.02904 * 555 * 5 / 3600)
    assert four["submission_gb"] == pytest.approx(4 * one["submission_gb"])
    assert one["submission_gb"] / 15 == pytest.approx(1.83, rel=0.01)
    finer = cost.cost(5, 0.75, CONFIG, plans[5], fits, RULES)
    assert finer["rollouts_gb"] / one["rollouts_gb"] == pytest.approx(cost.cells(0.75) / cost.cells(1.5))


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
