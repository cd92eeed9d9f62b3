"""Functions and lists that the rules share: all derived from the config and config/variables.csv, nothing listed twice."""

import ast
import json
import os
import re
import sys
from functools import cache
from pathlib import Path

BASE = Path(os.path.relpath(workflow.basedir))
sys.path.insert(0, workflow.basedir)

from workflow.scripts.submission.drs import submission_path
from workflow.scripts.common.months import month_range, period_label, years
from workflow.scripts.common.periods import evaluation_periods
from workflow.scripts.common.settings import check_placeholders, validate_config
from snakemake.exceptions import WorkflowError
from workflow.scripts.common.variables import read_variables

VARIABLES = BASE / "config/variables.csv"

try:
    validate_config(config, BASE / "workflow/schemas/config.schema.yaml", VARIABLES)
except ValueError as error:
    raise WorkflowError(str(error)) from None


# Before the first job, but not in a dry run, which may look at the config as it is shipped.
onstart:
    try:
        check_placeholders(config)
    except ValueError as error:
        raise WorkflowError(str(error)) from None


# The order of keys in a config file means nothing, so it reruns nothing; experiments keep theirs in figures and tables.
for name in config.keys() - {"experiments"}:
    if isinstance(config[name], dict):
        config[name] = dict(sorted(config[name].items()))

# An overlay leaves an experiment out by setting it to null.
EXPERIMENTS = {name: entry for name, entry in config["experiments"].items() if entry is not None}
MEMBERS = list(range(1, config["members"] + 1))
YEARS = years(*config["periods"]["simulation"])
DATASETS = list(dict.fromkeys(row.dataset for row in read_variables(VARIABLES, role="field")))
PLANET_DATA = sorted((BASE / "workflow/data").glob("*.csv")) + sorted((BASE / "workflow/data").glob("*.txt"))
# The networks' own settings; a checkpoint that the config names takes the place of training.
NETWORK = {key: value for key, value in config["model"].items() if key != "checkpoint"}
RECIPE = {key: value for key, value in config["training"].items() if key != "checkpoint_minutes"}
CHECKPOINT = config["model"]["checkpoint"] or "results/train/checkpoint.zip"
WARMED = [name for name, entry in EXPERIMENTS.items() if entry["sst_offset"] != 0]
SUMMARIES = [f"results/evaluate/summary/{name}/r{member}i1p1f1.nc" for name in EXPERIMENTS for member in MEMBERS]
REFERENCE_NAME = "synthetic planet" if config["source"] == "synthetic" else "ERA5"
CONTROL = next(name for name, entry in EXPERIMENTS.items() if entry["sst_offset"] == 0)
# What the report's captions (workflow/report/*.rst) say more than once; they see the config and nothing else.
SPANS = evaluation_periods(config["periods"])
config["captions"] = {
    "reference": {"cds": "ERA5", "local": "ERA5 (local files)"}.get(
        config["source"], "the synthetic planet, in the place of ERA5"
    ),
    **{name: " to ".join(span) for name, span in SPANS.items()},
}
TRUTH = ["results/evaluate/truth.nc"] if config["source"] == "synthetic" else []
ARCHIVE = config["evaluation"]["archive"]
# Other models beside ours: name to folder, the user's own or where the archive's files go.
MODELS = config["evaluation"]["models"] | {name: f"results/download/models/{name}" for name in ARCHIVE["models"]}
DOWNLOAD_RECORDS = expand("results/download/{dataset}/{year}.json", dataset=DATASETS, year=YEARS) + [
    "results/download/static.json",
    "results/download/forcing.json",
]
PRODUCT = f"results/submission/{config['submission']['institution_id']}/{config['submission']['source_id']}"
SUBMISSION = ["results/check/submission.json", "results/aggregate/complete.json", f"{PRODUCT}/manifest.csv"]
EVALUATION = [
    "results/evaluate/scorecard.json",
    expand("results/evaluate/figures/{name}.png", name=["bias_test", "scores", *(["models"] if MODELS else [])]),
]


# Whatever the command line or a profile says, no more requests than this are under way per dataset.
for dataset in DATASETS:
    workflow.global_resources[f"cds_{dataset.replace('-', '_')}"] = config["download"]["in_flight"]


wildcard_constraints:
    dataset="|".join(DATASETS),
    year=r"\d{4}",
    experiment="|".join(EXPERIMENTS),
    period="training|simulation",
    model="|".join(map(re.escape, MODELS)) or "none",
    member=r"[1-9]\d*",


def modules(*scripts):
    """The named scripts and every local module they import, directly or through each other.

    Snakemake sees a change of a script, but not of what the script imports nor of what a shell command runs; listed as
    inputs, such a change reruns the rules that use it and no others.
    """
    found, queue = [], [BASE / script for script in scripts]
    while queue:
        path = queue.pop()
        if path not in found:
            found.append(path)
            queue += _imports(path)
    return sorted(map(str, found))


# Cached, since the rules share most modules and the rules of all blocks share theirs.
@cache
def _imports(path):
    local = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names] + [node.module]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in filter(None, names):
            parts = Path(*name.split(".")).with_suffix(".py")
            if (BASE / parts).is_file():
                local.append(BASE / parts)
    return local


def scripts(*names):
    """``modules`` of files in workflow/scripts."""
    return modules(*(f"workflow/scripts/{name}" for name in names))


def download_settings(kind):
    """What the bytes of a download depend on, and nothing else: patience with a server reruns nothing."""
    source, download = config["source"], config["download"]
    keys = {
        ("cds", "era5"): [(download, "product"), (download, "era5t"), (download, "resolution")],
        ("cds", "forcing"): [(download, key) for key in ("forcing_record", "forcing_file", "forcing_sha256")],
        ("local", "era5"): [(download, "product"), (download, "era5t")],
        ("synthetic", "era5"): [(config["synthetic"], "resolution"), (config["synthetic"], "seed")],
    }
    keys["synthetic", "forcing"] = keys["synthetic", "era5"]
    return {"source": source} | {key: section[key] for section, key in keys.get((source, kind), [])}


