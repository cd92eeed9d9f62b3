"""Monthly means in any netCDF files as the files that ``source: local`` reads, for the fields of a table of variables.

    python -m workflow.scripts.inputs.convert --files a.nc b.nc --variables table.csv --out FOLDER
        [--names msl=slp ...] [--units z500=m ...] [--period 1981-12 2013-03] [--aquaplanet]

The files may each hold some of the fields or some of the months, on one regular global grid with poles, in any order,
axes and units that inputs/labelled.py reads. A row of the table is looked for under its channel, short_name, cds_name
and cmor_name, the latter three with its level behind or on an axis of pressure; ``--names`` says another. Values are
converted to the row's units; ``--units`` says those of a variable that states none.

FOLDER becomes the config's ``local.folder``: {dataset}/{year}.nc, forcing.nc, and static.nc where the table has static
rows. The forcing holds monthly means (``local.forcing_values: mean``). Where no file has a ``land_sea_mask``, land is
where the sea-surface temperature never has a value; where it always has one, ``--aquaplanet`` says that all is sea.
"""

import argparse
import logging
import re
import sys
from pathlib import Path

import numpy as np

from workflow.scripts.common import program
from workflow.scripts.common.months import month_range, year_slices
from workflow.scripts.common.ncfiles import add_coordinate, add_field, add_grid, add_months, new_file
from workflow.scripts.common.units import conversion
from workflow.scripts.common.variable_table import check_table
from workflow.scripts.common.variables import read_variables
from workflow.scripts.inputs.checks import check_grid, check_values
from workflow.scripts.inputs.forcing import LAND_MASK, at_sea, check_forcing
from workflow.scripts.inputs.labelled import load, months, open_labelled, ordered, same_axis, without_time

DIMENSIONS = ("time", "level", "latitude", "longitude")


class Sources:
    """Open files of monthly means on one grid: ``latitude`` (north to south) and ``longitude`` in degrees.

    ``names``: {channel: name in the files}, ``units``: {name in the files: units}, both for what cannot be found. Use
    as a context manager. Raises ValueError with one sentence if a file is on another grid.
    """

    def __init__(self, paths, names, units):
        self.names, self.units, self.files = names, units, []
        try:
            for path in paths:
                self._open(path)
        except Exception:
            self.__exit__()
            raise

    def _open(self, path):
        data = ordered(open_labelled(path))
        self.files.append((path, data, months(data, path) if "time" in data.dims else None))
        latitude, longitude = data["latitude"].values, data["longitude"].values
        try:
            check_grid(latitude, longitude)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        first = self.files[0][1]
        if not all(same_axis(first, data, name) for name in ("latitude", "longitude")):
            raise ValueError(f"{path} and {self.files[0][0]} are on different grids; give files of one grid")
        self.latitude, self.longitude = latitude, longitude

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for _, data, _ in self.files:
            data.close()

    def find(self, row):
        """The Series of the Variable ``row``; raises ValueError if no file holds it, or not in its units."""
        bare = [row.short_name, row.cds_name, *row.cmor_name]
        wanted = [self.names[row.channel]] if row.channel in self.names else [row.channel, *bare]
        leveled = [] if row.level is None else [f"{name}{row.level}" for name in bare]
        pieces = []
        for path, data, stamps in self.files:
            for name in dict.fromkeys([*wanted, *leveled]):
                if name not in data.data_vars:
                    continue
                array = self._at_level(data[name], name, row, path)
                if array is not None:
                    pieces.append((stamps, array, self._factors(array, name, row, path)))
                    break
        if not pieces:
            held = ", ".join(sorted({str(name) for _, data, _ in self.files for name in data.data_vars}))
            raise ValueError(
                f"no file holds '{row.channel}' under one of the names {', '.join([*wanted, *leveled])}; they have "
                f"{held}: say which it is with --names {row.channel}=NAME"
            )
        return Series(row, pieces)

    def _at_level(self, array, name, row, path):
        """``array`` at the row's level on (time,) latitude, longitude; None where it is on other levels."""
        extra = [dim for dim in array.dims if dim not in DIMENSIONS]
        if any(array.sizes[dim] > 1 for dim in extra):
            raise ValueError(
                f"{path}: '{name}' is on ({', '.join(map(str, array.dims))}); give it on time and place only"
            )
        array = array.squeeze(extra)
        if "level" in array.dims:
            places = np.flatnonzero(array["level"].values == row.level)
            return array.isel(level=places[0]) if len(places) else None
        if "level" in array.coords and row.level is not None:  # a file of one level
            return array if array["level"].item() == row.level else None
        # The name alone says nothing of the level of a field without an axis of levels.
        named = row.level is None or str(row.level) in re.findall(r"\d+", name) or row.channel in self.names
        return array if named else None

    def _factors(self, array, name, row, path):
        units = self.units.get(name) or array.attrs.get("units")
        if units is None:
            raise ValueError(
                f"{path}: '{name}' states no units; say them with --units {name}=UNITS, such as {row.units}"
            )
        return conversion(units, row.units, name, path)

    def land(self, sst, aquaplanet=False):
        """Land fraction 0..1 (latitude, longitude): the files' own mask, else where the Series ``sst`` has no value.

        A mask that states no units has none, as AIMIP's. Raises ValueError for other units, and where nothing tells the
        land, which a sea filled in over it hides, unless it is an ``aquaplanet``.
        """
        name = self.names.get(LAND_MASK, LAND_MASK)
        for path, data, _ in self.files:
            if name in data.data_vars:
                stated = self.units.get(name) or data[name].attrs.get("units", "1")
                factor, offset = conversion(stated, "1", name, path)
                mask = without_time(data[name], path).transpose("latitude", "longitude")
                return load(mask) * factor + offset
        logging.info("no file has '%s': land is where '%s' never has a value", name, sst.row.channel)
        land = 1.0 - np.any([np.isfinite(sst.read(part)).any(axis=0) for part in sst.years()], axis=0)
        if not land.any() and not aquaplanet:
            raise ValueError(
                f"'{sst.row.channel}' has a value everywhere and no file has '{name}', so that nothing tells the land: "
                f"name a mask with --names {LAND_MASK}=NAME, or say --aquaplanet if there is none"
            )
        return land


