"""Figures that are no maps: RMSB table, global means, zonal-mean sections, land and sea, ensemble; and variability.

Ours is blue (line: median member, band: lowest to highest), the reference black. One job draws them all.
"""

import sys

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import MaxNLocator

from workflow.scripts.common import program
from workflow.scripts.common.months import month_of_year, month_range, year_of
from workflow.scripts.evaluate.arguments import add_summaries
from workflow.scripts.evaluate.display import long_name, number, scale_of, split_field
from workflow.scripts.evaluate.metrics.table import ALL_FIELDS, PRESCRIBED, interannual_scale, scaled_rmsb, scored
from workflow.scripts.evaluate.plots.results import add_arguments, evaluated
from workflow.scripts.evaluate.plots.seasons import seasonal_response_figure
from workflow.scripts.evaluate.plots.style import (
    BLACK,
    BLUE,
    GREY,
    NO_FIELD,
    SKY,
    band,
    colormap,
    decimal_years,
    heat_limit,
    heat_map,
    legend,
    note_figure,
    panel_grid,
    save,
    symmetric_limit,
)
from workflow.scripts.evaluate.plots.variability import indices_figure, spectra_figure, stratosphere_figure
from workflow.scripts.evaluate.published import comparable, read_scores, responses_of, scores_in
from workflow.scripts.evaluate.summarize.reader import SummaryFile, annual_means, summary_paths

ON_ONE_DEGREE = "median, 1°"
SLANTED = {"rotation": 60, "ha": "left", "rotation_mode": "anchor"}


def published_columns(results, sigma):
    """Columns {label: [score of each field]} of ours and of AIMIP's published submissions on 1 degree, test period.

    In units of ``sigma`` {field: value}; NaN where there is none, and for a prescribed field, which is over land
    elsewhere. Empty where our scores are not comparable with theirs.
    """
    if not comparable(results.periods, results.truth):
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
    title = f"E1: RMSB of {results.source} {results.control}, in standard deviations, {results.truth}"
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
        base = table.single("climatology", metric, "test", field)
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
    labels = ["climatology", "best member", "median", "worst member", "median", *published]
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
        axes.plot(time, every[0], color=BLACK, label=results.truth, linewidth=1)
        axes.set_title(f"{long_name(field)} ({units})")
        axes.margins(x=0.01)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    legend(figure, grid[0])
    return figure


def zonal_figure(results, period):
    """Zonal-mean sections of the ensemble-mean bias of every variable on pressure levels."""
    levels = {}
    for field in results.table.fields("E1_rmsb", period):
        variable, level = split_field(field)
        if level is not None:
            levels.setdefault(variable, []).append(level)
    variables = [variable for variable, found in levels.items() if len(found) > 1]
    name = f"{results.source} {results.control} against {results.truth}"
    title = f"E1: zonal-mean bias of {name}, {period} period {results.span(period)}"
    if not variables:
        return note_figure(title, "no variable has more than one level")
    figure, grid = panel_grid(len(variables), 2, title, 2.3, 0.5)
    for axes, variable in zip(grid, variables, strict=True):
        found = sorted(levels[variable], reverse=True)
        factor, units = scale_of(variable, results.table.units("E1_bias", f"{variable}{found[0]}"))
        maps = np.stack([results.map("E1_bias", period, f"{variable}{level}") for level in found])
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
    beside = comparable(results.periods, results.truth)
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
            truth = results.table.members("truth", metric, "simulation", field, name) * factor
            if truth.size:
                label = f"truth of {results.truth}" if not place else None
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


def ensemble_figure(results):
    """Rank histogram of the reference among the members for each field of boxes, with spread and error in titles."""
    fields = [field for field in results.table.fields("ensemble_spread", "test")]
    title = (
        f"Ensemble of {results.source} {results.control}, monthly means over 15-degree boxes, {results.span('test')}"
    )
    if not fields:
        return note_figure(title, "one member has no spread, or none of the fields is there")
    title += f"\nshare of months and area by number of members below {results.truth}; dashed: even"
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


def plot_lines(results, summaries, folder):
    """Draw scores, series, zonal_bias, indices, ensemble, spectra, stratosphere and the responses into ``folder``.

    summaries: paths of all simulations' summaries; those of the control experiment are drawn.
    """
    members = [item for item in map(SummaryFile, summaries) if item.experiment == results.control]
    save(scores_figure(results), f"{folder}/scores.png")
    save(series_figure(results, members), f"{folder}/series.png")
    save(zonal_figure(results, "test"), f"{folder}/zonal_bias.png")
    save(indices_figure(results, members), f"{folder}/indices.png")
    save(ensemble_figure(results), f"{folder}/ensemble.png")
    save(spectra_figure(results, members), f"{folder}/spectra.png")
    save(stratosphere_figure(results, members), f"{folder}/stratosphere.png")
    save(land_sea_figure(results), f"{folder}/land_sea.png")
    save(seasonal_response_figure(results), f"{folder}/seasonal_response.png")


def main(arguments=None):
    """Command line."""
    parser = program.command_line(__doc__)
    add_arguments(parser)
    add_summaries(parser)
    return program.run(
        parser,
        lambda given: plot_lines(
            evaluated(given), summary_paths(given.summaries, given.experiments, given.members), given.out
        ),
        arguments,
    )


if __name__ == "__main__":
    sys.exit(main())
