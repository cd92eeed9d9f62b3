"""What is fitted before the networks: how many modes of the fields are slow, however their months are read."""

import dataclasses

import numpy as np
import pytest
import torch

from model import data
from model.prefit import prefit
from tests.helpers import model_data
from tests.helpers.model_networks import untrained_model


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Months whose fields know nothing of each other."""
    path = model_data.write_months(tmp_path_factory.mktemp("prefit") / "training.nc", count=12 * 31)
    with data.open_dataset(path) as dataset:
        shape = dataset["fields"].shape
    with model_data.netCDF4.Dataset(path, "a") as dataset:
        dataset["fields"][:] = np.random.default_rng(1).normal(size=shape)
    return path


def oscillation(months):
    """A pair of the fields of 28 months, half of their variance in large scales."""
    phase = 2 * torch.pi * torch.arange(len(months.dates)) / 28
    lat, lon = (
        torch.deg2rad(torch.from_numpy(values).float()) for values in (months.metadata.lat, months.metadata.lon)
    )
    one, two = lat.cos()[:, None] * lon.cos(), lat.sin()[:, None] * lat.cos()[:, None] * lon.sin()
    return torch.stack([phase.cos()[:, None, None] * one + phase.sin()[:, None, None] * two] * 4, dim=1)


def test_slow_modes_are_counted_in_the_fields(path):
    months = data.read_months(path)
    model = untrained_model(months)
    prefit(model, months)
    assert model.latents.slow_count == 0
    prefit(model, dataclasses.replace(months, fields=months.fields + oscillation(months)))
    assert model.latents.slow_count == 2


def test_of_months_in_their_file_as_of_months_in_memory(path, tmp_path):
    months = data.read_months(path)
    copy = tmp_path / "training.nc"
    copy.write_bytes(path.read_bytes())
    with model_data.netCDF4.Dataset(copy, "a") as dataset:
        dataset["fields"][:] = (months.fields + oscillation(months)).numpy()
    model = untrained_model(months)
    with data.open_months(copy, torch.device("cpu")) as stored:
        prefit(model, stored)
    assert model.latents.slow_count == 2