class Series:
    """One field: its Variable ``row`` and its ``months`` (datetime64[M], in order); None for one that has no time."""

    def __init__(self, row, pieces):
        self.row, self.pieces = row, pieces
        timed = [stamps for stamps, array, _ in pieces if "time" in array.dims]
        self.months = None
        if timed:
            self.months, counts = np.unique(np.concatenate(timed), return_counts=True)
            if (counts > 1).any():
                raise ValueError(
                    f"'{row.channel}' is there twice in {self.months[counts > 1][0]}; give each month once"
                )

    def years(self):
        """The months of each calendar year."""
        return [self.months[part] for part in year_slices(self.months)]

    def read(self, wanted=None):
        """Values of the months ``wanted`` (time, latitude, longitude), float32 in the row's units; of all if None."""
        found = {}
        for stamps, array, (factor, offset) in self.pieces:
            if "time" in array.dims and wanted is not None:
                places = np.flatnonzero(np.isin(stamps, wanted))
                if not len(places):
                    continue
                array, stamps = array.isel(time=places), stamps[places]
            values = load(array.transpose(..., "latitude", "longitude")) * factor + offset
            values = values if "time" in array.dims else values[None]
            found |= dict(zip([None] if stamps is None else stamps.tolist(), values, strict=False))
        wanted = list(found) if wanted is None else wanted.tolist()
        return np.stack([found[month] for month in wanted]).astype(np.float32)


