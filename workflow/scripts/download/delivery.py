"""What becomes of a file whatever its source: made by the planet, linked, and its record written beside it."""

import json
import logging
import os
from datetime import UTC, datetime
from pathlib import Path

from workflow.scripts.common import program
from workflow.scripts.common.atomic import atomic_path
from workflow.scripts.common.checksums import digests
from workflow.scripts.download.patience import add_limits


def command_line(text):
    """The command line of the downloads that the config's ``source`` decides on."""
    parser = program.command_line(text)
    parser.add_argument("--variables", required=True, help="config/variables.csv")
    settings = 'the source and what it needs, JSON: {"source": "cds", ...}'
    parser.add_argument("--settings", type=program.from_json, required=True, help=settings)
    parser.add_argument("--local", help="the centre's own file, with source local")
    parser.add_argument("--out", required=True, help="file to write, as it is delivered")
    parser.add_argument("--record", required=True, help="record to write beside it, JSON")
    add_limits(parser)
    return parser


def synthesize(path, dataset, months, variables, settings):
    """Write the file of ``dataset`` that the synthetic planet delivers for ``months``."""
    from workflow.scripts.planet import era5_files as planet

    resolution, seed = settings["resolution"], settings["seed"]
    if dataset == "forcing":
        planet.write_forcing(path, resolution, seed, settings["period"])
    elif dataset == "static":
        planet.write_static(path, variables, resolution)
    else:
        write = {"single-levels": planet.write_single_levels, "pressure-levels": planet.write_pressure_levels}[dataset]
        write(int(months[0][:4]), path, variables, resolution, seed, [int(month[5:]) for month in months])


def link(source, output):
    """A symbolic link at ``output`` to the file ``source``, made whole."""
    output = Path(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    temporary = output.with_name(f".{output.name}.{os.getpid()}.part")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(Path(source).resolve())
    os.replace(temporary, output)


def now():
    """The time, UTC, as records write it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def save_record(record, content):
    """Write ``content`` to ``record``, JSON."""
    with atomic_path(record) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def write_record(record, path, versions, about):
    """Write ``about`` with size, checksum and ERA5 ``versions`` of the file ``path`` to ``record``."""
    facts = digests(path)
    content = about | {"size": facts["size"], "sha256": facts["sha256"]} | ({"expver": versions} if versions else {})
    save_record(record, content)
    logging.info("%s bytes, sha256 %s", facts["size"], facts["sha256"])
