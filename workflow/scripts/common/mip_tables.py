"""The MIP tables: those of config/cmor, and those that cmorize/tables.py writes for an experiment, in CMOR's format.

Entries are of variables, as the file holds them; one names its axes, whose facts are in another file. Needs the
standard library only, so CMOR's interpreter and the Snakefile can import it.
"""

import json
from pathlib import Path

ENTRIES, AXES, FORMULAS = MIP_TABLES = ("AIMIP_Amon.json", "AIMIP_coordinate.json", "AIMIP_formula_terms.json")
VOCABULARY = "AIMIP_CV.json"
SUBMISSION = "submission.json"  # what the writer and the checks need beside CMOR's
TABLE_FILES = (*MIP_TABLES, VOCABULARY, SUBMISSION)  # all that an experiment has
HORIZONTAL = {"longitude", "latitude", "time"}


def read_table(folder, name):
    """The whole content of the file ``name`` in ``folder``, a dict."""
    return json.loads(Path(folder, name).read_text(encoding="utf-8"))


def read_entries(folder):
    """The variables of the tables in ``folder``: {name: entry}, in the order of the file."""
    return read_table(folder, ENTRIES)["variable_entry"]


def read_axes(folder):
    """The axes of the tables in ``folder``: {name: facts}."""
    return read_table(folder, AXES)["axis_entry"]


def vertical_axis(entry):
    """Name of the axis of a variable's ``entry`` beside time, latitude and longitude, as height2m; None without one."""
    return next((axis for axis in entry["dimensions"].split() if axis not in HORIZONTAL), None)


def pressure_axis(entry):
    """Name of the ``vertical_axis`` where it is one of pressure levels, as plev3; None elsewhere."""
    return _vertical_axis(entry, "plev")


def height_axis(entry):
    """Name of the ``vertical_axis`` where it is a height above the surface, as height10m; None elsewhere."""
    return _vertical_axis(entry, "height")


def _vertical_axis(entry, kind):
    axis = vertical_axis(entry)
    return axis if axis is not None and axis.startswith(kind) else None


def levels(entry, axes):
    """Pressure levels (Pa) of a variable's ``entry``, surface first, by ``axes``; none at the surface."""
    axis = pressure_axis(entry)
    return [] if axis is None else [float(level) for level in axes[axis]["requested"]]


def height(entry, axes):
    """Height above the surface (m) of a variable's ``entry`` by ``axes``, or None."""
    axis = height_axis(entry)
    return None if axis is None else float(axes[axis]["value"])
