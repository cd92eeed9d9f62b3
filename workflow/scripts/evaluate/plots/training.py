"""Figure of the training: losses by epoch, and what the free run of the validation months showed of the chosen weights.

Ours is blue, the reference black.
"""

import sys

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import MaxNLocator

from workflow.scripts.common import program
from workflow.scripts.common.tables import read_rows
from workflow.scripts.evaluate.plots.style import BLACK, BLUE, ORANGE, SKY, log_axis, save

SPECTRUM = "power by degree, mean of all fields (climatological variance)"


def numbers(rows, name):
    """A column as numbers; NaN where it is empty."""
    return np.array([float(row[name] or "nan") for row in rows])


def training_figure(epochs, measures, reference_name):
    """Losses of ``epochs`` (rows of metrics.csv) and, if there was a free run, its ``measures`` (of validation.csv)."""
    size = {"nrows": 2, "ncols": 2, "figsize": (7.6, 6.2)} if measures else {"figsize": (7.6, 3.2)}
    figure, grid = plt.subplots(**size, layout="constrained", squeeze=False)
    figure.suptitle(
        "Training" + (f", and the free run of the validation months beside {reference_name}" if measures else "")
    )
    _draw_losses(grid[0, 0], epochs)
    if measures:
        _draw_spectrum(grid[0, 1], _chosen(measures, SPECTRUM), reference_name)
        _draw_spread(grid[1, 0], _chosen(measures, "spread over error"))
        _draw_memory(grid[1, 1], _chosen(measures, "1/e time (months)"), reference_name)
    return figure


def _chosen(measures, name):
    return [row for row in measures if row["measure"] == name]


def _draw_losses(axes, epochs):
    epoch, validated = numbers(epochs, "epoch"), numbers(epochs, "validation_score")
    axes.plot(epoch, numbers(epochs, "loss"), color=SKY, label="loss")
    seen = np.isfinite(validated)
    axes.plot(epoch[seen], validated[seen], color=BLUE, marker=".", label="validation score, one step")
    scores = numbers(epochs, "free_run_score")
    tried = np.isfinite(scores)
    axes.plot(epoch[tried], scores[tried], "D", color=ORANGE, markersize=4, label="CRPS of the free run")
    axes.set(xlabel="epoch", yscale="log")
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    log_axis(axes.yaxis)
    axes.legend()
    best = f"; lowest CRPS {scores[tried].min():.3f} of the climatological spread" if tried.any() else ""
    axes.set_title(f"losses{best}", fontsize=7)


def _draw_spectrum(axes, rows, reference_name):
    degree = numbers(rows, "name")
    for column, color, label in (("reference", BLACK, reference_name), ("run", BLUE, "free run")):
        axes.plot(degree[1:], numbers(rows, column)[1:], color=color, label=label)
    axes.set(xscale="log", yscale="log", xlabel="total wavenumber")
    log_axis(axes.xaxis)
    log_axis(axes.yaxis)
    axes.legend()
    axes.set_title("power of anomalies, mean of all fields", fontsize=7)


def _draw_spread(axes, rows):
    values = numbers(rows, "run")
    axes.plot(values, np.arange(len(values)), "o", color=BLUE, markersize=3)
    axes.axvline(1, color=BLACK, linewidth=0.8)
    axes.set_yticks(range(len(values)), [row["name"] for row in rows], fontsize=4 if len(rows) > 20 else 7)
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    median = f", median {np.nanmedian(values):.2f}" if np.isfinite(values).any() else ""
    axes.set_title(f"spread over error (1 is right){median}", fontsize=7)


def _draw_memory(axes, rows, reference_name):
    places = np.arange(1, len(rows) + 1)
    for column, color, label in (("reference", BLACK, reference_name), ("run", BLUE, "free run")):
        axes.plot(places, numbers(rows, column), "o-", color=color, markersize=3, linewidth=0.6, label=label)
    axes.set(xlabel="pattern (EOF)", ylabel="months", ylim=(0, None))
    axes.legend()
    axes.set_title("1/e time of the leading patterns", fontsize=7)


def main(arguments=None):
    """Command line."""
    parser = program.command_line(__doc__)
    parser.add_argument("--metrics", required=True, help="metrics.csv of the training")
    parser.add_argument("--validation", required=True, help="validation.csv of the training")
    parser.add_argument("--reference-name", required=True, help="name of the reference, such as ERA5")
    parser.add_argument("--out", required=True, help="figure to write, PNG; its PDF comes beside it")
    return program.run(
        parser,
        lambda given: save(
            training_figure(read_rows(given.metrics), read_rows(given.validation), given.reference_name), given.out
        ),
        arguments,
    )


if __name__ == "__main__":
    sys.exit(main())
