"""What goes with the files of a submission: weights, config, card, provenance, catalogue and, last, the manifest.

A table of variables that is not the project's own goes with them, since the config alone does not make the files again.
"""

import json
import platform
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import distributions
from pathlib import Path

import yaml

from workflow.scripts.common import program
from workflow.scripts.common.atomic import atomic_path
from workflow.scripts.common.checksums import digests
from workflow.scripts.publish.card import card
from workflow.scripts.publish.catalog import write_catalog
from workflow.scripts.publish.manifest import files_below, write_manifest

TABLE = "variables.csv"
OWN = {"checkpoint.zip", "config.yaml", "README.md", "provenance.json", "catalog.json", "catalog.csv", TABLE}


def publish(folder, check, checkpoint, records, facts, config, repository):
    """Write checkpoint.zip, config.yaml, README.md, provenance.json, catalog.json and .csv, and manifest.csv into
    ``folder``, and variables.csv where the config names a table of variables.

    ``folder``: that of the model in the submission, .../institution/source. ``check``: submission.json of the checks.
    ``records``: the downloads' records (JSON). ``facts``: folder of the MIP tables. ``config``: the whole resolved
    config. ``repository``: folder of the workflow, for its git commit. Raises ValueError, as ``refuse_others``.
    """
    folder, outcome = Path(folder), json.loads(Path(check).read_text(encoding="utf-8"))
    with atomic_path(folder / "checkpoint.zip") as temporary:
        shutil.copyfile(checkpoint, temporary)
    weights = digests(folder / "checkpoint.zip")
    (folder / TABLE).unlink(missing_ok=True)  # of a config before
    if config["variables"]:
        _write(folder / TABLE, Path(config["variables"]).read_text(encoding="utf-8"))
        config = config | {"variables": TABLE}
    config = without_folders(config)
    _write(folder / "config.yaml", yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
    _write(folder / "README.md", card(config, facts, outcome, weights))
    made = provenance(config, records, weights, repository)
    _write(folder / "provenance.json", json.dumps(made, indent=1) + "\n")
    own = f"{folder.parent.name}/{folder.name}/"
    files = [
        {**file, "path": file["path"].removeprefix(own)}
        for simulation in outcome["simulations"]
        for file in simulation["files"]
    ]
    write_catalog(folder, [file["path"] for file in files], facts)
    refuse_others(folder, {file["path"] for file in files} | OWN)
    write_manifest(folder, files)


def refuse_others(folder, known):
    """Raise ValueError if ``folder`` holds a file whose path below it is not ``known``: no check has seen it."""
    if others := [path for path in files_below(folder) if path not in known]:
        raise ValueError(
            f"{folder} holds {len(others)} file{'s' * (len(others) > 1)} that the config does not ask for, such as "
            f"{folder / others[0]}: left by another config, and unchecked; move it away, or delete it, and start again"
        )


def provenance(config, records, weights, repository):
    """What a submission was made from, as a dict: config, commit, inputs with checksums, weights, software."""
    inputs = {}
    for path in sorted(map(Path, records)):
        inputs["/".join(path.with_suffix("").parts[-2:])] = without_folders(
            json.loads(path.read_text(encoding="utf-8"))
        )
    return {
        "made": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "workflow": commit(repository),
        "config": config,
        "checkpoint": weights,
        "inputs": inputs,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": dict(sorted((each.name.lower(), each.version) for each in distributions())),
    }


def without_folders(value):
    """``value``, of a config or record, with absolute paths cut to their last part: folders here mean nothing there."""
    if isinstance(value, dict):
        return {key: without_folders(each) for key, each in value.items()}
    if isinstance(value, list):
        return [without_folders(each) for each in value]
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value


def commit(repository):
    """The git commit of the workflow and whether its files differ from it; both None outside a git checkout."""
    # A clone may belong to another user, as in a container or a shared project space; its workflow is trusted already.
    command = ["git", "-c", "safe.directory=*", "-c", "core.fsmonitor=false", "-C", str(repository)]
    try:
        head = subprocess.run([*command, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
        status = subprocess.run(
            [*command, "status", "--porcelain", "--untracked-files=no"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "changed": None}
    return {"commit": head.stdout.strip(), "changed": bool(status.stdout.strip())}


def _write(path, text):
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def main(arguments=None):
    """Command line; returns the exit status."""
    parser = program.command_line(__doc__)
    parser.add_argument("--check", required=True, help="outcome of the checks, JSON")
    parser.add_argument("--checkpoint", required=True, help="weights, a ZIP file")
    parser.add_argument("--records", required=True, nargs="+", metavar="FILE", help="records of the downloads, JSON")
    parser.add_argument("--facts", required=True, help="folder of the MIP tables that the files were written by")
    parser.add_argument("--config", required=True, type=program.from_json, metavar="JSON", help="the whole config")
    parser.add_argument("--repository", required=True, help="folder of the workflow, for its git commit")
    parser.add_argument("--out", required=True, help="folder of the model in the submission, .../institution/source")
    return program.run(
        parser,
        lambda given: publish(
            given.out, given.check, given.checkpoint, given.records, given.facts, given.config, given.repository
        ),
        arguments,
    )


if __name__ == "__main__":
    sys.exit(main())
