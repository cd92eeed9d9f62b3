"""The response to another sea over the globe, land and sea: of the whole run and by calendar month."""

import matplotlib.pyplot as plt
import numpy as np

from workflow.scripts.evaluate.display import long_name, number, scale_of
from workflow.scripts.evaluate.metrics.table import TRUTH
from workflow.scripts.evaluate.plots.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    SKY,
    band,
    legend,
    note_figure,
    panel_grid,
)
from workflow.scripts.evaluate.published import comparable, read_scores, responses_of
from workflow.scripts.evaluate.summarize.monthly import MONTHLY_FIELDS

MONTHS = np.arange(1, 13)
PLACES = (("_land", "land", ORANGE), ("_sea", "sea", GREEN))


def land_sea_figure(results):
    """Response over land, over sea and of the globe in each warmed experiment, members as dots, and the truth.

    Where the reference is ERA5, grey marks are the published submissions of AIMIP (published.py).
    """
    names = [name for name in results.experiments if name != results.control]
    fields = [
        field for field in ("tas", "pr", "huss") if results.table.fields("E5_response_land", "simulation").count(field)
    ]
    title = f"E5: response over land and sea, {results.source}, mean of {results.span('simulation')}"
    if not names or not fields:
        return note_figure(title, "there is no experiment with a warmer sea, or none of its members has a control")
    figure, grid = plt.subplots(1, len(fields), figsize=(7.6, 2.9), layout="constrained", squeeze=False)
    figure.suptitle(f"{title}\nin titles: ratio of land to sea, median member")
    kinds = ("E5_response_land", "land"), ("E5_response_sea", "sea"), ("E5_response", "globe")
    beside = comparable(results.periods, results.reference_name)
    published = read_scores(results.settings) if beside else []
    places = [(name, metric, label) for name in names for metric, label in kinds]
    for axes, field in zip(grid.flat, fields, strict=True):
        factor, units = scale_of(field, results.table.units("E5_response", field))
        for place, (name, metric, _) in enumerate(places):
            ours = results.members(metric, "simulation", field, name) * factor
            axes.bar(place, np.median(ours), color=SKY, label=f"{results.source}, median" if not place else None)
            label = f"members ({ours.size})" if not place else None
            axes.plot(np.full(ours.size, place), ours, ".", color=BLUE, markersize=3, label=label)
            others = list(responses_of(published, metric, results.experiments[name], field).values())
            label = "published submissions, a decade" if not place else None
            axes.plot(np.full(len(others), place + 0.3), others, "_", color=GREY, markersize=5, label=label)
            truth = results.table.members(TRUTH, metric, "simulation", field, name) * factor
            if truth.size:
                label = f"truth of {results.reference_name}" if not place else None
                axes.plot([place - 0.4, place + 0.4], [truth[0]] * 2, color=BLACK, linewidth=1.5, label=label)
        ratios = [np.median(results.members("E5_land_sea_ratio", "simulation", field, name)) for name in names]
        text = ", ".join(f"{name}: {ratio:.2f}" for name, ratio in zip(names, ratios, strict=True))
        axes.set_title(f"{long_name(field)} ({units})\n{text}")
        axes.set_xticks(range(len(places)), [label for *_, label in places], rotation=45)
        above = {"ha": "center", "va": "top", "transform": axes.transAxes, "fontsize": 7}
        for place, name in enumerate(names):
            axes.text((3 * place + 1.5) / len(places), 0.98, name, **above)
        axes.axhline(0, color=BLACK, linewidth=0.6)
        axes.margins(y=0.15)
    legend(figure, grid.flat[0])
    return figure


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
