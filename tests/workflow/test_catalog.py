"""What others find the project by: both entries of the workflow, catalog, config/README.md, citation and changelog."""

import datetime
import re
import shlex
import tomllib

import pytest
import yaml

from tests.helpers.pages import CONFIG, rows
from tests.helpers.project import ROOT, load_config, snakemake

USAGE = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text())
CHANGES = re.findall(r"(?ms)^## \[(.+?)\](?: - (\S+))?\n(.*?)(?=^## |\Z)", (ROOT / "CHANGELOG.md").read_text())
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

# Of the schema of the Citation File Format 1.2.0: what must be there, what may, and how some of it looks.
CITATION_KEYS = {
    *("abstract", "authors", "cff-version", "commit", "contact", "date-released", "doi", "identifiers", "keywords"),
    *("license", "license-url", "message", "preferred-citation", "references", "repository", "repository-artifact"),
    *("repository-code", "title", "type", "url", "version"),
}
REFERENCE_KEYS = {"type", "status", "title", "authors", "year", "identifiers", "url", "doi", "journal"}


def plan(directory, snakefile, *options):
    """The jobs of a whole run, each its message and its command, as a dry-run of ``snakefile`` tells them."""
    done = snakemake(directory, "--dry-run", "--printshellcmds", "--forceall", *options, snakefile=snakefile)
    return sorted(re.findall(r"(?m)^(?:Job \d+|Shell command): (.+)$", done.stdout))


def test_both_entries_of_the_workflow_plan_the_same_jobs_with_the_same_commands(tmp_path):
    planned = plan(tmp_path, "Snakefile", "all")
    assert plan(tmp_path, "workflow/Snakefile", "all") == planned
    assert any("workflow.scripts.publish" in command for command in planned)


def test_a_module_of_a_clone_plans_the_same_jobs(tmp_path):
    (tmp_path / "Snakefile").write_text(
        f"""
configfile: "{ROOT}/config/config.yaml"
module emulator:
    snakefile: "{ROOT}/workflow/Snakefile"
    config: config
use rule * from emulator
"""
    )
    planned = plan(tmp_path, "Snakefile", "submission")
    assert plan(tmp_path, tmp_path / "Snakefile", "submission") == planned


def test_the_catalog_is_told_what_it_asks_and_what_is_so():
    assert set(USAGE) == {"mandatory-flags", "software-stack-deployment", "report"}
    flags = dict([shlex.split(USAGE["mandatory-flags"]["flags"])])
    assert (ROOT / flags["--workflow-profile"] / "config.yaml").exists()
    assert USAGE["mandatory-flags"]["desc"]
    deployment = USAGE["software-stack-deployment"]
    assert set(deployment) == {"conda", "apptainer", "apptainer+conda"}
    rules = "".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    assert deployment["conda"] == ("    conda:\n" in rules)
    assert deployment["apptainer"] == deployment["apptainer+conda"] == ("container" in rules)
    assert USAGE["report"] == ("\nreport: " in (ROOT / "Snakefile").read_text())


def test_config_readme_has_a_line_for_every_section_of_the_config():
    assert [row[0].strip("`") for row in rows(CONFIG.read_text())] == list(load_config())


def is_named(author):
    """Whether an author is an entity, or a person, as the schema has them."""
    return set(author) == {"name"} or bool(author) and set(author) <= {"family-names", "given-names", "orcid"}


def test_the_citation_is_valid():
    assert {"authors", "cff-version", "message", "title"} <= set(CITATION) <= CITATION_KEYS
    assert CITATION["cff-version"] == "1.2.0"
    assert CITATION["type"] in ("software", "dataset")
    assert all(map(is_named, CITATION["authors"])) and CITATION["authors"]
    # YAML would make a date or a number of what the schema wants as text.
    assert isinstance(CITATION["date-released"], str) and datetime.date.fromisoformat(CITATION["date-released"])
    assert len(set(CITATION["keywords"])) == len(CITATION["keywords"])
    assert (ROOT / "LICENSE").read_text().startswith(f"{CITATION['license']} License")


@pytest.mark.parametrize("reference", CITATION["references"], ids=lambda reference: reference["title"])
def test_a_reference_is_valid(reference):
    assert {"type", "title", "authors"} <= set(reference) <= REFERENCE_KEYS
    assert all(map(is_named, reference["authors"]))
    assert reference["type"] == "article" and reference["status"] == "preprint"
    assert isinstance(reference["year"], int)
    assert all(set(one) == {"type", "value"} for one in reference["identifiers"])
    assert re.match("https?://.", reference["url"])


def test_the_paper_that_is_cited_is_the_submissions():
    (paper,) = CITATION["references"]
    told = load_config()["submission"]["references"]
    names = " and ".join(author["family-names"] for author in paper["authors"])
    assert told == f"{names} {paper['year']}, {paper['title']}, {paper['identifiers'][0]['value']}"


def test_versions_and_dates_agree():
    assert CHANGES[0][0] == "Unreleased" and not CHANGES[0][1]
    released = [(version, date) for version, date, _ in CHANGES[1:]]
    assert released[0] == (VERSION, CITATION["date-released"])
    assert str(CITATION["version"]) == VERSION
    dates = [datetime.date.fromisoformat(date) for _, date in released]
    assert dates == sorted(dates, reverse=True)


@pytest.mark.parametrize(("version", "date", "text"), CHANGES, ids=[version for version, *_ in CHANGES])
def test_changes_are_sorted_by_what_they_are(version, date, text):
    kinds = re.findall(r"(?m)^### (.+)$", text)
    order = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]
    assert kinds and kinds == sorted(set(kinds), key=order.index)
    assert not re.search(r"(?m)^[^-\s#]", text), "every change is a line of a list"
