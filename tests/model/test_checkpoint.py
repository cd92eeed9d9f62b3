"""Checkpoints: they rebuild the model, without pickle, and other files are refused."""

import numpy as np
import pytest
import torch

from model import checkpoint, data
from tests.helpers.model_data import NAMES


def test_checkpoint_rebuilds_the_model_without_pickle(folder, monkeypatch):
    monkeypatch.setattr("pickle.load", None)
    monkeypatch.setattr("torch.load", None)
    model, metadata, provenance = checkpoint.load(folder / "c.zip")
    months = data.read_months(folder / "training.nc")
    assert [channel.name for channel in metadata.channels] == NAMES
    assert metadata.channels == months.metadata.channels
    np.testing.assert_array_equal(metadata.center, months.metadata.center)
    assert model.config.latent_channels == 4 and provenance["seed"] == 3
    assert torch.equal(model.statics, months.statics)


def test_checkpoint_of_another_format_or_none_is_refused(folder, tmp_path, monkeypatch):
    (tmp_path / "x.zip").write_bytes(b"text")
    with pytest.raises(ValueError, match="x.zip is no checkpoint"):
        checkpoint.load(tmp_path / "x.zip")
    monkeypatch.setattr(checkpoint, "FORMAT", checkpoint.FORMAT + 1)
    with pytest.raises(
        ValueError, match=f"checkpoint format {checkpoint.FORMAT - 1}; this program reads format {checkpoint.FORMAT}"
    ):
        checkpoint.load(folder / "c.zip")
