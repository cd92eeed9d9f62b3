"""Figures that are no maps: RMSB table, global means, zonal-mean sections, indices, ensemble spread and spectra.

Ours is blue (line: median member, band: lowest to highest), the reference black. One job draws them all.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from display import long_name, scale_of, split_field
from evaluated import Evaluated
from figures import BLACK, BLUE, SKY, colormap, note_figure, save, symmetric_limit
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from metrics import deseasonalize
from modes import INDICES
from months import parse_month, year_of
from scorecard import ALL_FIELDS, interannual_scale, scaled_rmsb
from scorecard_format import number
from summaries import SummaryFile, annual_means


def scores_figure(results):
    """Heat map: RMSB of every field in units of the interannual standard deviation, climatology and ours."""
    title = f"E1: RMSB of {results.source} {results.control}, in standard deviations, {results.truth}"
    table, sigma = results.table, interannual_scale(results.table)
    if not sigma:
        return note_figure(title, results.skipped["std_training"])
    members, baseline = scaled_rmsb(table, results.source, results.control, "test")
    training, _ = scaled_rmsb(table, results.source, results.control, "training")
    rows = {ALL_FIELDS: [baseline, members.min(), np.median(members), members.max(), np.median(training)]}
    for field, scale in sigma.items():
        ours = results.members("E1_rmsb", "test", field) / scale
        train = np.median(results.members("E1_rmsb", "training", field)) / scale
        base = table.single("climatology", "E1_rmsb", "test", field) / scale
        rows[field] = [base, ours.min(), np.median(ours), ours.max(), train]
    values = np.array(list(rows.values()))
    figure, axes = plt.subplots(figsize=(6.2, 0.19 * len(rows) + 1.5), layout="constrained")
    figure.suptitle(f"{title}\n(of annual means, {results.span('training')}; area mean)")
    limit = max(2.0, float(np.quantile(values, 0.95)))
    image = axes.imshow(values, aspect="auto", cmap="cividis", vmin=0, vmax=limit)
    axes.set_xticks(range(5), ["climatology", "best member", "median", "worst member", "median"])
    axes.set_yticks(range(len(rows)), list(rows))
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.set_xlabel(f"left of the thick line: {results.span('test')}; right: {results.span('training')}")
    axes.axvline(0.5, color="white", linewidth=1)
    axes.axvline(3.5, color="white", linewidth=3)
    axes.axhline(0.5, color="white", linewidth=2)
    for (row, column), value in np.ndenumerate(values):
        color = "white" if value < limit * 0.5 else "black"
        weight = "bold" if column == 2 and value < values[row, 0] else "normal"
        axes.text(column, row, f"{value:.2f}", ha="center", va="center", color=color, fontsize=7, fontweight=weight)
    label = "standard deviations (bold: median member better than climatology)"
    figure.colorbar(image, ax=axes, extend="max", label=label, aspect=40)
    return figure


def series_figure(results, members):
    """Global means of each field: annual, or monthly where there are fewer than five whole years."""
    reference, fields = results.reference, results.fields
    rows = -(-len(fields) // 2)
    figure, grid = plt.subplots(rows, 2, figsize=(7.6, 1.75 * rows + 0.5), layout="constrained", squeeze=False)
    annual = len(annual_means(reference.series[:1], reference.months)[0]) >= 5
    kind = "annual" if annual else "monthly"
    figure.suptitle(f"Global {kind} means, {_both(results)}, {results.span('simulation')}")
    first, last = year_of(list(map(parse_month, results.periods["test"])))
    for axes in grid.flat[len(fields) :]:
        axes.axis("off")
    for axes, field in zip(grid.flat, fields, strict=False):
        factor, units = scale_of(field, reference.units[field])
        every = np.stack([summary.global_mean(field) * factor for summary in (reference, *members)])
        if annual:
            time, every = annual_means(every, reference.months)
            axes.axvspan(first - 0.5, last + 0.5, color="0.93", zorder=0, label="test period")
        else:
            time = _decimal_years(reference.months)
            axes.axvspan(first, last + 1, color="0.93", zorder=0, label="test period")
        _band(axes, time, every[1:], f"{results.source}, median and range of {len(members)}")
        axes.plot(time, every[0], color=BLACK, label=results.truth, linewidth=1)
        axes.set_title(f"{long_name(field)} ({units})")
        axes.margins(x=0.01)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    _legend(figure, grid.flat[0])
    return figure


def zonal_figure(results, period):
    """Zonal-mean sections of the ensemble-mean bias of every variable on pressure levels."""
    levels = {}
    for field in results.table.fields("E1_rmsb", period):
        variable, level = split_field(field)
        if level is not None:
            levels.setdefault(variable, []).append(level)
    variables = [variable for variable, found in levels.items() if len(found) > 1]
    rows = -(-len(variables) // 2)
    figure, grid = plt.subplots(rows, 2, figsize=(7.6, 2.3 * rows + 0.5), layout="constrained", squeeze=False)
    name = f"{results.source} {results.control} against {results.truth}"
    figure.suptitle(f"E1: zonal-mean bias of {name}, {period} period {results.span(period)}")
    for axes in grid.flat[len(variables) :]:
        axes.axis("off")
    for axes, variable in zip(grid.flat, variables, strict=False):
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
        axes.set_xticks([-60, -30, 0, 30, 60], ["60S", "30S", "0", "30N", "60N"])
        axes.set_ylabel("hPa")
        figure.colorbar(filled, ax=axes, aspect=30, ticks=np.linspace(-limit, limit, 5))
    return figure


def indices_figure(results, members):
    """Series and spectrum of each index of internal variability over the training span."""
    reference = results.reference
    figure, grid = plt.subplots(len(INDICES), 2, figsize=(7.6, 8), layout="constrained", width_ratios=(2, 1))
    figure.suptitle(f"Internal variability: monthly anomalies, {_both(results)}, {results.span('training')}")
    start, end = map(parse_month, results.periods["training"])
    inside = (reference.months >= start) & (reference.months <= end)
    months = reference.months[inside]
    for (left, right), (name, (field, _)) in zip(grid, INDICES.items(), strict=True):
        factor, units = scale_of(field, reference.units[field])
        truth, *ours = (deseasonalize(item.indices[name][inside], months) * factor for item in (reference, *members))
        left.plot(_decimal_years(months), truth, color=BLACK, linewidth=0.7, label=results.truth)
        left.plot(
            _decimal_years(months), ours[0], color=BLUE, linewidth=0.7, label=f"{results.source}, {members[0].member}"
        )
        left.margins(x=0.01)
        left.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        std = np.median(results.members("index_std", "training", name)) * factor
        left.set_title(f"{name} ({field}): std {std:.2f} {units}, {results.truth} {truth.std():.2f}")
        memory = np.median(results.members("index_decorrelation", "training", name))
        known = results.known("index_decorrelation", "training", name)
        right.set_title(f"1/e time {_months(memory)}, {results.truth} {_months(known)} months", fontsize=7)
        period, _ = spectrum = smooth_spectrum(truth)
        _band(right, period, np.stack([smooth_spectrum(series)[1] for series in ours]), "")
        right.plot(*spectrum, color=BLACK)
        right.set(xscale="log", yscale="log", ylabel=f"{_squared(units)} month")
        ticks = [tick for tick in (2, 6, 12, 24, 60, 120, 240) if tick <= period.max()]
        right.xaxis.set(major_locator=FixedLocator(ticks), minor_locator=NullLocator())
        right.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        right.invert_xaxis()
    grid[-1, 1].set_xlabel("period (months)")
    _legend(figure, grid[0, 0])
    return figure


def smooth_spectrum(series, bins=12):
    """Power spectral density of a monthly series, averaged in bins of equal width in log frequency.

    Returns period (months) and density (units squared times months); over frequency it integrates to the variance.
    """
    count = len(series)
    power = 2 * np.abs(np.fft.rfft(series - np.mean(series))[1:]) ** 2 / count
    if count % 2 == 0:
        power[-1] /= 2
    frequency = np.fft.rfftfreq(count)[1:]
    place = np.digitize(frequency, np.geomspace(frequency[0], frequency[-1] * 1.001, bins + 1))
    used = np.unique(place)
    frequency, power = (np.array([values[place == bin].mean() for bin in used]) for values in (frequency, power))
    return 1 / frequency, power


def ensemble_figure(results):
    """Rank histogram of the reference among the members for each field of boxes, with spread and error in titles."""
    fields = [field for field in results.table.fields("ensemble_spread", "test")]
    title = (
        f"Ensemble of {results.source} {results.control}, monthly means over 15-degree boxes, {results.span('test')}"
    )
    if not fields:
        return note_figure(title, "one member has no spread")
    rows = -(-len(fields) // 3)
    figure, grid = plt.subplots(rows, 3, figsize=(7.6, 2.2 * rows + 0.6), layout="constrained", squeeze=False)
    figure.suptitle(f"{title}\nshare of months and area by number of members below {results.truth}; dashed: even")
    for axes in grid.flat[len(fields) :]:
        axes.axis("off")
    for axes, field in zip(grid.flat, fields, strict=False):
        factor, units = scale_of(field, results.reference.units[field])
        ranks = [metric for metric in results.table.metrics("test", field) if metric.startswith("ensemble_rank_")]
        shares = np.concatenate([results.members(metric, "test", field) for metric in ranks])
        axes.bar(np.arange(len(shares)), shares, color=BLUE)
        axes.axhline(1 / len(shares), color=BLACK, linestyle="--", linewidth=0.8)
        spread, error = (results.members(f"ensemble_{kind}", "test", field)[0] * factor for kind in ("spread", "error"))
        axes.set_title(f"{long_name(field)}\nspread {number(spread)}, error {number(error)} {units}")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    return figure


def spectra_figure(results, members):
    """Power by zonal wavenumber of monthly fields, global mean, over the test period."""
    reference, fields = results.reference, list(results.reference.spectra)
    rows = -(-len(fields) // 3)
    figure, grid = plt.subplots(rows, 3, figsize=(7.6, 2.2 * rows + 0.5), layout="constrained", squeeze=False)
    figure.suptitle(f"Power by zonal wavenumber, {_both(results)}, {results.span('test')}")
    for axes in grid.flat[len(fields) :]:
        axes.axis("off")
    for axes, field in zip(grid.flat, fields, strict=False):
        factor, units = scale_of(field, reference.units[field])
        truth, *ours = (summary.spectra[field][1:] * factor**2 for summary in (reference, *members))
        waves = np.arange(1, len(truth) + 1)
        _band(axes, waves, np.stack(ours), f"{results.source}, median and range of {len(members)}")
        axes.plot(waves, truth, color=BLACK, label=results.truth)
        axes.set(xscale="log", yscale="log", xlabel="zonal wavenumber", title=f"{long_name(field)}, {_squared(units)}")
    _legend(figure, grid.flat[0])
    return figure


def _both(results):
    return f"{results.source} {results.control} and {results.truth}"


def _decimal_years(months):
    return 1970 + (months.astype(int) + 0.5) / 12


def _band(axes, x, members, label):
    axes.fill_between(x, members.min(0), members.max(0), color=SKY, alpha=0.6, linewidth=0)
    axes.plot(x, np.median(members, axis=0), color=BLUE, label=label)


def _legend(figure, axes):
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4)


def _squared(units):
    return f"({units})²" if "/" in units else f"{units}²"


def _months(value):
    return "-" if value is None or np.isnan(value) else f"{value:.1f}"


def plot_lines(results, summaries, folder):
    """Draw scores, series, zonal_bias, indices, ensemble and spectra into ``folder``.

    summaries: paths of all simulations' summaries; those of the control experiment are drawn.
    """
    members = [item for item in map(SummaryFile, summaries) if item.experiment == results.control]
    save(scores_figure(results), f"{folder}/scores.png")
    save(series_figure(results, members), f"{folder}/series.png")
    save(zonal_figure(results, "test"), f"{folder}/zonal_bias.png")
    save(indices_figure(results, members), f"{folder}/indices.png")
    save(ensemble_figure(results), f"{folder}/ensemble.png")
    save(spectra_figure(results, members), f"{folder}/spectra.png")


if __name__ == "__main__":
    import runlog

    runlog.start(snakemake.log[0])
    files, params = snakemake.input, snakemake.params
    settings = {**params.settings, "periods": params.periods, "reference_name": params.reference_name}
    paths = files.table, files.maps, files.reference, files.static
    results = Evaluated(*paths, params.experiments, settings, params.source)
    plot_lines(results, files.summaries, Path(snakemake.output[0]).parent)
