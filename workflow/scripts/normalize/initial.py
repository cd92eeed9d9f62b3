"""The normalized month that a simulation starts from."""

import sys

import numpy as np

from workflow.scripts.common import program
from workflow.scripts.common.months import parse_month
from workflow.scripts.common.ncfiles import new_file
from workflow.scripts.normalize.forcing import add_static
from workflow.scripts.normalize.series import write_series


def write_initial(era5, forcing, static, statistics, variables, output, month):
    """The normalized first month of the simulation, laid out like the training file but for ``split``."""
    with new_file(output, "normalized initial month", fill=False) as file:
        write_series(file, [era5], forcing, static, statistics, variables, np.array([parse_month(month)]))


def main(arguments=None):
    """Command line."""
    parser = program.command_line(__doc__)
    parser.add_argument("--era5", required=True, help="aggregated file of the year that holds the month")
    parser.add_argument("--forcing", required=True, help="aggregated forcing of these months")
    add_static(parser)
    parser.add_argument("--statistics", required=True, help="statistics of the training period")
    parser.add_argument("--variables", required=True, help="config/variables.csv")
    parser.add_argument("--month", required=True, help="first month of the simulation, YYYY-MM")
    parser.add_argument("--out", required=True, help="file to write")

    def work(given):
        files = given.era5, given.forcing, given.static, given.statistics, given.variables
        write_initial(*files, given.out, given.month)

    return program.run(parser, work, arguments)


if __name__ == "__main__":
    sys.exit(main())
