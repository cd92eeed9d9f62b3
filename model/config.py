"""The settings of the model and of its training: the sections `model` and `training` of the workflow's config.

Meaning, unit and allowed values of every key are in workflow/schemas/config.schema.yaml.
"""

import dataclasses
import json
from pathlib import Path
from typing import TypeVar

# The published recipe, Monthly Diffusion v0.9 (Hall and Molina 2026), as in config/presets/v0p9.yaml.
PUBLISHED: dict[str, dict] = {
    "model": {
        "truncation": "published",
        "norm": "sample",
        "area_weighted": False,
        "forced_modes": 0,
        "noise_modes": 0,
        "residual_noise": False,
        "sampler": "ancestral",
        "initial_state": "mean",
    },
    "training": {
        "learning_rate": 1e-3,
        "decay": "constant",
        "warmup_steps": 0,
        "weight_decay": 1e-4,
        "clip": 0.0,
        "average": 0.0,
        "times": "steps",
        "reconstruction_weight": 1.0,
        "diffusion_weight": 0.5,
        "predicted_weight": 0.0,
        "kl_weight": 0.005,
        "latent_weight": 1.0,
        "detach_target": False,
        "offset_members": 0,
        "candidates": 1,
    },
}


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """Sizes and choices of the networks; the defaults are the full-size model."""

    squeeze: int = 3
    latent_channels: int = 32
    hidden: int = 128
    encoder_rank: int = 64
    decoder_rank: int = 256
    denoiser_rank: int = 128
    encoder_condition_hidden: int = 4
    encoder_condition_rank: int = 2
    decoder_condition_hidden: int = 2
    decoder_condition_rank: int = 4
    denoiser_condition_hidden: int = 4
    denoiser_condition_rank: int = 2
    season_bases: int = 3
    season_maps: int = 3
    time_maps: int = 5
    diffusion_steps: int = 15
    truncation: str = "alias_free"  # or "published"
    norm: str = "calibrated"  # or "sample"
    area_weighted: bool = True
    forced_modes: int = 4  # 0: none
    noise_modes: int = 64  # 0: white noise
    residual_noise: bool = True
    sampler: str = "second_order"  # or "ancestral"
    evaluations: int = 6
    initial_state: str = "posterior"  # or "mean"

    def __post_init__(self):
        choices = {
            "truncation": ("alias_free", "published"),
            "norm": ("calibrated", "sample"),
            "sampler": ("second_order", "ancestral"),
            "initial_state": ("posterior", "mean"),
        }
        for key, allowed in choices.items():
            if getattr(self, key) not in allowed:
                raise ValueError(f"model.{key} is {getattr(self, key)!r}; allowed are {' and '.join(allowed)}.")


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """The recipe of the training; the defaults are the full-size run."""

    epochs: int = 103
    batch: int = 4
    learning_rate: float = 1e-3
    decay: str = "cosine"  # or "constant"
    warmup_steps: int = 200
    weight_decay: float = 1e-4
    clip: float = 1.0  # 0: none
    average: float = 0.999  # 0: none
    times: str = "continuous"  # or "steps"
    reconstruction_weight: float = 1.0
    diffusion_weight: float = 0.5
    predicted_weight: float = 0.5
    kl_weight: float = 0.03
    latent_weight: float = 1.0
    detach_target: bool = True
    offset_members: int = 4  # 0: none
    validate_every: int = 5
    candidates: int = 3
    validation_members: int = 5  # 0: no free run

    def __post_init__(self):
        choices = {"decay": ("cosine", "constant"), "times": ("continuous", "steps")}
        for key, allowed in choices.items():
            if getattr(self, key) not in allowed:
                raise ValueError(f"training.{key} is {getattr(self, key)!r}; allowed are {' and '.join(allowed)}.")
        if self.validation_members == 1:
            raise ValueError("training.validation_members is 1; a spread needs at least 2, and 0 makes no free run.")


Settings = TypeVar("Settings", ModelConfig, TrainingConfig)


def build(kind: type[Settings], section: str, values: dict) -> Settings:
    """Return the settings `kind` from a config section; a key it does not know is an error that lists those it does."""
    known = [field.name for field in dataclasses.fields(kind)]
    for key in values:
        if key not in known:
            raise ValueError(f"{section}.{key} is not a setting; known are {', '.join(known)}.")
    return kind(**values)


def read_settings(text: str) -> dict:
    """Return the settings given as JSON or as the name of a JSON file: {"model": {...}, "training": {...}}."""
    try:
        settings = json.loads(text if text.lstrip().startswith("{") else Path(text).read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise ValueError(f"--settings takes JSON or a JSON file; {text!r} is neither ({error}).") from error
    return settings