def download_inputs(kind):
    """What a download depends on: the centre's file, the planet, or nothing - a better retry must not fetch ERA5 again.

    ``kind`` is the key of config ``local`` that holds the file's name: pattern, static or forcing.
    """

    def inputs(wildcards):
        if config["source"] == "local":
            return {"local": Path(config["local"]["folder"], config["local"][kind].format(**dict(wildcards)))}
        if config["source"] == "synthetic":
            return {"planet": [*scripts("planet/era5_files.py"), *PLANET_DATA]}
        return {}

    return inputs


def fields_of(dataset):
    """What a request for ``dataset`` holds: (CDS name, level) of each field, as lists."""
    return [[row.cds_name, row.level] for row in read_variables(VARIABLES, dataset=dataset)]


def requested(wildcards):
    """``fields_of`` the wildcard's dataset."""
    return fields_of(wildcards.dataset)


def request_slot(dataset):
    """1 for a request to the CDS for that dataset, else 0: Snakemake counts them against download.in_flight."""
    return lambda wildcards: int(config["source"] == "cds" and dict(wildcards).get("dataset", dataset) == dataset)


def download_minutes():
    """Time limit of a download: all the patience that the config has with the CDS, and four hours of transfer.

    It does not grow: a further attempt finds the request that the one before left in the queue.
    """
    return int(60 * (config["download"]["patience"] + config["download"]["outage"])) + 240


def grown(first):
    """Resource of a job: ``first`` (MB or minutes) in the first attempt, as much again in each further one."""
    return lambda wildcards, attempt: first * attempt


def months_of_year(wildcards):
    """Months of the simulation in the wildcard's year."""
    months = map(str, month_range(*config["periods"]["simulation"]))
    return [month for month in months if month.startswith(wildcards.year)]


def aggregate_inputs(wildcards):
    """The regridded year, and the next where hourly accumulations of its last month are stamped in January."""
    following = int(wildcards.year) + 1
    extra = [following] if config["download"]["product"] == "hourly" and following in YEARS else []
    return [f"results/regrid/era5/{year}.nc" for year in [wildcards.year, *extra]]


def era5_of(*periods):
    """The aggregated ERA5 files of the years of the named periods."""
    wanted = sorted({year for name in periods for year in years(*config["periods"][name])})
    return [f"results/aggregate/era5/{year}.nc" for year in wanted]


def forcing_period(wildcards):
    """First and last month of the simulation, or of what training reads: never a month of the test period."""
    if wildcards.period == "simulation":
        return config["periods"]["simulation"]
    starts, ends = zip(config["periods"]["training"], config["periods"]["validation"])
    return [min(starts), max(ends)]


def sst_offset(wildcards):
    """Offset of the experiment's sea-surface temperature, K."""
    return EXPERIMENTS[wildcards.experiment]["sst_offset"]


def blocks():
    """Members in blocks of fixed size and place, so that one more member touches one block only."""
    size = config["rollout"]["block"]
    return {start // size + 1: MEMBERS[start : start + size] for start in range(0, len(MEMBERS), size)}


# What a profile sets for "rollout" holds for the rule of every block.
for settings in (workflow.resource_settings.overwrite_resources, workflow.resource_settings.overwrite_threads):
    for block in blocks() if "rollout" in settings else []:
        settings.setdefault(f"rollout_{block}", settings["rollout"])


CMOR_VARIABLES = sorted({name for row in read_variables(VARIABLES, role="field") for name in row.cmor_name})
CMOR_FACTS = [BASE / f"config/cmor/AIMIP_{name}.json" for name in ("Amon", "coordinate", "formula_terms")]


def cmor_table_files(experiment):
    """The generated CMOR tables of one experiment."""
    names = [path.name for path in CMOR_FACTS] + ["AIMIP_CV.json", "submission.json"]
    return [f"results/cmorize/tables/{experiment}/{name}" for name in names]


def submission_files(experiment, member):
    """Paths of all files of one simulation; wildcards in braces are kept."""
    facets = config["submission"]
    return [
        "results/submission/"
        + submission_path(
            facets["institution_id"],
            facets["source_id"],
            experiment,
            member,
            variable,
            grid,
            facets["version"],
            period_label(*config["periods"]["simulation"]),
        )
        for grid in facets["grids"]
        for variable in CMOR_VARIABLES
    ]


def product_file(name):
    """A file beside the experiments of the submission, such as its manifest."""
    return f"{PRODUCT}/{name}"


def submission_root(wildcards):
    """Root of the submission's tree, the folder that is uploaded."""
    return "results/submission"


def evaluated_files(wildcards):
    """The files of one simulation on the first grid of the config, which the evaluation reads."""
    grid = f"/{config['submission']['grids'][0]}/"
    return [path for path in submission_files(wildcards.experiment, wildcards.member) if grid in path]


def figure(name, caption, category, **labels):
    """A figure for the report, as PNG; its PDF stands beside it."""
    return report(
        f"results/evaluate/figures/{name}.png", caption=f"../report/{caption}.rst", category=category, labels=labels
    )


def model_folder(wildcards):
    """Root of another model's submission."""
    return MODELS[wildcards.model]


def model_tree(wildcards):
    """What another model's summaries depend on: the user's folder, or the record of what the archive gave."""
    return MODELS[wildcards.model] + (".json" if wildcards.model in ARCHIVE["models"] else "")
