"""What the downloads of ERA5 and of the forcing share: their options, the planet's files, links to local files."""

import os
from pathlib import Path

from workflow.scripts.common import program
from workflow.scripts.download.backoff import add_limits


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
