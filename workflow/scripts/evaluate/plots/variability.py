"""Figures of variability: indices, and power by total wavenumber."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from workflow.scripts.evaluate.display import long_name, scale_of, squared
from workflow.scripts.evaluate.measures.along_time import deseasonalize, months_inside, smooth_spectrum
from workflow.scripts.evaluate.measures.indices import INDICES
from workflow.scripts.evaluate.metrics.scores import WAVE_BANDS
from workflow.scripts.evaluate.plots.style import (
    BLACK,
    BLUE,
    NO_FIELD,
    SKY,
    band,
    decimal_years,
    legend,
    log_axis,
    note_figure,
    panel_grid,
)
from workflow.scripts.evaluate.summarize.summary import WIND_SPECTRUM


def indices_figure(results, members):
    """Series and spectrum of each index of internal variability over the training span."""
    reference = results.reference
    title = f"Internal variability: monthly anomalies, {results.both()}, {results.span('training')}"
    indices = {name: field for name, (field, _) in INDICES.items() if name in reference.indices}
    if not indices:
        return note_figure(title, NO_FIELD)
    size = 7.6, 1.6 * len(indices) + 0.6
    shape = {"figsize": size, "layout": "constrained", "width_ratios": (2, 1), "squeeze": False}
    figure, grid = plt.subplots(len(indices), 2, **shape)
    figure.suptitle(title)
    inside = months_inside(reference.months, *results.periods["training"])
    months = reference.months[inside]
    for (left, right), (name, field) in zip(grid, indices.items(), strict=True):
        factor, units = scale_of(field, reference.units[field])
        observed, *ours = (deseasonalize(item.indices[name][inside], months) * factor for item in (reference, *members))
        ours = np.stack(ours)
        low, high = ours.min(0), ours.max(0)
        label = f"range of {len(ours)} members"
        left.fill_between(decimal_years(months), low, high, color=SKY, alpha=0.5, linewidth=0, label=label)
        label = f"{results.source}, {members[0].member}"
        left.plot(decimal_years(months), ours[0], color=BLUE, linewidth=0.6, label=label)
        left.plot(decimal_years(months), observed, color=BLACK, linewidth=0.6, label=results.reference_name)
        left.margins(x=0.01)
        left.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        std = np.median(results.members("index_std", "training", name)) * factor
        left.set_title(f"{name} ({field}): std {std:.2f} {units}, {results.reference_name} {observed.std():.2f}")
        memory = np.median(results.members("index_decorrelation", "training", name))
        known = results.known("index_decorrelation", "training", name)
        right.set_title(f"1/e time {_months(memory)}, {results.reference_name} {_months(known)} months", fontsize=7)
        period, _ = spectrum = smooth_spectrum(observed)
        band(right, period, np.stack([smooth_spectrum(series)[1] for series in ours]), "")
        right.plot(*spectrum, color=BLACK)
        right.set(xscale="log", yscale="log", ylabel=f"{squared(units)} month")
        log_axis(right.yaxis)
        ticks = [tick for tick in (2, 6, 12, 24, 60, 120, 240) if tick <= period.max()]
        right.xaxis.set(major_locator=FixedLocator(ticks), minor_locator=NullLocator())
        right.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        right.invert_xaxis()
    grid[-1, 1].set_xlabel("period (months)")
    legend(figure, grid[0, 0])
    return figure


def spectra_figure(results, members):
    """Power by total wavenumber of monthly fields over the test period; titles give ours over the reference's."""
    reference = results.reference
    names = [name for name in reference.spectra if all(name in member.spectra for member in members)]
    title = (
        f"Power by total wavenumber of monthly means, {results.span('test')}\n"
        f"{results.both()}; in titles: ratio of the two at large and at small scales"
    )
    if not names:
        return note_figure(title, NO_FIELD)
    figure, grid = panel_grid(len(names), 3, title, 2.3, 0.6)
    for axes, name in zip(grid, names, strict=True):
        if name == WIND_SPECTRUM:
            factor, units = 1, "m²/s²"
        else:
            factor, units = scale_of(name, reference.units[name])
            factor, units = factor**2, squared(units)
        observed, *ours = (summary.spectra[name][1:] * factor for summary in (reference, *members))
        length = min(map(len, (observed, *ours)))
        waves = np.arange(1, length + 1)
        middle = np.median([power[:length] for power in ours], axis=0)
        bands = WAVE_BANDS[0], (length // 2, length)
        far = ", ".join(f"{low}-{high}: {_ratio(middle, observed[:length], low, high)}" for low, high in bands)
        band(
            axes,
            waves,
            np.stack([power[:length] for power in ours]),
            f"{results.source}, median and range of {len(ours)}",
        )
        axes.plot(waves, observed[:length], color=BLACK, label=results.reference_name)
        axes.set(xscale="log", yscale="log", xlabel="total wavenumber")
        axes.set_title(f"{long_name(name)}, {units}\n{far}")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        log_axis(axes.yaxis)
    legend(figure, grid[0])
    return figure


def _ratio(ours, observed, low, high):
    """Text of the ratio of the power summed over wavenumbers ``low``..``high`` of series that begin at 1."""
    total = observed[low - 1 : high].sum()
    return f"{ours[low - 1 : high].sum() / total:.2f} x" if total > 0 else "-"


def _months(value):
    return "-" if value is None or np.isnan(value) else f"{value:.1f}"
