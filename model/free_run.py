"""A free run of the validation years: several members under the known sea, and what sets them apart from what happened.

Losses of one step do not see what a model does when it is left to itself; this run does, and the checkpoint is the one
of a few candidates with the best score: the fair CRPS of each field in units of its climatological spread, mean of all
fields. A candidate whose run runs away is refused. The run has a stream of noise of its own, so that no
member of the submission is one that the model was chosen by.
"""

import csv
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch

from model.data import TRAINING, VALIDATION, Months
from model.files import whole
from model.monthly_diffusion import MonthlyDiffusion
from model.noise import VALIDATION_RUN
from model.reference_climate import Climate, Viewer
from model.scores import fair_crps, lag_one, memory_months, spread_over_error
from model.simulate import free_run

BLOCK = 12  # months over which a run may not run away
BANDS = ((1, 3), (4, 10), (11, None))  # degrees whose power is given for each field
COLUMNS = ("measure", "name", "run", "reference")


def climate_of(model: MonthlyDiffusion, months: Months) -> tuple[Viewer, Climate]:
    """Return the climate of the training and validation months, and what looks at months in its way."""
    assert months.split is not None  # training has looked for its pairs
    inside = np.flatnonzero(np.isin(months.split, (TRAINING, VALIDATION)))
    viewer = Viewer(model, months.metadata)
    each = ((months.fields[index : index + 1], months.forcings[index : index + 1]) for index in inside)
    return viewer, Climate(viewer, each, [months.dates[index] for index in inside])


class FreeRun(NamedTuple):
    """What is kept of a free run, and of what happened: series of all months, and means over them but the first."""

    series: np.ndarray  # indices of the climate, (members, time, fields + patterns)
    known: np.ndarray  # (1, time, fields + patterns)
    crps: np.ndarray  # fair, physical units, (fields,)
    variance: np.ndarray  # of the members, squared units (fields,)
    error: np.ndarray  # square of that of their mean, (fields,)
    power: np.ndarray  # by degree, in units of the climatological variance (fields, degrees)
    known_power: np.ndarray


