"""Tables of variables: AIMIP's own is good, and whatever is wrong in one gets a sentence with its line and column."""

import csv
import io

import pytest

from tests.helpers.project import DATA, ROOT, VARIABLES, load_config
from workflow.scripts.common.settings import validate_config
from workflow.scripts.common.variable_table import check_table

SCHEMA = ROOT / "workflow/schemas/config.schema.yaml"
HEADER, *LINES = VARIABLES.read_text().splitlines()
# Line of a field on levels, of one at the surface, of a static one and of the two forcings, and the count of all.
V850, MSL, SDOR, SST, ICE, COUNT = 10, 38, 39, 44, 45, 45


def table(tmp_path, changes=(), drop=()):
    """AIMIP's table with {(line, column): text} changed and lines dropped."""
    rows = list(csv.DictReader(io.StringIO(VARIABLES.read_text())))
    for (line, column), value in dict(changes).items():
        rows[line - 2][column] = value
    path = tmp_path / "table.csv"
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, HEADER.split(","), lineterminator="\n")
        writer.writeheader()
        writer.writerows(row for number, row in enumerate(rows, start=2) if number not in drop)
    return path


@pytest.mark.parametrize("path", [VARIABLES, DATA / "ncep_reanalysis_fields.csv"], ids=["AIMIP", "reanalysis"])
def test_good_tables(path):
    check_table(path)


@pytest.mark.parametrize("drop", [[ICE], range(SDOR, SST), range(2, 32), [34, 37]], ids=["ice", "statics", "z", "d2m"])
def test_tables_may_leave_things_out(tmp_path, drop):
    check_table(table(tmp_path, drop=drop))


@pytest.mark.parametrize(
    ("line", "column", "value", "words"),
    [
        (V850, "role", "feild", ["'feild'", "field or static or forcing"]),
        (V850, "dataset", "model-levels", ["'model-levels'", "single-levels or pressure-levels"]),
        (SDOR, "dataset", "single-levels", ["'single-levels'", "static"]),
        (V850, "transform", "log", ["'log'", "none or sqrt or logit"]),
        (V850, "regrid", "bilinear", ["'bilinear'", "conservative or majority"]),
        (V850, "regrid", "axis", ["'axis'", "conservative or majority"]),
        (SDOR, "regrid", "axis", ["units", "'m'", "write radian", "regrid is axis"]),
        (V850, "level", "", ["''", "pressure level"]),
        (V850, "level", "0", ["'0'", "hPa"]),
        (MSL, "level", "500", ["'500'", "single-levels", "empty"]),
        (V850, "channel", "v 850", ["'v 850'", "letters, digits"]),
        (V850, "channel", "v1000", ["'v1000'", "line 9"]),
        (MSL, "units", "hPa", ["'hPa'", "write Pa", "psl"]),
        (V850, "units", "m", ["'m'", "m s-1", "va"]),
        (SDOR, "units", "metres of snow", ["'metres of snow'", "udunits"]),
        (SST, "units", "degC", ["'degC'", "write K"]),
        (ICE, "transform", "none", ["'none'", "write logit"]),
        (SST, "channel", "tos", ["'tos'", "sst or siconc"]),
        (MSL, "valid_max", "1", ["1", "above valid_min, 85000"]),
        (MSL, "cmor_name", "slp", ["'slp'", "psl"]),
        (MSL, "cmor_name", "ta", ["units", "write K", "ta"]),
        (SDOR, "cmor_name", "ps", ["static row", "only fields"]),
        (V850, "cmor_name", "vas", ["level", "850", "surface"]),
        (V850, "dataset", "single-levels", ["level", "850"]),
        (V850, "regrid", "majority", ["'majority'", "'conservative'", "line 9"]),
    ],
)
def test_a_wrong_value_is_named_with_line_and_column(tmp_path, line, column, value, words):
    path = table(tmp_path, {(line, column): value})
    with pytest.raises(ValueError) as error:
        check_table(path)
    text = str(error.value)
    assert text.startswith(f"{path} line {line}, column ") and "\n" not in text
    assert all(word in text for word in words), text


def test_what_is_missing_as_a_whole(tmp_path):
    with pytest.raises(ValueError, match="channel sst"):
        check_table(table(tmp_path, drop=[SST]))
    with pytest.raises(ValueError, match="nothing would be submitted"):
        check_table(table(tmp_path, drop=range(2, SDOR)))
    with pytest.raises(ValueError, match="line 45, column 'cmor_name': 'psl' stands on line 38"):
        doubled = {(ICE, key): value for key, value in zip(HEADER.split(","), LINES[MSL - 2].split(","), strict=True)}
        check_table(table(tmp_path, doubled | {(ICE, "channel"): "p", (ICE, "short_name"): "p"}))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HEADER.replace(",units", ""), ["line 1", "'units'", "0 times"]),
        (f"{HEADER},colour", ["line 1", "'colour'", "no column"]),
        (f"{HEADER}\n{LINES[0]},blue", ["line 2", "12 values"]),
        (f"{HEADER}\nfield,pressure-levels", ["line 2", "12 values"]),
        (f"{HEADER}\n{LINES[0].replace('1000,', '1e3,', 1)}", ["line 2", "1e3"]),
    ],
)
def test_a_table_with_other_columns(tmp_path, text, words):
    (tmp_path / "table.csv").write_text(text + "\n")
    with pytest.raises(ValueError) as error:
        check_table(tmp_path / "table.csv")
    assert all(word in str(error.value) for word in words), error.value


def test_the_config_names_the_table_and_may_name_fields_that_it_leaves_out(tmp_path):
    config = load_config() | {"variables": str(DATA / "ncep_reanalysis_fields.csv")}
    assert "pr" in validate_config(config, SCHEMA, VARIABLES)["evaluation"]["map_fields"]
    config["evaluation"]["map_fields"] = ["tas", "zg200"]  # zg200 is no field of AIMIP's, but of this table
    validate_config(config, SCHEMA, VARIABLES)
    config["evaluation"]["map_fields"] = ["rain"]
    with pytest.raises(ValueError, match="evaluation.map_fields' has 'rain'"):
        validate_config(config, SCHEMA, VARIABLES)
    config["variables"] = "nowhere.csv"
    with pytest.raises(ValueError, match="'variables' is 'nowhere.csv', which is not there"):
        validate_config(config, SCHEMA, VARIABLES)
