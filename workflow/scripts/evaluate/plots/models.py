"""Heat map of models: the median member's RMSB of every field, ours beside other submissions and climatology."""

import sys

import matplotlib.pyplot as plt
import numpy as np

from workflow.scripts.common import program
from workflow.scripts.common.skill import CLIMATOLOGY
from workflow.scripts.evaluate.metrics.table import interannual_scale, read_table, scored
from workflow.scripts.evaluate.plots.style import heat_limit, heat_map, note_figure, save


def models_figure(table, sources, control, span, reference_name):
    """RMSB (E1) over the test period in interannual standard deviations; a gap where a model has no such field.

    sources: models in the order of columns; span: the test period in words; reference_name: in words.
    """
    title = f"E1: RMSB of the median member against {reference_name}, {control}, {span}"
    sigma = interannual_scale(table)
    if not sigma:
        return note_figure(title, "the training span is too short for an interannual standard deviation")
    metrics = {field: scored("E1_rmsb", field) for field in sigma}
    columns = {CLIMATOLOGY: [table.single(CLIMATOLOGY, metric, "test", field) for field, metric in metrics.items()]}
    for source in sources:
        members = [table.members(source, metric, "test", field, control) for field, metric in metrics.items()]
        columns[source] = [np.median(values) if values.size else np.nan for values in members]
    values = np.array(list(columns.values()), float).T / np.array(list(sigma.values()))[:, None]
    everywhere = np.isfinite(values).all(axis=1)
    rows = [f"mean of {everywhere.sum()} fields", *sigma]
    values = np.vstack([values[everywhere].mean(0) if everywhere.any() else np.full(len(columns), np.nan), values])
    figure, axes = plt.subplots(figsize=(2.6 + 1.1 * len(columns), 0.19 * len(rows) + 1.5), layout="constrained")
    figure.suptitle(f"{title}\nin standard deviations of annual means", fontsize=9)
    axes.set_xticks(range(len(columns)), list(columns), rotation=20)
    best = values == np.fmin.reduce(values, axis=1, keepdims=True)
    heat_map(axes, values, rows, heat_limit(values), best, "standard deviations (bold: best of the row)")
    return figure


def plot_models(table, sources, control, span, reference_name, output):
    """Draw ``models_figure`` from metrics.csv at ``table`` into ``output`` (PNG) and the PDF beside it."""
    save(models_figure(read_table(table), sources, control, span, reference_name), output)


def main(arguments=None):
    """Command line."""
    parser = program.command_line(__doc__)
    parser.add_argument("--table", required=True, help="metrics.csv")
    parser.add_argument("--sources", nargs="+", required=True, help="models, ours first")
    parser.add_argument("--control", required=True, help="name of the control experiment")
    parser.add_argument("--test", nargs=2, required=True, metavar="MONTH", help="first and last month, YYYY-MM")
    parser.add_argument("--reference-name", required=True, help="name of the reference, such as ERA5")
    parser.add_argument("--out", required=True, help="figure to write, PNG; its PDF comes beside it")
    return program.run(
        parser,
        lambda given: plot_models(
            given.table, given.sources, given.control, " to ".join(given.test), given.reference_name, given.out
        ),
        arguments,
    )


if __name__ == "__main__":
    sys.exit(main())
