"""Names in a submission: the path of a file from its facets and back (CMIP data reference syntax, AIMIP's order).

``{institution}/{source}/{experiment}/{member}/Amon/{variable}/{grid}/{version}/`` holds
``{variable}_Amon_{source}_{experiment}_{member}_{grid}_{period}.nc``. Needs the standard library only, so CMOR's
interpreter and the Snakefile can import it.
"""

import re

TABLE = "Amon"
# What names may be; the patterns of the config's schema are these.
MODEL_NAME = r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*"  # of an institution and of a model
MODEL_NAME_HELP = "letters and digits, with single dashes between them"
VERSION = r"v[12][0-9]{3}(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])"
VERSION_HELP = "v and a date, such as v20261122"
MEMBER = r"r(\d+)i(\d+)p(\d+)f(\d+)"  # the numbers: realization, initialization, physics, forcing
FURTHER_INFO_URL = r"https://\S+"
TRACKING_PREFIX = "hdl:21.14100"  # CMIP6's, of the handles that files are registered under
FOLDERS = (
    "institution_id",
    "source_id",
    "experiment_id",
    "member_id",
    "table_id",
    "variable_id",
    "grid_label",
    "version",
)
NAME = ("variable_id", "table_id", "source_id", "experiment_id", "member_id", "grid_label", "period")


def member_label(realization):
    """``r1i1p1f1`` for realization 1: only r tells AIMIP members apart."""
    return f"r{realization}i1p1f1"


def submission_path(institution_id, source_id, experiment, member, variable, grid, version, period):
    """Path of one file below the submission's root; ``member`` is the realization, ``period`` like 197810-202412."""
    label = member_label(member)
    name = f"{variable}_{TABLE}_{source_id}_{experiment}_{label}_{grid}_{period}.nc"
    return f"{institution_id}/{source_id}/{experiment}/{label}/{TABLE}/{variable}/{grid}/{version}/{name}"


def facets_of(folders):
    """Facets from the last eight folder names of a file, as a dict."""
    return dict(zip(FOLDERS, folders[-len(FOLDERS) :], strict=True))


def facets_of_name(name):
    """Facets from a file name, or None where it does not have seven parts and the ending .nc."""
    parts = name.removesuffix(".nc").split("_")
    return dict(zip(NAME, parts, strict=True)) if name.endswith(".nc") and len(parts) == len(NAME) else None


def realization(member_id):
    """The number n of ``r{n}i1p1f1``, or None where ``member_id`` is not of that form."""
    match = re.fullmatch(r"r([1-9]\d*)i1p1f1", member_id)
    return int(match[1]) if match else None
