"""CMOR files of one simulation: every variable of the tables on every grid asked for, in one process.

    python -m workflow.scripts.cmorize.simulation --rollout results/rollout/aimip/r1.nc --variables config/variables.csv
        --forcing results/aggregate/forcing/simulation.nc --tables results/cmorize/tables/aimip --experiment aimip
        --member 1 --grids gn gr --out results/submission --log cmorize.log

Runs under the Python that has CMOR (Debian's 3.7.1 or conda-forge's 3.10 and newer), so it needs CMOR, numpy and
netCDF4 only. CMOR writes in slabs of a year, so memory does not grow with the length of the simulation. The work is
done by a child process, because CMOR ends its process on some errors.

All files are made in a hidden folder and move into place once all are there: a run that fails or is stopped before
leaves none of them. A run killed (SIGKILL) leaves the hidden folder, which the next one clears, and, if it was moving,
a part of the files, which the next one replaces. CMOR, which writes in many small pieces, works in a scratch folder
where one is given; what is complete is copied to the hidden folder, since files move whole within one filesystem only.
"""

import argparse
import contextlib
import logging
import os
import re
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from workflow.scripts.cmorize.writing import cmorize, read_settings
from workflow.scripts.common.faults import explained
from workflow.scripts.common.mip_tables import read_entries
from workflow.scripts.submission import drs

SYSTEM_TEMPORARY = ("/tmp", "/var/tmp", "/usr/tmp")


def expected_files(tables, experiment, member, grid_labels):
    """Paths below the submission's root that one simulation consists of, as a set of text."""
    settings = read_settings(tables, experiment, grid_labels)
    facets = [settings["attributes"][key] for key in ("institution_id", "source_id")]
    ends = settings["version"], settings["period_label"]
    return {
        drs.submission_path(*facets, experiment, member, name, label, *ends)
        for name in read_entries(tables)
        for label in grid_labels
    }


def move_into_place(folder, out, expected):
    """Move the files from ``folder`` to ``out`` and drop what an older run of this simulation left there."""
    found = {str(path.relative_to(folder)) for path in folder.rglob("*.nc")}
    if found != expected:
        raise ValueError(f"CMOR wrote {sorted(found - expected) or 'nothing'} in place of {sorted(expected - found)}")
    for path in sorted(expected):
        target = out / path
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(folder / path, target)
    simulation = out / Path(*Path(min(expected)).parts[:4])
    for path in sorted(simulation.rglob("*"), reverse=True):
        if path.is_file() and str(path.relative_to(out)) not in expected:
            path.unlink()
        elif path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def in_child(work, log):
    """Run ``work()`` in a child process with its output, C libraries included, in the file ``log``.

    Raises RuntimeError with the message of its error, or with how it ended if it left none.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        with open(log, "ab", buffering=0) as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s", force=True)
        try:
            work()
            os._exit(0)
        except BaseException as error:
            logging.exception("failed")
            os.write(writer, f"{error}".encode()[:4000])
            os._exit(1)
    os.close(writer)
    try:
        with open(reader, encoding="utf-8", errors="replace") as pipe:
            message = pipe.read()
        _, status = os.waitpid(child, 0)
    except BaseException:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise
    if status:
        raise RuntimeError(message or f"CMOR's process ended with status {os.waitstatus_to_exitcode(status)}")


def cmor_error(folder):
    """The first error in CMOR's own logs, in one line, or nothing."""
    for path in sorted(folder.glob("cmor_*.log")):
        text = re.sub(r"\x1b\[[0-9;]*m", "", path.read_text(encoding="utf-8", errors="replace"))
        match = re.search(r"Error:\s*(.*?)(?:\n\s*!*\s*\n|!{5,}|\Z)", text, re.DOTALL)
        if match:
            return " ".join(line.strip(" !\t") for line in match[1].splitlines()).strip()
    return ""


@contextlib.contextmanager
def working_folder(folder, scratch):
    """A new folder to write in: ``folder`` itself, or one of its own in ``scratch`` if that is given.

    Python's own default for temporary files is taken for no scratch: it is small at many sites, and memory at some.
    """
    if scratch is None or str(scratch) in SYSTEM_TEMPORARY:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="cmorize.", dir=scratch) as temporary:
        yield Path(temporary)


def run(rollout, forcing, variables, tables, experiment, member, grid_labels, out, log, scratch=None):
    """Make one simulation's files and move them to ``out``; CMOR's messages go to ``log``. Raises on any failure."""
    out, log = Path(out), Path(log)
    folder = out / f".{experiment}.{drs.member_label(member)}.part"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("", encoding="utf-8")
    expected = expected_files(tables, experiment, member, grid_labels)
    shutil.rmtree(folder, ignore_errors=True)  # of a killed run
    folder.mkdir(parents=True)
    try:
        with working_folder(folder, scratch) as work:
            try:
                in_child(
                    lambda: cmorize(rollout, forcing, variables, tables, experiment, member, grid_labels, work), log
                )
                if work != folder:
                    shutil.copytree(work, folder, dirs_exist_ok=True)
            except RuntimeError as error:
                # Now, since without what was written the disk has room again.
                fault = explained(error, work)
                raise fault or RuntimeError(f"{experiment} member {member}: {cmor_error(work) or error}") from error
            finally:
                with open(log, "a", encoding="utf-8") as file:
                    for path in sorted(work.glob("cmor_*.log")):
                        file.write(path.read_text(encoding="utf-8", errors="replace"))
        move_into_place(folder, out, expected)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main(arguments=None):
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rollout", required=True, help="netCDF file of one simulation, one variable per channel")
    parser.add_argument("--forcing", required=True, help="monthly sst (K), siconc (1) and lsm (1) on the native grid")
    parser.add_argument("--variables", required=True, help="config/variables.csv")
    parser.add_argument("--tables", required=True, help="folder that cmorize/tables.py wrote for the experiment")
    parser.add_argument("--experiment", required=True, help="aimip, aimip-p2k, ...")
    parser.add_argument("--member", required=True, type=int, help="realization, 1 for r1i1p1f1")
    parser.add_argument("--grids", required=True, nargs="+", dest="grid_labels", help="gn (native), gr (regridded)")
    parser.add_argument("--out", required=True, help="root of the submission")
    parser.add_argument("--scratch", help="node-local folder to work in; not used if it is the system's own /tmp")
    parser.add_argument("--log", required=True, help="file for CMOR's messages")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    given = parser.parse_args(arguments)
    try:
        run(**vars(given))
    except (ValueError, OSError, RuntimeError) as error:
        print(f"cmorize: {explained(error, given.out) or error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
