"""Read checkpoints of Monthly Diffusion v0.9 as published: `python -m model.published FOLDER --out CHECKPOINT`.

A published folder holds `weights.pt`, a state_dict, and `config.pkl`, a pickled config with the constant maps. Nothing
pickled is executed: sizes follow from the weights' shapes, the order of fields and maps from the encoder's channel map.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from model import checkpoint, data, pickled
from model.config import PUBLISHED, ModelConfig
from model.data import Channel, Metadata
from model.files import read_rows
from model.monthly_diffusion import MonthlyDiffusion
from model.progress import running
from model.sphere import Grid

STATISTICS = Path(__file__).parent / "data" / "era5_channel_statistics.csv"

# Names of parameters: published beginnings and ours.
BLOCKS = {"encoder.first_layer.": "encoder.", "decoder.first_layer.": "decoder.", "predictor.first_layer.": "denoiser."}
PARTS = {
    "in_conv.spectral_fc.": "spectral.",
    "spatial_conditioning.to_gamma_beta.0.spectral_fc.": "norm1.first.",
    "spatial_conditioning.to_gamma_beta.2.spectral_fc.": "norm1.second.",
    "spatial_conditioning2.to_gamma_beta.0.spectral_fc.": "norm2.first.",
    "spatial_conditioning2.to_gamma_beta.2.spectral_fc.": "norm2.second.",
    "spatial_conditioning.": "norm1.",
    "spatial_conditioning2.": "norm2.",
    "mlp1_layer1.": "mlp1.",
    "mlp1_layer2.": "mlp2.",
    "out.": "out.",
}
OTHERS = {
    "encoder.first_layer.embedding.var_emb": "embedding.variable",
    "encoder.first_layer.embedding.lev_emb": "embedding.level",
    "encoder.first_layer.embedding.channel_map": "embedding.channel_map",
    "encoder.first_layer.embedding.channel_proj.": "embedding.projection.",
    "predictor.latent_mu": "latent_mean",
    "predictor.latent_log_sigma": "latent_log_sigma",
    "predictor.time_embed.": "time.",
    "seasonality_embedding.spatial_basis": "season.basis",
    "seasonality_embedding.": "season.",
}
CHANNEL_MAP = "encoder.first_layer.embedding.channel_map"
# The other inputs of the encoder, whose names share the sorted list with the fields'.
FORCINGS = ("SSTK", "CI", "nanmask")
STATICS = ("SDOR", "ANOR", "ISOR", "SLOR", "LSM")
SEASON = ("time0", "time1", "time2")
# Published variable, our short name, units, and the bounds of physical values.
VARIABLES = {
    "u": ("u", "m s-1", -150, 150),
    "v": ("v", "m s-1", -150, 150),
    "t": ("t", "K", 150, 350),
    "q": ("q", "kg kg-1", -0.001, 0.06),
    "z": ("z", "m2 s-2", 40000, 65000),
    "SKT": ("skt", "K", 150, 350),
    "VAR_2T": ("t2m", "K", 150, 350),
    "VAR_2D": ("d2m", "K", 130, 320),
    "VAR_10U": ("u10", "m s-1", -60, 60),
    "VAR_10V": ("v10", "m s-1", -60, 60),
    "MTPR": ("avg_tprate", "kg m-2 s-1", -0.0001, 0.005),
    "SP": ("sp", "Pa", 40000, 115000),
    "MSL": ("msl", "Pa", 85000, 115000),
}


def from_state_dict(state_dict: dict, statics, field_names: list[str]) -> MonthlyDiffusion:
    """Return the model of a published state_dict, in evaluation mode.

    Args:
        state_dict: published names to tensors or arrays.
        statics: constant maps as the networks see them, (statics, nlat, nlon).
        field_names: published names of the fields in their order, such as t850.0 or SPSFC.

    Raises:
        ValueError: a parameter is missing or unknown, or shapes do not fit the statics and the names.
    """
    state = {our_name(name): torch.as_tensor(np.asarray(value)) for name, value in state_dict.items()}
    statics = torch.as_tensor(np.asarray(statics), dtype=torch.float32)
    config = _config(state, Grid(*statics.shape[-2:]))
    outputs = state["decoder.out.weight"].shape[0]
    if outputs != len(field_names):
        raise ValueError(f"the weights decode {outputs} fields, but {len(field_names)} names are given.")
    channel_map = state["embedding.channel_map"]
    forcings = len(channel_map) - outputs - config.season_maps - len(statics)
    if forcings < 1:
        raise ValueError(
            f"the encoder has {len(channel_map)} inputs; {outputs} fields, {config.season_maps} season maps and "
            f"{len(statics)} statics leave {forcings} for the forcings. Give the statics the weights were trained with."
        )
    model = MonthlyDiffusion(config, outputs, forcings, statics, channel_map)
    for name in ("variable", "level"):  # these tables may have rows that no input uses
        setattr(model.embedding, name, torch.nn.Parameter(state[f"embedding.{name}"]))
    own = model.state_dict()
    for name in state:
        if name.endswith((".A", ".B")) and state[name].shape != own[name].shape:
            state[name] = _without_dead_column(name, state[name], own[name].shape)
    state = {name: own[name] for name in own if name.startswith(("diffusion.", "statics", "climate_offset"))} | state
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(f"these are not the weights of Monthly Diffusion v0.9: {error}") from error
    return model.eval()


def our_name(published: str) -> str:
    """Return our name of a published parameter."""
    for old, new in OTHERS.items():
        if published.startswith(old):
            return published.replace(old, new, 1)
    for old_block, block in BLOCKS.items():
        for old, new in PARTS.items():
            if published.startswith(old_block + old):
                return published.replace(old_block + old, block + new, 1)
    raise ValueError(f"{published!r} is no parameter of Monthly Diffusion v0.9.")


def _config(state: dict, grid: Grid) -> ModelConfig:
    """Return the published choices, with the sizes that the shapes of the weights tell."""

    def size(name, axis):
        if name not in state:
            raise ValueError(f"the weights lack {name!r} (our name); they are not a whole state_dict of v0.9.")
        return state[name].shape[axis]

    latent_rows = size("denoiser.spectral.A", 1)
    squeeze = next((s for s in range(1, grid.nlat) if grid.nlat // s == latent_rows), None)
    if squeeze is None:
        raise ValueError(f"no coarsening of {grid.nlat} rows of the statics gives the {latent_rows} of the weights.")
    sizes = {
        f"{stage}_{key}": size(f"{stage}.{name}", 0)
        for stage in ("encoder", "decoder", "denoiser")
        for key, name in (
            ("rank", "spectral.W_in"),
            ("condition_rank", "norm1.first.W_in"),
            ("condition_hidden", "norm1.first.W_out"),
        )
    }
    return ModelConfig(
        squeeze=squeeze,
        latent_channels=size("denoiser.out.weight", 0),
        hidden=size("encoder.mlp1.weight", 0),
        season_bases=size("season.basis", 0),
        season_maps=size("season.basis", 1),
        time_maps=size("time.mlp.2.weight", 0),
        **PUBLISHED["model"],
        **sizes,
    )


def _without_dead_column(name: str, value: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """Return a spectrum without its orders m >= lmax, which no degree l >= m fills."""
    if value.shape[:2] != shape[:2] or value.shape[2] < shape[2]:
        raise ValueError(f"{name} has shape {tuple(value.shape)}, {tuple(shape)} is expected for these statics.")
    return value[:, :, : shape[2]]


def field_order(channel_map: np.ndarray, names: list[str]) -> list[str]:
    """Return the published names of the fields in the order of the encoder's inputs.

    Args:
        channel_map: (variable, level) numbers of every input: places in the sorted lists of variables and of levels.
        names: the names of all fields, in any order.
    """
    split = {name: split_name(name) for name in names}
    variables = variables_of(names)
    levels = [None, *sorted({level for _, level in split.values() if level is not None})]
    places = {(variables.index(variable), levels.index(level)): name for name, (variable, level) in split.items()}
    rows = [tuple(row) for row in np.asarray(channel_map).tolist()[: len(names)]]
    unknown = [row for row in rows if row not in places]
    if unknown:
        raise ValueError(
            f"the encoder's channel map has {unknown[0]} among its first {len(names)} inputs, which is no field of the "
            f"statistics table; give the table of this checkpoint with --statistics."
        )
    return [places[row] for row in rows]


def static_order(channel_map: np.ndarray, names: list[str]) -> list[str]:
    """Return the published variables of the constant maps, the encoder's last inputs; arguments as `field_order`."""
    variables, rows = variables_of(names), np.asarray(channel_map)[-len(STATICS) :, 0].tolist()
    found = [variables[row] for row in rows if row < len(variables)]
    if set(found) != set(STATICS):
        raise ValueError(f"the encoder's last inputs are {', '.join(found)} where {', '.join(STATICS)} belong.")
    return found


