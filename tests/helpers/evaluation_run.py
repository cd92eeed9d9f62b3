"""The evaluation run on the made climate: simulations in, the folder of all its files out."""

import numpy as np

from tests.helpers.evaluation_tree import months_of, periods, write_era5, write_simulation
from tests.helpers.project import INDEX, VARIABLES
from workflow.scripts.common.grids import centres
from workflow.scripts.common.variables import read_variables
from workflow.scripts.evaluate.evaluation import evaluate
from workflow.scripts.evaluate.summarize.reader import SummaryFile
from workflow.scripts.evaluate.summarize.reference import summarize_reference
from workflow.scripts.evaluate.summarize.simulation import summarize
from workflow.scripts.evaluate.summarize.true_response import write_truth

PERIODS = periods()
LAT, LON = centres(15.0)
MONTHS = months_of(PERIODS)
EXPERIMENTS = {"aimip": {"sst_offset": 0}, "aimip-p4k": {"sst_offset": 4}}
SETTINGS = {
    "max_latitude": 87.5,
    "minimum_years": 2,
    "skill_fields": ["tas", "ta850"],
    "map_fields": ["tas", "pr", "zg500"],
    "periods": PERIODS,
    "reference_name": "ERA5",
}
OUTPUTS = {
    "csv": "metrics.csv",
    "netcdf": "metrics.nc",
    "scorecard": "card.json",
    "text": "card.txt",
    "html": "card.html",
}


def run(folder, simulations, spans=PERIODS, truth=None, models=None, baselines=None, variables=VARIABLES, **changes):
    """Reference, summaries of ``simulations`` {(experiment, member): arguments of channels} and metrics; the folder.

    truth: true response (K) of tas, and zero of all other fields, if given; models: summaries of other models;
    baselines: {name: {member: arguments of channels}}; variables: table of variables, of which no other is in the
    reference and the simulations.
    """
    months = months_of(spans)
    era5, static = write_era5(folder / "era5", months, LAT, LON)
    settings = {**SETTINGS, "periods": spans, **changes}
    names = {name for row in read_variables(variables, role="field") for name in row.cmor_name}
    summarize_reference(era5, folder / "reference.nc", variables, INDEX, spans, settings["minimum_years"])

    def summarized(below, experiment, member, arguments):
        name = f"{experiment}_{member}" if below == "summary" else f"{below}_{member}"
        files = write_simulation(folder / name, months, LAT, LON, **arguments)
        files = [path for path in files if path.name.split("_")[0] in names]
        path = folder / below / experiment / f"{member}.nc"
        summarize(files, path, INDEX, spans, settings["minimum_years"])
        return path

    paths = [summarized("summary", *simulation, arguments) for simulation, arguments in simulations.items()]
    others = {
        name: [summarized(name, "aimip", member, arguments) for member, arguments in members.items()]
        for name, members in (baselines or {}).items()
    }
    outputs = {name: folder / path for name, path in OUTPUTS.items()}
    known = write_known(folder, truth) if truth else None
    paths = folder / "reference.nc", paths, static
    evaluate(*paths, EXPERIMENTS, settings, "MD-made", outputs, known, models, others)
    return folder


def write_known(folder, kelvin):
    """A file as evaluate/truth.py writes it: a response of tas (K) and none of all other fields, and the NAO's size."""
    nothing = np.zeros((len(LAT), len(LON)))
    fields = dict.fromkeys(SummaryFile(folder / "reference.nc").fields, nothing)
    write_truth(
        folder / "truth.nc", "made", {"aimip-p4k": fields | {"tas": nothing + kelvin}}, LAT, LON, {"NAO": 500.0}
    )
    return folder / "truth.nc"


def members(table, metric, period, field, experiment="aimip"):
    """Values of our members in the table of metrics."""
    return table.members("MD-made", metric, period, field, experiment)
