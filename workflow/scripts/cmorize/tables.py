"""Tables and controlled vocabulary that CMOR enforces for one experiment, from the config and config/cmor.

Written into one folder: ``AIMIP_Amon.json``, ``AIMIP_coordinate.json`` and ``AIMIP_formula_terms.json`` (the
project's own MIP tables, as they stand in config/cmor), ``AIMIP_CV.json`` (vocabulary: the names, license and grids
that the config allows, and no others) and ``submission.json`` (global attributes, grids, period, SST offset, deflate
level: what cmorize/simulation.py and the checks read). One folder per experiment, so that a new one touches no other.
"""

import json
import math
import re
import shutil
from pathlib import Path

import numpy as np

from workflow.scripts.common.experiments import NAME, NAME_HELP, describe
from workflow.scripts.common.grids import bounds, cell_areas, centres, lat_edges, lon_edges
from workflow.scripts.common.months import period_label

MIP_TABLES = ("AIMIP_Amon.json", "AIMIP_coordinate.json", "AIMIP_formula_terms.json")
TABLE_FILES = (*MIP_TABLES, "AIMIP_CV.json", "submission.json")
EARTH_RADIUS_KM = 6371.0

LICENSE = (
    "AIMIP model data produced by {institution} is licensed under a Creative Commons Attribution 4.0 International "
    "License (https://creativecommons.org/licenses/by/4.0/). Further information about this data, including some "
    "limitations, can be found via the further_info_url (recorded as a global attribute in this file). The data "
    "producers and data providers make no warranty, either express or implied, including, but not limited to, "
    "warranties of merchantability and fitness for a particular purpose. All liabilities arising from the supply of "
    "the information (including any liability arising in negligence) are excluded to the fullest extent permitted "
    "by law."
)

# CMIP6's global attributes that every file must carry.
REQUIRED_ATTRIBUTES = (
    "Conventions activity_id creation_date data_specs_version experiment experiment_id forcing_index frequency "
    "further_info_url grid grid_label initialization_index institution institution_id license mip_era "
    "nominal_resolution physics_index product realization_index realm source source_id source_type sub_experiment "
    "sub_experiment_id table_id tracking_id variable_id variant_label"
).split()

# Upper bound of the mean cell diameter (km) of each nominal resolution in CMIP6's vocabulary.
NOMINAL_RESOLUTIONS = {
    "0.5 km": 0.72,
    "1 km": 1.6,
    "2.5 km": 3.6,
    "5 km": 7.2,
    "10 km": 16,
    "25 km": 36,
    "50 km": 72,
    "100 km": 160,
    "250 km": 360,
    "500 km": 720,
    "1000 km": 1600,
    "2500 km": 3600,
    "5000 km": 7200,
    "10000 km": math.inf,
}

NAME_RULES = {
    "institution_id": (r"[A-Za-z0-9][A-Za-z0-9-]*", "letters, digits and dashes, no underscore"),
    "source_id": (r"[A-Za-z0-9][A-Za-z0-9-]*", "letters, digits and dashes, no underscore"),
    "experiment": (NAME, NAME_HELP),
    "version": (r"v[12][0-9]{3}(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])", "v and a date, such as v20261122"),
    "further_info_url": (r"https://\S+", "an address that starts with https://"),
    "contact": (r".*\S@\S.*", "text with an e-mail address"),
}


