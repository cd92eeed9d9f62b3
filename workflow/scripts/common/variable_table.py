"""The check of a table of variables before a run: one sentence, with line and column, for whatever is wrong in it.

The meaning of the columns is told in common/variables.py, what the submission calls its variables, in which units and
on which levels, in config/cmor/AIMIP_Amon.json.
"""

import csv
import re
from pathlib import Path

from workflow.scripts.common.mip_tables import pressure_axis, read_entries
from workflow.scripts.common.project import CMOR_FACTS
from workflow.scripts.common.units import unit
from workflow.scripts.common.variables import Variable, read_variables

COLUMNS = tuple(Variable.__dataclass_fields__)
DATASETS = {"field": ("single-levels", "pressure-levels"), "static": ("static",), "forcing": ("forcing",)}
TRANSFORMS = ("none", "sqrt", "logit")
REGRIDS = {"field": ("conservative", "majority"), "static": ("conservative", "majority", "axis"), "forcing": ("sea",)}
# The forcings that the programs know, {channel: (units, transform)}; the first must be there.
FORCINGS = {"sst": ("K", "none"), "siconc": ("1", "logit")}
# Units of channels beside those of the submission's variable: what submission/derive.py makes it from.
CHANNEL_UNITS = {"zg": ("m2 s-2",), "hus": ("kg kg-1",), "huss": ("kg kg-1", "K")}
BEYOND = 0.05  # of the largest valid value: how far beyond what a transform can take rounding and packing may leave one
NAME = r"[A-Za-z][A-Za-z0-9_]*"


def check_table(path):
    """Raise ValueError in one sentence unless the file ``path`` is a table of variables that a run can use."""
    lines = _lines(path)
    entries = read_entries(CMOR_FACTS)
    known = {}
    for number, row in lines:
        for column, problem in _faults(row, entries):
            raise ValueError(f"{path} line {number}, column '{column}': {problem}")
        for column, key in _keys(row):
            if key in known:
                raise ValueError(
                    f"{path} line {number}, column '{column}': '{row[column]}' stands on line {known[key]} already"
                )
            known[key] = number
        _refuse_split(path, number, row, lines)
    _refuse_gaps(path, [row for _, row in lines])


