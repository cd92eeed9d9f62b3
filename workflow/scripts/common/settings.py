"""The config: checked against its schema at parse time, with one sentence for whatever is wrong in it."""

import re
from pathlib import Path

import numpy as np
import yaml

from workflow.scripts.common.addresses import email_addresses, is_web_address, unbracketed
from workflow.scripts.common.experiments import canonical, check_experiments
from workflow.scripts.common.field_names import field_name
from workflow.scripts.common.grids import centres
from workflow.scripts.common.imported import check_checkpoint
from workflow.scripts.common.months import month_range, parse_month
from workflow.scripts.common.periods import evaluation_periods
from workflow.scripts.common.schema import checked
from workflow.scripts.common.skill import BASELINES, BOX_FIELDS, CLIMATOLOGY
from workflow.scripts.common.variable_table import check_table
from workflow.scripts.common.variables import read_variables

# What stands for a value still to come: domains that nobody can own (RFC 2606, RFC 6761), and the usual words.
PLACEHOLDER = (
    r"\b(?:[\w-]+\.)*example\.(?:com|net|org)\b|[\w-]+\.(?:example|invalid|test|localhost)\b"
    r"|\b(?:TODO|TBD|FIXME|XXX+|placeholder)\b|<[^>]*>|\byour[ ._-](?:name|institution|model|address|e-?mail)"
)
# Bytes that there is room for: CMOR holds 1023 of a text, of which the license takes what is not the institution, and
# where it compares a text with a pattern, signs of patterns count twice; a file's name holds 255.
LONGEST = {"institution": 360, "institution_id": 64, "source_id": 64}
LONGEST_TEXT = 1000
SIGNS = {"institution": r"[.\[\]*^$\\]", "further_info_url": r"[.\[\]*^$\\]"}
# What the tables of the evaluation call others.
TAKEN = (CLIMATOLOGY, *BASELINES, "reference", "truth")


def check_placeholders(config):
    """Raise ValueError in one sentence if the section submission has a placeholder and the data are real ones.

    It is for what publishes: an experiment or an evaluation of one's own needs no address.
    """
    if config["source"] == "synthetic":
        return
    for key, value in config["submission"].items():
        found = re.search(PLACEHOLDER, unbracketed(value), re.IGNORECASE) if isinstance(value, str) else None
        if found:
            raise ValueError(
                f"config: 'submission.{key}' is '{value}', where '{found[0]}' is a placeholder that would go into "
                "every file of the submission; put your own"
            )


def validate_config(config, schema_path, variables_path):
    """Check ``config`` against the closed JSON schema at ``schema_path``, the table of variables, and itself.

    ``variables_path``: AIMIP's own table, which is used where the config names none. Returns a copy with the types that
    the programs want: the config to use. Raises ValueError with one sentence that names the key, or the line and column
    of the table, its value and what is allowed.
    """
    config = checked(config, yaml.safe_load(Path(schema_path).read_text(encoding="utf-8")))
    _check_resolutions(config)
    _check_periods(config)
    _check_experiments(config["experiments"])
    _check_combinations(config)
    _check_sizes(config)
    _check_local(config["local"])
    _check_texts(config["submission"])
    table = config["variables"] or variables_path
    check_table(table)
    _check_ice(config["experiments"], table)
    _check_fields(config["evaluation"], table, variables_path)
    if config["model"]["checkpoint"]:
        check_checkpoint(config["model"]["checkpoint"], config["grid"]["resolution"], table)
    _check_models(config)
    # The evaluation reads the first grid, and compares it with a reference on the model's own.
    config["submission"]["grids"].sort()
    return config


def _check_experiments(experiments):
    """Their names and seas; brings their entries into the one form that programs and reruns see."""
    experiments.update({name: canonical(entry) for name, entry in experiments.items() if entry is not None})
    entries = {name: entry for name, entry in experiments.items() if entry is not None}
    check_experiments(entries)
    for name, entry in entries.items():
        if "sst_pattern" in entry and not Path(entry["sst_pattern"]).is_file():
            raise ValueError(
                f"config: 'experiments.{name}.sst_pattern' is '{entry['sst_pattern']}', which is no file; correct the "
                f"path"
            )


def _check_ice(experiments, table):
    """Ice that follows the water is among the forcings."""
    if any(row.channel == "siconc" for row in read_variables(table, role="forcing")):
        return
    for name, entry in experiments.items():
        if entry is not None and "ice" in entry:
            raise ValueError(
                f"config: 'experiments.{name}.ice' is follow, but the table of variables {table} has no sea ice among "
                f"its forcings; set it to keep"
            )


def _check_resolutions(config):
    """The grids have both poles, so that their steps divide 180 degrees."""
    for section in ("grid", "download", "synthetic"):
        resolution = config[section]["resolution"]
        try:
            centres(resolution)
        except ValueError:
            low, high = np.floor(180 / resolution), np.ceil(180 / resolution)
            raise ValueError(
                f"config: '{section}.resolution' is {resolution:g}, allowed are steps from 0.25 to 15 degrees that "
                f"divide 180, of which {180 / high:.6g} and {180 / low:.6g} are the nearest"
            ) from None


