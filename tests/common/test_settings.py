"""The config: every shipped one is valid, and whatever is wrong gets one sentence with key, value and cure."""

import copy

import pytest
import yaml

from tests.helpers.project import ROOT, VARIABLES, load_config
from workflow.scripts.common.settings import check_placeholders, validate_config
from workflow.scripts.common.variables import read_variables

SCHEMA = ROOT / "workflow/schemas/config.schema.yaml"
OVERLAYS = [[], ["demo"], ["test"], ["presets/v0p9"], ["demo", "presets/v0p9"]]


@pytest.mark.parametrize("overlays", OVERLAYS, ids=lambda names: "+".join(names) or "config")
def test_shipped_configs_are_valid(overlays):
    validate_config(load_config(*overlays), SCHEMA, VARIABLES)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("sead", 1, ["sead", "seed"]),
        ("grid.resolutoin", 1.5, ["resolutoin", "grid", "resolution"]),
        ("source", "cloud", ["source", "cloud", "cds", "synthetic", "local"]),
        ("members", 0, ["members", "0", "at least 1"]),
        ("members", "five", ["members", "five", "integer"]),
        ("grid.resolution", 7, ["grid.resolution", "7", "1.5"]),
        ("experiments.aimip-p2k.sst_offset", 40, ["experiments.aimip-p2k.sst_offset", "40", "at most 10"]),
        ("experiments.aimip_p2k", {"sst_offset": 2}, ["aimip_p2k", "dashes"]),
        ("experiments.aimip-p4k.sst_offset", 3, ["experiments.aimip-p4k.sst_offset", "3 K", "4 K", "another name"]),
        ("periods.training", ["1985-01", "2015-12"], ["periods.training", "periods.test", "2015-01"]),
        ("periods.training", ["1985-1", "2014-12"], ["1985-1", "YYYY-MM"]),
        ("periods.training", ["1985-02", "2014-12"], ["periods.training", "1985-02", "whole years"]),
        ("periods.test", ["2015-01", "2025-12"], ["periods.test", "2025-12", "2024-12"]),
        ("periods.simulation", ["2024-12", "1978-10"], ["periods.simulation", "1978-10"]),
        ("experiments.aimip", None, ["experiments", "aimip-p2k, aimip-p4k", "sst_offset 0", "control"]),
        ("source", "local", ["local.folder", "local"]),
        ("evaluation.skill_fields", ["tas", "ta900"], ["evaluation.skill_fields", "ta900", "ta850"]),
        ("download.product", "daily", ["download.product", "daily", "monthly"]),
        ("training.times", "steps", ["training.times", "model.sampler", "second_order"]),
        ("submission.source_id", "MD_1p5", ["submission.source_id", "MD_1p5"]),
        ("submission.version", "2026-11-22", ["submission.version", "2026-11-22"]),
        ("submission.grids", ["gx"], ["submission.grids", "gx", "gn", "gr"]),
        ("regrid.engine", "bilinear", ["regrid.engine", "bilinear", "boxes", "xesmf"]),
        ("download.in_flight", 100, ["download.in_flight", "100", "at most"]),
        ("normalize.reference", "none", ["normalize.reference", "none", "climatology"]),
    ],
)
def test_wrong_value_gets_one_sentence(path, value, words):
    config = load_config()
    *parents, last = path.split(".")
    place = config
    for parent in parents:
        place = place[parent]
    place[last] = value
    with pytest.raises(ValueError) as error:
        validate_config(config, SCHEMA, VARIABLES)
    sentence = str(error.value)
    assert "\n" not in sentence
    assert all(word in sentence for word in words), sentence


def test_missing_key_is_named():
    config = load_config()
    del config["grid"]["resolution"]
    with pytest.raises(ValueError, match="'grid' lacks the key 'resolution'"):
        validate_config(config, SCHEMA, VARIABLES)


