"""The response to warmer SST by calendar month, over the globe, land and sea."""

import numpy as np

from workflow.scripts.evaluate.display import long_name, number, scale_of
from workflow.scripts.evaluate.plots.style import BLACK, GREEN, ORANGE, band, legend, note_figure, panel_grid
from workflow.scripts.evaluate.summarize.monthly import MONTHLY_FIELDS

MONTHS = np.arange(1, 13)
PLACES = (("_land", "land", ORANGE), ("_sea", "sea", GREEN))


def seasonal_response_figure(results):
    """E5 of each warmed experiment and monthly field: median and range over members of the globe, and the median of
    land and of sea; titles give the ratio of variance, warmed over control.
    """
    names = [name for name in results.experiments if name != results.control]
    panels = [(name, field) for name in names for field in MONTHLY_FIELDS if monthly(results, name, field, "").size]
    title = f"E5: response by calendar month, {results.source}, mean of {results.span('simulation')}"
    if not panels:
        return note_figure(title, "there is no experiment with a warmer sea, or none of its members has a control")
    figure, grid = panel_grid(len(panels), 2, title, 2.2, 0.6)
    for axes, (name, field) in zip(grid, panels, strict=True):
        factor, units = scale_of(field, results.table.units("E5_response", field))
        every = monthly(results, name, field, "") * factor
        band(axes, MONTHS, every, f"globe, median and range of {len(every)}")
        for place, label, color in PLACES:
            median = np.median(monthly(results, name, field, place), axis=0) * factor
            axes.plot(MONTHS, median, color=color, label=f"{label}, median")
        ratio = np.median(results.members("E5_variance_ratio", "simulation", field, name))
        axes.set_title(f"{name}: {long_name(field)} ({units})\nvariance {number(float(ratio))} times the control's")
        axes.axhline(0, color=BLACK, linewidth=0.6)
        axes.set_xticks(MONTHS, list("JFMAMJJASOND"))
        axes.margins(x=0.01, y=0.15)
    legend(figure, grid[0])
    return figure


def monthly(results, experiment, field, place):
    """Response (member, 12) of a field over ``place`` ("", "_land", "_sea"); empty where there is none."""
    metrics = [f"E5_response{place}_month_{month:02d}" for month in MONTHS]
    return np.array([results.members(metric, "simulation", field, experiment) for metric in metrics]).T
