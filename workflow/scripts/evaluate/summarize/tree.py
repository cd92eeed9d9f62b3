"""Another model's submission tree as summaries, tolerant of the ways in which real submissions differ from the rules.

Known deviations, all corrected: other units, axes, calendars and missing values (inputs/labelled.py); experiments named
aimip-2k, or by the directory only, surface temperature as ``tos``, members told apart by the physics index, several
versions (the last counts), files split in time, linked folders (submission/tree.py); geopotential in the place of
geopotential height (fields.py); no 2 m humidity but dewpoint; other pressure levels (linear in pressure, no
extrapolation, as AIMIP's evaluation does); months before or after the simulation; variables on several grids. Grids
must be latitude-longitude: a HEALPix tree has to be regridded first.
"""

import logging
import sys
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from workflow.scripts.common import program
from workflow.scripts.common.field_names import field_name
from workflow.scripts.common.grids import ConservativeRegridder
from workflow.scripts.common.months import month_range, year_slices
from workflow.scripts.common.periods import evaluation_periods
from workflow.scripts.common.variables import read_variables
from workflow.scripts.evaluate.arguments import add_summarizing
from workflow.scripts.evaluate.summarize.enso import read_index
from workflow.scripts.evaluate.summarize.fields import Field
from workflow.scripts.evaluate.summarize.summary import Summary
from workflow.scripts.submission import derive
from workflow.scripts.submission.tree import find_simulations


def summarize_simulation(files, output, levels, units, index, periods, minimum_years):
    """Summarize one simulation of another model.

    files: {variable: its paths, one after the other in time}; levels: {variable: [hPa]} as submitted, None at the
    surface; units: {variable: units} of the submission; the rest as in simulation.py.
    """
    months = month_range(*periods["simulation"])
    with ExitStack() as stack:
        fields = {
            name: stack.enter_context(Field(paths, name, units[name]))
            for name, paths in files.items()
            if name in levels
        }
        if not fields:
            given = ", ".join(str(path) for paths in files.values() for path in paths)
            raise ValueError(f"none of {given} is a variable of the submission")
        starts = {name: _start(field, months) for name, field in fields.items()}
        derived = "huss" in levels and "huss" not in fields and {"tdas", "ps"} <= set(fields)
        if derived:
            _same_grid("huss", fields["tdas"], fields["ps"])
        grids = Counter()
        for name, field in fields.items():
            grids[tuple(field.lat), tuple(field.lon)] += len(levels[name])
        ((lat, lon), _), *others = grids.most_common()
        if others:
            logging.warning(
                "%s: variables are on %d grids, regridded conservatively to the most frequent", output, len(grids)
            )
        summary = Summary(months, np.array(lat), np.array(lon), periods, read_index(index), minimum_years)
        for name in [*fields, *(["huss"] if derived else [])]:
            base = fields["tdas"] if name == "huss" and derived else fields[name]
            regrid = None
            if (tuple(base.lat), tuple(base.lon)) != (lat, lon):
                regrid = ConservativeRegridder((base.lat, base.lon), (lat, lon))
            for span in year_slices(months):

                def year(name, span=span):
                    start = starts[name]
                    return fields[name].read(slice(start + span.start, start + span.stop)).astype(np.float64)

                derive_now = name == "huss" and derived
                values = derive.specific_humidity(year("tdas"), year("ps")) if derive_now else year(name)
                for level in levels[name]:
                    at = values[:, 0] if level is None else base.level(values, level)
                    if at is None:
                        if span.start == 0:
                            logging.warning("%s: %s has no level around %s hPa: left out", output, name, level)
                        continue
                    at = at if regrid is None else regrid(at)
                    summary.add(field_name(name, level), months[span], at, units[name])
    summary.write(output, title="statistics of one simulation of another model for the evaluation")


def _start(field, months):
    """Place of the first of ``months`` in the field's own; raises ValueError if one of them is not there."""
    absent = np.setdiff1d(months, field.months)
    if absent.size:
        raise ValueError(f"{field.path} lacks {absent.size} months of the simulation, the first is {absent[0]}")
    return int((months[0] - field.months[0]).astype(int))


def _same_grid(name, first, second):
    """Raise ValueError unless the fields that the variable ``name`` is derived from are on one grid."""
    for axis in ("lat", "lon"):
        one, other = getattr(first, axis), getattr(second, axis)
        if one.shape != other.shape or not np.allclose(one, other, rtol=0, atol=1e-3):
            raise ValueError(
                f"{name} cannot be derived from {first.path} on {_grid_text(first)} and {second.path} on "
                f"{_grid_text(second)}; give both on one grid, or {name} itself"
            )


def _grid_text(field):
    """A field's grid, as a sentence names it."""
    lat, lon = field.lat, field.lon
    return f"{len(lat)}x{len(lon)} cells from {lat[0]:g} to {lat[-1]:g} and {lon[0]:g} to {lon[-1]:g} degrees"


def summarize_tree(folder, output, variables, index, periods, minimum_years, experiments):
    """Summarize all simulations of a tree into ``output``/{experiment}/{member}.nc, for the ``experiments`` we know."""
    rows = read_variables(variables, role="field")
    levels = {name: [row.level for row in found] for name, found in derive.submitted_rows(rows).items()}
    for (experiment, member), files in find_simulations(folder).items():
        if experiment in experiments:
            path = Path(output, experiment, f"{member}.nc")
            units = derive.submission_units(rows)
            summarize_simulation(files, path, levels, units, index, evaluation_periods(periods), minimum_years)


def main(arguments=None):
    """Command line."""
    parser = program.command_line(__doc__)
    parser.add_argument("--folder", required=True, help="submission tree of the other model")
    parser.add_argument("--variables", required=True, help="table of variables, CSV")
    add_summarizing(parser)
    parser.add_argument("--experiments", nargs="+", required=True, help="experiments to read; others are left out")
    parser.add_argument("--out", required=True, help="folder for {experiment}/{member}.nc")
    return program.run(
        parser,
        lambda given: summarize_tree(
            given.folder,
            given.out,
            given.variables,
            given.index,
            given.periods,
            given.minimum_years,
            given.experiments,
        ),
        arguments,
    )


if __name__ == "__main__":
    sys.exit(main())
