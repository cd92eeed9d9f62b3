"""A baseline of the control experiment as the same file of statistics that simulation.py makes of a simulation.

The forecast (model/baselines.py) is taken month by month and summarized year by year; no file of fields is written.
Fields become the submission's by the formulas that the CMOR files are made with (submission/derive.py), ``ts`` with
the prescribed SST over open sea as there.
"""

import sys

import netCDF4
import numpy as np

from model.baselines import Options, Sources, open_forecast
from workflow.scripts.common import program
from workflow.scripts.common.months import month_range, year_slices
from workflow.scripts.common.ncfiles import read_months
from workflow.scripts.common.periods import evaluation_periods
from workflow.scripts.common.skill import BASELINES
from workflow.scripts.common.variables import read_variables
from workflow.scripts.evaluate.arguments import add_summarizing
from workflow.scripts.evaluate.summarize.enso import read_index
from workflow.scripts.evaluate.summarize.reference import cmor_fields
from workflow.scripts.evaluate.summarize.summary import Summary
from workflow.scripts.submission.prescribed import prescribed_surface


class PrescribedSea:
    """SST (K) and sea ice of the months of a simulation, and the land fraction, as cmorize takes them.

    path: aggregated forcing that begins with ``months`` [0]; raises ValueError if it lacks one of them.
    """

    def __init__(self, path, months):
        self.path = path
        with netCDF4.Dataset(path) as data:
            found = read_months(data)
            absent = np.setdiff1d(months, found)
            if absent.size:
                raise ValueError(f"{path} lacks {absent.size} months of the simulation, the first is {absent[0]}")
            self.start = int(np.searchsorted(found, months[0]))
            self.land = np.ma.filled(data["lsm"][:], np.nan)

    def surface_temperature(self, skin, span):
        """``ts`` (month, lat, lon) of the simulation's months ``span`` from the ``skin`` temperature, K."""
        span = slice(self.start + span.start, self.start + span.stop)
        with netCDF4.Dataset(self.path) as data:
            return prescribed_surface(skin, data, self.land, span)


def summarize_baseline(baseline, sources, options, sea, output, variables, index, periods, minimum_years):
    """Summarize a baseline.

    baseline: its name; sources, options: of ``model.baselines``; sea: aggregated forcing of the simulation, with SST,
    sea ice and land fraction; output: the summary; variables: the variables table (CSV); index, periods,
    minimum_years: as in simulation.py.
    """
    variables = read_variables(variables, role="field")
    periods = evaluation_periods(periods)
    months = month_range(*periods["simulation"])
    with open_forecast(baseline, sources, options) as forecast:
        found = np.array([f"{year:04d}-{month:02d}" for year, month in forecast.dates], "datetime64[M]")
        if not np.array_equal(found, months):
            raise ValueError(
                f"{sources.forcing} holds {found[0]}..{found[-1]}, the simulation is {months[0]}..{months[-1]}; "
                "normalize the forcing again"
            )
        prescribed = PrescribedSea(sea, months)
        summary = Summary(months, forecast.lat, forecast.lon, periods, read_index(index), minimum_years)
        for span in year_slices(months):
            year = np.stack([next(forecast.fields) for _ in range(span.start, span.stop)], axis=1)
            channels = {channel.name: values for channel, values in zip(forecast.channels, year, strict=True)}
            for name, (values, units) in cmor_fields(channels, variables).items():
                if name == "ts":
                    values = prescribed.surface_temperature(values, span)
                summary.add(name, months[span], values, units)
    summary.write(output, title=f"statistics of the baseline {baseline} for the evaluation")


def main(arguments=None):
    """Command line."""
    parser = program.command_line(__doc__)
    parser.add_argument("--baseline", required=True, choices=list(BASELINES), help="which one")
    parser.add_argument("--member", type=int, required=True, help="number of the member")
    parser.add_argument("--training", nargs="?", help="normalized training months; none for no-diffusion")
    parser.add_argument("--response", nargs="?", help="what model/response.py has fitted; for the regressions only")
    parser.add_argument("--checkpoint", nargs="?", help="the trained model; for no-diffusion only")
    parser.add_argument("--initial", required=True, help="normalized first month")
    parser.add_argument("--forcing", required=True, help="normalized forcing of every month of the control experiment")
    parser.add_argument("--sea", required=True, help="aggregated forcing of the simulation: SST, sea ice, land")
    parser.add_argument("--seed", type=int, required=True, help="seed of all random numbers, with the member's number")
    parser.add_argument("--variables", required=True, help="table of variables, CSV")
    add_summarizing(parser)
    parser.add_argument("--out", required=True, help="summary to write, netCDF")
    return program.run(
        parser,
        lambda given: summarize_baseline(
            given.baseline,
            Sources(given.training, given.initial, given.forcing, given.checkpoint, given.response),
            Options(given.member, given.seed),
            given.sea,
            given.out,
            given.variables,
            given.index,
            given.periods,
            given.minimum_years,
        ),
        arguments,
    )


if __name__ == "__main__":
    sys.exit(main())
