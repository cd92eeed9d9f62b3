"""The pages (README.md, docs/) hold: links lead somewhere, commands and settings exist, nothing is told in two ways."""

import ast
import contextlib
import io
import re
import runpy
import sys
from functools import cache

import pytest

from tests.helpers.pages import DOCS, FRONT, PAGES, anchor, code, commands, links, name, rows, section, titles
from tests.helpers.project import ROOT, load_config

ROOMS = [path for path in ROOT.iterdir() if path.name in "benchmarks config docs envs model tests workflow".split()]
FILES = [path.name for path in ROOT.iterdir()] + [name(path) for room in ROOMS for path in room.rglob("*")]
MAKEFILE = (ROOT / "Makefile").read_text()
# What only a run makes, and what stands for something.
MADE = re.compile(r"^(results|demo|logs|report\.html|UMD-PARETO)\b|^[~.]|[{}]|\bx\b|x_part|^esgvoc|^jcm|^/")
ELSEWHERE = {"build_repro_archive.py"}  # of AIMIP's own repository


def test_the_front_page_is_short():
    assert len(FRONT.read_text().splitlines()) <= 95


def test_every_page_is_reached_from_the_front_page():
    reached = {(FRONT.parent / target.split("#")[0]).resolve() for _, target in links(FRONT)}
    assert set(PAGES) - {FRONT} <= reached


def test_no_two_sections_have_one_title():
    everywhere = [title for page in PAGES for title in titles(page)]
    assert len(everywhere) == len(set(everywhere))


@pytest.mark.parametrize("page", [*PAGES, ROOT / "benchmarks/experiments.md"], ids=name)
def test_nothing_stands_for_what_is_to_be_written(page):
    assert not re.search(r"^[A-Z0-9_]{4,}$|\b(TODO|TBD|FIXME|XXX)\b", page.read_text(), re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_no_link_within_the_project_is_dead(page):
    for words, target in links(page):
        if re.match(r"https?://", target):
            continue
        path, _, part = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists() and there.is_relative_to(ROOT), f"[{words}]({target})"
        assert not part or part in map(anchor, titles(there)), f"[{words}]({target}): no such section"


@pytest.mark.parametrize(("page", "command"), sorted(set(commands("make"))))
def test_what_is_made_is_a_target_of_the_makefile(page, command):
    for word in command.split()[1:]:
        setting, _, value = word.partition("=")
        if not value:
            assert re.search(rf"(?m)^{re.escape(word)}:", MAKEFILE), word
        elif setting == "PRESET":
            assert (ROOT / f"config/presets/{value}.yaml").exists()
        else:
            assert setting == "TARGET" and f"$({setting})" in MAKEFILE
            # An experiment is a target; the page says how one gets this one.
            assert value in ["all", *load_config()["experiments"], "aimip-p3k"]


@cache
def help_of(program):
    """What a program, a module or a file, says to --help."""
    said, kept = io.StringIO(), sys.argv
    try:
        sys.argv = [program, "--help"]
        with contextlib.redirect_stdout(said), pytest.raises(SystemExit) as ended:
            if program.endswith(".py"):
                runpy.run_path(str(ROOT / program), run_name="__main__")
            else:
                runpy.run_module(program, run_name="__main__")
    finally:
        sys.argv = kept
    assert ended.value.code == 0
    return said.getvalue()


def programs():
    """(page, program, the words after it) of every command that starts Python on a program of the project."""
    found = []
    for page, command in commands("python"):
        program, *words = command.removeprefix("python ").removeprefix("-m ").split()
        if program not in ("snakemake", "pytest", "workflow/launch.py"):
            found.append((page, program, " ".join(words)))
    return sorted(set(found))


@pytest.mark.parametrize(("page", "program", "words"), programs())
def test_a_program_has_the_options_that_a_page_gives_it(page, program, words):
    told = help_of(program)
    for option in re.findall(r"--[\w-]+", words):
        assert re.search(rf"{option}\b", told), f"{program} has no {option}"


@pytest.mark.parametrize(
    ("page", "command"), [(page, text) for page, text in commands("python") if "launch.py" in text]
)
def test_the_launcher_is_given_a_profile_that_is_there_and_targets_that_are(page, command):
    words = command.split()[2:]
    options = dict(zip(words, words[1:], strict=False))
    assert (ROOT / options["--workflow-profile"] / "config.yaml").exists(), "every page names a profile"
    overlay = options.get("--configfile", "OVERLAY")  # a file of the reader's own
    assert overlay == "OVERLAY" or (ROOT / overlay).exists()
    targets = {"all", "submission", "evaluation", "gcm", *load_config()["experiments"]}
    plain = [word for word, before in zip(words, [None, *words], strict=False) if not f"{word}{before}".count("--")]
    own = {"OVERLAY", "FOLDER", options.get("--directory"), options.get("--cores")}
    assert not [word for word in plain if "/" not in word and word not in targets | own]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_file_that_a_page_names_is_in_the_repository(page):
    for piece in code(page):
        for word in piece.split():
            word = word.rstrip(",;:")
            if re.fullmatch(r"[\w./-]+(\.(py|yaml|csv|smk|md|txt|npz)|/)", word) and not MADE.search(word):
                made = re.search(rf"`(results|demo)[^`]*{re.escape(word)}`", page.read_text())
                beside = {"metrics.csv", "validation.csv"}  # told beside the folder of results that has them
                there = any(f"/{file}".endswith("/" + word.rstrip("/")) for file in FILES)
                assert there or made or word in beside, word


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_setting_that_a_page_names_is_in_the_config(page):
    config = load_config()
    for piece in code(page):
        found = re.fullmatch(r"(\w+)\.(\w+(?:\.\w+)*)(?::.*)?", piece)
        if found and found[1] in config and isinstance(config[found[1]], dict):
            below = config[found[1]]
            for key in found[2].split("."):
                assert key in below, piece
                below = below[key]


def test_every_module_of_the_model_has_its_place_in_the_page_about_it():
    page = (ROOT / "docs/model.md").read_text()
    assert {path.stem for path in (ROOT / "model").glob("[a-z]*.py")} <= set(re.findall(r"`([a-z_0-9]+)`", page))


@pytest.mark.parametrize("room", ["model", "workflow"])
def test_a_program_that_a_docstring_names_is_in_the_repository(room):
    absent = []
    for path in (ROOT / room).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                for named in re.findall(r"[\w/.-]*\w\.py\b", ast.get_docstring(node) or ""):
                    there = any(f"/{file}".endswith(f"/{named}") for file in FILES)
                    absent += [] if there or named in ELSEWHERE else [f"{name(path)}: {named}"]
    assert absent == []


def test_what_the_front_page_says_of_results_is_in_the_results():
    measured = [row for page in DOCS for row in rows(page.read_text())]
    scores = [row for row in rows(section("What comes out")) if re.match(r"[\d*]", row[1])]
    assert len(scores) > 3
    assert [row for row in scores if row not in measured] == []
