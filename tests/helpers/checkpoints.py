"""Checkpoints without weights, as the model writes them: for what reads their description and axes alone."""

from types import SimpleNamespace

import numpy as np

from model import checkpoint
from model.config import ModelConfig
from model.data import Channel, Metadata
from tests.helpers.project import VARIABLES
from workflow.scripts.common.grids import centres
from workflow.scripts.common.variables import read_variables


def write_checkpoint(path, resolution=1.5, table=VARIABLES, changed=()):
    """A checkpoint of a model on the grid and table; ``changed``: pairs of a channel and the transform it gets."""
    rows, changed = read_variables(table, role="field"), dict(changed)
    transforms = [changed.get(row.channel, row.transform) for row in rows]
    channels = [
        Channel(row.channel, row.short_name, row.level, transform, row.units, row.valid_min, row.valid_max)
        for row, transform in zip(rows, transforms, strict=True)
    ]
    lat, lon = centres(resolution)
    center, scale = np.zeros((12, len(rows), 1, 1)), np.ones(len(rows))
    metadata = Metadata(channels, ["sst", "siconc"], [], lat, lon, center, scale, np.zeros(2), np.ones(2))
    checkpoint.save(path, SimpleNamespace(config=ModelConfig()), {}, metadata, {})