def properties(schema, path=""):
    """Every (path, schema) of a config key."""
    for name, entry in schema.get("properties", {}).items():
        yield f"{path}{name}", entry
        yield from properties(entry, f"{path}{name}.")


def test_schema_is_closed_and_described():
    schema = yaml.safe_load(SCHEMA.read_text())
    definitions = schema["$defs"]
    assert schema["additionalProperties"] is False
    for path, entry in properties(schema):
        entry = definitions[entry["$ref"].rsplit("/", 1)[1]] if "$ref" in entry else entry
        assert entry.get("description"), f"{path} has no description"
        if "properties" in entry:
            assert entry["additionalProperties"] is False, f"{path} is open"


KEYWORDS = {
    *("type", "description", "properties", "additionalProperties", "propertyNames", "required", "items", "contains"),
    *("enum", "const", "pattern", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength"),
    *("minItems", "maxItems", "minProperties", "uniqueItems", "$ref"),
}


def test_no_description_is_cut_at_a_comma():
    """In YAML's {braces} a comma ends a text without quotes, and the rest becomes a key that means nothing."""
    for path, entry in properties(yaml.safe_load(SCHEMA.read_text())):
        assert set(entry) <= KEYWORDS, f"{path}: {sorted(set(entry) - KEYWORDS)}"


def test_validation_leaves_the_config_alone():
    config = load_config("demo")
    before = copy.deepcopy(config)
    validate_config(config, SCHEMA, VARIABLES)
    assert config == before


def test_the_shipped_contact_is_for_synthetic_data_only():
    check_placeholders(load_config("demo"))
    check_placeholders(load_config("test"))
    for source in ("cds", "local"):
        config = load_config() | {"source": source}
        with pytest.raises(
            ValueError, match=r"^config: 'submission.contact' is 'monthly-diffusion@example.org'"
        ) as error:
            check_placeholders(config)
        assert "\n" not in str(error.value)
        config["submission"]["contact"] = "the modelling group, data@mail"
        check_placeholders(config)


@pytest.mark.parametrize(
    ("key", "value", "found"),
    [
        ("institution", "TODO, Department of Physics", "TODO"),
        ("institution_id", "Your-Institution", "Your-Institution"),
        ("source", "<model name> (2026)", "<model name>"),
        ("source_id", "placeholder", "placeholder"),
        ("references", "tbd", "tbd"),
        ("contact", "me@mail.example.com", "mail.example.com"),
        ("further_info_url", "https://www.example.net/model", "www.example.net"),
        ("further_info_url", "https://model.invalid", "model.invalid"),
    ],
)
def test_placeholders_are_found_in_every_text(key, value, found):
    config = load_config()
    config["submission"] |= {"contact": "data@mail", key: value}
    with pytest.raises(ValueError, match=f"'submission.{key}' is ") as error:
        check_placeholders(config)
    assert value in str(error.value)
    assert f"'{found}' is a placeholder" in str(error.value)


@pytest.mark.parametrize("value", ["Example Valley University", "test of the latest model, testing", "a < b"])
def test_words_that_only_look_like_placeholders_pass(value):
    config = load_config()
    config["submission"] |= {"contact": "data@mail", "source": value}
    check_placeholders(config)


def test_variables_table():
    fields = read_variables(ROOT / "config/variables.csv", role="field")
    assert len(fields) == 37
    assert len({row.channel for row in fields}) == 37
    submitted = {name for row in fields for name in row.cmor_name}
    assert submitted == set("ta hus ua va zg ps psl ts tas huss tdas uas vas pr".split())
    levels = [row.level for row in fields if row.cmor_name == ("ta",)]
    assert levels == [1000, 850, 700, 500, 250, 100, 50]


def test_variables_table_names_a_bad_line(tmp_path):
    text = (ROOT / "config/variables.csv").read_text().replace(",850,", ",85o,", 1)
    path = tmp_path / "variables.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match="line 3.*85o"):
        read_variables(path)
