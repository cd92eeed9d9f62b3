"""The config: every shipped one is valid, and whatever is wrong gets one sentence with key, value and cure."""

import copy
import datetime

import pytest
import yaml

from tests.helpers.project import ROOT, VARIABLES, load_config
from workflow.scripts.common import experiments, periods
from workflow.scripts.common.reference import reference_name
from workflow.scripts.common.settings import validate_config
from workflow.scripts.common.variables import read_variables
from workflow.scripts.submission import drs

SCHEMA = ROOT / "workflow/schemas/config.schema.yaml"
OVERLAYS = [[], ["demo"], ["test"], ["presets/v0p9"], ["presets/full_size"], ["demo", "presets/v0p9"]]


@pytest.mark.parametrize("overlays", OVERLAYS, ids=lambda names: "+".join(names) or "config")
def test_shipped_configs_are_valid(overlays):
    validate_config(load_config(*overlays), SCHEMA, VARIABLES)


def test_the_shipped_periods_are_those_of_the_protocol():
    found = periods.evaluation_periods(load_config()["periods"])
    assert found["simulation"] == periods.PROTOCOL
    assert (found["training"], found["test"]) == (periods.PROTOCOL_TRAINING, periods.PROTOCOL_TEST)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("sead", 1, ["sead", "seed"]),
        ("grid.resolutoin", 1.5, ["resolutoin", "grid", "resolution"]),
        ("source", "cloud", ["source", "cloud", "cds", "synthetic", "local"]),
        ("members", 0, ["members", "0", "at least 1"]),
        ("members", "five", ["members", "five", "integer"]),
        ("grid.resolution", 7, ["grid.resolution", "7", "0.25 to 15 degrees that divide 180", "6.92308 and 7.2"]),
        ("download.resolution", 0.7, ["download.resolution", "0.7", "divide 180", "0.70038"]),
        ("synthetic.resolution", 4.6, ["synthetic.resolution", "4.6", "divide 180", "4.5"]),
        ("grid.resolution", 0.2, ["grid.resolution", "0.2", "at least 0.25"]),
        ("synthetic.resolution", 18, ["synthetic.resolution", "18", "at most 15"]),
        ("experiments.aimip-p2k.sst_offset", 40, ["experiments.aimip-p2k.sst_offset", "40", "at most 10"]),
        ("experiments.aimip_p2k", {"sst_offset": 2}, ["aimip_p2k", "dashes"]),
        ("experiments.aimip-p4k.sst_offset", 3, ["experiments.aimip-p4k.sst_offset", "3 K", "4 K", "another name"]),
        ("periods.training", ["1985-01", "2015-12"], ["periods.training", "periods.test", "2015-01"]),
        ("periods.training", ["1985-1", "2014-12"], ["1985-1", "YYYY-MM"]),
        ("periods.training", ["2013-02", "2014-12"], ["periods.training", "23 months", "at least 24", "climatology"]),
        ("periods.validation", ["1984-03", "1984-03"], ["periods.validation", "1 month;", "at least 2"]),
        ("periods.validation", ["1979-01", "1984-11"], ["periods.training", "periods.validation", "let one follow"]),
        ("periods.validation", ["2020-01", "2024-12"], ["periods.validation", "periods.test", "share"]),
        ("periods.test", ["2015-01", "2025-12"], ["periods.test", "2025-12", "2024-12"]),
        ("periods.simulation", ["2024-12", "1978-10"], ["periods.simulation", "1978-10"]),
        ("experiments.aimip", None, ["experiments", "aimip-p2k, aimip-p4k", "sst_offset 0", "control"]),
        ("source", "local", ["local.folder", "local"]),
        ("evaluation.skill_fields", ["tas", "ta900"], ["evaluation.skill_fields", "ta900", "ta850"]),
        ("evaluation.skill_fields", ["ts"], ["evaluation.skill_fields", "'ts'", "tas, pr, psl, ta850, zg500, ua250"]),
        ("evaluation.regression_modes", 361, ["evaluation.regression_modes", "361", "at most the 360 months"]),
        ("submission.source_id", "no-diffusion", ["no-diffusion", "something else", "another name"]),
        ("download.product", "daily", ["download.product", "daily", "monthly"]),
        ("normalize.reference", "channel", ["model.noise_modes", "64", "annual cycle", "climatology"]),
        ("training.times", "steps", ["training.times", "model.sampler", "second_order"]),
        ("submission.source_id", "MD_1p5", ["submission.source_id", "MD_1p5"]),
        ("submission.version", "2026-11-22", ["submission.version", "2026-11-22"]),
        ("submission.grids", ["gx"], ["submission.grids", "gx", "gn", "gr"]),
        ("evaluation.truth", "runs", ["evaluation.truth", "'runs'", "'source' is cds", "null"]),
        ("gcm.years", [1990, 1985], ["gcm.years", "1990, 1985", "not before"]),
        ("gcm.years", [1978, 1985], ["gcm.years", "1978", "at least 1979"]),
        ("gcm.spin_up", 24, ["gcm.spin_up", "24", "at most 12"]),
        ("regrid.engine", "bilinear", ["regrid.engine", "bilinear", "boxes", "xesmf"]),
        ("download.in_flight", 100, ["download.in_flight", "100", "at most"]),
        ("normalize.reference", "none", ["normalize.reference", "none", "climatology"]),
        # What the schema takes and a program does not, hours later.
        ("seed", 2**64, ["seed", "at most 18446744073709551615"]),
        ("seed", 1e30, ["seed", "at most 18446744073709551615"]),
        ("members", 2.5, ["members", "2.5", "integer"]),
        ("members", True, ["members", "True", "integer"]),
        ("download.outage", float("inf"), ["download.outage", "inf", "finite"]),
        ("training.learning_rate", float("nan"), ["training.learning_rate", "nan", "finite"]),
        ("experiments.aimip-warm", {"sst_offset": 2}, ["aimip-p2k and aimip-warm", "same sst_offset, 2 K", "null"]),
        ("experiments.aimip-again", {"sst_offset": 0.0}, ["aimip and aimip-again", "same sst_offset, 0 K"]),
        ("experiments.aimip-p3k", {"sst_offset": 5}, ["aimip-p3k.sst_offset", "5 K", "name says 3 K", "another name"]),
        ("experiments.aimip-m4k", {"sst_offset": 4}, ["aimip-m4k.sst_offset", "4 K", "name says -4 K"]),
        ("experiments.aimip-3k", {"sst_offset": 3}, ["aimip-3k", "others use for aimip-p3k", "another name"]),
        ("experiments.aimip-x", {}, ["experiments.aimip-x", "at least 1 entries"]),
        (
            "experiments.aimip-x",
            {"ice": "follow"},
            ["experiments.aimip-x.ice", "follow", "sst_offset or a sst_pattern"],
        ),
        ("experiments.aimip-x", {"sst_offset": 1, "ice": "melt"}, ["aimip-x.ice", "melt", "keep, follow"]),
        ("experiments.aimip-x", {"sst_pattern": "no.nc"}, ["aimip-x.sst_pattern", "'no.nc'", "no file", "correct"]),
        ("experiments.aimip-x", {"sst_pattern": "a b.nc"}, ["aimip-x.sst_pattern", "'a b.nc'", "letters, digits"]),
        ("experiments.aimip-p4k.ice", "follow", ["aimip-p4k", "ice follows", "4 K everywhere", "aimip-p4k-own"]),
        ("experiments.aimip.sst_pattern", "no.nc", ["'experiments.aimip'", "no.nc", "0 K everywhere", "another name"]),
        ("experiments.aimip" + 30 * "-p3", {"sst_offset": 3}, ["aimip-p3-p3", "at most 64 signs"]),
        ("model.squeeze", 31, ["model.squeeze", "31", "3 of the 121 rows", "grid.resolution"]),
        ("model.noise_modes", 32 * 40 * 80, ["model.noise_modes", "less than the 102400", "model.latent_channels"]),
        ("training.offset_members", 0, ["training.offset_members", "0", "model.residual_noise", "false"]),
        ("model.forced_modes", 361, ["model.forced_modes", "361", "at most the 360 months", "periods.training"]),
        ("local.pattern", "{dataset}/{month}.nc", ["local.pattern", "{dataset} and {year} and no other braces"]),
        ("local.pattern", "{dataset}.nc", ["local.pattern", "{dataset} and {year}"]),
        ("local.pattern", "{dataset}/{year:04d}.nc", ["local.pattern", "no other braces"]),
        ("local.name", "a {year}", ["local.name", "a {year}", "no braces"]),
        ("local.name", 41 * "x", ["local.name", "at most 40"]),
        ("local.static", "{year}.nc", ["local.static", "without braces"]),
        ("local.forcing", "a{}.nc", ["local.forcing", "without braces"]),
        ("download.forcing_record", "https://", ["download.forcing_record", "https://"]),
        ("download.forcing_record", '"https://zenodo.org/1"', ["download.forcing_record"]),
        ("evaluation.archive.url", "https:///bucket", ["evaluation.archive.url"]),
        ("evaluation.archive.models", {"-x": "A/B"}, ["evaluation.archive.models", "-x", "a letter or digit first"]),
        ("evaluation.models", {"-x": "folder"}, ["evaluation.models", "-x", "a letter or digit first"]),
        ("evaluation.models", {".": "folder"}, ["evaluation.models", "a letter or digit first"]),
        ("evaluation.models", {2026: "folder"}, ["evaluation.models", "2026", "quotes"]),
        ("evaluation.models", {"a": ""}, ["evaluation.models.a", "at least 1"]),
        ("evaluation.models", {"climatology": "folder"}, ["climatology", "evaluation.models", "another name"]),
        ("submission.source_id", "truth", ["truth", "submission.source_id", "another name"]),
        ("submission.source_id", "M" * 65, ["submission.source_id", "65 bytes", "room for 64"]),
        ("submission.references", "x" * 1001, ["submission.references", "1001 bytes", "room for 1000"]),
        ("submission.institution", "\u00e9" * 181, ["submission.institution", "362 bytes", "room for 360"]),
        ("submission.institution", "." * 181, ["submission.institution", "362 bytes", "room for 360"]),
        ("submission.contact", "a@b@c", ["submission.contact", "a@b@c", "no e-mail address", "Name <name@site>"]),
        ("submission.contact", "me .@. you", ["submission.contact", "no e-mail address"]),
        ("submission.contact", "see the page", ["submission.contact", "'see the page'", "no e-mail address"]),
        ("submission.version", datetime.date(2026, 11, 22), ["submission.version", "string"]),
        # Text for what is none.
        ("training.learning_rate", "1e-3", ["the text", "'1e-3'", "number", "YAML", "write 0.001"]),
        ("training.weight_decay", "1e-05", ["'1e-05'", "write 1.0e-05"]),
        ("seed", "1e3", ["'1e3'", "integer", "write 1000"]),
        ("seed", "2.5e3", ["'2.5e3'", "write 2500"]),
        ("members", "5", ["'5'", "integer", "write 5 without quotes", "--configfile", "--config makes text"]),
        ("download.era5t", "true", ["'true'", "boolean", "write true without quotes"]),
        ("grid.resolution", "1.5", ["'1.5'", "number", "write 1.5 without quotes"]),
        ("experiments.aimip-p2k", "null", ["experiments.aimip-p2k", "the text 'null'", "write null without quotes"]),
        ("model.checkpoint", "null", ["model.checkpoint", "the text 'null'", "write null without quotes"]),
    ],
)
def test_wrong_value_gets_one_sentence(path, value, words):
    with pytest.raises(ValueError) as error:
        validate(path, value)
    sentence = str(error.value)
    assert sentence.startswith("config: ") and "\n" not in sentence
    assert all(word in sentence for word in words), sentence