def judge(
    model: MonthlyDiffusion, viewer: Viewer, climate: Climate, months: Months, members: int, seed: int
) -> dict[str, float | str | list]:
    """Return what a free run of the validation months shows: one number per measure, `rows` of all, and `refused`.

    The first month, which is decoded from what happened, counts in no score. Numbers, texts and lists only, so that a
    state of the training can hold them; `refused` is a sentence if the run ran away, or nothing.

    Args:
        model: in evaluation mode.
        viewer: of this model.
        climate: of training and validation months.
        months: the normalized months.
        members: their number, two or more.
        seed: of all random numbers.
    """
    run, fields = watch(model, viewer, climate, months, members, seed), len(viewer.channels)
    scaled = _quotient(run.crps, climate.spread)
    ratio = spread_over_error(run.variance, run.error, members)
    year = min(BLOCK, run.series.shape[1] // 2)
    drifts = [
        values[:, -year:, :fields].mean((0, 1)) - values[:, :year, :fields].mean((0, 1))
        for values in (run.series, run.known)
    ]
    deviation = run.series[:, :, fields:].std((0, 1))
    memories = [
        lag_one(run.series[:, :, fields:], np.ones(run.series.shape[1] - 1, bool)),
        lag_one(climate.series[None, :, fields:], climate.follows),
    ]
    half, slowest = run.power.shape[1] // 2, int(np.argmax(np.nan_to_num(memories[1])))
    beyond = np.abs(drifts[0] - drifts[1]) / np.where(climate.units[:fields] > 0, climate.units[:fields], np.inf)
    found = {
        "score": np.nanmean(scaled) if np.isfinite(scaled).any() else math.nan,
        "spread_error": np.nanmean(ratio) if np.isfinite(ratio).any() else math.nan,
        "small_scales": run.power[:, half:].sum() / run.known_power[:, half:].sum(),
        "variance": np.square(deviation) @ climate.variance / climate.variance.sum(),
        "memory": memory_months(float(memories[0][slowest])),
        "drift": beyond.max(),
    }
    rows = [
        *_rows_of_fields(viewer, run, scaled, ratio, drifts),
        *_rows_of_degrees(run),
        *_rows_of_patterns(deviation, memories),
    ]
    return {
        **{name: float(value) for name, value in found.items()},
        "rows": [[measure, name, float(one), float(reference)] for measure, name, one, reference in rows],
        "refused": climate.runaway(run.series, BLOCK) or "",
    }


def watch(
    model: MonthlyDiffusion, viewer: Viewer, climate: Climate, months: Months, members: int, seed: int
) -> FreeRun:
    """Run the model freely through the validation months; arguments as of `judge`."""
    inside = np.flatnonzero(months.split == VALIDATION)
    fields, count = len(viewer.channels), len(inside) - 1
    crps, variance, error = (torch.zeros(fields, dtype=torch.float64, device=months.fields.device) for _ in range(3))
    power, known_power = (torch.zeros((), device=months.fields.device) for _ in range(2))
    series, known = [], []
    for index, normalized in zip(inside, free_run(model, months, inside, members, seed, VALIDATION_RUN), strict=True):
        month, forcing = months.dates[index][1], months.forcings[index : index + 1]
        run, truth = viewer(normalized, forcing, month), viewer(months.fields[index : index + 1], forcing, month)
        series.append(climate.indices(run, month))
        known.append(climate.indices(truth, month))
        if index == inside[0]:
            continue
        drawn = viewer.physical(normalized, month)
        happened = viewer.physical(months.fields[index : index + 1], month)[0]
        crps += viewer.area_mean(fair_crps(drawn, happened)) / count
        variance += viewer.area_mean(drawn.var(0)) / count
        error += viewer.area_mean((drawn.mean(0) - happened).square()) / count
        power = power + viewer.harmonics.power(climate.anomalies(run, month)).mean(0) / count
        known_power = known_power + viewer.harmonics.power(climate.anomalies(truth, month))[0] / count
    sums = (values.cpu().double().numpy() for values in (crps, variance, error, power, known_power))
    return FreeRun(np.stack(series, axis=1), np.stack(known, axis=1), *sums)


def _rows_of_fields(viewer: Viewer, run: FreeRun, scaled, ratio, drifts) -> Iterator[list]:
    """Yield (measure, name, of the run, of the reference) of each field."""
    for number, channel in enumerate(viewer.channels):
        name = channel.name
        yield [f"CRPS ({channel.units})", name, run.crps[number], math.nan]
        yield ["CRPS (climatological spread)", name, scaled[number], math.nan]
        yield ["spread over error", name, ratio[number], 1.0]
        yield [
            f"drift of the global mean less its forced response ({channel.units})",
            name,
            *(drift[number] for drift in drifts),
        ]
        for first, last in BANDS:
            band = slice(first, None if last is None else last + 1)
            if run.power[number, band].size:
                label = f"power at degrees {first} to {last or run.power.shape[1] - 1} (climatological variance)"
                yield [label, name, run.power[number, band].sum(), run.known_power[number, band].sum()]


def _rows_of_degrees(run: FreeRun) -> Iterator[list]:
    for degree, (found, wanted) in enumerate(zip(run.power.mean(0), run.known_power.mean(0), strict=True)):
        yield ["power by degree, mean of all fields (climatological variance)", degree, found, wanted]


def _rows_of_patterns(deviation: np.ndarray, memories: list[np.ndarray]) -> Iterator[list]:
    for number, (spread, *both) in enumerate(zip(deviation, *memories, strict=True), start=1):
        name = f"pattern {number}"
        yield ["standard deviation (the reference's)", name, spread, 1.0]
        yield ["lag-one correlation", name, *both]
        yield ["1/e time (months)", name, *(memory_months(float(value)) for value in both)]


def _quotient(values: np.ndarray, units: np.ndarray) -> np.ndarray:
    """Return values / units, not a number where a field never varies."""
    return np.divide(values, units, out=np.full_like(values, np.nan), where=units > 0)


def status(step: int, found: dict) -> str:
    """Return the aligned line of a candidate."""
    return (
        f"free run of step {step:6d}: CRPS {found['score']:.4f} of the climatological spread, spread/error "
        f"{found['spread_error']:.2f}, small scales {found['small_scales']:.2f}, patterns' variance "
        f"{found['variance']:.2f}, slowest pattern {found['memory']:.1f} months, drift {found['drift']:.2f} std"
        + (f"; refused: {found['refused']}" if found["refused"] else "")
    )


def write_validation(path: str | None, rows: list[list]) -> None:
    """Write all measures of the chosen checkpoint's free run as CSV."""
    if path is None:
        return
    with whole(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for measure, name, *values in rows:
            writer.writerow([measure, name, *("" if math.isnan(value) else f"{value:.6g}" for value in values)])
