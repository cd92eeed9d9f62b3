"""The house: where things are, how large they are, and that everything a rule runs also runs alone."""

import ast
import importlib
import re
import sys

import pytest

from tests.helpers.project import ROOT

CODE = sorted(path for name in ("model", "workflow", "tests", "benchmarks") for path in (ROOT / name).rglob("*.py"))
RULES = sorted((ROOT / "workflow/rules").glob("*.smk"))
LONGEST = 320  # lines: about one idea; what grows beyond wants to be two files


def programs():
    """(rule file, module) of every program that a rule runs."""
    named = re.compile(r"-m ((?:model|workflow)[\w.]+)")
    return [(path.stem, module) for path in RULES for module in named.findall(path.read_text())]


def test_no_file_is_long():
    lines = {path.relative_to(ROOT): len(path.read_text().splitlines()) for path in [*CODE, *RULES]}
    assert {path: count for path, count in lines.items() if count > LONGEST} == {}


def test_no_module_has_the_name_of_one_in_the_standard_library():
    shadows = [path.relative_to(ROOT) for path in CODE if path.stem in sys.stdlib_module_names]
    assert shadows == []


def test_packages_export_nothing_again():
    for path in CODE:
        if path.name == "__init__.py":
            statements = [node for node in ast.parse(path.read_text()).body if not isinstance(node, ast.Expr)]
            assert statements == [], path


def test_no_module_edits_the_path_it_is_found_by():
    assert [path for path in CODE if "sys.path" in path.read_text() and path.name != "test_layout.py"] == []


@pytest.mark.parametrize(("rule_file", "module"), sorted(set(programs())))
def test_a_rule_runs_a_program_of_its_own_stage_that_helps_itself(rule_file, module, capsys):
    room = module.split(".")[2] if module.startswith("workflow.scripts.") else module.split(".")[1]
    assert room in (rule_file, rule_file.split("_")[0]), "rules of a stage are in STAGE.smk, or in STAGE_part.smk"
    with pytest.raises(SystemExit) as ended:
        sys.argv, kept = [module, "--help"], sys.argv
        try:
            importlib.import_module(module).main()
        finally:
            sys.argv = kept
    assert ended.value.code == 0
    told = capsys.readouterr().out
    assert "usage:" in told and "--log" in told
