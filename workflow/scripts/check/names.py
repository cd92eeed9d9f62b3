"""Rules on folders and file names: what the path of a file must say."""

import re

from workflow.scripts.check.rules import rule
from workflow.scripts.common.experiments import OFFICIAL
from workflow.scripts.submission.drs import (
    FOLDERS,
    MODEL_NAME,
    MODEL_NAME_HELP,
    NAME,
    TABLE,
    VERSION,
    VERSION_HELP,
    realization,
)


@rule("file")
def layout(file, expected):
    """Eight folders lead to a file: institution/source/experiment/member/Amon/variable/grid/version."""
    if file.facets is None:
        yield f"{len(file.relative.split('/')) - 1} folders lead to it, not the {len(FOLDERS)} {'/'.join(FOLDERS)}"


@rule("file")
def name_parts(file, expected):
    """A file name has seven parts: variable_Amon_source_experiment_member_grid_period.nc."""
    if file.name_facets is None:
        yield f"the name '{file.path.name}' does not have the {len(NAME)} parts {'_'.join(NAME)} and the ending .nc"


@rule("file")
def name_agrees(file, expected):
    """File name and folders agree."""
    for key, value in (file.name_facets or {}).items():
        if key in file.facets and file.facets[key] != value:
            yield f"the name says {key} '{value}', the folder '{file.facets[key]}'"


@rule("file")
def model_name(file, expected):
    """Institution and model names are letters and digits, with single dashes between them."""
    for key in ("institution_id", "source_id"):
        if not re.fullmatch(MODEL_NAME, file.facets[key]):
            yield f"{key} '{file.facets[key]}' is not of {MODEL_NAME_HELP}"


@rule("file")
def experiment_name(file, expected):
    """The experiment is aimip, aimip-p2k or aimip-p4k, or the one of our own that the tables are for."""
    own = {expected.settings["attributes"]["experiment_id"]} if expected.settings else set()
    if file.facets["experiment_id"] not in OFFICIAL.keys() | own:
        extra = "".join(f" nor {name}" for name in own - OFFICIAL.keys())
        yield f"the experiment is '{file.facets['experiment_id']}', not aimip, aimip-p2k or aimip-p4k{extra}"


@rule("file")
def member_name(file, expected):
    """Members are r1i1p1f1, r2i1p1f1, ..: only r counts them."""
    if realization(file.facets["member_id"]) is None:
        yield f"the member is '{file.facets['member_id']}', not r1i1p1f1, r2i1p1f1, .."


@rule("file")
def table_name(file, expected):
    """The table is Amon."""
    if file.facets["table_id"] != TABLE:
        yield f"the table is '{file.facets['table_id']}', not {TABLE}"


@rule("file")
def grid_name(file, expected):
    """The grid label is gn or gr."""
    if file.grid not in ("gn", "gr"):
        yield f"the grid label is '{file.grid}', not gn or gr"


@rule("file")
def version_name(file, expected):
    """The version is v and a date."""
    if not re.fullmatch(VERSION, file.facets["version"]):
        yield f"the version is '{file.facets['version']}', not {VERSION_HELP}"


@rule("file")
def period_name(file, expected):
    """The file name's period is that of the simulation."""
    found = (file.name_facets or {}).get("period", expected.label)
    if found != expected.label:
        yield f"the name's period is {found}, not {expected.label}"


@rule("file", warning=True)
def variable_name(file, expected):
    """The variable is one of AIMIP's."""
    if file.variable not in expected.entries:
        yield f"'{file.variable}' is not one of {' '.join(expected.entries)}: its values are not checked"
