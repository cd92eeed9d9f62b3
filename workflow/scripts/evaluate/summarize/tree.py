"""Another model's submission tree as summaries, tolerant of the ways in which real submissions differ from the rules.

Known deviations, all corrected here and nowhere else: experiments named aimip-2k, or by the directory only; surface
temperature as ``tos`` in Celsius; geopotential in the place of geopotential height; no 2 m humidity but dewpoint; other
pressure levels (linear in pressure, no extrapolation, as AIMIP's evaluation does); months before or after the
simulation; members told apart by the physics index; several versions (the last counts); variables on several grids.
Grids must be latitude-longitude: a HEALPix tree has to be regridded first.
"""

import logging
import sys
from collections import Counter
from pathlib import Path

import netCDF4
import numpy as np

from workflow.scripts.common import program
from workflow.scripts.common.grids import lat_overlap, lon_overlap
from workflow.scripts.common.months import month_range
from workflow.scripts.common.periods import evaluation_periods
from workflow.scripts.common.variables import read_variables
from workflow.scripts.evaluate.arguments import add_summarizing
from workflow.scripts.evaluate.summarize.inputs import FILL_LIMIT, read_index, read_months, year_slices
from workflow.scripts.evaluate.summarize.summary import Summary, field_name
from workflow.scripts.submission import derive
from workflow.scripts.submission.tree import find_simulations

CELSIUS = ("degC", "C", "celsius", "deg_C", "degrees_Celsius")
# (variable, units as found): factor, offset, units of the submission
UNITS = {
    **{("ts", name): (1, 273.15, "K") for name in CELSIUS},
    **{("tas", name): (1, 273.15, "K") for name in CELSIUS},
    **{("zg", name): (1 / derive.GRAVITY, 0, "m") for name in ("m2 s-2", "m**2 s**-2", "m^2 s^-2", "m2/s2", "m^2/s^2")},
    **{("pr", name): (1 / 86400, 0, "kg m-2 s-1") for name in ("mm/day", "mm day-1", "mm d-1")},
    **{(variable, "hPa"): (100, 0, "Pa") for variable in ("ps", "psl")},
    **{(variable, name): (1e-3, 0, "1") for variable in ("hus", "huss") for name in ("g kg-1", "g/kg")},
}
GEOPOTENTIAL = 20000  # no height (m) of 500 hPa reaches it and every geopotential (m2 s-2) exceeds it


class Reader:
    """One variable of one file, in the submission's units, for the months of the simulation."""

    def __init__(self, path, variable, months):
        self.data, self.variable = netCDF4.Dataset(path), variable
        self.data.set_auto_mask(False)
        stored = path.name.split("_")[0]
        if stored not in self.data.variables:
            raise ValueError(f"{path} has no variable '{stored}', which its name begins with")
        self.values = self.data[stored]
        if self.values.dimensions[-2:] != ("lat", "lon"):
            raise ValueError(f"{path} is on {self.values.dimensions[-2:]}, not on (lat, lon): regrid that tree first")
        found = read_months(self.data, path)
        absent = np.setdiff1d(months, found)
        if absent.size:
            raise ValueError(f"{path} lacks {absent.size} months of the simulation, the first is {absent[0]}")
        self.start = int((months[0] - found[0]).astype(int))
        self.lat, self.lon = self.data["lat"][:], self.data["lon"][:]
        self.plev = np.atleast_1d(self.data["plev"][:]) / 100 if "plev" in self.data.variables else None
        self.factor, self.offset, self.units = UNITS.get(
            (variable, getattr(self.values, "units", "")), (1, 0, getattr(self.values, "units", ""))
        )
        if variable == "zg" and self.factor == 1 and np.median(self.values[0]) > GEOPOTENTIAL:
            self.factor, self.units = 1 / derive.GRAVITY, "m"

    def year(self, span):
        """Months ``span`` of the simulation as (month, level, lat, lon), NaN where the file has its fill value."""
        values = self.values[self.start + span.start : self.start + span.stop].astype(np.float64)
        values = values if values.ndim == 4 else values[:, None]
        return np.where(np.abs(values) < FILL_LIMIT, values, np.nan) * self.factor + self.offset

    def level(self, values, level):
        """``values`` (month, level, lat, lon) at a pressure level in hPa, linear in pressure; None if out of range."""
        if self.plev is None or len(self.plev) == 1:
            return values[:, 0]
        order = np.argsort(self.plev)
        plev = self.plev[order]
        if not plev[0] - 1e-6 <= level <= plev[-1] + 1e-6:
            return None
        upper = min(max(int(np.searchsorted(plev, level)), 1), len(plev) - 1)
        share = (level - plev[upper - 1]) / (plev[upper] - plev[upper - 1])
        return (1 - share) * values[:, order[upper - 1]] + share * values[:, order[upper]]


def summarize_simulation(files, output, levels, index, periods, minimum_years):
    """Summarize one simulation of another model.

    files: {variable: path}; levels: {variable: [hPa]} as submitted, None at the surface; the rest as in simulation.py.
    """
    months = month_range(*periods["simulation"])
    readers = {name: Reader(path, name, months) for name, path in files.items() if name in levels or name == "tdas"}
    if not readers:
        raise ValueError(f"none of {', '.join(map(str, files.values()))} is a variable of the submission")
    if "huss" not in readers and {"tdas", "ps"} <= set(readers):
        readers["huss"] = None
    grids = Counter()
    for name, reader in readers.items():
        if reader is not None:
            grids[tuple(reader.lat), tuple(reader.lon)] += len(levels.get(name, []))
    ((lat, lon), _), *others = grids.most_common()
    if others:
        logging.warning(
            "%s: variables are on %d grids, regridded conservatively to the most frequent", output, len(grids)
        )
    summary = Summary(months, np.array(lat), np.array(lon), periods, read_index(index), minimum_years)
    for name, reader in readers.items():
        base = reader or readers["tdas"]
        regrid = None
        if (tuple(base.lat), tuple(base.lon)) != (lat, lon):
            regrid = lat_overlap(base.lat, np.array(lat)), lon_overlap(base.lon, np.array(lon)).T
        for span in year_slices(months):
            if reader is None:
                values = derive.specific_humidity(readers["tdas"].year(span), readers["ps"].year(span))
            else:
                values = reader.year(span)
            for level in levels[name]:
                at = values[:, 0] if level is None else base.level(values, level)
                if at is None:
                    if span.start == 0:
                        logging.warning("%s: %s has no level around %s hPa: left out", output, name, level)
                    continue
                at = at if regrid is None else regrid[0] @ at @ regrid[1]
                summary.add(field_name(name, level), months[span], at, "1" if reader is None else base.units)
    for reader in filter(None, readers.values()):
        reader.data.close()
    summary.write(output, title="statistics of one simulation of another model for the evaluation")


def summarize_tree(folder, output, variables, index, periods, minimum_years, experiments):
    """Summarize all simulations of a tree into ``output``/{experiment}/{member}.nc, for the ``experiments`` we know."""
    levels = {}
    for row in read_variables(variables, role="field"):
        for name in row.cmor_name:
            levels.setdefault(name, []).append(row.level)
    for (experiment, member), files in find_simulations(folder).items():
        if experiment in experiments:
            path = Path(output, experiment, f"{member}.nc")
            summarize_simulation(files, path, levels, index, evaluation_periods(periods), minimum_years)


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