def test_an_experiment_is_one_line_whatever_its_sea(tmp_path):
    pattern = tmp_path / "el-nino.nc"
    pattern.touch()
    config = load_config()
    config["experiments"] |= {
        "aimip-m4k": {"sst_offset": -4},
        "aimip-el-nino": {"sst_pattern": str(pattern)},
        "aimip-melt": {"sst_offset": 4, "sst_pattern": None, "ice": "follow"},
        "aimip-p1k": {"sst_offset": 1, "sst_pattern": None, "ice": "keep"},
    }
    found = validate_config(config, SCHEMA, VARIABLES)["experiments"]
    assert found["aimip-p4k"] == {"sst_offset": 4}, "what AIMIP's own say stays, or they run again"
    assert found["aimip-m4k"] == {"sst_offset": -4} and found["aimip-p1k"] == {"sst_offset": 1}
    assert found["aimip-el-nino"] == {"sst_offset": 0, "sst_pattern": str(pattern)}
    assert found["aimip-melt"] == {"sst_offset": 4, "ice": "follow"}
    config["experiments"]["aimip-again"] = {"sst_pattern": str(pattern), "ice": "keep"}
    with pytest.raises(ValueError, match="aimip-el-nino and aimip-again with the same sea, SST .0 K and el-nino.nc"):
        validate_config(config, SCHEMA, VARIABLES)


