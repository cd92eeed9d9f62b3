"""E1 as AIMIP computes it: the time mean first, then conservative regridding to 1 degree, |lat| up to the config's.

Fields on pressure levels are compared where the level is above the ground: where the reference's monthly surface
pressure never fell below the level. AIMIP takes that from GFDL-CM4's amip run. AIMIP's reference is ERA5 at 1 degree;
ours comes from the model grid, so what ERA5 has at scales below that is missing on both sides. Rows E1_bias_1deg and
E1_rmsb_1deg stand beside E1_bias and E1_rmsb, which are on the model grid and leave no ground out.
"""

from types import SimpleNamespace

import numpy as np

from workflow.scripts.common.field_names import split_field
from workflow.scripts.common.grids import centres
from workflow.scripts.common.skill import CLIMATOLOGY
from workflow.scripts.evaluate.measures.over_area import rms, weighted_mean

GRID = SimpleNamespace(**dict(zip(("lat", "lon"), centres(1.0, poles=False), strict=True)))
NO_PRESSURE = "the reference has no ps, so E1 on 1 degree leaves out no level below the ground"


def above_ground(lowest, field):
    """Whether the field's level never was below the ground, bool (lat, lon) on 1 degree; true at the surface.

    lowest: of ``lowest_pressure_on``; true everywhere if it is None.
    """
    _, level = split_field(field)
    if level is None or lowest is None:
        return np.ones((len(GRID.lat), len(GRID.lon)), bool)
    return lowest >= 100 * level


def evaluate_one_degree(results, reference, groups, max_latitude):
    """Bias and RMSB of every member and of the climatology, into ``results``; no row where all is below the ground.

    reference: its summary; groups: {source: summaries of the control experiment}, each on any grid.
    """
    members = [(source, item) for source, group in groups.items() for item in group]
    every = [field for field in reference.fields if any(field in item.fields for _, item in members)]
    lowest = reference.lowest_pressure_on(GRID)

    def add(key, summary, statistic, period, observed):
        fields, found = [field for field in summary.fields if field in observed], {}
        # Field by field: on 1 degree all of them take several times the memory of the model grid.
        for field, values in zip(fields, summary.maps(statistic, fields), strict=True):
            bias = summary.regridded(values, GRID) - observed[field]
            bias[~above_ground(lowest, field)] = np.nan
            scores = weighted_mean(bias, GRID.lat, max_latitude), rms(bias, GRID.lat, max_latitude)
            if np.isfinite(scores).all():
                found[field] = scores
        for place, metric in enumerate(("E1_bias_1deg", "E1_rmsb_1deg")):
            results.add(*key, metric, period, found, [scores[place] for scores in found.values()], summary.units)

    for period in ("training", "test"):
        observed = dict(zip(every, reference.maps_on(GRID, f"mean_{period}", every), strict=True))
        for source, member in members:
            add((source, member.experiment, member.member), member, f"mean_{period}", period, observed)
    if "climatology_test" not in reference.skipped:
        add((CLIMATOLOGY, "", ""), reference, reference.climatology, "test", observed)
