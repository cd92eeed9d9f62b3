"""The config, checked, and what all rules derive from it and from the table of variables: nothing is listed twice."""

import json
import os
import re
import sys
from pathlib import Path

# The project's folder: not that of the Snakefile which a run starts with, for there are two.
BASE = Path(os.path.relpath(Path(workflow.snakefile).parents[2]))
# The modules of this very copy of the project, whichever one is installed.
sys.path.insert(0, os.path.abspath(BASE))

from snakemake.exceptions import WorkflowError
from workflow.scripts.common.experiments import CONTROL, has_own_forcing, is_changed
from workflow.scripts.common.mip_tables import MIP_TABLES
from workflow.scripts.common.months import years
from workflow.scripts.common.periods import evaluation_periods
from workflow.scripts.common.reference import reference_name
from workflow.scripts.common.settings import check_placeholders, validate_config
from workflow.scripts.common.skill import BASELINES, baseline_members
from workflow.scripts.common.source import refuse_other_source
from workflow.scripts.common.variables import read_variables
from workflow.scripts.submission.derive import submitted_rows

AIMIP_VARIABLES = BASE / "config/variables.csv"

try:
    config.update(validate_config(config, BASE / "workflow/schemas/config.schema.yaml", AIMIP_VARIABLES))
except ValueError as error:
    raise WorkflowError(str(error)) from None

# The one place where rules get the table of variables.
VARIABLES = Path(config["variables"] or AIMIP_VARIABLES)


# Before the first job, whatever the targets are called; not in a dry run, which may look at the config as it is shipped.
# An experiment or an evaluation of one's own is no publication. What was downloaded may have taken days.
onstart:
    jobs = {job.rule.name for job in workflow.dag.needrun_jobs()}
    try:
        if "publish" in jobs:
            check_placeholders(config)
        if "download_era5" in jobs:
            refuse_other_source(config["source"], "results/download")
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
STATICS = [row.short_name for row in read_variables(VARIABLES, role="static")]
STATIC_FIELDS = {"static": "results/aggregate/static.nc"} if STATICS else {}
# Without a static land mask that of the forcing file tells the land from the sea.
LAND = "results/aggregate/" + ("static.nc" if "lsm" in STATICS else "forcing/simulation.nc")
# A centre's forcing file may hold monthly means; AIMIP's and the planet's hold values at the starts of months.
FORCING_VALUES = config["local"]["forcing_values"] if config["source"] == "local" else "start"
PLANET_DATA = sorted((BASE / "workflow/data").glob("*.csv")) + sorted((BASE / "workflow/data").glob("*.txt"))
FIRST_GUESS = BASE / "model/data/uniform_warming.csv"
# Scores of AIMIP's published submissions, which stand beside ours.
PUBLISHED = BASE / "workflow/scripts/evaluate/data/aimip_published_scores.csv"
# Of these, those that AIMIP's authors computed, where the config says where to get them.
PUBLISHED_RESULTS = ["results/evaluate/published.csv"] if config["evaluation"]["archive"]["results"] else []
# The networks' own settings; a checkpoint that the config names takes the place of training.
NETWORK = {key: value for key, value in config["model"].items() if key != "checkpoint"}
RECIPE = {key: value for key, value in config["training"].items() if key != "checkpoint_minutes"}
CHECKPOINT = config["model"]["checkpoint"] or "results/train/checkpoint.zip"
CHANGED = [name for name, entry in EXPERIMENTS.items() if is_changed(entry)]
# Those whose forcing is a file of their own; the others add their offset to the control's.
OWN_FORCING = [name for name, entry in EXPERIMENTS.items() if has_own_forcing(entry)]
SUMMARIES = [f"results/evaluate/summary/{name}/r{member}i1p1f1.nc" for name in EXPERIMENTS for member in MEMBERS]
REFERENCE_NAME = reference_name(config)
BASELINE_SUMMARIES = [
    f"results/evaluate/baselines/{name}/{CONTROL}/r{member}i1p1f1.nc"
    for name in BASELINES
    for member in baseline_members(name, config["members"])
]
# What the report's captions (workflow/report/*.rst) say more than once; they see the config and nothing else.
SPANS = evaluation_periods(config["periods"])
config["captions"] = {
    "reference": f"the {REFERENCE_NAME}" if config["source"] == "synthetic" else REFERENCE_NAME,
    **{name: " to ".join(span) for name, span in SPANS.items()},
}
TRUTH = ["results/evaluate/truth.nc"] if config["source"] == "synthetic" or config["evaluation"]["truth"] else []
ARCHIVE = config["evaluation"]["archive"]
# What scores and figures take of the section: of the archive the models alone, wherever their files come from.
JUDGED = json.dumps(config["evaluation"] | {"archive": {"models": ARCHIVE["models"]}})
# Other models beside ours: name to folder, the user's own or where the archive's files go.
MODELS = config["evaluation"]["models"] | {name: f"results/download/models/{name}" for name in ARCHIVE["models"]}
DOWNLOAD_RECORDS = expand("results/download/{dataset}/{year}.json", dataset=DATASETS, year=YEARS) + [
    *(["results/download/static.json"] if STATICS else []),
    "results/download/forcing.json",
]
PRODUCT = f"results/submission/{config['submission']['institution_id']}/{config['submission']['source_id']}"
SUBMISSION = ["results/check/submission.json", "results/aggregate/complete.json", f"{PRODUCT}/manifest.csv"]
EVALUATION = [
    "results/evaluate/scorecard.json",
    expand("results/evaluate/figures/{name}.png", name=["bias_test", "scores", *(["models"] if MODELS else [])]),
    # A checkpoint of the config was trained elsewhere.
    *([] if config["model"]["checkpoint"] else ["results/evaluate/figures/training.png"]),
    *(["results/evaluate/long_run.json"] if config["evaluation"]["long_run_months"] else []),
]
GCM_YEARS = list(range(config["gcm"]["years"][0], config["gcm"]["years"][1] + 1))
# The GCM takes an offset of its sea and nothing else, so it leaves the other experiments out.
GCM = expand(
    "results/gcm/{experiment}/{file}",
    experiment=[name for name in EXPERIMENTS if name not in OWN_FORCING],
    file=["forcing.nc", *(f"{dataset}/{year}.nc" for dataset in DATASETS for year in GCM_YEARS)],
)
CMOR_VARIABLES = sorted(submitted_rows(read_variables(VARIABLES, role="field")))
CMOR_FACTS = [BASE / "config/cmor" / name for name in MIP_TABLES]


wildcard_constraints:
    dataset="|".join(DATASETS),
    year=r"\d{4}",
    experiment="|".join(EXPERIMENTS),
    period="training|simulation",
    model="|".join(map(re.escape, MODELS)) or "none",
    baseline="|".join(map(re.escape, BASELINES)),
    member=r"[1-9]\d*",
