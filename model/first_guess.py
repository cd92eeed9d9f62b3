"""What a uniformly warmer sea does to the fields, as far as theory and other models tell: the first guess of R_0.

Observed warming is small, has a pattern, and comes with El Nino: regression on it tells badly what +4 K everywhere do.
The numbers and their sources are in model/data/uniform_warming.csv; where data speak, they win (model/forced.py).
"""

import functools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch

from model.climatology import LEAST_YEARS
from model.data import Channel, Metadata, Months
from model.files import read_rows
from model.forced import ForcedResponse, KnownMean
from model.progress import note

PER_KELVIN = ("land", "sea")  # columns of the table
TABLE = Path(__file__).parent / "data" / "uniform_warming.csv"
GAS_CONSTANT = 287.0597  # J kg-1 K-1, dry air
GRAVITY = 9.80665  # m s-2
GEOPOTENTIAL = {"m2 s-2": 1.0, "m**2 s**-2": 1.0, "m": GRAVITY, "gpm": GRAVITY}  # m2 s-2 per unit
SEA_LEVEL = 1000.0  # hPa, from which heights are summed
STEPS = 64  # of that sum
STRATOSPHERE = 100.0  # hPa, from which on upwards errors are stated level by level


def fit(forced: ForcedResponse, training: Months) -> None:
    """Fit the response to the training months, of whose fields one after the other is read, from the first guess on."""
    # Of months in their file what is asked for is a tensor.
    fields, forcings = cast(torch.Tensor, training.fields), training.forcings[:]
    guess, kelvin = uniform_warming(training.metadata, fields, forcings), float(training.metadata.forcing_scale[0])
    means = known_means(training.metadata, fields, sea_of(forcings))
    forced.fit(fields, forcings, training.number, guess, kelvin, means)
    if guess is not None and len(training.dates) < 12 * LEAST_YEARS:
        names = [channel.name for channel in training.metadata.channels]
        still = [name for name, maps in zip(names, guess, strict=True) if not maps.any()]
        note(
            f"{len(training.dates)} months of training, less than {LEAST_YEARS} years, do not tell what a uniform "
            f"warming does: the first guess alone does, and nothing of {', '.join(still) or 'none'}"
        )


def known_means(metadata: Metadata, fields: torch.Tensor, sea: torch.Tensor) -> dict[int, list[KnownMean]]:
    """Return what the table knows of the means of fields over the globe, or over land and sea, by their number.

    sea: where it is, (nlat, nlon); other arguments as of `uniform_warming`.
    """
    regions = {"globe": torch.ones_like(sea), "land": 1 - sea, "sea": sea}
    known: dict[int, list[KnownMean]] = {}
    for number, channel in enumerate(metadata.channels):
        errors = per_kelvin(channel, [f"error_{name}" for name in regions])
        if not any(errors) or channel.level is not None and channel.level > STRATOSPHERE:
            continue
        weights = torch.ones_like(sea)
        if channel.transform == "sqrt":  # a square changes by twice its root
            weights = 2 * usual(metadata, fields, number).clamp_min(0)
        rows = rows_of(channel)
        between, other = float(rows[0]["between"] or 0), bool(rows[-1]["other"])
        for region, error in zip(regions.values(), errors, strict=True):
            maps = normalized(metadata, fields, number, torch.full_like(sea, error))
            if maps.any():  # where none is stated, or of a transform that the guess does not know, nothing is known
                known.setdefault(number, []).append(KnownMean(region, weights, maps, between, other))
    return known


def sea_of(forcings: torch.Tensor) -> torch.Tensor:
    """Return 1 at sea and 0 on land, (nlat, nlon), of forcings (time, forcings, nlat, nlon), the SST first."""
    return (forcings[:, 0] != 0).any(0).float().cpu()


def usual(metadata: Metadata, fields: torch.Tensor, number: int) -> torch.Tensor:
    """Return what a field is on average before its transform is undone, (nlat, nlon)."""
    center = torch.from_numpy(metadata.center[:, number]).mean(0)
    return center + float(metadata.scale[number]) * fields[:, number].mean(0).cpu()


@functools.cache
def read_table() -> dict[str, list[dict[str, str]]]:
    """Return the rows of the table by short name, of which a row may have several."""
    rows: dict[str, list[dict[str, str]]] = {}
    for row in read_rows(TABLE):
        for name in row["short_name"].split():
            rows.setdefault(name, []).append(row)
    return rows


def is_geopotential(channel: Channel) -> bool:
    """Tell whether a channel is the geopotential or height of a level, which follows from the air below it."""
    return channel.short_name in ("z", "zg") and channel.level is not None and channel.units in GEOPOTENTIAL


def rows_of(channel: Channel) -> list[dict[str, str]]:
    """Return the table's rows of a channel, of geopotential those of temperature.

    None where it is not known, or at the surface in place of levels.
    """
    rows = read_table().get("t" if is_geopotential(channel) else channel.short_name, [])
    return rows if rows and (channel.level is None) == (not rows[0]["level"]) else []


def at_level(rows: list[dict[str, str]], level: float | None, columns: Sequence[str] = PER_KELVIN) -> list[float]:
    """Return the columns of a variable's rows at a level in hPa, or at the surface (None); what is not stated is 0."""
    if level is None or not rows[0]["level"]:
        return [float(rows[0][name] or 0) for name in columns]
    rows = sorted(rows, key=lambda row: float(row["level"]))
    known = [math.log(float(row["level"])) for row in rows]
    return [float(np.interp(math.log(level), known, [float(row[name] or 0) for row in rows])) for name in columns]


def thickness(rows: list[dict[str, str]], level: float, columns: Sequence[str] = PER_KELVIN) -> list[float]:
    """Return by how many m2 s-2 per K the geopotential of a level rises above warmer air (hypsometric), by columns."""
    edges = np.linspace(math.log(SEA_LEVEL), math.log(level), STEPS + 1)
    middle = np.exp((edges[1:] + edges[:-1]) / 2)
    layer = GAS_CONSTANT * (edges[0] - edges[-1])
    return (layer * np.mean([at_level(rows, pressure, columns) for pressure in middle], axis=0)).tolist()


def per_kelvin(channel: Channel, columns: Sequence[str] = PER_KELVIN) -> list[float]:
    """Return columns of the table per K of a channel, in its units or as a share of itself; 0 where it is not known."""
    rows = rows_of(channel)
    if not rows:
        return [0.0] * len(columns)
    if is_geopotential(channel):
        assert channel.level is not None
        return [value / GEOPOTENTIAL[channel.units] for value in thickness(rows, channel.level, columns)]
    return at_level(rows, channel.level, columns)


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
    sea = sea_of(forcings)
    found = []
    for number, channel in enumerate(metadata.channels):
        land, ocean = per_kelvin(channel)
        found.append(normalized(metadata, fields, number, land + (ocean - land) * sea))
    return torch.stack(found).to(forcings.device)


def normalized(metadata: Metadata, fields: torch.Tensor, number: int, warming: torch.Tensor) -> torch.Tensor:
    """Return what is of a field per K (nlat, nlon), in its units or as a share, normalized, per normalized unit."""
    channel = metadata.channels[number]
    rows = rows_of(channel)
    if rows and rows[0]["unit"] == "1":
        warming = warming * usual(metadata, fields, number) * {"sqrt": 0.5, "none": 1.0}.get(channel.transform, 0.0)
    elif channel.transform != "none":
        warming = torch.zeros_like(warming)
    return warming * float(metadata.forcing_scale[0]) / float(metadata.scale[number])
