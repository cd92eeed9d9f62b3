import pytest

from tests.helpers.evaluation_run import run
from workflow.scripts.evaluate.metrics.table import read_table


@pytest.fixture(scope="session")
def result(tmp_path_factory):
    """Three members with the reference's own noise: biases of 0.5, 0.25 and 0 spreads; a response of 3 K."""
    biases = {"r1i1p1f1": 0.5, "r2i1p1f1": 0.25, "r3i1p1f1": 0.0}
    simulations = {("aimip", name): {"seed": 0, "bias": bias} for name, bias in biases.items()}
    warmed = {("aimip-p4k", name): {"seed": 0, "bias": bias, "warming": 3.0} for name, bias in biases.items()}
    return run(tmp_path_factory.mktemp("evaluate"), simulations | warmed)


@pytest.fixture(scope="session")
def table(result):
    return read_table(result / "metrics.csv")