def write_tables(folder, facts, experiment, sst_offset, submission, resolution, simulation):
    """Write the five files of ``TABLE_FILES`` into ``folder``.

    ``facts``: the folder config/cmor. ``experiment``: its name, and ``sst_offset`` its warming of the sea surface
    (K). ``submission``: that section of the config. ``resolution``: of the native grid (degrees). ``simulation``:
    first and last month, ("1978-10", "2024-12"). Raises ValueError naming the first value that AIMIP does not allow.
    """
    check_names(experiment, submission)
    contents = {
        "AIMIP_CV.json": vocabulary(experiment, sst_offset, submission, resolution),
        "submission.json": settings(experiment, sst_offset, submission, resolution, simulation),
    }
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name in MIP_TABLES:
        shutil.copyfile(Path(facts) / name, folder / name)
    for name, content in contents.items():
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def check_names(experiment, submission):
    """Raise ValueError in one sentence if a name breaks AIMIP's rules (NAME_RULES)."""
    for key, (pattern, allowed) in NAME_RULES.items():
        value = experiment if key == "experiment" else submission[key]
        if not re.fullmatch(pattern, value):
            place = "experiments" if key == "experiment" else f"submission.{key}"
            raise ValueError(f"config {place}: '{value}' is not allowed, use {allowed}")
    for key in ("institution", "source", "references"):
        if not submission[key].strip():
            raise ValueError(f"config submission.{key} is empty, but every file must state it")


def experiment_title(sst_offset):
    """What the experiment is, in words, for the vocabulary and the files."""
    title = "AIMIP: atmosphere with prescribed historical monthly sea surface temperature and sea ice"
    return title + (f", sea surface temperature {describe(sst_offset)}" if sst_offset else "")


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


def mean_diameter(lat, lon):
    """Area-weighted mean over the cells of the distance (km) between opposite corners, CMIP6's definition."""
    south, north = np.deg2rad(bounds(lat_edges(lat))).T
    width = np.deg2rad(np.diff(lon_edges(lon))).mean()
    cosine = np.sin(south) * np.sin(north) + np.cos(south) * np.cos(north) * np.cos(width)
    along = np.where(np.abs(south) < np.abs(north), south, north)  # the edge nearer the equator is the longer one
    chord = np.sin(along) ** 2 + np.cos(along) ** 2 * np.cos(width)
    diameter = EARTH_RADIUS_KM * np.arccos(np.clip(np.minimum(cosine, chord), -1, 1))
    return float(np.average(diameter, weights=cell_areas(lat, lon).sum(axis=1)))


def nominal_resolution(lat, lon):
    """CMIP6's name for the resolution of a grid, such as ``250 km``; exactly one degree is ``1x1 degree``."""
    if len(lat) == 180 and len(lon) == 360:
        return "1x1 degree"
    diameter = mean_diameter(lat, lon)
    return next(name for name, largest in NOMINAL_RESOLUTIONS.items() if diameter < largest)


def vocabulary(experiment, sst_offset, submission, resolution):
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
                    "experiment": experiment_title(sst_offset),
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
            "table_id": ["Amon"],
            "mip_era": ["CMIP6"],
            "product": ["model-output"],
            "license": [f"^{basic_regex(LICENSE.format(institution=submission['institution']))}$"],
            "further_info_url": [f"^{basic_regex(submission['further_info_url'])}$"],
            "tracking_id": ["hdl:21.14100/.*"],
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


def settings(experiment, sst_offset, submission, resolution, simulation):
    """What the writer needs beside the tables: global attributes, grids, period, SST offset (K), deflate level."""
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
            "experiment": experiment_title(sst_offset),
            "sub_experiment_id": "none",
            "sub_experiment": "none",
            "contact": submission["contact"],
            "references": submission["references"],
            "further_info_url": submission["further_info_url"],
            "license": LICENSE.format(institution=submission["institution"]),
            "calendar": "proleptic_gregorian",
            "tracking_prefix": "hdl:21.14100",
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
        "sst_offset": float(sst_offset),
        "deflate": submission["deflate"],
    }


if __name__ == "__main__":
    from workflow.scripts.common import runlog

    runlog.start(snakemake.log[0])
    write_tables(
        folder=Path(snakemake.output[0]).parent,
        facts=Path(snakemake.input.facts[0]).parent,
        **{
            key: snakemake.params[key] for key in ("experiment", "sst_offset", "submission", "resolution", "simulation")
        },
    )
