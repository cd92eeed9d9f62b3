"""Heat map of models: the median member's RMSB of every field, ours beside other submissions and climatology."""

import csv

import matplotlib.pyplot as plt
import numpy as np

from workflow.scripts.evaluate.plots.style import note_figure, save
from workflow.scripts.evaluate.scorecard.lines import Table, interannual_scale


def models_figure(table, sources, control, span, truth):
    """RMSB (E1) over the test period in interannual standard deviations; a gap where a model has no such field.

    sources: models in the order of columns; span: the test period in words; truth: name of the reference.
    """
    title = f"E1: RMSB of the median member against {truth}, {control}, {span}"
    sigma = interannual_scale(table)
    if not sigma:
        return note_figure(title, "the training span is too short for an interannual standard deviation")
    columns = {"climatology": [table.single("climatology", "E1_rmsb", "test", field) for field in sigma]}
    for source in sources:
        members = [table.members(source, "E1_rmsb", "test", field, control) for field in sigma]
        columns[source] = [np.median(values) if values.size else np.nan for values in members]
    values = np.array(list(columns.values()), float).T / np.array(list(sigma.values()))[:, None]
    everywhere = np.isfinite(values).all(axis=1)
    rows = [f"mean of {everywhere.sum()} fields", *sigma]
    values = np.vstack([values[everywhere].mean(0) if everywhere.any() else np.full(len(columns), np.nan), values])
    figure, axes = plt.subplots(figsize=(2.6 + 1.1 * len(columns), 0.19 * len(rows) + 1.5), layout="constrained")
    figure.suptitle(f"{title}\nin standard deviations of annual means", fontsize=9)
    image = axes.imshow(values, aspect="auto", cmap="cividis", vmin=0, vmax=max(2.0, np.nanquantile(values, 0.95)))
    axes.set_xticks(range(len(columns)), list(columns), rotation=20)
    axes.set_yticks(range(len(rows)), rows)
    axes.tick_params(length=0)
    axes.axhline(0.5, color="white", linewidth=2)
    for (row, column), value in np.ndenumerate(values):
        text, best = ("-", False) if np.isnan(value) else (f"{value:.2f}", value == np.nanmin(values[row]))
        color = "black" if np.isnan(value) or value > image.norm.vmax / 2 else "white"
        weight = "bold" if best else "normal"
        axes.text(column, row, text, ha="center", va="center", color=color, fontsize=7, fontweight=weight)
    figure.colorbar(image, ax=axes, extend="max", label="standard deviations (bold: best of the row)", aspect=40)
    return figure


def plot_models(table, sources, control, span, truth, output):
    """Draw ``models_figure`` from metrics.csv at ``table`` into ``output`` (PNG) and the PDF beside it."""
    with open(table, newline="", encoding="utf-8") as file:
        save(models_figure(Table(list(csv.DictReader(file))), sources, control, span, truth), output)


if __name__ == "__main__":
    from workflow.scripts.common import runlog

    runlog.start(snakemake.log[0])
    params = snakemake.params
    arguments = params.sources, params.control, " to ".join(params.test), params.reference_name
    plot_models(snakemake.input.table, *arguments, snakemake.output[0])
