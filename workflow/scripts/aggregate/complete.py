"""The check that the monthly series is complete: every month of the simulation is there once."""

import json
import sys

import netCDF4
import numpy as np

from workflow.scripts.common import program
from workflow.scripts.common.atomic import atomic_path
from workflow.scripts.common.months import missing_months
from workflow.scripts.common.ncfiles import read_months


def check_complete(paths, output, start, end):
    """Write {months, first, last} of the aggregated files ``paths`` to ``output`` if they hold each month once.

    Raises ValueError that names the months of ``start`` to ``end`` that are missing or there twice.
    """
    found = []
    for path in paths:
        with netCDF4.Dataset(path) as file:
            found.append(read_months(file))
    found = np.concatenate(found)
    absent, twice = missing_months(found, start, end)
    for problem, months in (("missing", absent), ("there twice", twice)):
        if months:
            more = f" and {len(months) - 6} more" if len(months) > 6 else ""
            raise ValueError(f"the series {start}..{end} is not complete: {', '.join(months[:6])}{more} {problem}")
    with atomic_path(output) as temporary:
        record = {"months": len(found), "first": str(found.min()), "last": str(found.max())}
        temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def main(arguments=None):
    """Command line."""
    parser = program.command_line(__doc__)
    parser.add_argument("--era5", nargs="+", required=True, help="aggregated files, one per year")
    parser.add_argument("--period", nargs=2, required=True, metavar="MONTH", help="first and last month, YYYY-MM")
    parser.add_argument("--out", required=True, help="record to write, JSON")
    return program.run(parser, lambda given: check_complete(given.era5, given.out, *given.period), arguments)


if __name__ == "__main__":
    sys.exit(main())
