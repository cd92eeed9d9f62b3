"""Functions for rules: their inputs, their paths and their params, each from the config and the wildcards."""

import json
from functools import cache
from pathlib import Path
from shlex import quote

from workflow.scripts.common.addresses import is_web_address
from workflow.scripts.common.imports import local_modules
from workflow.scripts.common.mip_tables import TABLE_FILES
from workflow.scripts.common.months import month_range, period_label, years
from workflow.scripts.common.periods import with_protocol
from workflow.scripts.common.variables import read_variables
from workflow.scripts.submission.drs import submission_path


# Cached, since the rules of all blocks share theirs.
@cache
def modules(*programs):
    """The named files of the project and every local module they import, directly or through each other.

    Snakemake does not see a change of what a shell command runs; listed as inputs, such a change reruns the rules that
    use it and no others.
    """
    return local_modules(BASE, *programs)


def scripts(*names):
    """``modules`` of files in workflow/scripts."""
    return modules(*(f"workflow/scripts/{name}" for name in names))


def option(name, value):
    """The words of an option on a command line; nothing where there is no value."""
    return "" if value is None else f"{name} {quote(str(value))}"


def local_option(wildcards, input):
    """The option that names the centre's own file, where the source is local."""
    return option("--local", input.get("local"))


def static_option(wildcards, input):
    """The option that names the static fields, where the table of variables has some."""
    return option("--static", input.get("static"))


def download_settings(kind):
    """What the bytes of a download depend on, and nothing else: patience with a server reruns nothing."""
    source, download = config["source"], config["download"]
    # Named only where it is not the default, which what was downloaded before has.
    asked_format = ["format"] if download["format"] != "netcdf" else []
    keys = {
        ("cds", "era5"): [(download, key) for key in ("product", "era5t", "resolution", *asked_format)],
        ("cds", "forcing"): [(download, key) for key in ("forcing_record", "forcing_file", "forcing_sha256")],
        ("local", "forcing"): [(config["local"], "forcing_values")],
        ("local", "era5"): [(download, "product"), (download, "era5t")],
        ("synthetic", "era5"): [(config["synthetic"], "resolution"), (config["synthetic"], "seed")],
    }
    period = {"period": with_protocol(config["periods"]["simulation"])}
    keys["synthetic", "forcing"] = [*keys["synthetic", "era5"], (period, "period")]
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


def sea_forcing(wildcards):
    """Monthly forcing of the experiment, to which its offset is still to be added."""
    name = wildcards.experiment if wildcards.experiment in OWN_FORCING else "simulation"
    return f"results/aggregate/forcing/{name}.nc"


def sea_inputs(wildcards):
    """The file of the experiment's pattern of sea-surface temperature, where it has one."""
    entry = EXPERIMENTS[wildcards.experiment]
    return {"pattern": entry["sst_pattern"]} if "sst_pattern" in entry else {}


def sea_options(wildcards):
    """The options that say what more than an offset changes the experiment's sea."""
    entry = EXPERIMENTS[wildcards.experiment]
    return " ".join([option("--sst-pattern", entry.get("sst_pattern")), option("--ice", entry.get("ice"))]).strip()


def gcm_offset(wildcards):
    """``sst_offset`` for the GCM, whose sea takes nothing else."""
    if wildcards.experiment in OWN_FORCING:
        raise WorkflowError(
            f"config: 'experiments.{wildcards.experiment}' has a sst_pattern or ice that follows, but the GCM takes a "
            f"sst_offset only; ask for another experiment"
        )
    return sst_offset(wildcards)


def cmor_table_files(experiment):
    """The generated CMOR tables of one experiment."""
    return [f"results/cmorize/tables/{experiment}/{name}" for name in TABLE_FILES]


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


def product_folder(wildcards, output):
    """The folder of the product, which the manifest is in."""
    return str(Path(output.manifest).parent)


def evaluated_files(wildcards):
    """The files of one simulation on the first grid of the config, which the evaluation reads."""
    grid = f"/{config['submission']['grids'][0]}/"
    return [path for path in submission_files(wildcards.experiment, wildcards.member) if grid in path]


def figure(name, caption, category, **labels):
    """A figure for the report, as PNG; its PDF stands beside it."""
    return report(
        f"results/evaluate/figures/{name}.png", caption=f"../report/{caption}.rst", category=category, labels=labels
    )


def baseline_data(wildcards):
    """What a baseline is made from: the checkpoint of the rollouts, or the training months and their regression."""
    if wildcards.baseline == "no-diffusion":
        return {"checkpoint": CHECKPOINT}
    training = {"training": "results/normalize/training.nc"}
    regression = wildcards.baseline.startswith("regression")
    return training | ({"response": "results/evaluate/response.npz"} if regression else {})


def truth_inputs(wildcards):
    """What the true response is made from: the planet, or the runs in the folder that the config names."""
    if config["evaluation"]["truth"]:
        # None of another experiment: a run of that one added changes nothing here.
        runs = [Path(config["evaluation"]["truth"], experiment) for experiment in EXPERIMENTS]
        return {"files": sorted(path for run in runs for dataset in DATASETS for path in run.glob(f"{dataset}/*.nc"))}
    return {"planet": PLANET_DATA}


def results_archive():
    """The archive of AIMIP's results, where the config names a file of one and no address."""
    origin = ARCHIVE["results"]
    return [] if origin is None or is_web_address(origin) else [origin]


def gcm_state(wildcards):
    """The state that a year of the GCM starts from: of the year before, of the first the one that it spun up to."""
    before = "spin_up" if int(wildcards.year) == config["gcm"]["years"][0] else int(wildcards.year) - 1
    return f"results/gcm/{wildcards.experiment}/restart/{before}.npz"


def model_folder(wildcards):
    """Root of another model's submission."""
    return MODELS[wildcards.model]


def model_tree(wildcards):
    """What another model's summaries depend on: the user's folder, or the record of what the archive gave."""
    return MODELS[wildcards.model] + (".json" if wildcards.model in ARCHIVE["models"] else "")
