"""The scorecard's table of AIMIP's published submissions, beside ours where both are held against ERA5."""

import numpy as np

from workflow.scripts.common.field_names import split_field
from workflow.scripts.common.skill import BOX_FIELDS
from workflow.scripts.evaluate.display import long_name, scale_of
from workflow.scripts.evaluate.published import DECADE, FILE_UNITS, comparable, read_scores, responses_of, scores_of


def published_table(table, source, control, experiments, settings):
    """The table for the card: {title, columns: names of models, rows: [{name, units, ours, values: {model: value}}]}.

    ``ours``, of the median member, is None where the two are not comparable. Models whose files are evaluated
    are left out. settings: the config's ``evaluation``, ``periods`` of ``evaluation_periods`` and ``reference_name``.
    """
    rows = read_scores(settings)
    beside = comparable(settings["periods"], settings["reference_name"])
    wanted = [
        (f"E1 RMSB, test, {long_name(field)}", "E1_rmsb_1deg", "test", field, control)
        + (scores_of(rows, "E1_rmsb", "1deg", field, "test"),)
        for field in BOX_FIELDS
    ]
    wanted += [
        (f"E2 trend of the global mean, {period}", "trend_global", period, "tas", control)
        + (scores_of(rows, "E2_trend", "global", "tas", period),)
        for period in ("training", "test")
    ]
    # Theirs are of a decade. Where ours stand beside them the run has the protocol's decades, and so its first.
    period, spans = ("first", "first decade") if beside else ("simulation", DECADE)
    wanted += [
        (f"E5 {name}, {place}, {spans}", metric, period, "tas", name) + (responses_of(rows, metric, sea, "tas"),)
        for name, sea in experiments.items()
        if name != control
        for metric, place in (("E5_response", "globe"), ("E5_response_land", "land"))
    ]
    found = []
    for name, metric, period, field, experiment, values in wanted:
        members = table.members(source, metric, period, field, experiment)
        factor, units = scale_of(field, table.units(metric, field) or FILE_UNITS[split_field(field)[0]])
        if values and members.size:
            ours = float(np.median(members)) * factor if beside else None
            found.append({"name": name, "units": units, "ours": ours, "values": values})
    own = any(row["computed"] for row in rows)
    origin = "E1 from AIMIP's own results where they have it, the rest read off" if own else "read off"
    title = (
        f"AIMIP's published submissions, {origin} the figures of its evaluation "
        "(E1 on 1 degree, E5 of a decade; MD-1p5 is the published v0.9)"
    )
    if not beside:
        title += f"; for context, not number by number: against ERA5, not {settings['reference_name']} over our periods"
    return {"title": title, "columns": sorted({model for row in found for model in row["values"]}), "rows": found}
