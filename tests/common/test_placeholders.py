"""What still waits for a value of the user's own is found in real runs; real addresses are not taken for that."""

import pytest
import yaml

from tests.common.test_settings import SCHEMA
from tests.helpers.project import ROOT, VARIABLES, load_config, snakemake
from workflow.scripts.cmorize.tables import check_names
from workflow.scripts.common.settings import check_placeholders, validate_config


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
        ("contact", "<your name>", "<your name>"),
        ("contact", "<your name>, data@mail", "<your name>"),
        ("contact", "Jane Doe <jane@example.org>", "example.org"),
        ("contact", "Jane Doe <jane@uni.edu>, <jane at home>", "<jane at home>"),
        ("contact", "your.name@uni.edu", "your.name"),
        ("contact", "Jane <a@b@c>", "<a@b@c>"),
        ("references", "Hall <https://>", "<https://>"),
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


@pytest.mark.parametrize(
    "contact",
    [
        "Name <address@site>",
        "J\u00fcrgen M\u00fcller <j.mueller@uni.de>",
        "Jane Doe <jane@uni.edu>, john@uni.edu",
        '"Doe, Jane" <jane@uni.edu>, "Doe, John" <john@uni.edu>',
        "<jane@uni.edu>",
        "jane@uni.edu (Jane Doe)",
        "the modelling group, data@mail",
        "j.m\u00fcller@uni.de",
    ],
)
def test_real_addresses_are_none_of_the_placeholders(contact):
    config = load_config()
    config["submission"]["contact"] = contact
    valid = validate_config(config, SCHEMA, VARIABLES)
    check_placeholders(valid)
    check_names("aimip", valid["submission"])


def test_addresses_in_brackets_are_real_in_every_text():
    config = load_config()
    config["submission"] |= {"contact": "data@mail", "references": "Hall and Molina, <https://doi.org/10.1>"}
    check_placeholders(config)


@pytest.mark.parametrize(("target", "stopped"), [("submission", True), ("aimip", False), ("evaluation", False)])
def test_a_placeholder_stops_what_publishes_before_its_first_job_and_nothing_else(target, stopped, tmp_path):
    config = yaml.safe_load((ROOT / "config/test.yaml").read_text())
    config |= {"source": "local", "local": {"folder": str(tmp_path / "archive")}}
    (tmp_path / "overlay.yaml").write_text(yaml.safe_dump(config))
    names = [f"{name}/{year}.nc" for name in ("single-levels", "pressure-levels") for year in range(1978, 1982)]
    for name in (*names, "static.nc", load_config()["local"]["forcing"]):
        (tmp_path / "archive" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "archive" / name).touch()
    done = snakemake(tmp_path, target, "--cores", "1", overlay=tmp_path / "overlay.yaml", check=False)
    assert done.returncode != 0, "the files are empty"
    said = done.stdout + done.stderr
    assert ("'submission.contact' is 'monthly-diffusion@example.org'" in said) == stopped
    assert ("is empty, not netCDF" in said) != stopped
