"""Tables and controlled vocabulary that CMOR enforces for one experiment, from the config and config/cmor.

Written into one folder: ``AIMIP_Amon.json``, ``AIMIP_coordinate.json`` and ``AIMIP_formula_terms.json`` (the
project's own MIP tables, as they stand in config/cmor; of a table of variables that is not AIMIP's, the variables and
levels that it names), ``AIMIP_CV.json`` (vocabulary: the names, license and grids
that the config allows, and no others) and ``submission.json`` (global attributes, grids, period, SST offset and what
else makes the sea another, deflate level: what cmorize/simulation.py and the checks read). One folder per experiment,
so that a new one touches no other.
"""

import json
import logging
import re
import shutil
import sys
from pathlib import Path

from workflow.scripts.common import program
from workflow.scripts.common.addresses import email_addresses
from workflow.scripts.common.checksums import digests
from workflow.scripts.common.experiments import NAME, NAME_HELP, canonical, describe
from workflow.scripts.common.grids import centres
from workflow.scripts.common.mip_tables import (
    AXES,
    ENTRIES,
    MIP_TABLES,
    SUBMISSION,
    VOCABULARY,
    pressure_axis,
    read_table,
)
from workflow.scripts.common.months import period_label
from workflow.scripts.common.variables import read_variables
from workflow.scripts.submission.attributes import REQUIRED_ATTRIBUTES, nominal_resolution
from workflow.scripts.submission.derive import left_out, submitted_rows
from workflow.scripts.submission.drs import (
    FURTHER_INFO_URL,
    MODEL_NAME,
    MODEL_NAME_HELP,
    TABLE,
    TRACKING_PREFIX,
    VERSION,
    VERSION_HELP,
)

LICENSE = (
    "AIMIP model data produced by {institution} is licensed under a Creative Commons Attribution 4.0 International "
    "License (https://creativecommons.org/licenses/by/4.0/). Further information about this data, including some "
    "limitations, can be found via the further_info_url (recorded as a global attribute in this file). The data "
    "producers and data providers make no warranty, either express or implied, including, but not limited to, "
    "warranties of merchantability and fitness for a particular purpose. All liabilities arising from the supply of "
    "the information (including any liability arising in negligence) are excluded to the fullest extent permitted "
    "by law."
)

NAME_RULES = {
    "institution_id": (MODEL_NAME, MODEL_NAME_HELP),
    "source_id": (MODEL_NAME, MODEL_NAME_HELP),
    "experiment": (NAME, NAME_HELP),
    "version": (VERSION, VERSION_HELP),
    "further_info_url": (FURTHER_INFO_URL, "an address that starts with https://"),
}


def write_tables(
    folder, facts, variables, experiment, sst_offset, submission, resolution, simulation, pattern=None, ice="keep"
):
    """Write the five files of ``mip_tables.TABLE_FILES`` into ``folder``.

    ``facts``: the folder config/cmor. ``variables``: the table of variables. ``experiment``: its name, and
    ``sst_offset`` its warming of the sea surface (K). ``submission``: that section of the config. ``resolution``: of
    the native grid (degrees). ``simulation``: first and last month, ("1978-10", "2024-12"). ``pattern``: file of maps
    added to the sea surface temperature; ``ice``: keep or follow. Raises ValueError in one sentence naming the first
    value that AIMIP does not allow.
    """
    check_names(experiment, submission)
    sea = prescribed_sea(sst_offset, pattern, ice)
    contents = {
        VOCABULARY: vocabulary(experiment, sea, submission, resolution),
        SUBMISSION: settings(experiment, sea, submission, resolution, simulation),
    }
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name in MIP_TABLES:
        shutil.copyfile(Path(facts) / name, folder / name)
    contents |= own_variables(facts, read_variables(variables, role="field"))
    for name, content in contents.items():
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def own_variables(facts, rows):
    """Contents {file: dict} of the MIP tables that differ from those in ``facts`` for the ``rows`` of fields.

    None where the rows make the variables of those tables on their levels. A variable on other levels gets an axis of
    its own. What the rows leave out goes to the log.
    """
    table, axes = (read_table(facts, name) for name in (ENTRIES, AXES))
    entries, axis_entries = table["variable_entry"], axes["axis_entry"]
    sources, used, own = submitted_rows(rows), {}, {}
    for name, entry in entries.items():
        if name not in sources:
            reason = left_out(rows).get(name, "no field makes it")
            logging.warning("%s of AIMIP is left out: %s", name, reason)
            continue
        levels = [f"{row.level * 100}." for row in sources[name] if row.level]
        known = pressure_axis(entry)
        if known and axis_entries[known]["requested"] != levels:
            axis = "plev" + "p".join(str(row.level) for row in sources[name])
            own[axis] = axis_entries[known] | {"requested": levels}
            logging.warning("%s is on %s Pa, not on the levels of AIMIP", name, ", ".join(levels))
            comment = entry["comment"].replace(" at 500 hPa", "")
            entry = entry | {"dimensions": entry["dimensions"].replace(known, axis), "comment": comment}
        used[name] = entry
    if used == entries:
        return {}
    return {
        ENTRIES: table | {"variable_entry": used},
        AXES: axes | {"axis_entry": axis_entries | own},
    }


