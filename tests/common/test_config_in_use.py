"""The config that the programs get: integers where they want them, texts in one line, nothing that stops them later."""

import pytest
import yaml

from tests.common.test_settings import SCHEMA, properties, validate
from tests.helpers.project import VARIABLES, load_config, snakemake
from workflow.scripts.cmorize.tables import LICENSE, basic_regex
from workflow.scripts.common.settings import validate_config


@pytest.mark.parametrize(
    "path",
    [
        *("seed", "members", "rollout.block", "synthetic.seed", "download.in_flight", "submission.deflate"),
        *(
            "evaluation.minimum_years",
            "training.epochs",
            "training.offset_members",
            "model.hidden",
            "model.noise_modes",
        ),
    ],
)
def test_a_whole_number_written_with_a_point_is_an_integer_to_the_programs(path):
    valid, found = validate(path, 4.0)
    assert found == 4 and type(found) is int
    assert type(valid["training"]["learning_rate"]) is float
    assert type(validate("training.clip", 4.0)[1]) is float, "a number that need not be whole stays as it is"


def whole(entry):
    """Whether a schema's entry takes whole numbers only, as a type or as a list of them."""
    return entry.get("type") == "integer" or {type(value) for value in entry.get("enum", [])} == {int}


def test_every_integer_of_the_schema_is_one_in_the_config():
    schema, config = yaml.safe_load(SCHEMA.read_text()), load_config()
    paths = [path.split(".") for path, entry in properties(schema) if whole(entry)]
    assert len(paths) > 25
    for *parents, last in paths:
        place = config
        for parent in parents:
            place = place[parent]
        place[last] = float(place[last])
    valid = validate_config(config, SCHEMA, VARIABLES)
    for path in paths:
        found = valid
        for key in path:
            found = found[key]
        assert type(found) is int, path


@pytest.mark.parametrize(
    ("path", "value", "found"),
    [
        ("submission.institution", "University of\nMaryland\n", "University of Maryland"),  # a block of YAML
        ("submission.contact", " data@mail \n", "data@mail"),
        ("submission.grids", ["gr", "gn"], ["gn", "gr"]),  # the first is evaluated, on the reference's grid
        ("local.pattern", "{year}/{dataset}.nc", "{year}/{dataset}.nc"),
        ("model.forced_modes", 360, 360),
        ("model.squeeze", 30, 30),
        ("seed", 2**64 - 1, 2**64 - 1),
        ("submission.references", "x" * 1000, "x" * 1000),
        ("evaluation.models", {"9-x.y": "folder"}, {"9-x.y": "folder"}),
        ("submission.contact", "jane@uni.edu", "jane@uni.edu"),
    ],
)
def test_what_programs_take_is_valid(path, value, found):
    assert validate(path, value)[1] == found


def test_a_regridded_grid_has_whole_cells_where_there_is_one():
    assert validate("submission.regridded_resolution", 7)[1] == 7
    config = load_config()
    config["submission"] |= {"grids": ["gn", "gr"], "regridded_resolution": 7}
    with pytest.raises(ValueError, match="'submission.regridded_resolution': a grid of 7 degrees does not fit"):
        validate_config(config, SCHEMA, VARIABLES)


def test_a_checkpoint_brings_sizes_of_its_own():
    config = load_config()
    config["model"] |= {"checkpoint": "a.zip", "squeeze": 100}
    validate_config(config, SCHEMA, VARIABLES)


def test_a_manifest_of_the_archive_is_there(tmp_path):
    config = load_config()
    config["evaluation"]["archive"] |= {"models": {"Other": "A/B"}, "manifest": str(tmp_path / "MANIFEST")}
    with pytest.raises(ValueError, match="evaluation.archive.manifest.*which is not there"):
        validate_config(config, SCHEMA, VARIABLES)
    (tmp_path / "MANIFEST").touch()
    validate_config(config, SCHEMA, VARIABLES)


@pytest.mark.parametrize(
    ("results", "sentence"),
    [
        ("https://zenodo.org/records/123", "a page to read; give the API address .*https://zenodo.org/api/records/ID"),
        ("https://doi.org/10.5281/zenodo.123", "a page to read"),
        ("nowhere/aimip.tar.gz", "neither an address nor a file"),
        ("https://", "neither an address nor a file"),
    ],
)
def test_the_archive_of_results_is_an_address_or_a_file(results, sentence, tmp_path):
    config = load_config()
    config["evaluation"]["archive"]["results"] = results
    with pytest.raises(ValueError, match=f"evaluation.archive.results.*{sentence}"):
        validate_config(config, SCHEMA, VARIABLES)
    (tmp_path / "aimip.tar.gz").touch()
    for sound in ("https://zenodo.org/api/records/123", str(tmp_path / "aimip.tar.gz")):
        config["evaluation"]["archive"]["results"] = sound
        validate_config(config, SCHEMA, VARIABLES)


CMOR_TEXT = 1023  # bytes


def test_the_longest_texts_are_those_that_cmor_has_room_for():
    longest, _ = validate("submission.institution", "x" * 360)
    pattern = basic_regex(LICENSE.format(institution=longest["submission"]["institution"]))
    assert len(f"^{pattern}$".encode()) <= CMOR_TEXT
    dotted, _ = validate("submission.further_info_url", "https://a/" + "." * 495)
    assert len(f"^{basic_regex(dotted['submission']['further_info_url'])}$".encode()) <= CMOR_TEXT


def test_numbers_in_braces_on_the_command_line_are_explained(tmp_path):
    options = ["--config", "experiments={aimip: {sst_offset: 0}}"]
    done = snakemake(tmp_path, "--dry-run", *options, check=False)
    assert done.returncode != 0
    printed = done.stdout + done.stderr
    assert "config: 'experiments.aimip.sst_offset' is the text '0', allowed is number" in printed
    assert "write 0 without quotes, and in a file given with --configfile" in printed


def test_snakemake_works_with_the_types_of_the_schema(tmp_path):
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("members: 2.0\nrollout: {block: 2.0}\nmodel: {hidden: 16.0}\nseed: 1.0e+3\n")
    done = snakemake(tmp_path, "--dry-run", "--printshellcmds", "train", overlay=overlay)
    assert '"hidden": 16,' in done.stdout and "--seed 1000 " in done.stdout
