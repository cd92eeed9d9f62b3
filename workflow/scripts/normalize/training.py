"""The normalized months of the training and validation period, one file."""

import sys

import numpy as np

from workflow.scripts.common import program
from workflow.scripts.common.months import month_range
from workflow.scripts.common.ncfiles import new_file
from workflow.scripts.normalize.forcing import add_static
from workflow.scripts.normalize.series import write_series


def write_training(era5, forcing, static, statistics, variables, output, periods):
    """The normalized months of the training and validation period, one file; ``periods`` {name: (start, end)}.

    ``split`` tells which month belongs to which. Raises ValueError that names the channel and month of a value that is
    not finite, or the months that no file holds.
    """
    spans = [month_range(*periods[name]) for name in ("training", "validation")]
    months = np.union1d(*spans)
    with new_file(output, "normalized fields, forcings and statics for training", fill=False) as file:
        write_series(file, era5, forcing, static, statistics, variables, months)
        split = file.createVariable("split", "i1", ("time",))
        split.setncatts({"flag_values": np.array([0, 1], "i1"), "flag_meanings": "training validation"})
        split[:] = np.where(np.isin(months, spans[0]), 0, 1)


def main(arguments=None):
    """Command line."""
    parser = program.command_line(__doc__)
    parser.add_argument("--era5", nargs="+", required=True, help="aggregated files, one per year")
    parser.add_argument("--forcing", required=True, help="aggregated forcing of these months")
    add_static(parser)
    parser.add_argument("--statistics", required=True, help="statistics of the training period")
    parser.add_argument("--variables", required=True, help="config/variables.csv")
    parser.add_argument("--training", nargs=2, required=True, metavar="MONTH", help="first and last month, YYYY-MM")
    parser.add_argument("--validation", nargs=2, required=True, metavar="MONTH", help="first and last month, YYYY-MM")
    parser.add_argument("--out", required=True, help="file to write")

    def work(given):
        files = given.era5, given.forcing, given.static, given.statistics, given.variables
        write_training(*files, given.out, {"training": given.training, "validation": given.validation})

    return program.run(parser, work, arguments)


if __name__ == "__main__":
    sys.exit(main())
