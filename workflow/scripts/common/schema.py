"""A config against its JSON schema: the config with the types that programs want, or one sentence for what is wrong.

JSON knows one kind of number, so that a schema takes 2.0 for an integer; Python's programs do not.
"""

import copy
import math

import jsonschema
import yaml

# JSON schema's own idea of an integer, but for whole floats.
STRICT = jsonschema.validators.extend(
    jsonschema.Draft202012Validator,
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda checker, value: isinstance(value, int) and not isinstance(value, bool)
    ),
)
NULLS = ("null", "Null", "NULL", "~")


def checked(config, schema):
    """A copy of ``config`` with integers for whole floats where ``schema`` wants them, and texts in one line.

    Raises ValueError with one sentence that names the key, its value and what is allowed.
    """
    config = _tidied(config, ())
    error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema).iter_errors(config))
    if error is not None:
        raise ValueError(_sentence(error))
    for error in _leaves(STRICT(schema).iter_errors(config)):
        *parents, last = error.absolute_path
        place = config
        for key in parents:
            place = place[key]
        if isinstance(place[last], float) and "integer" in error.validator_value:
            place[last] = int(place[last])
    return config


def _leaves(errors):
    """The errors that stand behind ``errors``, which a choice among schemas (anyOf) has."""
    for error in errors:
        yield from _leaves(error.context) if error.context else [error]


def _tidied(value, path):
    """A copy of ``value`` with texts in one line, after a look for what no schema of ours takes anywhere."""
    where = ".".join(map(str, path))
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise ValueError(f"config: '{where}' has the key {key!r}, which is no text; write it in quotes")
        return {key: _tidied(entry, (*path, key)) for key, entry in value.items()}
    if isinstance(value, list):
        return [_tidied(entry, (*path, number)) for number, entry in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"config: '{where}' is {value}, allowed are numbers that are finite")
    if value in NULLS:
        raise ValueError(f"config: '{where}' is the text '{value}'; {_without_quotes(value)}")
    if isinstance(value, str):
        # YAML's blocks (| and >) end in a line break, which is no part of what was meant.
        return " ".join(line.strip() for line in value.splitlines()).strip()
    return copy.deepcopy(value)


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
        "minLength": lambda value: f"text of at least {value} signs",
        "maxLength": lambda value: f"text of at most {value} signs",
        "minItems": lambda value: f"a list of at least {value}",
        "maxItems": lambda value: f"a list of at most {value}",
        "minProperties": lambda value: f"at least {value} entries",
    }.get(error.validator, lambda value: f"{error.validator} {value}")(error.validator_value)
    meaning = error.schema.get("description", "")
    hint = _for_text(error)
    text = "the text " if isinstance(error.instance, str) and (hint or error.validator == "type") else ""
    return (
        f"config: '{key}' is {text}{error.instance!r}, allowed is {allowed}{f' ({meaning})' if meaning else ''}{hint}"
    )


def _for_text(error):
    """What to write in place of a text that stands for a number, yes, no or null; nothing for any other value."""
    text = error.instance
    if not isinstance(text, str) or error.validator not in ("type", "enum"):
        return ""
    allows = jsonschema.Draft202012Validator(error.schema).is_valid
    try:
        meant = yaml.safe_load(text)
    except yaml.YAMLError:
        return ""
    if not isinstance(meant, str):
        return f"; {_without_quotes(text)}" if allows(meant) else ""
    try:
        number = float(text)
    except ValueError:
        return ""
    return f"; YAML takes it for text: write {_spelled(number)}" if allows(number) else ""


def _without_quotes(text):
    return (
        f"write {text} without quotes, and in a file given with --configfile, for Snakemake's --config makes text of "
        f"all that stands in braces"
    )


def _spelled(number):
    """``number`` as YAML 1.1 reads it: with a point before an exponent."""
    mantissa, e, exponent = (
        str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)
    ).partition("e")
    return f"{mantissa}.0e{exponent}" if e and "." not in mantissa else f"{mantissa}{e}{exponent}"
