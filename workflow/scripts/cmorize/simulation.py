"""CMOR files of one simulation: every variable of the tables on every grid asked for, in one process.

    python workflow/scripts/cmorize/simulation.py --rollout results/rollout/aimip/r1.nc --variables config/variables.csv
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
import json
import logging
import os
import re
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import numpy as np

from workflow.scripts.cmorize.fields import Regridder, Simulation, check_rollout, source_channels
from workflow.scripts.common import grids as latlon
from workflow.scripts.common.experiments import history_entry
from workflow.scripts.common.months import TIME_UNITS, mid_times, month_range, time_bounds
from workflow.scripts.submission import drs
from workflow.scripts.submission.cmor_python import mend_interpreter

SLAB = 12  # months in memory at a time
SYSTEM_TEMPORARY = ("/tmp", "/var/tmp", "/usr/tmp")
MISSING = np.float32(1e20)


# Preparation: everything that can be wrong is found before a file is opened.


def read_settings(tables, experiment, grid_labels):
    """The submission's settings from the tables folder; ValueError if experiment or a grid is not in them."""
    settings = json.loads((Path(tables) / "submission.json").read_text(encoding="utf-8"))
    known = settings["attributes"]["experiment_id"]
    if experiment != known:
        raise ValueError(f"experiment '{experiment}' is not in the tables {tables}, which allow '{known}'")
    for label in grid_labels:
        if label not in settings["grids"]:
            raise ValueError(f"grid '{label}' is not in the tables {tables}, which allow {sorted(settings['grids'])}")
    return settings


# CMOR.


def import_cmor():
    """The cmor module, or OSError that says what to set where there is none."""
    mend_interpreter()
    try:
        import cmor
    except ImportError as error:
        raise OSError(f"{sys.executable} cannot import cmor ({error}): set CMOR_PYTHON to a Python that can") from error
    return cmor


def history(rollout, settings, label, cmor):
    """One line of what made the files of a grid: the rollout's global attributes, the config's keys, the software."""
    made = {key: rollout.getncattr(key) for key in sorted(rollout.ncattrs()) if key not in ("Conventions", "history")}
    version = ".".join(
        str(part) for part in (cmor.CMOR_VERSION_MAJOR, cmor.CMOR_VERSION_MINOR, cmor.CMOR_VERSION_PATCH)
    )
    made |= {"period": "..".join(settings["period"])}
    made |= {"grid": f"{label} {settings['grids'][label]['resolution']:g} degrees", "deflate": settings["deflate"]}
    made |= {"cmor": version, "numpy": np.__version__}
    return "; ".join([*(f"{key}={value}" for key, value in made.items()), history_entry(settings["sst_offset"])])


def dataset_description(settings, label, member, folder, made_by):
    """CMOR's dataset description for one grid, as a dict: the submission's attributes and what names the files."""
    return {
        **settings["attributes"],
        "_controlled_vocabulary_file": "AIMIP_CV.json",
        "_AXIS_ENTRY_FILE": "AIMIP_coordinate.json",
        "_FORMULA_VAR_FILE": "AIMIP_formula_terms.json",
        "_cmip6_option": "CMIP6",
        "_further_info_url_tmpl": settings["attributes"]["further_info_url"],
        "_history_template": "%s; written by CMOR",
        "outpath": str(folder),
        "output_path_template": "<institution_id><source_id><experiment_id><_member_id><table><variable_id><grid_label>"
        "<version>",
        "output_file_template": "<variable_id><table><source_id><experiment_id><_member_id><grid_label>",
        "grid_label": label,
        "grid": settings["grids"][label]["grid"],
        "nominal_resolution": settings["grids"][label]["nominal_resolution"],
        "realization_index": str(member),
        "initialization_index": "1",
        "physics_index": "1",
        "forcing_index": "1",
        "history": made_by,
    }