def _check_periods(config):
    periods = config["periods"]
    for name, (start, end) in periods.items():
        if parse_month(end) < parse_month(start):
            raise ValueError(f"config: 'periods.{name}' ends at {end}, before it starts at {start}")
    simulation = month_range(*periods["simulation"])
    # Baselines need each month of the year, a climatology twice; validation goes by pairs of months.
    climatology = config["normalize"]["reference"] == "climatology"
    least = {"training": 24 if climatology else 12, "validation": 2, "test": 1}
    for name in ("training", "validation", "test"):
        start, end = map(parse_month, periods[name])
        if start < simulation[0] or end > simulation[-1]:
            raise ValueError(
                f"config: 'periods.{name}' is {start}..{end}, allowed are months of the simulation "
                f"{simulation[0]}..{simulation[-1]}"
            )
        if (count := int((end - start).astype(int)) + 1) < least[name]:
            hint = ", which 'normalize.reference' climatology needs" if least[name] == 24 else ""
            raise ValueError(
                f"config: 'periods.{name}' is {start}..{end}, {count} month{'s' if count > 1 else ''}; allowed are at "
                f"least {least[name]}{hint}"
            )
    for name, other in (("training", "validation"), ("training", "test"), ("validation", "test")):
        shared = set(month_range(*periods[name]).tolist()) & set(month_range(*periods[other]).tolist())
        if shared:
            raise ValueError(
                f"config: 'periods.{name}' and 'periods.{other}' share {len(shared)} months, the first "
                f"{min(shared):%Y-%m}; keep them apart, or scores are computed on what was learned"
            )
    spans = evaluation_periods(periods)
    if spans["training"][0] < periods["test"][0] < spans["training"][1]:
        raise ValueError(
            f"config: 'periods.test' {'..'.join(periods['test'])} lies between training and validation, which the "
            f"evaluation takes for one span, {'..'.join(spans['training'])}; test before or after both"
        )
    learned = sorted({month for name in ("training", "validation") for month in month_range(*periods[name]).tolist()})
    if len(learned) < len(month_range(*spans["training"])):
        raise ValueError(
            f"config: 'periods.training' {'..'.join(periods['training'])} and 'periods.validation' "
            f"{'..'.join(periods['validation'])} leave months between them out; let one follow the other"
        )


def _check_combinations(config):
    """Values that are allowed one by one and not together: found here, not hours into a run."""
    source, product = config["source"], config["download"]["product"]
    if source == "local" and not config["local"]["folder"]:
        raise ValueError("config: 'source' is local but 'local.folder' is not set; name the folder of the files")
    if source == "cds" and product == "daily":
        raise ValueError(
            "config: 'download.product' is daily with 'source' cds, which has no such dataset; use monthly"
        )
    if source == "synthetic" and product != "monthly":
        raise ValueError(f"config: 'download.product' is {product}, but 'source' synthetic makes monthly files only")
    truth, (first, last) = config["evaluation"]["truth"], config["gcm"]["years"]
    if truth and source != "local":
        raise ValueError(
            f"config: 'evaluation.truth' is {truth!r}, runs of the model that local files come from, but 'source' is "
            f"{source}; set it to null"
        )
    if truth and not Path(truth).is_dir():
        raise ValueError(
            f"config: 'evaluation.truth' is {truth!r}, which is no folder; correct the path, or set it to null"
        )
    if last < first:
        raise ValueError(f"config: 'gcm.years' is {first}, {last}; allowed are a first year and one not before it")
    trained = not config["model"]["checkpoint"]  # else the checkpoint brings its own
    if trained and config["normalize"]["reference"] == "channel" and config["model"]["noise_modes"]:
        raise ValueError(
            f"config: 'model.noise_modes' is {config['model']['noise_modes']} with 'normalize.reference' channel, of "
            f"which latents have an annual cycle that would become noise; set it to 0, or the reference to climatology"
        )
    times, sampler = config["training"]["times"], config["model"]["sampler"]
    if times == "steps" and sampler != "ancestral":
        raise ValueError(
            f"config: 'training.times' is steps, which teaches the times of the ancestral sampler alone, but "
            f"'model.sampler' is {sampler}; set one of them to match"
        )


