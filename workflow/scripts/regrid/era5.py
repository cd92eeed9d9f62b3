"""One year of ERA5 on the model's grid: float32 (time, level, lat, lon), from south to north, 1000 hPa first."""

import functools
import sys
from contextlib import ExitStack

import numpy as np

from workflow.scripts.common import program
from workflow.scripts.common.ncfiles import add_coordinate, add_field, add_grid, add_times, new_file
from workflow.scripts.common.variables import read_variables
from workflow.scripts.inputs.era5 import END_OF_HOUR, holds, open_members, read_fields
from workflow.scripts.regrid.operators import Weights, add_regridding, long_name, regrid_field

HOURS = "hours since 1978-10-01"


def regrid_era5(sources, weights_path, variables_path, output, product="monthly", threshold=0.5):
    """Regrid the ERA5 files of one year, ``sources`` {dataset: path}, to one file (time, [level,] lat, lon).

    A field stays NaN on levels that config/variables.csv does not list for it; ``given_levels`` says which it has.
    Raises ValueError that names the file for a missing field or the wrong grid, or files without a common month.
    """
    weights = Weights(weights_path)
    rows = {name: read_variables(variables_path, dataset=name) for name in sources}
    with ExitStack() as stack:
        members = [
            (stack.enter_context(member), name, path)
            for name, path in sources.items()
            for member in open_members(path, product)
        ]
        for member, _, path in members:
            weights.check(member["latitude"].values, member["longitude"].values, path)
        times = _common_times(members, product)
        with new_file(output, f"{product} fields on the model grid") as file:
            _add_axes(file, weights, times, product, [row for group in rows.values() for row in group])
            done = [
                _regrid_member(file, weights, member, rows[dataset], times, product, threshold)
                for member, dataset, _ in members
            ]
            _refuse_missing(rows, sources, done)


def _common_times(members, product):
    """The times of the year: of monthly files those that all datasets have, since a centre's may hold months more.

    Hourly datasets differ by the hour that ends a month, so that all of theirs are taken.
    """
    found = {name: [] for _, name, _ in members}
    for member, name, _ in members:
        found[name].append(member["time"].values)
    found = [np.unique(np.concatenate(times)) for times in found.values()]
    if product != "monthly":
        return np.unique(np.concatenate(found))
    common = functools.reduce(np.intersect1d, found)
    if not common.size:
        paths = " and ".join(dict.fromkeys(str(path) for _, _, path in members))
        raise ValueError(f"{paths} have no month in common; give files of one year")
    return common


def _add_axes(file, weights, times, product, rows):
    add_grid(file, weights.lat, weights.lon)
    levels = sorted({row.level for row in rows if row.level is not None}, reverse=True)
    if levels:
        add_coordinate(file, "level", levels)
    add_times(file, times, HOURS if product == "hourly" else "days since 1978-10-01")
    for row in rows:
        if row.short_name not in file.variables:
            dims = ("time", "lat", "lon") if row.level is None else ("time", "level", "lat", "lon")
            variable = add_field(file, row.short_name, dims, units=row.units, long_name=long_name(row))
            variable.stamp = "end of the hour" if row.short_name in END_OF_HOUR else "instant"
            if row.level is not None:
                given = {one.level for one in rows if one.short_name == row.short_name}
                variable.given_levels = np.array(sorted(given, reverse=True), np.float64)


def _regrid_member(file, weights, member, rows, times, product, threshold):
    """Write the fields of ``rows`` that this member holds; return their channels."""
    member = member.isel(time=np.isin(member["time"].values, times))
    place = np.searchsorted(times, member["time"].values)
    levels = list(file["level"][:]) if "level" in file.variables else []
    done = []
    for row, block, values in read_fields(member, [row for row in rows if holds(member, row)], product):
        for step, one in zip(place[block], values, strict=True):
            index = step if row.level is None else (step, levels.index(row.level))
            file[row.short_name][index] = regrid_field(weights, one, row.regrid, threshold)
        done.append(row.channel)
    return done


def _refuse_missing(rows, sources, done):
    done = {channel for channels in done for channel in channels}
    for name, group in rows.items():
        missing = [row.channel for row in group if row.channel not in done]
        if missing:
            raise ValueError(f"{sources[name]} lacks {', '.join(missing)}; download it again")


def main(arguments=None):
    """Command line."""
    parser = program.command_line(__doc__)
    parser.add_argument("--era5", nargs="+", required=True, help="downloaded files of the year, one per dataset")
    parser.add_argument("--datasets", nargs="+", required=True, help="their datasets, in the same order")
    parser.add_argument("--product", default="monthly", help="what the files hold: monthly, daily or hourly values")
    add_regridding(parser)

    def work(given):
        sources = dict(zip(given.datasets, given.era5, strict=True))
        regrid_era5(sources, given.weights, given.variables, given.out, given.product, given.threshold)

    return program.run(parser, work, arguments)


if __name__ == "__main__":
    sys.exit(main())
