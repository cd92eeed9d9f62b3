"""Environments that cannot be solved here are at least consistent: they parse, pin what pip pins, name every import."""

import ast
import importlib.metadata
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

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


def locked():
    """name -> (version, sha256) of every package of the lock; fails on a line of any other form."""
    lines = (ROOT / "envs/lock.txt").read_text().replace(" \\\n", "").splitlines()
    found = {}
    for line in lines:
        if not line.startswith("#"):
            name, version, digest = re.fullmatch(r"([a-z0-9-]+)==(\S+)\s+--hash=sha256:([0-9a-f]{64})", line).groups()
            assert name not in found
            found[name] = version, digest
    return found


def brought(names):
    """The packages that these bring with them, these too, as they are installed here."""
    found, queue = set(), [(name, "") for name in names]
    while queue:
        name, extra = queue.pop()
        if (name, extra) not in found:
            found.add((name, extra))
            for needed in map(Requirement, importlib.metadata.requires(name) or []):
                if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                    queue += [(canonicalize_name(needed.name), wanted) for wanted in ["", *needed.extras]]
    return {name for name, _ in found}


def test_the_lock_has_the_pinned_versions():
    constraints = {canonicalize_name(name): version for name, version in pins(ROOT / "envs/constraints.txt").items()}
    versions = {name: version for name, (version, _) in locked().items()}
    assert {name: version for name, version in versions.items() if constraints.get(name) != version} == {}
    assert len({digest for _, digest in locked().values()}) == len(versions)


@pytest.mark.skipif(
    (sys.platform, platform.machine(), sys.version_info[:2]) != ("linux", "x86_64", (3, 11)),
    reason="the lock is for Linux on x86_64 with Python 3.11",
)
def test_the_lock_holds_all_that_the_requirements_bring_and_no_more():
    required = {canonicalize_name(name) for name in pins(ROOT / "envs/requirements.txt")}
    assert set(locked()) == brought(required)


def test_every_rule_names_an_environment_that_holds_its_imports():
    for path, block in rule_blocks():
        (program,) = re.findall(r"-m ((?:model|workflow)[\w.]+)", block)
        environment = re.search(r'"\.\./\.\./envs/(\w+\.yaml)"', block)
        assert environment, f"a rule in {path.name} has a program but no conda environment"
        available = packages(ROOT / "envs" / environment[1])
        needed = {PROVIDES.get(name, name).lower() for name in third_party_imports(program.replace(".", "/") + ".py")}
        optional = {"xesmf"} if environment[1] != "regrid.yaml" else set()
        assert needed - optional <= available, f"{environment[1]} lacks {needed - available} for {program}"


@pytest.mark.parametrize("other", ["pyproj", "netCDF4, pyproj", "torch, netCDF4, cf_units, cartopy.crs, iris"])
def test_what_reads_grib_and_what_knows_maps_end_well_in_one_process(other):
    """Wheels bring libraries of their own; two PROJs in one process broke pyproj and crashed as it ended."""
    code = f"import eccodes, {other}, pyproj; assert pyproj.CRS('EPSG:4326').is_geographic"
    command = [sys.executable, "-W", "error::UserWarning", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["project", "a b", "it's \\ here"])
def test_with_conda_the_folder_of_environments_is_one_word_whatever_the_project_is_called(name, tmp_path):
    project = tmp_path / name
    shutil.copytree(ROOT / "envs", project / "envs")
    (tmp_path / "bin").mkdir()
    conda = tmp_path / "bin/mamba"
    # Made by its call as conda and called again as the Python that it made.
    conda.write_text('#!/bin/sh\n[ "$1" != env ] || { mkdir -p "$6/bin" && ln "$0" "$6/bin/python"; }\n')
    conda.chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}", "CMOR_PYTHON": "/cmor"}
    command = ["sh", "-c", '. envs/activate.sh >&2 && printf %s "$SNAKEMAKE_DEPLOYMENT"']
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    words = ["--software-deployment-method", "conda", "--conda-prefix", f"{project}/.conda-rules"]
    assert shlex.split(done.stdout) == words, done.stderr
