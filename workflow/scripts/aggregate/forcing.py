"""Monthly means of the forcing: as its file has them, or of the linear interpolation between values at month starts."""

import sys

import netCDF4
import numpy as np

from workflow.scripts.aggregate.axes import copy_axes, monthly_variable
from workflow.scripts.common import program
from workflow.scripts.common.months import missing_months, month_range
from workflow.scripts.common.ncfiles import LAND_FRACTION, add_field, add_months, new_file, read_array, read_months

BLOCK_STEPS = 24  # months in memory at a time


def aggregate_forcing(source, output, start, end, values="start"):
    """Monthly means of sst and siconc, where it is there, from ``start`` to ``end`` from the regridded values, and lsm.

    ``values``: what the values of a month are. "start": at its start; the mean of month m is 0.5 (v[m] + v[m + 1]),
    exact for values that change linearly within the month, and the month after ``end`` is needed. "mean": its mean.
    """
    months = month_range(start, end)
    last = months[-1] + (values == "start")
    with netCDF4.Dataset(source) as file, new_file(output, "monthly mean forcing on the model grid") as out:
        found = read_months(file)
        absent, twice = missing_months(found[(found >= months[0]) & (found <= last)], start, str(last))
        if absent or twice:
            raise ValueError(
                f"{source}: the {values} of {(absent or twice)[0]} is {'missing' if absent else 'there twice'}"
            )
        first = int(np.argmax(found == months[0]))
        copy_axes(file, out)
        add_months(out, months)
        lsm = add_field(out, "lsm", ("lat", "lon"), **LAND_FRACTION)
        lsm[:] = read_array(file["lsm"])
        for name in [name for name in file.variables if file[name].dimensions == ("time", "lat", "lon")]:
            variable = monthly_variable(out, name, file[name])
            for low in range(0, len(months), BLOCK_STEPS):
                high = min(low + BLOCK_STEPS, len(months))
                part = read_array(file[name], slice(first + low, first + high + (values == "start")))
                variable[low:high] = month_means(part) if values == "start" else part


def month_means(starts):
    """Means of the months between consecutive month-start values ``starts`` (time + 1, ...): (time, ...)."""
    return 0.5 * (starts[:-1] + starts[1:])


def main(arguments=None):
    """Command line."""
    parser = program.command_line(__doc__)
    parser.add_argument("--forcing", required=True, help="regridded forcing")
    parser.add_argument("--period", nargs=2, required=True, metavar="MONTH", help="first and last month, YYYY-MM")
    parser.add_argument("--values", choices=["start", "mean"], default="start", help="what the values of a month are")
    parser.add_argument("--out", required=True, help="file to write")

    def work(given):
        aggregate_forcing(given.forcing, given.out, *given.period, given.values)

    return program.run(parser, work, arguments)


if __name__ == "__main__":
    sys.exit(main())
