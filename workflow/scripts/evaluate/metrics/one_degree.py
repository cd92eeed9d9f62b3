"""E1 as AIMIP computes it: the time mean first, then conservative regridding to 1 degree, |lat| up to the config's.

Fields on pressure levels are compared where the level is above the ground: where the reference's monthly surface
pressure never fell below the level. AIMIP takes that from GFDL-CM4's amip run. AIMIP's reference is ERA5 at 1 degree;
ours comes from the model grid, so what ERA5 has at scales below that is missing on both sides. Rows E1_bias_1deg and
E1_rmsb_1deg stand beside E1_bias and E1_rmsb, which are on the model grid and leave no ground out.
"""

from types import SimpleNamespace

import numpy as np

from workflow.scripts.common.grids import centres
from workflow.scripts.evaluate.display import split_field
from workflow.scripts.evaluate.metrics.over_area import rms, weighted_mean
from workflow.scripts.evaluate.metrics.scores import BASELINE

GRID = SimpleNamespace(**dict(zip(("lat", "lon"), centres(1.0, poles=False), strict=True)))
NO_PRESSURE = "the reference has no ps, so E1 on 1 degree leaves out no level below the ground"


def above_ground(reference, fields):
    """Whether each field's level never was below the ground, bool (field, lat, lon) on 1 degree; true at the surface.

    True everywhere too if the reference has no surface pressure.
    """
    lowest = reference.lowest_pressure_on(GRID)
    levels = [split_field(field)[1] for field in fields]
    everywhere = np.ones((len(GRID.lat), len(GRID.lon)), bool)
    return np.stack([everywhere if level is None or lowest is None else lowest >= 100 * level for level in levels])


def evaluate_one_degree(results, reference, groups, max_latitude):
    """Bias and RMSB of every member and of the climatology, into ``results``; no row where all is below the ground.

    reference: its summary; groups: {source: summaries of the control experiment}, each on any grid.
    """
    every = [
        field for field in reference.fields if any(field in item.fields for group in groups.values() for item in group)
    ]
    kept = above_ground(reference, every)

    def add(key, period, fields, units, bias):
        bias = np.where(kept[[every.index(field) for field in fields]], bias, np.nan)
        for metric, reduce in (("E1_bias_1deg", weighted_mean), ("E1_rmsb_1deg", rms)):
            values = dict(zip(fields, reduce(bias, GRID.lat, max_latitude), strict=True))
            values = {field: value for field, value in values.items() if np.isfinite(value)}
            results.add(*key, metric, period, values, list(values.values()), units)

    for period in ("training", "test"):
        truth = reference.maps_on(GRID, f"mean_{period}", every)
        for source, members in groups.items():
            for member in members:
                fields = [field for field in member.fields if field in every]
                bias = member.maps_on(GRID, f"mean_{period}", fields) - truth[[every.index(field) for field in fields]]
                add((source, member.experiment, member.member), period, fields, member.units, bias)
    add((BASELINE, "", ""), "test", every, reference.units, reference.maps_on(GRID, "mean_training", every) - truth)