def write_grid(cmor, simulation, settings, label, member, tables, folder, made_by):
    """Write all variables on the grid ``label`` below ``folder``; all are declared to CMOR before one is written."""
    native = tuple(np.asarray(simulation.rollout[axis][:], np.float64) for axis in ("lat", "lon"))
    fact = settings["grids"][label]
    grid = latlon.centres(fact["resolution"], poles=fact["poles"])
    if fact["poles"] and [len(axis) for axis in native] != [len(axis) for axis in grid]:
        raise ValueError(f"the rollout's grid is {len(native[0])}x{len(native[1])}, but '{label}' is '{fact['grid']}'")
    regrid = np.ascontiguousarray if fact["poles"] else Regridder(native, grid)

    description = folder / f"dataset_{label}.json"
    description.write_text(
        json.dumps(dataset_description(settings, label, member, folder, made_by), indent=1), encoding="utf-8"
    )
    tables = Path(tables).resolve()
    cmor.setup(
        inpath=str(tables),
        netcdf_file_action=cmor.CMOR_REPLACE,
        set_verbosity=cmor.CMOR_NORMAL,
        exit_control=cmor.CMOR_NORMAL,
        logfile=str(folder / f"cmor_{label}.log"),
        create_subdirectories=1,
    )
    cmor.dataset_json(str(description))
    for key in ("version", "_version"):
        cmor.set_cur_dataset_attribute(key, settings["version"])
    cmor.set_cur_dataset_attribute("further_info_url", settings["attributes"]["further_info_url"])
    cmor.load_table("AIMIP_Amon.json")

    entries = read_entries(tables)
    axes = declare_axes(cmor, grid, simulation, entries)
    handles = {}
    for name, entry in entries.items():
        # A height of 2 or 10 m is a constant of the coordinate table, which CMOR adds itself.
        ids = [axes[dimension] for dimension in reversed(entry["dimensions"].split()) if "height" not in dimension]
        handles[name] = cmor.variable(name, simulation.units(name), ids, missing_value=MISSING)
        cmor.set_deflate(handles[name], 1, int(settings["deflate"] > 0), settings["deflate"])
    months = month_range(*settings["period"])
    for name, handle in handles.items():
        for start in range(0, len(months), SLAB):
            slab = slice(start, min(start + SLAB, len(months)))
            times, limits = mid_times(months[slab]), time_bounds(months[slab])
            data = regrid(simulation.read(name, slab))
            cmor.write(handle, data, len(times), time_vals=times, time_bnds=limits)
        cmor.close(handle)
        logging.info("%s on %s: %d months", name, label, len(months))
    cmor.close()


def read_entries(tables):
    """The variables of the table AIMIP_Amon.json: {name: entry}."""
    return json.loads((Path(tables) / "AIMIP_Amon.json").read_text(encoding="utf-8"))["variable_entry"]


def declare_axes(cmor, grid, simulation, entries):
    """CMOR's axes by their names in the table: {name: id}; levels (Pa) are those of the channels."""
    lat, lon = grid
    axes = {
        "time": cmor.axis("time", units=TIME_UNITS),
        "latitude": cmor.axis(
            "latitude", units="degrees_north", coord_vals=lat, cell_bounds=latlon.bounds(latlon.lat_edges(lat))
        ),
        "longitude": cmor.axis(
            "longitude", units="degrees_east", coord_vals=lon, cell_bounds=latlon.bounds(latlon.lon_edges(lon))
        ),
    }
    for name, entry in entries.items():
        for dimension in entry["dimensions"].split():
            if dimension.startswith("plev") and dimension not in axes:
                levels = np.array([row.level * 100.0 for row in simulation.sources[name]])
                axes[dimension] = cmor.axis(dimension, units="Pa", coord_vals=levels)
    return axes


# The process.


def cmorize(rollout, forcing, variables, tables, experiment, member, grid_labels, folder):
    """Write the files of one simulation below ``folder`` with CMOR. Raises ValueError or CMOR's error."""
    import netCDF4

    settings = read_settings(tables, experiment, grid_labels)
    sources = source_channels(variables)
    missing = sorted(set(read_entries(tables)) - set(sources))
    if missing:
        raise ValueError(f"{variables} names no channel for the variables {', '.join(missing)} of {tables}")
    cmor = import_cmor()
    with netCDF4.Dataset(rollout) as made, netCDF4.Dataset(forcing) as prescribed:
        check_rollout(made, prescribed, sum(sources.values(), []), settings, rollout)
        simulation = Simulation(made, prescribed, sources, settings["sst_offset"])
        for label in grid_labels:
            write_grid(cmor, simulation, settings, label, member, tables, folder, history(made, settings, label, cmor))


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
                reason = cmor_error(work)
                raise RuntimeError(f"{experiment} member {member}: {reason or error}") from error
            finally:
                with open(log, "a", encoding="utf-8") as file:
                    for path in sorted(work.glob("cmor_*.log")):
                        file.write(path.read_text(encoding="utf-8", errors="replace"))
        move_into_place(folder, out, expected)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main(arguments=None):
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
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
    try:
        run(**vars(parser.parse_args(arguments)))
    except (ValueError, OSError, RuntimeError) as error:
        print(f"cmorize: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
