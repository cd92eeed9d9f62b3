"""Heat map of scores: the RMSB of every field, climatology and ours, and AIMIP's published submissions beside them."""

import matplotlib.pyplot as plt
import numpy as np

from workflow.scripts.common.skill import CLIMATOLOGY
from workflow.scripts.evaluate.metrics.table import ALL_FIELDS, PRESCRIBED, interannual_scale, scaled_rmsb, scored
from workflow.scripts.evaluate.plots.style import GREY, heat_limit, heat_map, note_figure
from workflow.scripts.evaluate.published import comparable, read_scores, scores_in

ON_ONE_DEGREE = "median, 1°"
SLANTED = {"rotation": 60, "ha": "left", "rotation_mode": "anchor"}


def published_columns(results, sigma):
    """Columns {label: [score of each field]} of ours and of AIMIP's published submissions on 1 degree, test period.

    In units of ``sigma`` {field: value}; NaN where there is none, and for a prescribed field, which is over land
    elsewhere. Empty where our scores are not comparable with theirs.
    """
    if not comparable(results.periods, results.reference_name):
        return {}
    rows, columns = read_scores(results.settings), {ON_ONE_DEGREE: {}}
    for field, scale in sigma.items():
        metric = "E1_rmsb_1deg"
        ours, units = results.members(metric, "test", field), results.table.units(metric, field)
        if field in PRESCRIBED or not ours.size:
            continue
        found = {ON_ONE_DEGREE: float(np.median(ours))} | scores_in(rows, "E1_rmsb", "1deg", field, "test", units)
        for name, value in found.items():
            columns.setdefault(name, {})[field] = value / scale
    names = [ON_ONE_DEGREE, *sorted(columns.keys() - {ON_ONE_DEGREE})]
    return {name: [columns[name].get(field, np.nan) for field in sigma] for name in names if len(names) > 1}


def scores_figure(results):
    """Heat map: RMSB of every field in units of the interannual standard deviation, climatology and ours.

    Where the reference is ERA5, columns on 1 degree follow: ours, and in grey the published submissions of AIMIP.
    """
    title = f"E1: RMSB of {results.source} {results.control}, in standard deviations, {results.reference_name}"
    table, sigma = results.table, interannual_scale(results.table)
    if not sigma:
        return note_figure(title, results.skipped["std_training"])
    members, baseline = scaled_rmsb(table, results.source, results.control, "test")
    training, _ = scaled_rmsb(table, results.source, results.control, "training")
    baseline = np.nan if baseline is None else baseline
    rows = {ALL_FIELDS: [baseline, members.min(), np.median(members), members.max(), np.median(training)]}
    for field, scale in sigma.items():
        metric = scored("E1_rmsb", field)
        ours = results.members(metric, "test", field) / scale
        train = np.median(results.members(metric, "training", field)) / scale
        base = table.single(CLIMATOLOGY, metric, "test", field)
        base = np.nan if base is None else base / scale
        rows[field] = [base, ours.min(), np.median(ours), ours.max(), train]
    values = np.array(list(rows.values()))
    limit = heat_limit(values)
    # No mean of all fields there: nobody else has published all.
    published = published_columns(results, sigma)
    beside = np.array([[np.nan, *column] for column in published.values()]).reshape(len(published), len(rows)).T
    values = np.hstack([values, beside])
    size = 6.2 + 0.45 * len(published), 0.19 * len(rows) + (2.2 if published else 1.5)
    figure, axes = plt.subplots(figsize=size, layout="constrained")
    figure.suptitle(f"{title}\n(of annual means, {results.span('training')}; area mean)")
    axes.xaxis.tick_top()
    labels = [CLIMATOLOGY, "best member", "median", "worst member", "median", *published]
    axes.set_xticks(range(len(labels)), labels, **(SLANTED if published else {}))
    for label in axes.get_xticklabels()[6:]:
        label.set_color(GREY)
    spans = f"left of the thick line: {results.span('test')}; right: {results.span('training')}"
    if published:
        spans = (
            f"by thick lines: {results.span('test')}; {results.span('training')}; {results.span('test')} on 1 degree, "
            f"ours and, in grey, AIMIP's published submissions"
        )
        axes.axvline(4.5, color="white", linewidth=3)
        axes.axvline(5.5, color="white", linewidth=1)
    axes.set_xlabel(spans)
    axes.axvline(0.5, color="white", linewidth=1)
    axes.axvline(3.5, color="white", linewidth=3)
    better = np.zeros(values.shape, bool)
    better[:, 2] = values[:, 2] < values[:, 0]
    label = "standard deviations (bold: median member better than climatology)"
    heat_map(axes, values, list(rows), limit, better, label)
    return figure
