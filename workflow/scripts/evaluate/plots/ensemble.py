"""The reference's rank among the members, and the ensemble's spread beside its error."""

import numpy as np
from matplotlib.ticker import MaxNLocator

from workflow.scripts.evaluate.display import long_name, number, scale_of
from workflow.scripts.evaluate.plots.style import BLACK, BLUE, note_figure, panel_grid


def ensemble_figure(results):
    """Rank histogram of the reference among the members for each field of boxes, with spread and error in titles."""
    fields = [field for field in results.table.fields("ensemble_spread", "test")]
    title = (
        f"Ensemble of {results.source} {results.control}, monthly means over 15-degree boxes, {results.span('test')}"
    )
    if not fields:
        return note_figure(title, "one member has no spread, or none of the fields is there")
    title += f"\nshare of months and area by number of members below {results.reference_name}; dashed: even"
    figure, grid = panel_grid(len(fields), 3, title, 2.2, 0.6)
    for axes, field in zip(grid, fields, strict=True):
        factor, units = scale_of(field, results.reference.units[field])
        ranks = [metric for metric in results.table.metrics("test", field) if metric.startswith("ensemble_rank_")]
        shares = np.concatenate([results.members(metric, "test", field) for metric in ranks])
        axes.bar(np.arange(len(shares)), shares, color=BLUE)
        axes.axhline(1 / len(shares), color=BLACK, linestyle="--", linewidth=0.8)
        spread, error = (results.members(f"ensemble_{kind}", "test", field)[0] * factor for kind in ("spread", "error"))
        axes.set_title(f"{long_name(field)}\nspread {number(spread)}, error {number(error)} {units}")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    return figure
