"""Run the GCM over some months and hand its state on; write the monthly means of a year.

    python -m workflow.scripts.gcm.run --period 1981-01 1981-12 --offset 2 --state spin_up.npz --restart 1981.npz
        --variables config/variables.csv --out FOLDER

Without ``--state`` it starts at rest; without ``--out`` it writes no means, as while it spins up. The state is taken
for that of the first month's first day, whichever day it was saved. On one device the same months give the same bytes,
in one go or stopped and started again from a state. Runs in GCM_PYTHON, which needs jcm.
"""

import logging
import sys
from pathlib import Path

import numpy as np

from workflow.scripts.common import program
from workflow.scripts.common.months import month_range, year_of
from workflow.scripts.gcm.boundary import Boundary
from workflow.scripts.gcm.monthly import DATASETS, Month, wanted, write_year
from workflow.scripts.gcm.regular import Regular


def run(period, offset, restart, state=None, variables=None, out=None):
    """Run the months of ``period`` (first, last: "YYYY-MM", of one year) with open water ``offset`` K warmer.

    ``state``: file to start from, None for rest; ``restart``: file of the state at the end; ``variables``: table, CSV,
    and ``out``: folder for {dataset}/{year}.nc, or None. Raises ValueError for months of several years.
    """
    months = month_range(*period)
    years = np.unique(year_of(months))
    if len(years) > 1:
        raise ValueError(f"{period[0]}..{period[1]} are months of {len(years)} years; run one year after the other")
    rows = wanted(variables) if out else {}
    levels = sorted({row.level for row in rows.get("pressure-levels", [])}, reverse=True)
    boundary = Boundary()
    # Not before the input is checked, since it takes seconds, and only GCM_PYTHON has what it needs.
    from workflow.scripts.gcm.atmosphere import Atmosphere

    logging.getLogger("jcm").setLevel(logging.WARNING)  # it tells of every day
    atmosphere, regular = Atmosphere(boundary, months[0]), Regular(boundary.latitude)
    if state is not None:
        atmosphere.load(state)
    means = []
    for month in months:
        sums = Month(levels, atmosphere.sigma, atmosphere.height)
        while atmosphere.date < (month + 1).astype("datetime64[D]"):
            day = atmosphere.day(offset)
            if out:
                sums.add(day)
        if out:
            means.append(sums.means(regular))
        logging.info("%s is done, air near the ground %.2f K", month, boundary.mean(day.air))
    for dataset in DATASETS if out else ():
        if dataset in rows:
            write_year(Path(out, dataset, f"{years[0]}.nc"), rows[dataset], months, means, regular)
    atmosphere.save(restart)


def main(arguments=None):
    """Command line."""
    parser = program.command_line(__doc__)
    parser.add_argument("--period", nargs=2, required=True, metavar="MONTH", help="first and last month, YYYY-MM")
    parser.add_argument("--offset", type=float, required=True, help="of the temperature of open water, K")
    parser.add_argument("--state", help="state to start from; without it from rest")
    parser.add_argument("--restart", required=True, help="state at the end, to write")
    parser.add_argument("--variables", help="table of variables, CSV; needed with --out")
    parser.add_argument("--out", help="folder for {dataset}/{year}.nc")

    def work(given):
        if given.out and not given.variables:
            raise ValueError("--out needs --variables, which says what to write")
        run(given.period, given.offset, given.restart, given.state, given.variables, given.out)

    return program.run(parser, work, arguments)


if __name__ == "__main__":
    sys.exit(main())
