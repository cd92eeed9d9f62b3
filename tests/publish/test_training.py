"""What the dataset card says of what the model learned from."""

import re

import pytest

from tests.helpers import submission_files
from tests.helpers.project import ROOT, load_config
from workflow.scripts.publish.card import card

WEIGHTS = {"size": 1, "sha256": "b" * 64}


def text_of(config):
    return card(config, submission_files.FACTS, {"simulations": [], "rules": []}, WEIGHTS)


@pytest.mark.parametrize(
    ("periods", "said"),
    [
        ({}, None),
        ({"training": ["1979-01", "2014-12"]}, None),
        ({"training": ["1978-12", "2010-12"]}, "weights and statistics read 1978-12 to 2010-12:"),
        ({"training": ["1985-01", "2015-01"]}, "weights and statistics read 1985-01 to 2015-01:"),
        ({"validation": ["2015-01", "2016-12"]}, "choices between models read 2015-01 to 2016-12:"),
    ],
)
def test_months_that_aimip_does_not_allow_mark_the_submission(periods, said):
    config = load_config()
    config["periods"] |= periods
    text = text_of(config)
    assert ("Outside AIMIP's protocol" in text) == (said is not None)
    assert said is None or f"AIMIP allows training on 1979-01 to 2014-12 only; {said}" in text
    config["model"]["checkpoint"] = "weights.zip"
    assert "Outside AIMIP's protocol" not in text_of(config), "these periods are not those of an imported checkpoint"


def test_the_sources_of_the_first_guess_are_named_and_nothing_denies_them():
    """Every publication that the table of the first guess names is named, of a model that starts from it."""
    table = (ROOT / "model/data/uniform_warming.csv").read_text()
    known = re.findall(r"doi:[\w./-]+\w", table)
    assert len(known) > 1
    config = load_config()
    text = text_of(config)
    assert all(name in text for name in known) and "physics models of AIMIP Phase 1" in text
    assert "Trained on ERA5 only" not in text
    config["model"]["forced_modes"] = 0
    assert "first guess" not in text_of(config)
