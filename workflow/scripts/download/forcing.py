"""The AIMIP forcing from the source that the config names, checked before it becomes an output.

cds: from Zenodo; local: a file that a centre holds, linked and not copied; synthetic: the workflow's own planet.
"""

import sys
from pathlib import Path

from workflow.scripts.common import program
from workflow.scripts.common.atomic import atomic_path
from workflow.scripts.common.ncfiles import try_folder
from workflow.scripts.common.variables import read_variables
from workflow.scripts.download.backoff import limits_of
from workflow.scripts.download.records import now, write_record
from workflow.scripts.download.sources import command_line, link, synthesize
from workflow.scripts.inputs.forcing import check_forcing


def download_forcing(output, record, variables, period, settings, limits=None, local=None):
    """Put the AIMIP forcing file, checked for the months of ``period`` (start, end), at ``output``.

    ``settings``: as for ``download_era5``; with source cds also ``forcing_record`` (API address of the Zenodo record),
    ``forcing_file`` (its name there) and ``forcing_sha256`` (or None); with source local ``forcing_values``; with
    source synthetic ``period`` (start, end), what the planet's file forces.
    """
    rows = read_variables(variables, role="forcing")
    if settings["source"] == "local":
        if not Path(local).is_file():
            raise FileNotFoundError(f"{local} is not there; check local.folder and local.forcing")
        check_forcing(local, rows, *period, settings["forcing_values"])
        link(local, output)
        write_record(record, output, [], {"source": "local", "file": str(local), "time": now()})
        return
    with atomic_path(output) as temporary:
        if settings["source"] == "synthetic":
            synthesize(temporary, "forcing", None, variables, settings)
            about = {"source": "synthetic", **{key: settings[key] for key in ("resolution", "seed")}}
        else:
            from workflow.scripts.download.zenodo import fetch_from_record

            try_folder(output)  # before 5 GB are fetched that could not be read here
            address, name = settings["forcing_record"], settings["forcing_file"]
            about = fetch_from_record(address, name, temporary, limits, settings["forcing_sha256"])
            about = {"source": "zenodo", "time": now()} | about
        check_forcing(temporary, rows, *period)
        write_record(record, temporary, [], about)


def main(arguments=None):
    """Command line."""
    parser = command_line(__doc__)
    parser.add_argument("--period", nargs=2, required=True, metavar="MONTH", help="months that must be there, YYYY-MM")

    def work(given):
        files = given.out, given.record, given.variables
        download_forcing(*files, given.period, given.settings, limits_of(given), given.local)

    return program.run(parser, work, arguments)


if __name__ == "__main__":
    sys.exit(main())
