"""The scorecard's table of baselines, RMSB and CRPS of ours beside reference forecasts, and the criterion.

The skill criterion: over the test period the CRPS of our ensemble is lower than that of every baseline, for each field
of the config's ``evaluation.skill_fields``. Spread over error, which a good ensemble keeps near 1, stands beside it.
Both are printed and stop nothing.
"""

import numpy as np

from workflow.scripts.common.skill import BASELINES, BOX_FIELDS, CLIMATOLOGY
from workflow.scripts.evaluate.display import scale_of
from workflow.scripts.evaluate.metrics.skill import DIFFERENCE, DIFFERENCE_ERROR
from workflow.scripts.evaluate.metrics.table import ALL_FIELDS, scaled_rmsb

SPREAD = (0.9, 1.1)  # spread over error that counts as right
ERRORS = 2  # standard errors within which a difference of scores counts as none


def sign_of(difference, error):
    """``better``, ``worse``, or ``even`` within two standard errors of no difference; empty where there is no error."""
    if difference is None or error is None:
        return ""
    return "even" if abs(difference) <= ERRORS * error else "better" if difference < 0 else "worse"


def spread_word(ratio):
    """What a ratio of spread to error is: ``low``, ``right`` or ``high``."""
    return "low" if ratio < SPREAD[0] else "high" if ratio > SPREAD[1] else "right"


def evaluated(table):
    """Baselines that have rows in the table of metrics: none where they were not summarized."""
    sources = {key[0] for key in table.values}
    return [name for name in BASELINES if name in sources]


def scores(table, names, metric, field, control, factor):
    """{baseline: value in display units} of a metric of a field over the test period, where it is known."""
    # Climatology belongs to no experiment.
    found = {name: table.members(name, metric, "test", field, "" if name == CLIMATOLOGY else control) for name in names}
    return {name: float(values[0]) * factor for name, values in found.items() if values.size}


def baseline_table(table, source, control, skill_fields):
    """The table for the card, and the criterion {field: baselines that are not beaten}.

    {columns: names of the baselines that were evaluated, rows: [{name, units, ours, spread: over error, or None,
    baselines: {name: {value, sign}}}]}, in display units; RMSB, of the median member and of the ensemble mean,
    has no sign.
    """
    columns, rows, criterion = [CLIMATOLOGY, *evaluated(table)], [], {}
    for name, metric in ((f"RMSB, {ALL_FIELDS}", "E1_rmsb"), ("RMSB of the ensemble mean", "E1_ensemble_mean_rmsb")):
        members, climatology = scaled_rmsb(table, source, control, "test", metric=metric)
        if members.size:
            others = {
                other: np.median(scaled_rmsb(table, other, control, "test", metric=metric)[0]) for other in columns[1:]
            }
            rows.append(_row(name, "std", np.median(members), {CLIMATOLOGY: climatology, **others}))
    for field in BOX_FIELDS:
        ours = table.members(source, "ensemble_crps", "test", field, control)
        if not ours.size:
            continue
        factor, units = scale_of(field, table.units("ensemble_crps", field))
        score = ours[0] * factor
        values, differences, errors = (
            scores(table, columns, metric, field, control, factor)
            for metric in ("ensemble_crps", DIFFERENCE, DIFFERENCE_ERROR)
        )
        name = f"CRPS, {field}"
        if field in skill_fields and values:
            name += " *"
            criterion[field] = [other for other, value in values.items() if not score < value]
        signs = {other: sign_of(differences.get(other), errors.get(other)) for other in values}
        ratio = table.members(source, "ensemble_spread_skill", "test", field, control)
        rows.append(_row(name, units, score, values, signs, float(ratio[0]) if ratio.size else None))
    return {"columns": columns, "rows": rows}, criterion


def _row(name, units, ours, values, signs=None, spread=None):
    others = {other: {"value": float(value), "sign": (signs or {}).get(other, "")} for other, value in values.items()}
    return {"name": name, "units": units, "ours": float(ours), "spread": spread, "baselines": others}
