"""A catalogue for intake-esm: ``catalog.json`` (esmcat specification 0.1.0) and ``catalog.csv``, its table.

The table has a row for each file of the submission, with the columns of CMIP6 catalogues. Paths are relative to it, so
that the tree can be moved; intake-esm takes them from the current folder, so the catalogue is opened in its own.
Threads are refused by the environment, since a search forgets ``threaded=False`` (intake-esm 2025.12.12):

    os.environ["ITK_ESM_THREADING"] = "False"
    with contextlib.chdir(folder):
        catalog = intake.open_esm_datastore("catalog.json")
        datasets = {key: catalog[key].to_dask() for key in catalog.keys()}

A dataset has all members, and all variables with one vertical axis: what is at 2 m and at 10 m, or on other levels, has
coordinates of one name and other values, which no join leaves right.
"""

import csv
import json
from pathlib import Path, PurePosixPath

from workflow.scripts.common.atomic import atomic_path
from workflow.scripts.common.mip_tables import read_entries, vertical_axis
from workflow.scripts.submission.drs import FOLDERS, facets_of, facets_of_name

NAME = "catalog.json"
TABLE_NAME = "catalog.csv"
VERTICAL = "vertical_axis"  # name of it in the MIP tables, such as height2m; "none" of a field at the surface
GROUPS = ("activity_id", "institution_id", "source_id", "experiment_id", "table_id", "grid_label", VERTICAL)
COLUMNS = ("activity_id", *FOLDERS[:-1], VERTICAL, "version", "time_range", "path")


def write_catalog(folder, paths, facts):
    """Write ``catalog.json`` and ``catalog.csv`` of the files of a submission into ``folder``.

    ``folder``: that of the model, .../institution/source. ``paths``: of the files below it. ``facts``: folder of the
    MIP tables that they were written by. Raises ValueError if a path is not one of a submission.
    """
    folder, axes = Path(folder), vertical_axes(facts)
    rows = [row(folder.parts[-2:], path, axes) for path in sorted(paths)]
    with atomic_path(folder / TABLE_NAME) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    with atomic_path(folder / NAME) as temporary:
        temporary.write_text(json.dumps(catalog(*folder.parts[-2:]), indent=1) + "\n", encoding="utf-8")


def catalog(institution, source):
    """The catalogue without its table, as a dict (esmcat specification 0.1.0)."""
    return {
        "esmcat_version": "0.1.0",
        "id": f"{institution}_{source}",
        "title": f"{source}: submission to AIMIP Phase 1",
        "description": f"Monthly means of {source} ({institution}); paths are relative to this file.",
        "catalog_file": TABLE_NAME,
        "attributes": [{"column_name": name} for name in COLUMNS if name != "path"],
        "assets": {"column_name": "path", "format": "netcdf"},
        "aggregation_control": {
            "variable_column_name": "variable_id",
            "groupby_attrs": list(GROUPS),
            "aggregations": [
                {"type": "union", "attribute_name": "variable_id"},
                {"type": "join_existing", "attribute_name": "time_range", "options": {"dim": "time"}},
                {
                    "type": "join_new",
                    "attribute_name": "member_id",
                    "options": {"coords": "minimal", "compat": "override"},
                },
            ],
        },
    }


def row(above, path, axes):
    """The row of one file, as a dict.

    ``above``: the names (institution, source) that ``path`` is below. ``axes``: ``vertical_axes``. Raises ValueError
    if the path or its variable is not one of the submission.
    """
    parts = PurePosixPath(path).parts
    name = facets_of_name(parts[-1])
    if name is None or len(above) + len(parts) != len(FOLDERS) + 1 or name["variable_id"] not in axes:
        raise ValueError(f"'{path}' is not the path of a file of the submission; run the checks, which say why")
    return {
        "activity_id": "AIMIP",
        **facets_of((*above, *parts[:-1])),
        VERTICAL: axes[name["variable_id"]],
        "time_range": name["period"],
        "path": str(path),
    }


def vertical_axes(facts):
    """{variable: name of its vertical axis in the MIP tables of the folder ``facts``, or "none"}."""
    return {name: vertical_axis(entry) or "none" for name, entry in read_entries(facts).items()}