def variables_of(names: list[str]) -> list[str]:
    """Return the sorted variables of the fields `names` and of all other inputs, which the channel map numbers."""
    return sorted({split_name(name)[0] for name in names} | {*FORCINGS, *STATICS, *SEASON})


def split_name(name: str) -> tuple[str, float | None]:
    """Return variable and level (hPa) of a published name: t850.0 is (t, 850), SPSFC is (SP, None)."""
    if name.endswith("SFC"):
        return name.removesuffix("SFC"), None
    return name[0], float(name[1:])


def read_statistics(path: str | Path) -> dict[str, dict]:
    """Return transform, mean and std of each published name from a statistics table (CSV)."""
    rows = read_rows(path)
    if not rows or not {"published_name", "transform", "mean", "std"} <= rows[0].keys():
        raise ValueError(f"{path} is no statistics table: columns published_name, transform, mean, std are needed.")
    return {row["published_name"]: row for row in rows}


def metadata_of(names: list[str], statistics: dict[str, dict], statics: list[str], grid: Grid) -> Metadata:
    """Return the metadata of a published checkpoint: one mean and standard deviation per channel; names are its own."""
    channels = []
    for name in names:
        variable, level = split_name(name)
        short_name, units, low, high = VARIABLES[variable]
        label = short_name if level is None else f"{short_name}{level:g}"
        channels.append(Channel(label, short_name, level, statistics[name]["transform"], units, low, high))

    def column(key, rows):
        return np.array([float(statistics[name][key]) for name in rows], dtype="f4")

    sea = ["SSTKSFC", "CISFC"]
    return Metadata(
        channels=channels,
        forcings=["sst", "siconc", "lsm"],
        statics=[name.lower() for name in statics],
        lat=np.linspace(-90, 90, grid.nlat),
        lon=np.arange(grid.nlon) * 360 / grid.nlon,
        center=np.repeat(column("mean", names)[None, :, None, None], 12, axis=0),
        scale=column("std", names),
        forcing_center=np.append(column("mean", sea), np.float32(0)),
        forcing_scale=np.append(column("std", sea), np.float32(1)),
    )


