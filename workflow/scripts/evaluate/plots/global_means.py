"""Global means of each field along time, members and reference."""

import numpy as np
from matplotlib.ticker import MaxNLocator

from workflow.scripts.common.months import month_of_year, month_range, year_of
from workflow.scripts.evaluate.display import long_name, scale_of
from workflow.scripts.evaluate.plots.style import BLACK, NO_FIELD, band, decimal_years, legend, note_figure, panel_grid
from workflow.scripts.evaluate.summarize.reader import annual_means


def series_figure(results, members):
    """Global means of each field: annual, or monthly where there are fewer than five whole years."""
    reference, fields = results.reference, results.fields
    if not fields:
        return note_figure("Global means", NO_FIELD)
    annual = len(annual_means(reference.series[:1], reference.months)[0]) >= 5
    kind = "annual" if annual else "monthly"
    title = f"Global {kind} means, {results.both()}, {results.span('simulation')}"
    figure, grid = panel_grid(len(fields), 2, title, 1.75, 0.5)
    # A year's mean stands at its number, a month at its place in the year.
    months = month_range(*results.periods["test"])
    first, last = (year_of(month) + (month_of_year(month) - 1) / 12 for month in (months[0], months[-1] + 1))
    for axes, field in zip(grid, fields, strict=True):
        factor, units = scale_of(field, reference.units[field])
        every = np.stack([summary.global_mean(field) * factor for summary in (reference, *members)])
        if annual:
            time, every = annual_means(every, reference.months)
            axes.axvspan(first - 0.5, last - 0.5, color="0.93", zorder=0, label="test period")
        else:
            time = decimal_years(reference.months)
            axes.axvspan(first, last, color="0.93", zorder=0, label="test period")
        band(axes, time, every[1:], f"{results.source}, median and range of {len(members)}")
        axes.plot(time, every[0], color=BLACK, label=results.reference_name, linewidth=1)
        axes.set_title(f"{long_name(field)} ({units})")
        axes.margins(x=0.01)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    legend(figure, grid[0])
    return figure
