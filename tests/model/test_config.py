"""The settings: those of the config files, and which are refused."""

import dataclasses

import pytest

from model.config import PUBLISHED, ModelConfig, TrainingConfig


@pytest.mark.parametrize("key", ["truncation", "norm", "sampler", "initial_state"])
def test_a_wrong_choice_is_named(key):
    with pytest.raises(ValueError, match=f"model.{key} is 'other'; allowed are"):
        ModelConfig(**{key: "other"})


def test_defaults_are_those_of_the_config_file():
    yaml = pytest.importorskip("yaml")
    with open("config/config.yaml") as file:
        config = yaml.safe_load(file)
    assert config["model"] == {"checkpoint": None} | dataclasses.asdict(ModelConfig())
    assert config["training"] == dataclasses.asdict(TrainingConfig()) | {"checkpoint_minutes": 10.0}


def test_the_published_recipe_is_that_of_the_preset():
    yaml = pytest.importorskip("yaml")
    with open("config/presets/v0p9.yaml") as file:
        preset = yaml.safe_load(file)
    assert {section: preset[section] for section in PUBLISHED} == PUBLISHED