def _check_sizes(config):
    """Grids and numbers of patterns that fit each other; a checkpoint brings its own."""
    if "gr" in config["submission"]["grids"]:
        try:
            centres(config["submission"]["regridded_resolution"], poles=False)
        except ValueError as error:
            raise ValueError(f"config: 'submission.regridded_resolution': {error}; choose another") from None
    model, rows = config["model"], len(centres(config["grid"]["resolution"])[0])
    months = len(month_range(*config["periods"]["training"]))
    sizes = {"evaluation.regression_modes": config["evaluation"]["regression_modes"]}
    if not model["checkpoint"]:
        sizes["model.forced_modes"] = model["forced_modes"]
    for key, modes in sizes.items():
        if modes > months:
            raise ValueError(
                f"config: '{key}' is {modes}, allowed are at most the {months} months of 'periods.training', from "
                f"which they are fitted"
            )
    if model["checkpoint"]:
        return
    latent_rows, latent_columns = rows // model["squeeze"], 2 * (rows - 1) // model["squeeze"]
    if min(latent_rows, latent_columns) < 4:
        raise ValueError(
            f"config: 'model.squeeze' is {model['squeeze']}, which leaves {latent_rows} of the {rows} rows that "
            f"'grid.resolution' {config['grid']['resolution']:g} has, allowed are 4 rows and more"
        )
    if model["residual_noise"] and not config["training"]["offset_members"]:
        raise ValueError(
            "config: 'training.offset_members' is 0, but 'model.residual_noise' is measured in a run of these members; "
            "take some, or set 'model.residual_noise' to false"
        )
    size = model["latent_channels"] * latent_rows * latent_columns
    if model["noise_modes"] >= size:
        raise ValueError(
            f"config: 'model.noise_modes' is {model['noise_modes']}, allowed are less than the {size} numbers of a "
            f"latent ('model.latent_channels' {model['latent_channels']} on {latent_rows} x {latent_columns} points)"
        )


def _check_local(local):
    """Names of a centre's files: each year and dataset has its own, the others are one file each."""
    for key, names in (("pattern", ("dataset", "year")), ("static", ()), ("forcing", ())):
        try:
            made = local[key].format(**{name: f"<{name}>" for name in names})
        except (KeyError, IndexError, ValueError, AttributeError):
            made = ""
        if not made or not all(f"<{name}>" in made for name in names):
            wanted = "with {dataset} and {year} and no other braces" if names else "without braces"
            raise ValueError(f"config: 'local.{key}' is {local[key]!r}, allowed is a path {wanted}")


def _check_texts(submission):
    """Texts that the files can hold, and an address to write to."""
    for key, value in submission.items():
        size = len(value.encode()) + len(re.findall(SIGNS.get(key, r"$^"), value)) if isinstance(value, str) else 0
        longest = LONGEST.get(key, LONGEST_TEXT)
        if size > longest:
            raise ValueError(
                f"config: 'submission.{key}' takes {size} bytes, and there is room for {longest} in the files; shorten "
                f"'{value[:60]}...'"
            )
    if not email_addresses(submission["contact"]):
        raise ValueError(
            f"config: 'submission.contact' is '{submission['contact']}', where no e-mail address is found; write one, "
            f"such as 'Name <name@site>', or several with commas between"
        )


def _check_fields(evaluation, *tables):
    """The fields that the evaluation names are variables of a submission, with a level where they have levels.

    One that AIMIP's table has and the config's leaves out is left out of the evaluation, which says so.
    """
    rows = [row for table in tables for row in read_variables(table, role="field")]
    known = dict.fromkeys(field_name(name, row.level) for row in rows for name in row.cmor_name)
    for key, allowed in (("skill_fields", [name for name in BOX_FIELDS if name in known]), ("map_fields", known)):
        for field in evaluation[key]:
            if field not in allowed:
                raise ValueError(f"config: 'evaluation.{key}' has {field!r}, allowed are {', '.join(allowed)}")


def _check_models(config):
    """No two models of the evaluation have one name, and what is named of the archive is there."""
    evaluation = config["evaluation"]
    archive = evaluation["archive"]
    if archive["models"] and archive["manifest"] and not Path(archive["manifest"]).is_file():
        raise ValueError(
            f"config: 'evaluation.archive.manifest' is {archive['manifest']!r}, which is not there; correct the path, "
            f"or set it to null"
        )
    results = archive["results"]
    if results and re.match(r"https?://(www\.)?(zenodo\.org/records?/|doi\.org/)", results):
        raise ValueError(
            f"config: 'evaluation.archive.results' is {results!r}, a page to read; give the API address of that "
            f"record, such as https://zenodo.org/api/records/ID"
        )
    if results and not is_web_address(results) and not Path(results).is_file():
        raise ValueError(
            f"config: 'evaluation.archive.results' is {results!r}, which is neither an address nor a file; correct it, "
            f"or set it to null"
        )
    names = [config["submission"]["source_id"], *evaluation["models"], *archive["models"]]
    for name in names:
        if name in TAKEN:
            raise ValueError(
                f"config: '{name}' names a model in 'submission.source_id', 'evaluation.models' or "
                f"'evaluation.archive.models', but the evaluation calls something else so; choose another name"
            )
        if names.count(name) > 1:
            raise ValueError(
                f"config: '{name}' names two models in 'submission.source_id', 'evaluation.models' and "
                f"'evaluation.archive.models'; rename one in the evaluation"
            )