def import_checkpoint(
    folder: str, out: str, config: str | None = None, statistics_path: str | Path = STATISTICS
) -> None:
    """Write our checkpoint of a published folder; nothing pickled is executed.

    Args:
        folder: the published checkpoint, with `weights.pt` in it.
        out: checkpoint to write.
        config: the published config, for the constant maps; None: `config.pkl` in the folder.
        statistics_path: table of the fields' statistics.
    """
    path, config_path = Path(folder) / "weights.pt", Path(config or Path(folder) / "config.pkl")
    try:
        state_dict = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # torch raises many kinds; each means that this is no plain state_dict
        raise ValueError(f"{path} cannot be read as weights alone: {str(error).splitlines()[0]}") from error
    if CHANNEL_MAP not in state_dict:
        raise ValueError(f"{path} holds no state_dict of Monthly Diffusion v0.9: it lacks the encoder's channel map.")
    statics, statistics = read_statics(config_path), read_statistics(statistics_path)
    fields = [name for name in statistics if name not in ("SSTKSFC", "CISFC")]
    outputs = len(state_dict["decoder.first_layer.out.weight"])
    if outputs != len(fields):
        raise ValueError(
            f"the weights of {path} decode {outputs} fields, {statistics_path} has {len(fields)}; give the table of "
            f"this checkpoint with --statistics."
        )
    names = field_order(state_dict[CHANNEL_MAP], fields)
    model = from_state_dict(state_dict, statics, names)
    provenance = {"imported_from": "published Monthly Diffusion v0.9"}
    provenance |= {"weights_sha256": data.sha256(path), "config_sha256": data.sha256(config_path)}
    metadata = metadata_of(names, statistics, static_order(state_dict[CHANNEL_MAP], fields), model.grid)
    checkpoint.save(out, model, model.state_dict(), metadata, provenance)


def read_statics(path: Path) -> np.ndarray:
    """Return a published config's constant maps as the networks see them: (statics, nlat, nlon), from the south."""
    if not path.is_file():
        raise ValueError(f"there is no {path}, which holds the constant maps; --config names it if it lies elsewhere.")
    config = pickled.read(path)
    found = config.get("statics") if isinstance(config, dict) else None
    statics = found if isinstance(found, np.ndarray) and found.dtype.kind == "f" else np.empty(0)
    if statics.shape[:-2] != (len(STATICS),) or not np.isfinite(statics).all():
        raise ValueError(f"{path} is no config of v0.9: its 'statics' are not {len(STATICS)} maps of finite numbers.")
    return statics


def main() -> None:
    """Read the command line and import."""
    parser = argparse.ArgumentParser(prog="python -m model.published", description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="published checkpoint: a folder with weights.pt and config.pkl")
    parser.add_argument("--out", required=True, help="checkpoint to write")
    parser.add_argument("--config", help="published config with the constant maps, if not config.pkl in the folder")
    parser.add_argument("--statistics", default=STATISTICS, help="table of means and standard deviations (CSV)")
    arguments = parser.parse_args()
    with running("model.published"):
        import_checkpoint(arguments.folder, arguments.out, arguments.config, arguments.statistics)


if __name__ == "__main__":
    main()
