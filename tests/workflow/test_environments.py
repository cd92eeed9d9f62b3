"""Environments that cannot be solved here are at least consistent: they parse, pin what pip pins, name every import."""

import ast
import re
import sys
from pathlib import Path

import pytest
import yaml

from tests.helpers.project import ROOT
from workflow.scripts.common.imports import local_modules

ENVIRONMENTS = sorted((ROOT / "envs").glob("*.yaml"))
PROVIDES = {
    "netCDF4": "netcdf4",
    "yaml": "pyyaml",
    "torch_harmonics": "torch-harmonics",
    "compliance_checker": "compliance-checker",
    "ecmwf": "ecmwf-datastores-client",
    "cmip6_cv": "cmor",
    "contourpy": "matplotlib",
    "cf_units": "cf-units",
    "jax_datetime": "jax-datetime",
}
# xesmf is one of two engines and imported only where the config asks for it; torch.utils.tensorboard needs tensorboard.
STANDARD = set(sys.stdlib_module_names)


def pins(path):
    """name -> version of every 'name==version' line."""
    return dict(re.findall(r"^\s*-?\s*([\w.-]+)==([\w.+-]+)\s*$", path.read_text(), flags=re.MULTILINE))


def packages(path):
    """Names of all packages that a conda environment file asks for, lower case."""
    names = set()
    for entry in yaml.safe_load(path.read_text())["dependencies"]:
        for text in entry["pip"] if isinstance(entry, dict) else [entry]:
            names.add(re.split("[=<>]", text)[0].strip().lower())
    return names


def rule_blocks():
    """(rule file, text of one rule) for every rule of the workflow."""
    for path in sorted((ROOT / "workflow/rules").glob("*.smk")):
        for block in re.split(r"(?m)^\s*rule\b", path.read_text())[1:]:
            yield path, block


def third_party_imports(program):
    """Top-level packages that a program imports, also through local modules, without the standard library."""
    found = set()
    for module in local_modules(ROOT, program):
        for node in ast.walk(ast.parse(Path(module).read_text())):
            if isinstance(node, ast.ImportFrom):
                found.add(node.module.split(".")[0])
            elif isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
    return found - STANDARD - {"model", "workflow"}


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.stem)
def test_conda_pins_equal_pip_pins(path):
    environment = yaml.safe_load(path.read_text())
    assert "nodefaults" in environment["channels"]
    # The GCM has an interpreter of its own.
    listed = path.with_suffix(".txt") if path.stem == "gcm" else ROOT / "envs/requirements.txt"
    tested = pins(listed)
    for name, version in pins(path).items():
        assert tested[name] == version, f"{path.name} pins {name}=={version}, tested is {tested.get(name)}"


def test_the_gcm_is_pinned_alike_for_conda_and_pip():
    listed = pins(ROOT / "envs/gcm.txt")
    assert pins(ROOT / "envs/gcm.yaml") == listed and listed["jcm"] == "3.0.0"
    lines = [line for line in (ROOT / "envs/gcm.txt").read_text().splitlines() if not line.startswith("#")]
    assert len(lines) == len(listed), "every line is exact"


def test_requirements_agree_with_constraints():
    constraints = {name.lower(): version for name, version in pins(ROOT / "envs/constraints.txt").items()}
    for name, version in pins(ROOT / "envs/requirements.txt").items():
        assert constraints[name.lower()] == version


def test_every_rule_names_an_environment_that_holds_its_imports():
    for path, block in rule_blocks():
        (program,) = re.findall(r"-m ((?:model|workflow)[\w.]+)", block)
        environment = re.search(r'"\.\./\.\./envs/(\w+\.yaml)"', block)
        assert environment, f"a rule in {path.name} has a program but no conda environment"
        available = packages(ROOT / "envs" / environment[1])
        needed = {PROVIDES.get(name, name).lower() for name in third_party_imports(program.replace(".", "/") + ".py")}
        optional = {"xesmf"} if environment[1] != "regrid.yaml" else set()
        assert needed - optional <= available, f"{environment[1]} lacks {needed - available} for {program}"
