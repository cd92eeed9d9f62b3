"""The config: checked against its schema at parse time, with one sentence for whatever is wrong in it."""

import re
from pathlib import Path

import jsonschema
import yaml

from workflow.scripts.common.experiments import check_experiments
from workflow.scripts.common.months import month_range, parse_month
from workflow.scripts.common.variables import read_variables

# What stands for a value still to come: domains that nobody can own (RFC 2606, RFC 6761), and the usual words.
PLACEHOLDER = (
    r"\b(?:[\w-]+\.)*example\.(?:com|net|org)\b|[\w-]+\.(?:example|invalid|test|localhost)\b"
    r"|\b(?:TODO|TBD|FIXME|XXX+|placeholder)\b|<[^>]*>|\byour[ -](?:name|institution|model|address|e-?mail)"
)


def check_placeholders(config):
    """Raise ValueError in one sentence if the section submission has a placeholder and the data are real ones."""
    if config["source"] == "synthetic":
        return
    for key, value in config["submission"].items():
        found = re.search(PLACEHOLDER, value, re.IGNORECASE) if isinstance(value, str) else None
        if found:
            raise ValueError(
                f"config: 'submission.{key}' is '{value}', where '{found[0]}' is a placeholder that would go into "
                "every file of the submission; put your own"
            )


def validate_config(config, schema_path, variables_path):
    """Check ``config`` against the closed JSON schema at ``schema_path``, the table of variables, and itself.

    Raises ValueError with one sentence that names the key, its value and what is allowed.
    """
    schema = yaml.safe_load(Path(schema_path).read_text(encoding="utf-8"))
    validator = jsonschema.Draft202012Validator(schema)
    error = jsonschema.exceptions.best_match(validator.iter_errors(config))
    if error is not None:
        raise ValueError(_sentence(error))
    _check_periods(config["periods"])
    check_experiments({name: value["sst_offset"] for name, value in config["experiments"].items() if value is not None})
    _check_combinations(config)
    _check_fields(config["evaluation"], variables_path)
    _check_models(config)
    return config


def _sentence(error):
    key = ".".join(str(part) for part in error.absolute_path)
    if error.validator == "additionalProperties":
        unknown = sorted(set(error.instance) - set(error.schema.get("properties", {})))
        place = f"'{key}'" if key else "the top level"
        names = ", ".join(f"'{name}' = {error.instance[name]!r}" for name in unknown)
        return f"config: unknown key {names} in {place}; allowed are {', '.join(sorted(error.schema['properties']))}"
    if error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        return f"config: '{key or 'the top level'}' lacks the key '{missing[0]}'"
    allowed = {
        "enum": lambda value: f"one of {', '.join(map(str, value))}",
        "const": lambda value: str(value),
        "type": lambda value: " or ".join([value] if isinstance(value, str) else value),
        "minimum": lambda value: f"at least {value}",
        "exclusiveMinimum": lambda value: f"more than {value}",
        "maximum": lambda value: f"at most {value}",
        "exclusiveMaximum": lambda value: f"less than {value}",
        "pattern": lambda value: f"text that matches {value}",
        "minItems": lambda value: f"a list of at least {value}",
        "maxItems": lambda value: f"a list of at most {value}",
        "minProperties": lambda value: f"at least {value} entries",
    }.get(error.validator, lambda value: f"{error.validator} {value}")(error.validator_value)
    meaning = error.schema.get("description", "")
    return f"config: '{key}' is {error.instance!r}, allowed is {allowed}" + (f" ({meaning})" if meaning else "")


def _check_periods(periods):
    for name, (start, end) in periods.items():
        if parse_month(end) < parse_month(start):
            raise ValueError(f"config: 'periods.{name}' ends at {end}, before it starts at {start}")
    simulation = month_range(*periods["simulation"])
    for name in ("training", "validation", "test"):
        start, end = map(parse_month, periods[name])
        if start < simulation[0] or end > simulation[-1]:
            raise ValueError(
                f"config: 'periods.{name}' is {start}..{end}, allowed are months of the simulation "
                f"{simulation[0]}..{simulation[-1]}"
            )
        if str(start)[5:] != "01" or str(end)[5:] != "12":
            raise ValueError(f"config: 'periods.{name}' is {start}..{end}, allowed are whole years, 01 to 12")
    for name, other in (("training", "validation"), ("training", "test"), ("validation", "test")):
        shared = set(month_range(*periods[name]).tolist()) & set(month_range(*periods[other]).tolist())
        if shared:
            raise ValueError(
                f"config: 'periods.{name}' and 'periods.{other}' share {len(shared)} months, the first "
                f"{min(shared):%Y-%m}; keep them apart, or scores are computed on what was learned"
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
    times, sampler = config["training"]["times"], config["model"]["sampler"]
    if times == "steps" and sampler != "ancestral":
        raise ValueError(
            f"config: 'training.times' is steps, which teaches the times of the ancestral sampler alone, but "
            f"'model.sampler' is {sampler}; set one of them to match"
        )


def _check_fields(evaluation, variables_path):
    """The fields that the evaluation names are variables of the submission, with a level where they have levels."""
    rows = read_variables(variables_path, role="field")
    known = [f"{name}{row.level or ''}" for row in rows for name in row.cmor_name]
    for key in ("skill_fields", "map_fields"):
        for field in evaluation[key]:
            if field not in known:
                raise ValueError(f"config: 'evaluation.{key}' has {field!r}, allowed are {', '.join(known)}")


def _check_models(config):
    """No two models of the evaluation have one name."""
    evaluation = config["evaluation"]
    names = [config["submission"]["source_id"], *evaluation["models"], *evaluation["archive"]["models"]]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(
                f"config: '{name}' names two models in 'submission.source_id', 'evaluation.models' and "
                f"'evaluation.archive.models'; rename one in the evaluation"
            )