def check_names(experiment, submission):
    """Raise ValueError in one sentence if a name breaks AIMIP's rules (NAME_RULES), or a text says nothing."""
    for key, (pattern, allowed) in NAME_RULES.items():
        value = experiment if key == "experiment" else submission[key]
        if not re.fullmatch(pattern, value):
            place = "experiments" if key == "experiment" else f"submission.{key}"
            raise ValueError(f"config {place}: '{value}' is not allowed, use {allowed}")
    if not email_addresses(submission["contact"]):
        raise ValueError(
            f"config submission.contact: '{submission['contact']}' is not allowed, use text with an e-mail address"
        )
    for key in ("institution", "source", "references"):
        if not submission[key].strip():
            raise ValueError(f"config submission.{key} is empty, but every file must state it")


def prescribed_sea(sst_offset, pattern=None, ice="keep"):
    """What the files state of the sea: sst_offset (K) and, where there is more, the pattern, its checksum, the ice."""
    known = {"sst_pattern": Path(pattern).name, "sst_pattern_sha256": digests(pattern)["sha256"]} if pattern else {}
    return canonical({"sst_offset": float(sst_offset), "ice": ice}) | known


def experiment_title(sea):
    """What the experiment is, in words, for the vocabulary and the files."""
    title = "AIMIP: atmosphere with prescribed historical monthly sea surface temperature and sea ice"
    changed = describe(sea)
    return title + (f", sea surface temperature {changed}" if changed else "")


def grid_facts(submission, resolution):
    """For each grid label of the submission: ``resolution`` (degrees), ``poles``, and CMIP's two descriptions."""
    facts = {}
    for label in submission["grids"]:
        native = label == "gn"
        degrees = resolution if native else submission["regridded_resolution"]
        lat, lon = centres(degrees, poles=native)
        size = f"{degrees:g}x{degrees:g} degree latitude-longitude grid"
        text = (
            f"native {size} including poles ({len(lat)}x{len(lon)})"
            if native
            else f"{size} ({len(lat)}x{len(lon)}), conservatively regridded from the native grid"
        )
        facts[label] = {
            "resolution": degrees,
            "poles": native,
            "grid": text,
            "nominal_resolution": nominal_resolution(lat, lon),
        }
    return facts


