"""One simulation's CMOR files as one small file of statistics (summary.py): everything that the evaluation needs of it.

The files are read one calendar year at a time, each value once.
"""

import sys
from pathlib import Path

import numpy as np

from workflow.scripts.common import program
from workflow.scripts.common.field_names import field_name
from workflow.scripts.common.months import month_range, year_slices
from workflow.scripts.common.periods import evaluation_periods
from workflow.scripts.evaluate.arguments import add_summarizing
from workflow.scripts.evaluate.summarize.enso import read_index
from workflow.scripts.evaluate.summarize.fields import Field
from workflow.scripts.evaluate.summarize.summary import Summary


def summarize(files, output, index, periods, minimum_years):
    """Summarize one simulation.

    files: its CMOR files, one variable each, all of one grid; output: the summary; index: AIMIP's Nino3.4 table (CSV);
    periods: the config's ``periods``; minimum_years: complete years that trends and regressions need.
    """
    periods = evaluation_periods(periods)
    summary = None
    for path in sorted(map(Path, files)):
        name = path.name.split("_")[0]
        with Field([path], name) as field:
            if summary is None:
                first = path
                absent = np.setdiff1d(month_range(*periods["simulation"]), field.months)
                if absent.size:
                    raise ValueError(
                        f"{path} has {field.months[0]}..{field.months[-1]} and lacks {absent.size} months of the "
                        f"simulation {'..'.join(periods['simulation'])}; make it again with the config's periods"
                    )
                summary = Summary(field.months, field.lat, field.lon, periods, read_index(index), minimum_years)
            if not (np.array_equal(field.months, summary.months) and np.array_equal(field.lat, summary.lat)):
                raise ValueError(f"{path} and {first} differ in their months or latitudes; give files of one grid")
            for span in year_slices(field.months):
                values = field.read(span)
                for number, level in enumerate([None] if field.levels is None else field.levels):
                    summary.add(field_name(name, level), field.months[span], values[:, number], field.units)
    if summary is None:
        raise ValueError(f"no files to summarize for {output}; the list of CMOR files is empty")
    summary.write(output, title="statistics of one simulation for the evaluation")


def main(arguments=None):
    """Command line."""
    parser = program.command_line(__doc__)
    parser.add_argument("--files", nargs="+", required=True, help="CMOR files of one simulation, all of one grid")
    add_summarizing(parser)
    parser.add_argument("--out", required=True, help="summary to write, netCDF")
    return program.run(
        parser,
        lambda given: summarize(given.files, given.out, given.index, given.periods, given.minimum_years),
        arguments,
    )


if __name__ == "__main__":
    sys.exit(main())
