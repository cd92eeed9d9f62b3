"""Checkpoints: one zip file that rebuilds the model, with nothing pickled in it.

checkpoint.json      format version, model config, channels, names of forcings and statics, provenance
arrays/NAME.npy      lat, lon, center, scale, forcing_center, forcing_scale
weights/NAME.npy     the state of the model: the averaged weights, with statics, schedule and forced response
"""

import dataclasses
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import torch

from model.config import ModelConfig, build
from model.data import Channel, Metadata
from model.files import whole_bytes
from model.monthly_diffusion import MonthlyDiffusion

FORMAT = 9
ARRAYS = ("lat", "lon", "center", "scale", "forcing_center", "forcing_scale")


def channel_map(metadata: Metadata, season_maps: int) -> torch.Tensor:
    """Return (variable, level) numbers of the encoder's inputs, by name: fields, forcings, season maps, statics."""
    inputs = [(channel.short_name, channel.level) for channel in metadata.channels]
    inputs += [(name, None) for name in metadata.forcings]
    inputs += [(f"season {number}", None) for number in range(season_maps)]
    # A static may share its name with a forcing (the land mask); it is an input of its own.
    inputs += [(f"static {name}", None) for name in metadata.statics]
    variables = list(dict.fromkeys(variable for variable, _ in inputs))
    levels = [None, *sorted({level for _, level in inputs if level is not None}, reverse=True)]
    return torch.tensor([(variables.index(variable), levels.index(level)) for variable, level in inputs])


def new_model(config: ModelConfig, metadata: Metadata, statics: torch.Tensor) -> MonthlyDiffusion:
    """Return a model of fresh weights for the fields and forcings of `metadata`."""
    return _build(config, metadata, statics, channel_map(metadata, config.season_maps))


def _build(config: ModelConfig, metadata: Metadata, statics: torch.Tensor, names: torch.Tensor) -> MonthlyDiffusion:
    """Return a model that knows of its normalization which fields are behind a square root."""
    model = MonthlyDiffusion(config, len(metadata.channels), len(metadata.forcings), statics, names)
    if model.residual is not None:
        root = np.array([channel.transform == "sqrt" for channel in metadata.channels])
        shift = metadata.center[:, root] / metadata.scale[root, None, None]
        model.residual.means.know_roots(torch.from_numpy(root), torch.from_numpy(shift))
    return model


def save(path: str | Path, model: MonthlyDiffusion, state: dict, metadata: Metadata, provenance: dict) -> None:
    """Write a checkpoint of `state` (a state_dict of `model`); the file appears whole or not at all.

    Args:
        path: file to write.
        model: gives the config and the shapes.
        state: the weights to save.
        metadata: channels, grid and normalization.
        provenance: facts about the training, JSON.
    """
    description = {
        "format": FORMAT,
        "model": dataclasses.asdict(model.config),
        "channels": [dataclasses.asdict(channel) for channel in metadata.channels],
        "forcings": metadata.forcings,
        "statics": metadata.statics,
        "provenance": provenance,
    }
    arrays = {f"arrays/{name}.npy": getattr(metadata, name) for name in ARRAYS}
    arrays |= {f"weights/{name}.npy": value.detach().cpu().numpy() for name, value in state.items()}
    with whole_bytes(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        # ZipInfo's fixed date keeps equal checkpoints equal byte for byte.
        archive.writestr(zipfile.ZipInfo("checkpoint.json"), json.dumps(description, indent=1))
        for name, value in arrays.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.asarray(value), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(name), buffer.getvalue())


def load(path: str | Path, device: torch.device | str = "cpu") -> tuple[MonthlyDiffusion, Metadata, dict]:
    """Return model (in evaluation mode), metadata and provenance of a checkpoint.

    Raises:
        ValueError: the file is no checkpoint, is of another format version, or holds weights of other shapes.
    """
    try:
        archive = zipfile.ZipFile(path)
        description = json.loads(archive.read("checkpoint.json"))
    except (OSError, zipfile.BadZipFile, KeyError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is no checkpoint of this model: {error}.") from error
    if description["format"] != FORMAT:
        raise ValueError(
            f"{path} has checkpoint format {description['format']}; this program reads format {FORMAT}. Train again."
        )
    with archive:
        stored = {
            name.removesuffix(".npy"): np.lib.format.read_array(io.BytesIO(archive.read(name)), allow_pickle=False)
            for name in archive.namelist()
            if name.endswith(".npy")
        }
    metadata = Metadata(
        channels=[Channel(**channel) for channel in description["channels"]],
        forcings=description["forcings"],
        statics=description["statics"],
        **{name: stored[f"arrays/{name}"] for name in ARRAYS},
    )
    state = {
        name.removeprefix("weights/"): torch.from_numpy(value)
        for name, value in stored.items()
        if name.startswith("weights/")
    }
    config = build(ModelConfig, "model", description["model"])
    model = _build(config, metadata, state["statics"], state["embedding.channel_map"])
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(f"{path} does not hold the weights of its own config: {error}") from error
    return model.to(device).eval(), metadata, description["provenance"]
