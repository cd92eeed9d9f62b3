"""The project under test: its folder, its configs, and Snakemake and the launcher started the way ``make`` does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from workflow.overlays import merged_config

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"
VARIABLES = ROOT / "config" / "variables.csv"
INDEX = ROOT / "workflow" / "data" / "nino34_index.csv"


def load_config(*overlays):
    """config/config.yaml with overlays such as "demo" or "test" merged the way Snakemake merges --configfile."""
    return merged_config(ROOT / f"config/{overlay}.yaml" for overlay in overlays)


def cmor_python():
    """The interpreter that has CMOR, the way `make` picks it."""
    return os.environ.get("CMOR_PYTHON", "/usr/bin/python3")


def snakemake(directory, *arguments, overlay=None, project=ROOT, snakefile="Snakefile", check=True):
    """Run Snakemake on ``project`` in ``directory`` with a config overlay (a path), as make does."""
    # --configfile takes all values that follow, so an option has to come next, not a target.
    configfile = [] if overlay is None else ["--configfile", overlay]
    command = [
        sys.executable,
        "-m",
        "snakemake",
        *configfile,
        "--snakefile",
        project / snakefile,
        "--directory",
        directory,
    ]
    command += ["--workflow-profile", project / "workflow/profiles/local"]
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "CMOR_PYTHON": cmor_python(),
    }
    done = subprocess.run(
        [*map(str, command), *map(str, arguments)], capture_output=True, text=True, env=environment, check=False
    )
    if check and done.returncode:
        pytest.fail(
            f"snakemake {' '.join(map(str, arguments))} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        )
    return done


def launch(project, directory, *options, overlay=None):
    """Start the launcher as make does, in a process group of its own."""
    command = [sys.executable, project / "workflow/launch.py", "--directory", directory, *options]
    command += ["--snakefile", project / "Snakefile", "--workflow-profile", project / "workflow/profiles/local"]
    command += ["--configfile", overlay or project / "config/test.yaml"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.Popen(
        list(map(str, command)),
        env={**os.environ, "PATH": path, "CMOR_PYTHON": cmor_python()},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def left_over(folder):
    """Files in ``folder``, hidden ones too."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file())