def _lines(path):
    """(line, {column: text}) of every row; raises ValueError if the file is not there or has other columns."""
    if not Path(path).is_file():
        raise ValueError(f"config: 'variables' is '{path}', which is not there; name a table like config/variables.csv")
    with open(path, newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        found = reader.fieldnames or []
        for column in COLUMNS:
            if found.count(column) != 1:
                raise ValueError(
                    f"{path} line 1: the column '{column}' is there {found.count(column)} times, once is wanted; the "
                    f"columns are {', '.join(COLUMNS)}"
                )
        for column in found:
            if column not in COLUMNS:
                raise ValueError(f"{path} line 1: '{column}' is no column, allowed are {', '.join(COLUMNS)}")
        lines = []
        for row in reader:
            if None in row or None in row.values():
                raise ValueError(f"{path} line {reader.line_num}: there are not {len(COLUMNS)} values, one per column")
            lines.append((reader.line_num, row))
    read_variables(path)  # numbers that are none
    return lines


def _faults(row, entries):
    """(column, what is wrong) for each value of a row that is not allowed."""
    role = row["role"]
    if role not in DATASETS:
        yield "role", _allowed(role, DATASETS)
        return
    for column, allowed in (
        ("dataset", DATASETS[role]),
        ("transform", TRANSFORMS),
        ("regrid", REGRIDS[role]),
        *([("channel", FORCINGS), ("short_name", (row["channel"],))] if role == "forcing" else []),
    ):
        if row[column] not in allowed:
            yield column, _allowed(row[column], allowed)
    for column in ("cds_name", "short_name", "channel"):
        if not re.fullmatch(NAME if column != "cds_name" else r"\w+", row[column]):
            yield column, f"'{row[column]}' is no name of letters, digits and underscores"
    on_levels = row["dataset"] == "pressure-levels"
    if on_levels and not (row["level"] and 0 < int(row["level"]) <= 1100):
        yield "level", f"'{row['level']}' is no pressure level, which is a whole number of hPa"
    if not on_levels and row["level"]:
        yield "level", f"'{row['level']}' is the level of a field of {row['dataset']}, which have none; leave it empty"
    if not float(row["valid_min"]) < float(row["valid_max"]):
        yield "valid_max", f"{row['valid_max']} is not above valid_min, {row['valid_min']}"
    if row["regrid"] == "axis" and row["units"] not in ("radian", "radians", "rad"):
        yield "units", f"{_allowed(row['units'], ('radian',))} where regrid is axis"
    yield from _wrong_transform(row)
    yield from _wrong_units(row, entries)


def _wrong_transform(row):
    """A transform takes all that is valid: sqrt holds what is negative for 0, logit is of fractions from 0 to 1."""
    low, high = float(row["valid_min"]), float(row["valid_max"])
    if row["transform"] == "sqrt" and -low > BEYOND * high:
        yield (
            "valid_min",
            f"{row['valid_min']} allows negative values, which the transform sqrt makes 0; write none there",
        )
    if row["transform"] == "logit" and row["units"] != "1":
        yield "units", f"{_allowed(row['units'], ('1',))} where transform is logit, which is of fractions from 0 to 1"
    for column, beyond in (("valid_min", -low), ("valid_max", high - 1)):
        if row["transform"] == "logit" and beyond > BEYOND:
            yield column, f"{row[column]} is no fraction from 0 to 1, of which the transform logit is; write none there"


def _wrong_units(row, entries):
    names = row["cmor_name"].split()
    if row["role"] == "forcing":
        units, transform = FORCINGS[row["channel"]]
        if row["units"] != units:
            yield "units", _allowed(row["units"], (units,))
        if row["transform"] != transform:
            yield "transform", _allowed(row["transform"], (transform,))
    if names and row["role"] != "field":
        yield "cmor_name", f"'{row['cmor_name']}' is made from a {row['role']} row; only fields are submitted"
        return
    for name in names:
        if name not in entries:
            yield "cmor_name", _allowed(name, entries)
            return
        allowed = entries[name]["units"], *CHANNEL_UNITS.get(name, ())
        if row["units"] not in allowed:
            yield "units", f"{_allowed(row['units'], allowed)} where cmor_name is {name}"
        on_levels = pressure_axis(entries[name]) is not None
        if on_levels != bool(row["level"]):
            where = "on pressure levels" if on_levels else "at the surface"
            yield "level", f"'{row['level']}' does not fit cmor_name {name}, a variable {where}"
    if not names and not _is_unit(row["units"]):
        yield "units", f"'{row['units']}' is no unit that udunits knows"


def _is_unit(text):
    """Whether udunits knows the unit."""
    found = unit(text)
    return found is not None and not found.is_unknown()


def _keys(row):
    """(column, what must not stand on two lines): the channel, the field at its level, the submitted variable."""
    yield "channel", ("static" if row["role"] == "static" else "month", row["channel"])
    yield "short_name", (row["role"], row["short_name"], row["level"])
    for name in row["cmor_name"].split():
        yield "cmor_name", ("submitted", name, row["level"])


def _refuse_split(path, number, row, lines):
    """One short_name is one variable of the regridded files, and one cmor_name one of the submission's."""
    for other, first in lines:
        if first["role"] != row["role"] or other >= number:
            continue
        shared = set(first["cmor_name"].split()) & set(row["cmor_name"].split())
        if first["short_name"] == row["short_name"]:
            columns = "dataset", "cds_name", "units", "regrid", "cmor_name"
        else:
            columns = ("short_name",) if shared else ()
        for column in columns:
            if first[column] != row[column]:
                raise ValueError(
                    f"{path} line {number}, column '{column}': '{row[column]}' differs from '{first[column]}' of line "
                    f"{other}, another level of the same variable"
                )


def _refuse_gaps(path, rows):
    """There is something to predict and to submit, and the sea-surface temperature to force it."""
    if not any(row["cmor_name"] for row in rows):
        raise ValueError(f"{path}: no row of role field has a cmor_name, so nothing would be submitted; add one")
    if not any(row["role"] == "forcing" and row["channel"] == "sst" for row in rows):
        raise ValueError(
            f"{path}: there is no row of role forcing with the channel sst, which drives the model; add it"
        )


def _allowed(value, allowed):
    return f"'{value}' is not allowed, write {' or '.join(allowed) if len(allowed) < 4 else ', '.join(allowed)}"
