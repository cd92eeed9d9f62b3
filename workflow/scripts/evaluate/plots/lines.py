"""Figures that are no maps: scores, global means, zonal means, variability, ensemble and response.

Ours is blue (line: median member, band: lowest to highest), the reference black. One job draws them all.
"""

import sys

from workflow.scripts.common import program
from workflow.scripts.evaluate.arguments import add_summaries
from workflow.scripts.evaluate.plots.ensemble import ensemble_figure
from workflow.scripts.evaluate.plots.global_means import series_figure
from workflow.scripts.evaluate.plots.response import land_sea_figure, seasonal_response_figure
from workflow.scripts.evaluate.plots.results import add_arguments, evaluated
from workflow.scripts.evaluate.plots.scores import scores_figure
from workflow.scripts.evaluate.plots.sections import stratosphere_figure, zonal_figure
from workflow.scripts.evaluate.plots.style import save
from workflow.scripts.evaluate.plots.variability import indices_figure, spectra_figure
from workflow.scripts.evaluate.summarize.reader import SummaryFile, summary_paths


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
