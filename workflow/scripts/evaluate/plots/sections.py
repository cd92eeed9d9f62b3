"""Zonal means: sections of the bias by latitude and pressure, and the stratosphere by latitude and month."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import MaxNLocator

from workflow.scripts.common.field_names import field_name, split_field
from workflow.scripts.evaluate.display import long_name, scale_of
from workflow.scripts.evaluate.plots.style import NO_FIELD, colormap, note_figure, panel_grid, symmetric_limit


def zonal_figure(results, period):
    """Zonal-mean sections of the ensemble-mean bias of every variable on pressure levels."""
    levels = {}
    for field in results.table.fields("E1_rmsb", period):
        variable, level = split_field(field)
        if level is not None:
            levels.setdefault(variable, []).append(level)
    variables = [variable for variable, found in levels.items() if len(found) > 1]
    name = f"{results.source} {results.control} against {results.reference_name}"
    title = f"E1: zonal-mean bias of {name}, {period} period {results.span(period)}"
    if not variables:
        return note_figure(title, "no variable has more than one level")
    figure, grid = panel_grid(len(variables), 2, title, 2.3, 0.5)
    for axes, variable in zip(grid, variables, strict=True):
        found = sorted(levels[variable], reverse=True)
        factor, units = scale_of(variable, results.table.units("E1_bias", field_name(variable, found[0])))
        maps = np.stack([results.map("E1_bias", period, field_name(variable, level)) for level in found])
        section = maps.mean(-1) * factor
        limit = symmetric_limit(section)
        steps = np.linspace(-limit, limit, 13)
        filled = axes.contourf(results.reference.lat, found, section, steps, cmap=colormap(variable), extend="both")
        axes.set(yscale="log", ylim=(max(found), min(found)), title=f"{long_name(variable)} ({units})")
        axes.set_yticks(found, [str(level) for level in found])
        axes.minorticks_off()
        axes.set_xticks([-90, -60, -30, 0, 30, 60, 90], ["90S", "60S", "30S", "0", "30N", "60N", "90N"])
        axes.set_ylabel("hPa")
        figure.colorbar(filled, ax=axes, aspect=30, ticks=np.linspace(-limit, limit, 5))
    return figure


def stratosphere_figure(results, members):
    """Mean annual cycle of zonal means in the stratosphere by latitude: reference, ours, and the difference."""
    reference, span = results.reference, results.span("training")
    fields = [name for name in reference.seasons if all(name in member.seasons for member in members)]
    title = f"Stratosphere (the protocol's levels), zonal means by month, {span}\n{results.both()}"
    if not fields:
        return note_figure(title, NO_FIELD)
    size = 7.6, 1.9 * len(fields) + 0.7
    figure, grid = plt.subplots(len(fields), 3, figsize=size, layout="constrained", squeeze=False)
    figure.suptitle(title)
    for row, field in zip(grid, fields, strict=True):
        factor, units = scale_of(field, reference.units[field])
        observed = reference.seasons[field].T * factor
        ours = np.mean([member.seasons[field] for member in members], axis=0).T * factor
        limit = symmetric_limit(ours - observed)
        low, high = min(np.nanmin(observed), np.nanmin(ours)), max(np.nanmax(observed), np.nanmax(ours))
        wind = field.startswith("ua")
        steps = MaxNLocator(12, symmetric=wind).tick_values(
            *((-max(-low, high), max(-low, high)) if wind else (low, high))
        )
        cmap = "PuOr_r" if wind else "viridis"
        rms = np.sqrt(np.average(np.nanmean(ours - observed, axis=1) ** 2, weights=np.cos(np.deg2rad(reference.lat))))
        panels = (
            (observed, f"{long_name(field)}, {results.reference_name}", steps, cmap, "neither"),
            (ours, f"{results.source}, mean of {len(members)}", steps, cmap, "neither"),
            (
                ours - observed,
                f"difference, RMS of means {rms:.2g}",
                np.linspace(-limit, limit, 13),
                "RdBu_r",
                "both",
            ),
        )
        for axes, (values, title, levels, colors, extend) in zip(row, panels, strict=True):
            filled = axes.contourf(np.arange(1, 13), reference.lat, values, levels, cmap=colors, extend=extend)
            axes.set_title(title, fontsize=7)
            axes.set_xticks(range(1, 13), "JFMAMJJASOND", fontsize=7)
            axes.set_yticks([-90, -60, -30, 0, 30, 60, 90], ["", "60S", "30S", "0", "30N", "60N", ""])
            if axes is not row[0]:
                bar = figure.colorbar(filled, ax=axes, aspect=25)
                bar.set_ticks(np.linspace(-limit, limit, 5) if axes is row[2] else levels[:: -(-len(levels) // 6)])
                bar.ax.tick_params(labelsize=7)
                bar.ax.set_title(units, fontsize=7, loc="left")
    return figure
