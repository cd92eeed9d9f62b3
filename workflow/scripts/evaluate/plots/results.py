"""What evaluation.py wrote, read for the figures: numbers, maps, the reference and the words for titles."""

import json

import netCDF4
import numpy as np

from workflow.scripts.common.experiments import CONTROL
from workflow.scripts.common.periods import evaluation_periods
from workflow.scripts.evaluate.arguments import add_evaluation, settings_of
from workflow.scripts.evaluate.display import number
from workflow.scripts.evaluate.metrics.land import read_land_fraction
from workflow.scripts.evaluate.metrics.table import REFERENCE, TRUTH, read_table
from workflow.scripts.evaluate.summarize.reader import SummaryFile


class Evaluated:
    """metrics.csv for numbers, metrics.nc for maps, the reference's summary for its own maps, and the land fraction.

    table, maps, reference, static: paths of the four; experiments: {name: {sst_offset}}; settings: the config's
    ``evaluation`` with ``periods`` and ``reference_name`` added; source: name of the model.
    """

    def __init__(self, table, maps, reference, static, experiments, settings, source):
        self.table = read_table(table)
        self.path, self.reference, self.source, self.experiments = maps, SummaryFile(reference), source, experiments
        self.reference_name, self.settings = settings["reference_name"], settings
        # What a table of variables leaves out stands in the scorecard.
        self.fields = [field for field in settings["map_fields"] if field in self.reference.fields]
        self.periods = evaluation_periods(settings["periods"])
        self.control = CONTROL
        self.land = read_land_fraction(static, self.reference)
        with netCDF4.Dataset(maps) as data:
            self.skipped = json.loads(data.skipped)
            self.axes = {name: data[name][:].tolist() for name in ("experiment", "period", "field")}

    def span(self, period):
        """``2015-01 to 2024-12`` of a period's name."""
        return " to ".join(self.periods[period])

    def both(self):
        """Name of our simulation and of the reference, for titles."""
        return f"{self.source} {self.control} and {self.reference_name}"

    def map(self, name, period, field, experiment=None):
        """Ensemble-mean map (lat, lon) of a metric, of the control experiment if none is named."""
        wanted = experiment or self.control, period, field
        place = [self.axes[key].index(value) for key, value in zip(self.axes, wanted, strict=True)]
        with netCDF4.Dataset(self.path) as data:
            return np.asarray(data[f"{name}_map"][tuple(place)], np.float64)

    def has_truth(self, experiment):
        """Whether the true response of an experiment is known."""
        key = TRUTH, experiment, "E5_response", "simulation"
        return any((*key, field) in self.table.values for field in self.fields)

    def members(self, metric, period, field, experiment=None):
        """Values of our members, float64 (member,)."""
        return self.table.members(self.source, metric, period, field, experiment or self.control)

    def known(self, metric, period, field):
        """The reference's value of a metric, or None."""
        return self.table.single(REFERENCE, metric, period, field)

    def words(self, metric, period, field, factor, experiment=None):
        """Text ``median [lowest, highest]`` of a metric over members, times ``factor``."""
        values = self.members(metric, period, field, experiment) * factor
        return f"{number(float(np.median(values)))} [{number(values.min())}, {number(values.max())}]"


def add_arguments(parser):
    """Arguments of a program that draws a set of figures; ``evaluated`` reads them."""
    parser.add_argument("--table", required=True, help="metrics.csv")
    parser.add_argument("--maps", required=True, help="metrics.nc")
    add_evaluation(parser)
    parser.add_argument("--out", required=True, help="folder for the figures, PNG and PDF")


def evaluated(given):
    """``Evaluated`` from the arguments of ``add_arguments``."""
    paths = given.table, given.maps, given.reference, given.static
    return Evaluated(*paths, given.experiments, settings_of(given), given.source)
