"""What a uniformly warmer sea does to the fields, as far as theory and other models tell: the first guess of R_0.

Observed warming is small, has a pattern, and comes with El Nino: regression on it tells badly what +4 K everywhere do.
The numbers and their sources are in model/data/uniform_warming.csv; where data speak, they win (model/forced.py), but
for the global mean of rain.
"""

import functools
import math
from pathlib import Path
from typing import cast

import numpy as np
import torch

from model.data import Channel, Metadata, Months
from model.files import read_rows
from model.forced import ForcedResponse

TABLE = Path(__file__).parent / "data" / "uniform_warming.csv"
GAS_CONSTANT = 287.0597  # J kg-1 K-1, dry air
GRAVITY = 9.80665  # m s-2
GEOPOTENTIAL = {"m2 s-2": 1.0, "m**2 s**-2": 1.0, "m": GRAVITY, "gpm": GRAVITY}  # m2 s-2 per unit
SEA_LEVEL = 1000.0  # hPa, from which heights are summed
STEPS = 64  # of that sum


def fit(forced: ForcedResponse, training: Months) -> None:
    """Fit the response to the training months, of whose fields one after the other is read, from the first guess on."""
    # Of months in their file what is asked for is a tensor.
    fields, forcings = cast(torch.Tensor, training.fields), training.forcings[:]
    rows = read_table()
    kept = [rows.get(channel.short_name, [{}])[0].get("mean") == "guess" for channel in training.metadata.channels]
    guess, kelvin = uniform_warming(training.metadata, fields, forcings), float(training.metadata.forcing_scale[0])
    forced.fit(fields, forcings, training.number, guess, kelvin, kept)


@functools.cache
def read_table() -> dict[str, list[dict[str, str]]]:
    """Return the rows of the table by short name."""
    rows: dict[str, list[dict[str, str]]] = {}
    for row in read_rows(TABLE):
        rows.setdefault(row["short_name"], []).append(row)
    return rows


def at_level(rows: list[dict[str, str]], level: float | None) -> tuple[float, float]:
    """Return (land, sea) of a variable's rows at a level in hPa, or at the surface (None)."""
    if level is None or not rows[0]["level"]:
        return float(rows[0]["land"]), float(rows[0]["sea"])
    rows = sorted(rows, key=lambda row: float(row["level"]))
    known = [math.log(float(row["level"])) for row in rows]
    land, sea = (np.interp(math.log(level), known, [float(row[name]) for row in rows]) for name in ("land", "sea"))
    return float(land), float(sea)


def thickness(rows: list[dict[str, str]], level: float) -> tuple[float, float]:
    """Return by how many m2 s-2 per K (land, sea) the geopotential of a level rises above warmer air (hypsometric)."""
    edges = np.linspace(math.log(SEA_LEVEL), math.log(level), STEPS + 1)
    middle = np.exp((edges[1:] + edges[:-1]) / 2)
    land, sea = np.mean([at_level(rows, pressure) for pressure in middle], axis=0)
    layer = GAS_CONSTANT * (edges[0] - edges[-1])
    return float(land * layer), float(sea * layer)


def guess_of(channel: Channel, rows: dict[str, list[dict[str, str]]]) -> tuple[float, float, bool]:
    """Return (land, sea) per K of a channel, in its units or as a share of itself, and whether as a share."""
    if channel.short_name == "z" and channel.level is not None and channel.units in GEOPOTENTIAL:
        land, sea = thickness(rows["t"], channel.level)
        return land / GEOPOTENTIAL[channel.units], sea / GEOPOTENTIAL[channel.units], False
    known = rows.get(channel.short_name)
    if known is None or (channel.level is None) != (not known[0]["level"]):
        return 0.0, 0.0, False
    return *at_level(known, channel.level), known[0]["unit"] == "1"


def uniform_warming(metadata: Metadata, fields: torch.Tensor, forcings: torch.Tensor) -> torch.Tensor | None:
    """Return the fields' response (fields, nlat, nlon), normalized, to a normalized unit of SST everywhere.

    None where the forcing's scale is not told; 0 of a field whose short name or units the table does not know. Behind a
    square root, a share s of a field is s / 2 of its root.

    Args:
        metadata: channels and normalization.
        fields: normalized, of the training months (time, fields, nlat, nlon).
        forcings: normalized (time, forcings, nlat, nlon), the SST first, 0 where not sea.
    """
    kelvin = float(metadata.forcing_scale[0])
    if not math.isfinite(kelvin):
        return None
    sea = (forcings[:, 0] != 0).any(0).float().cpu()
    rows = read_table()
    found = []
    for number, channel in enumerate(metadata.channels):
        land, ocean, share = guess_of(channel, rows)
        warming = land + (ocean - land) * sea
        if share:
            usual = torch.from_numpy(metadata.center[:, number]).mean(0)
            usual = usual + float(metadata.scale[number]) * fields[:, number].mean(0).cpu()
            warming = warming * usual * {"sqrt": 0.5, "none": 1.0}.get(channel.transform, 0.0)
        elif channel.transform != "none":
            warming = torch.zeros_like(sea)
        found.append(warming * kelvin / float(metadata.scale[number]))
    return torch.stack(found).to(forcings.device)