def test_ice_follows_only_where_the_table_has_ice(tmp_path):
    table = tmp_path / "table.csv"
    lines = VARIABLES.read_text().splitlines(keepends=True)
    table.write_text("".join(line for line in lines if ",siconc," not in line))
    config = load_config()
    config["variables"] = str(table)
    config["experiments"]["aimip-melt"] = {"sst_offset": 4, "ice": "follow"}
    with pytest.raises(ValueError, match="'experiments.aimip-melt.ice' is follow, but .* has no sea ice"):
        validate_config(config, SCHEMA, VARIABLES)


def test_the_test_period_does_not_lie_within_what_the_evaluation_trains_its_climatology_on():
    config = load_config()
    config["periods"] |= {"test": ["2000-01", "2004-12"], "training": ["1985-01", "1999-12"]}
    config["periods"]["validation"] = ["2005-01", "2009-12"]
    with pytest.raises(ValueError, match="'periods.test' 2000-01..2004-12 lies between training and validation"):
        validate_config(config, SCHEMA, VARIABLES)


@pytest.mark.parametrize("step", [0.25, 0.75, 1, 1.0, 2.5, 3.75, 4, 2.4, 0.3, 12, 15])
@pytest.mark.parametrize("section", ["grid", "download", "synthetic"])
def test_every_step_that_divides_180_makes_a_grid(section, step):
    config = load_config()
    config[section]["resolution"] = step
    validate_config(config, SCHEMA, VARIABLES)