def convert(paths, variables, folder, names=None, units=None, period=None, aquaplanet=False):
    """Write the fields that the table ``variables`` names, from the netCDF files ``paths``, into ``folder``.

    ``names`` {channel: name in the files} and ``units`` {name in the files: units} help where the files do not say;
    ``period``: first and last month ("YYYY-MM"), default all that the fields have in common. ``aquaplanet``: there is
    no land. Raises ValueError with one sentence for what is missing, has no units, is on another grid, or has a value
    that cannot be.
    """
    check_table(variables)
    folder, rows = Path(folder), read_variables(variables)
    with Sources(paths, names or {}, units or {}) as sources:
        series = {
            role: [sources.find(row) for row in rows if row.role == role] for role in ("field", "forcing", "static")
        }
        wanted = _common_months(series["field"] + series["forcing"], period)
        sst = next(one for one in series["forcing"] if one.row.channel == "sst")
        land = sources.land(sst, aquaplanet)
        for part in year_slices(wanted):
            for dataset in dict.fromkeys(one.row.dataset for one in series["field"]):
                chosen = [one for one in series["field"] if one.row.dataset == dataset]
                _write(folder / dataset / f"{wanted[part.start].astype(object).year}.nc", sources, chosen, wanted[part])
        if series["static"]:
            _write(folder / "static.nc", sources, series["static"], wanted[:1])
        _write(folder / "forcing.nc", sources, series["forcing"], wanted, land)
    forcings = [row for row in rows if row.role == "forcing"]
    check_forcing(folder / "forcing.nc", forcings, str(wanted[0]), str(wanted[-1]), "mean")
    logging.info("%s..%s of %d fields are in %s", wanted[0], wanted[-1], len(rows), folder)


def _common_months(series, period):
    """The months that all ``series`` have, or those of ``period``; raises ValueError that names one that is missing."""
    for one in series:
        if one.months is None:
            raise ValueError(f"'{one.row.channel}' has no time, but is no static field")
    months = series[0].months
    for one in series[1:]:
        months = np.intersect1d(months, one.months)
    if period is None and not len(months):
        raise ValueError("the fields have no month in common; give files of one period")
    wanted = month_range(*period) if period else month_range(str(months[0]), str(months[-1]))
    for one in series:
        absent = np.setdiff1d(wanted, one.months)
        if len(absent):
            raise ValueError(
                f"'{one.row.channel}' lacks {len(absent)} months of {wanted[0]}..{wanted[-1]}: {absent[0]}"
            )
    return wanted


def _write(path, sources, series, months, land=None):
    """One file of ``series`` in ``months``: fields by short_name, with a forcing's names where ``land`` is given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    levels = sorted({one.row.level for one in series if one.row.level is not None}, reverse=True)
    with new_file(path, "monthly means for the workflow's source local") as file:
        add_months(file, months)
        if levels:
            add_coordinate(file, "level", levels)
        add_grid(file, sources.latitude, sources.longitude)
        for one in series:
            row = one.row
            name = row.short_name if land is None else row.cds_name
            if name not in file.variables:
                dims = ("time", "lat", "lon") if row.level is None else ("time", "level", "lat", "lon")
                add_field(file, name, dims, units=row.units, long_name=row.cds_name.replace("_", " "))
            for part in year_slices(months):
                values = one.read()[:1] if row.role == "static" else one.read(months[part])
                values = at_sea(values, land) if row.channel == "sst" else values
                check_values(values, row, months[part])
                file[name][(part,) if row.level is None else (part, levels.index(row.level))] = values
        if land is not None:
            add_field(file, LAND_MASK, ("lat", "lon"), units="1")[:] = land


def _pair(text):
    key, sign, value = text.partition("=")
    if not (key and sign and value):
        raise argparse.ArgumentTypeError(f"'{text}' is not of the form NAME=VALUE")
    return key, value


def main(arguments=None):
    """Command line."""
    parser = program.command_line(__doc__)
    parser.add_argument("--files", nargs="+", required=True, help="netCDF files of monthly means")
    parser.add_argument("--variables", required=True, help="table of variables, CSV")
    parser.add_argument("--names", nargs="+", default=[], type=_pair, metavar="CHANNEL=NAME", help="names in the files")
    parser.add_argument("--units", nargs="+", default=[], type=_pair, metavar="NAME=UNITS", help="units not stated")
    parser.add_argument("--period", nargs=2, metavar="MONTH", help="first and last month, YYYY-MM")
    parser.add_argument("--aquaplanet", action="store_true", help="there is no land")
    parser.add_argument("--out", required=True, help="folder for the files: the config's local.folder")

    def work(given):
        told = dict(given.names), dict(given.units), given.period, given.aquaplanet
        convert(given.files, given.variables, given.out, *told)

    return program.run(parser, work, arguments)


if __name__ == "__main__":
    sys.exit(main())
