"""A checkpoint that the config names (model.checkpoint): does it fit the config? Asked before the first job.

A checkpoint is a zip file (model/checkpoint.py). Only its description and axes are read here, so that nothing of torch
is needed; the weights are read by the rollout.
"""

import io
import json
import re
import zipfile
from pathlib import Path

import numpy as np

from workflow.scripts.common.grids import centres
from workflow.scripts.common.variables import read_variables

READER = Path(__file__).parents[3] / "model/checkpoint.py"
CLOSE = 1e-4  # degrees, within which the rollout takes axes for the same


def check_checkpoint(path, resolution, table):
    """Raise ValueError in one sentence if the checkpoint ``path`` cannot be rolled out on the config's data.

    ``resolution``: degrees, grid.resolution. ``table``: path of the table of variables. A file that is not there is
    left to Snakemake, which names it where a job needs it.
    """
    if not Path(path).is_file():
        return
    key = f"config: 'model.checkpoint' is {path!r}"
    try:
        with zipfile.ZipFile(path) as archive:
            description = json.loads(archive.read("checkpoint.json"))
            if description["format"] != readable_format():
                raise ValueError(
                    f"{key}, of checkpoint format {description['format']}, but this version reads {readable_format()}; "
                    f"use the version that wrote it, or train again"
                )
            axes = {name: _array(archive, f"arrays/{name}.npy") for name in ("lat", "lon")}
            channels = {channel["name"]: channel["transform"] for channel in description["channels"]}
    except (OSError, zipfile.BadZipFile, KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{key}, which is no checkpoint of this model ({error}); name one, or set it to null"
        ) from None
    for (name, found), wanted in zip(axes.items(), centres(resolution), strict=True):
        if found.shape != wanted.shape or np.abs(found - wanted).max() > CLOSE:
            raise ValueError(
                f"{key}, of a model on {len(axes['lat'])}x{len(axes['lon'])} cells, but 'grid.resolution' "
                f"{resolution:g} has {len(centres(resolution)[0])}x{len(centres(resolution)[1])}, and {name} differs; "
                f"set the resolution that the checkpoint was trained on"
            )
    rows = {row.channel: row.transform for row in read_variables(table, role="field")}
    lacking = [name for name in channels if name not in rows]
    if lacking:
        raise ValueError(
            f"{key}, of a model with the fields {', '.join(lacking)}, which the table of variables {table} leaves out; "
            f"name in 'variables' the table that the checkpoint was trained with"
        )
    for name, transform in channels.items():
        if rows[name] != transform:
            raise ValueError(
                f"{key}, of a model that takes {name} after the transform {transform}, but {table} has {rows[name]}; "
                f"name in 'variables' the table that the checkpoint was trained with"
            )


def readable_format():
    """Version of the format that model/checkpoint.py reads, from its text: importing it would take torch."""
    return int(re.search(r"(?m)^FORMAT = (\d+)$", READER.read_text(encoding="utf-8"))[1])


def _array(archive, name):
    try:
        return np.lib.format.read_array(io.BytesIO(archive.read(name)), allow_pickle=False)
    except ValueError as error:
        raise KeyError(f"{name}: {error}") from None
