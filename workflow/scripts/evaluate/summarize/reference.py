"""The regridded ERA5 as the same file of statistics that simulation.py makes of a simulation.

ERA5's variables become the submission's by the formulas that the CMOR files are made with (submission/derive.py), one
calendar year at a time. ``ts`` is ERA5's skin temperature everywhere, as in the reference files that AIMIP
evaluates against.
"""

import sys

import netCDF4
import numpy as np

from workflow.scripts.common import program
from workflow.scripts.common.field_names import field_name
from workflow.scripts.common.months import month_range, year_of
from workflow.scripts.common.ncfiles import read_months
from workflow.scripts.common.periods import evaluation_periods
from workflow.scripts.common.variables import read_variables
from workflow.scripts.evaluate.arguments import add_summarizing
from workflow.scripts.evaluate.summarize.enso import read_index
from workflow.scripts.evaluate.summarize.summary import Summary
from workflow.scripts.submission import derive


def cmor_fields(channels, variables):
    """Fields of the submission, {name: (array, units)}, from ERA5's ``channels`` {channel: array in ERA5's units}."""
    rows, units = derive.submitted_rows(variables), derive.submission_units(variables)
    return {
        field_name(name, row.level): (derive.submitted(name, row, rows, lambda row: channels[row.channel]), units[name])
        for name, found in rows.items()
        for row in found
    }


def read_channels(data, variables, path):
    """All fields of a regridded ERA5 year, {channel: (month, lat, lon)}; raises ValueError for one that is missing."""
    channels, arrays = {}, {}
    for row in variables:
        if row.short_name not in data.variables:
            raise ValueError(f"{path} has no variable '{row.short_name}'; regrid and aggregate that year again")
        if row.short_name not in arrays:
            arrays[row.short_name] = data[row.short_name][:]
        values = arrays[row.short_name]
        if row.level is not None:
            (found,) = np.nonzero(np.asarray(data["level"][:]) == row.level)
            if not found.size:
                raise ValueError(f"{path} has no level {row.level} hPa of '{row.short_name}'; regrid that year again")
            values = values[:, found[0]]
        channels[row.channel] = values
    return channels


def summarize_reference(files, output, variables, index, periods, minimum_years, name="ERA5"):
    """Summarize the reference.

    files: monthly means on the model grid, one file per calendar year; output: the summary; variables: the variables
    table (CSV); index, periods, minimum_years: as in simulation.py; name: of the reference, in words.
    """
    variables = read_variables(variables, role="field")
    periods = evaluation_periods(periods)
    months = month_range(*periods["simulation"])
    summary, seen = None, []
    for path in sorted(files):
        with netCDF4.Dataset(path) as data:
            data.set_auto_mask(False)
            found = read_months(data)
            inside = (found >= months[0]) & (found <= months[-1])
            if len(np.unique(year_of(found))) > 1:
                raise ValueError(f"{path} holds {found[0]}..{found[-1]}; one calendar year per file is read")
            if not inside.any():
                continue
            seen.extend(found[inside])
            if summary is None:
                summary = Summary(months, data["lat"][:], data["lon"][:], periods, read_index(index), minimum_years)
            for field, (values, units) in cmor_fields(read_channels(data, variables, path), variables).items():
                summary.add(field, found[inside], values[inside], units)
    absent = np.setdiff1d(months, seen)
    if absent.size:
        raise ValueError(
            f"{name} lacks {absent.size} months of the simulation, the first is {absent[0]}: aggregate it first"
        )
    summary.write(output, title=f"statistics of {name} on the model grid for the evaluation")


def main(arguments=None):
    """Command line."""
    parser = program.command_line(__doc__)
    parser.add_argument("--files", nargs="+", required=True, help="monthly means on the model grid, a file per year")
    parser.add_argument("--variables", required=True, help="table of variables, CSV")
    parser.add_argument("--name", default="ERA5", help="name of the reference, for messages and the title")
    add_summarizing(parser)
    parser.add_argument("--out", required=True, help="summary to write, netCDF")
    return program.run(
        parser,
        lambda given: summarize_reference(
            given.files, given.out, given.variables, given.index, given.periods, given.minimum_years, given.name
        ),
        arguments,
    )


if __name__ == "__main__":
    sys.exit(main())
