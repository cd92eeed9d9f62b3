"""Names in a submission: the path of a file from its facets and back (CMIP data reference syntax, AIMIP's order).

``{institution}/{source}/{experiment}/{member}/Amon/{variable}/{grid}/{version}/`` holds
``{variable}_Amon_{source}_{experiment}_{member}_{grid}_{period}.nc``. Needs the standard library only, so CMOR's
interpreter and the Snakefile can import it.
"""

import re

TABLE = "Amon"
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