def vocabulary(experiment, sea, submission, resolution):
    """The controlled vocabulary: exactly what this experiment's files may say."""
    institution_id, source_id = submission["institution_id"], submission["source_id"]
    grids = grid_facts(submission, resolution)
    no_parent = ["no parent"]
    return {
        "CV": {
            "required_global_attributes": list(REQUIRED_ATTRIBUTES),
            "activity_id": {"AIMIP": "AI Model Intercomparison Project"},
            "institution_id": {institution_id: submission["institution"]},
            "source_id": {
                source_id: {
                    "activity_participation": ["AIMIP"],
                    "cohort": ["Published"],
                    "institution_id": [institution_id],
                    "source_id": source_id,
                    "source": submission["source"],
                }
            },
            "source_type": {"AGCM": "atmospheric general circulation model run with prescribed ocean surface"},
            "experiment_id": {
                experiment: {
                    "activity_id": ["AIMIP"],
                    "additional_allowed_model_components": [],
                    "experiment": experiment_title(sea),
                    "experiment_id": experiment,
                    "parent_activity_id": no_parent,
                    "parent_experiment_id": no_parent,
                    "required_model_components": ["AGCM"],
                    "sub_experiment_id": ["none"],
                }
            },
            "sub_experiment_id": {"none": "none"},
            "frequency": {"mon": "monthly mean samples"},
            "grid_label": {label: fact["grid"] for label, fact in grids.items()},
            "nominal_resolution": sorted({fact["nominal_resolution"] for fact in grids.values()}),
            "realm": {"atmos": "Atmosphere"},
            "table_id": [TABLE],
            "mip_era": ["CMIP6"],
            "product": ["model-output"],
            "license": [f"^{basic_regex(LICENSE.format(institution=submission['institution']))}$"],
            "further_info_url": [f"^{basic_regex(submission['further_info_url'])}$"],
            "tracking_id": [f"{TRACKING_PREFIX}/.*"],
            "Conventions": [r"^CF-1.7 CMIP-6.[0-2]\( UGRID-1.0\)\{0,\}$"],
            "data_specs_version": [r"^[[:digit:]]\{2,2\}\.[[:digit:]]\{2,2\}\.[[:digit:]]\{2,2\}$"],
            "variant_label": [r"r[[:digit:]]\{1,\}i[[:digit:]]\{1,\}p[[:digit:]]\{1,\}f[[:digit:]]\{1,\}$"],
            "realization_index": [r"^\[\{0,\}[[:digit:]]\{1,\}\]\{0,\}$"],
            "initialization_index": [r"^\[\{0,\}[[:digit:]]\{1,\}\]\{0,\}$"],
            "physics_index": [r"^\[\{0,\}[[:digit:]]\{1,\}\]\{0,\}$"],
            "forcing_index": [r"^\[\{0,\}[[:digit:]]\{1,\}\]\{0,\}$"],
        }
    }


def basic_regex(text):
    """``text`` as a POSIX basic regular expression that matches only itself (CMOR compares so)."""
    return re.sub(r"([.\[\]*^$\\])", r"\\\1", text)


def settings(experiment, sea, submission, resolution, simulation):
    """What the writer needs beside the tables: global attributes, grids, period, the sea, deflate level."""
    none = "no parent"
    return {
        "attributes": {
            "activity_id": "AIMIP",
            "mip_era": "CMIP6",
            "institution_id": submission["institution_id"],
            "institution": submission["institution"],
            "source_id": submission["source_id"],
            "source": submission["source"],
            "source_type": "AGCM",
            "experiment_id": experiment,
            "experiment": experiment_title(sea),
            "sub_experiment_id": "none",
            "sub_experiment": "none",
            "contact": submission["contact"],
            "references": submission["references"],
            "further_info_url": submission["further_info_url"],
            "license": LICENSE.format(institution=submission["institution"]),
            "calendar": "proleptic_gregorian",
            "tracking_prefix": TRACKING_PREFIX,
            "parent_experiment_id": none,
            "parent_activity_id": none,
            "parent_mip_era": none,
            "parent_source_id": none,
            "parent_time_units": none,
            "parent_variant_label": none,
            "branch_method": none,
            "branch_time_in_child": 0.0,
            "branch_time_in_parent": 0.0,
        },
        "grids": grid_facts(submission, resolution),
        "period": list(simulation),
        "period_label": period_label(*simulation),
        "version": submission["version"],
        **sea,
        "deflate": submission["deflate"],
    }


def main(arguments=None):
    """Command line; returns the exit status."""
    parser = program.command_line(__doc__)
    parser.add_argument("--facts", required=True, help="folder of the project's own MIP tables, config/cmor")
    parser.add_argument("--variables", required=True, help="table of variables, CSV")
    parser.add_argument("--experiment", required=True, help="aimip, aimip-p2k, ...")
    parser.add_argument("--sst-offset", required=True, type=float, help="warming of the sea surface, K")
    parser.add_argument("--sst-pattern", metavar="FILE", help="maps that are added to the sea surface temperature")
    parser.add_argument("--ice", choices=["keep", "follow"], default="keep", help="whether sea ice follows the water")
    parser.add_argument(
        "--submission", required=True, type=program.from_json, metavar="JSON", help="that section of the config"
    )
    parser.add_argument("--resolution", required=True, type=float, help="of the native grid, degrees")
    parser.add_argument(
        "--period", required=True, nargs=2, metavar="MONTH", help="first and last month of the simulation, like 1978-10"
    )
    parser.add_argument("--out", required=True, help="folder for the tables")
    return program.run(
        parser,
        lambda given: write_tables(
            given.out,
            given.facts,
            given.variables,
            given.experiment,
            given.sst_offset,
            given.submission,
            given.resolution,
            given.period,
            given.sst_pattern,
            given.ice,
        ),
        arguments,
    )


if __name__ == "__main__":
    sys.exit(main())
