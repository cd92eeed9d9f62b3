"""The truth on the model grid, which no observation has: the response to warmer seas, of the planet or of a GCM's runs.

Output (netCDF4): ``response`` (experiment, field, lat, lon), mean of the fields with the experiment's SST offset less
those without; fields as in the submission. Of the synthetic planet it is over all months of the simulation, internal
modes and noise left out, and ``index_std`` (index) is the standard deviation of each index of variability,
deseasonalized, that any number of members on this planet would have: the modes' amplitudes exactly, and what SST and
noise add over the training span. Of a general circulation model it is the difference of its own runs
(evaluate/truth_files.py), and no index is there.
"""

import sys
from dataclasses import replace

import numpy as np

from workflow.scripts.common import program
from workflow.scripts.common.experiments import has_own_forcing
from workflow.scripts.common.field_names import field_name
from workflow.scripts.common.grids import centres
from workflow.scripts.common.months import month_range, year_slices
from workflow.scripts.common.periods import evaluation_periods
from workflow.scripts.common.variables import read_variables
from workflow.scripts.evaluate.arguments import add_experiments, add_periods
from workflow.scripts.evaluate.measures.along_time import deseasonalize
from workflow.scripts.evaluate.measures.indices import INDICES, index_weights
from workflow.scripts.evaluate.summarize.reference import cmor_fields
from workflow.scripts.evaluate.summarize.true_response import write_truth
from workflow.scripts.evaluate.truth_files import folder_response
from workflow.scripts.planet.world import Planet
from workflow.scripts.submission import derive


def index_deviations(planet, lat, lon, training, variables):
    """Expected standard deviation {index: value} over the months of ``training``, in the index's units.

    Empty for a single year, in which departures from the annual cycle cannot be told from it. Modes
    have indices of variance 1 and are independent of each other and of the rest, so variances add up.
    """
    if len(training) <= 12:
        return {}
    channels = {field_name(name, row.level): row.channel for row in variables for name in row.cmor_name}
    indices = {name: field for name, (field, _) in INDICES.items() if field in channels}
    wanted = sorted({channels[field] for field in indices.values()})
    year = np.arange("2000-01", "2001-01", dtype="datetime64[M]")
    patterns = [
        planet.mode_response(name, year, lat, lon, column, wanted)
        for name in planet.modes()
        for column in range(planet.mode_index(name, year).shape[1])
    ]
    rest = {name: [] for name in indices}
    for span in year_slices(training):
        fields = dict(planet.fields(training[span], lat, lon, wanted, modes={}))
        for name, field in indices.items():
            rest[name].append(np.tensordot(fields[channels[field]], index_weights(name, lat, lon), axes=2))
    found = {}
    for name, field in indices.items():
        weights = index_weights(name, lat, lon)
        amplitudes = [np.tensordot(pattern[channels[field]], weights, axes=2) for pattern in patterns]
        departures = deseasonalize(np.concatenate(rest[name]), training)
        variance = np.mean(np.square(amplitudes).sum(0)) + np.square(departures).sum() / (len(training) - 12)
        factor = derive.geopotential_height(1.0) if field.startswith("zg") else 1.0
        found[name] = float(np.sqrt(variance) * factor)
    return found


def planet_truth(output, variables, seed, resolution, periods, experiments):
    """Write the truth of every experiment with an SST offset and nothing else, and of the modes.

    variables: the variables table (CSV); seed: the planet's; resolution: of the model grid, degrees; periods: the
    config's; experiments: {name: {sst_offset: K}}.
    """
    planet = Planet(seed)
    # The planet's own fields are in SI units, its geopotential too where the table has heights.
    own = {"zg": "m2 s-2"}
    variables = [
        replace(row, units=next((own[name] for name in row.cmor_name if name in own), row.units))
        for row in read_variables(variables, role="field")
    ]
    lat, lon = centres(resolution)
    spans = evaluation_periods(periods)
    months, training = month_range(*spans["simulation"]), month_range(*spans["training"])
    uniform = {name: value["sst_offset"] for name, value in experiments.items() if not has_own_forcing(value)}
    offsets = {name: offset for name, offset in uniform.items() if offset != 0}
    means = {offset: {} for offset in {0, *offsets.values()}}
    for offset, fields in means.items():
        for span in year_slices(months):
            state = dict(planet.fields(months[span], lat, lon, sst_anomaly=offset, noise=False, modes={}))
            for name, (values, _) in cmor_fields(state, variables).items():
                fields[name] = fields.get(name, 0) + values.sum(0, dtype=np.float64) / len(months)
    responses = {
        name: {field: means[offset][field] - means[0][field] for field in means[0]} for name, offset in offsets.items()
    }
    deviations = index_deviations(planet, lat, lon, training, variables)
    write_truth(output, f"forced response of the synthetic planet of seed {seed}", responses, lat, lon, deviations)


def files_truth(output, folder, variables, resolution, periods, experiments):
    """Write the response of the runs in ``folder``; the other arguments as above."""
    months = month_range(*evaluation_periods(periods)["simulation"])
    responses, lat, lon = folder_response(folder, variables, resolution, months, experiments)
    write_truth(output, f"response of the runs in {folder}", responses, lat, lon, {})


def main(arguments=None):
    """Command line."""
    parser = program.command_line(__doc__)
    parser.add_argument("--variables", required=True, help="table of variables, CSV")
    origin = parser.add_mutually_exclusive_group(required=True)
    origin.add_argument("--seed", type=int, help="seed of the synthetic planet")
    origin.add_argument("--folder", help="folder of the runs of a general circulation model, {experiment}/...")
    parser.add_argument("--resolution", type=float, required=True, help="spacing of the model grid, degrees")
    add_periods(parser)
    add_experiments(parser)
    parser.add_argument("--out", required=True, help="file to write, netCDF")

    def work(given):
        rest = given.variables, given.resolution, given.periods, given.experiments
        if given.folder is None:
            planet_truth(given.out, given.variables, given.seed, *rest[1:])
        else:
            files_truth(given.out, given.folder, *rest)

    return program.run(parser, work, arguments)


if __name__ == "__main__":
    sys.exit(main())
