"""The benchmark measures what it says, on a small grid."""

import json
import subprocess
import sys

import torch

from model import operations, synthetic
from model.operations import Operations
from model.sphere import Grid


def test_benchmark_prints_json_with_every_form_and_ratio():
    command = [sys.executable, "-m", "model.benchmark", "--json", "--grid", "13", "24", "--members", "1"]
    done = subprocess.run([*command, "--batches", "2"], capture_output=True, text=True, check=True)
    result = json.loads(done.stdout)
    assert result["grid"] == [13, 24]
    assert result["rollout"].keys() == {"1"} and result["training"].keys() == {"2"}
    for found in (*result["rollout"].values(), *result["training"].values()):
        assert found.keys() == {"plain", "v0p9", "defaults"}
        for form, values in found.items():
            assert values["seconds"] == sum(values["parts"].values()) > 0
            # More than the interpreter with torch alone, less than the machine.
            assert 100 < values["memory_mb"] < 5000
            if form != "plain":
                assert values["times_as_fast_as_plain"] == found["plain"]["seconds"] / values["seconds"]


def test_operations_are_counted_without_views_and_as_what_they_are_made_of():
    x, weight = torch.ones(2, 3, 4), torch.ones(4, 5, requires_grad=True)
    with Operations() as found:
        torch.matmul(x, weight).flatten().view(-1, 5).T.sum(0).exp_()
    assert found.counts == {"mm": 1, "sum": 1, "exp_": 1} and found.total == 3
    with Operations() as found:
        torch.matmul(x, weight).sum().backward()
    assert found.counts["mm"] == 2, "the gradient's too"


def test_a_month_of_all_members_and_a_training_step_take_few_operations():
    """A third of the 3300 that a month of 50 members took in batches of ten; a step took 1422."""
    found = operations.operations(Grid(13, 24), 50, 4)
    assert found["defaults"]["month"] < 1100 and found["v0p9"]["month"] < 1100
    assert found["defaults"]["step"] < 950 and found["v0p9"]["step"] < 950
    more = operations.month_operations(
        synthetic.make_model(Grid(13, 24), torch.device("cpu"), {}),
        synthetic.make_pairs(Grid(13, 24), 1, torch.device("cpu")),
        200,
    )
    assert more.total / 8 == found["defaults"]["month"], "however many members there are"
    assert sum(found["defaults"]["most_of_month"].values()) < found["defaults"]["month"]