def test_periods_begin_and_end_in_any_month_and_year():
    config = load_config()
    config["periods"] = {
        "simulation": ["1951-03", "2031-08"],
        "training": ["1955-11", "1999-04"],
        "validation": ["1999-05", "2003-02"],
        "test": ["2004-06", "2031-08"],
    }
    assert validate_config(config, SCHEMA, VARIABLES)["periods"] == config["periods"]


@pytest.mark.parametrize(
    ("source", "local", "name"),
    [
        ("cds", None, "ERA5"),
        ("local", None, "ERA5 (local files)"),
        ("local", "A model of 1980", "A model of 1980"),
        ("synthetic", "A model of 1980", "synthetic planet"),
    ],
)
def test_the_reference_is_called_what_it_is(source, local, name):
    config = load_config() | {"source": source}
    config["local"] |= {"name": local, "folder": "folder"}
    assert reference_name(validate_config(config, SCHEMA, VARIABLES)) == name


def validate(path, value):
    """The config in use where ``path`` is ``value``, and what it has there: (config, value)."""
    config = load_config()
    *parents, last = path.split(".")
    place = config
    for parent in parents:
        place = place[parent]
    place[last] = value
    valid = validate_config(config, SCHEMA, VARIABLES)
    found = valid
    for key in (*parents, last):
        found = found[key]
    return valid, found


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


def test_the_schemas_patterns_are_the_programs_own():
    schema = yaml.safe_load(SCHEMA.read_text())["properties"]
    found = {key: entry["pattern"] for key, entry in schema["submission"]["properties"].items() if "pattern" in entry}
    found["experiments"] = schema["experiments"]["propertyNames"]["pattern"]
    own = {**dict.fromkeys(("institution_id", "source_id"), drs.MODEL_NAME), "version": drs.VERSION}
    own |= {"further_info_url": drs.FURTHER_INFO_URL, "experiments": experiments.NAME}
    assert found == {key: f"^{pattern}$" for key, pattern in own.items()}


KEYWORDS = {
    *("type", "description", "properties", "additionalProperties", "propertyNames", "required", "items", "contains"),
    *("enum", "const", "pattern", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength"),
    "maxLength",
    *("minItems", "maxItems", "minProperties", "uniqueItems", "$ref"),
}


def test_no_description_is_cut_at_a_comma():
    """In YAML's {braces} a comma ends a text without quotes, and the rest becomes a key that means nothing."""
    for path, entry in properties(yaml.safe_load(SCHEMA.read_text())):
        assert set(entry) <= KEYWORDS, f"{path}: {sorted(set(entry) - KEYWORDS)}"


def test_validation_leaves_the_config_alone():
    config = load_config("demo") | {"members": 2.0}
    before = copy.deepcopy(config)
    assert validate_config(config, SCHEMA, VARIABLES) == config
    assert config == before and type(config["members"]) is float


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
