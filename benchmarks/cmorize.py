"""CMOR against plain netCDF4 on one simulation: time, memory and the ratio that docs/performance.md quotes.

    python benchmarks/cmorize.py --work /tmp/cmorize [--resolution 1.5] [--period 1978-10 2024-12]
    python benchmarks/cmorize.py --read FILE...

Makes a rollout and a forcing file of that size in the folder ``--work`` (2.5 GB at 1.5 degrees, removed at the end),
then runs, each in a process of its own under CMOR's Python (CMOR_PYTHON, else /usr/bin/python3):
cmorize/simulation.py on the native grid; the same values written with netCDF4 with CMOR's own chunks, deflate level and
shuffle; both again with the writes alone timed, the calls of CMOR and of netCDF4 without what reads and derives the
values; and check/simulation.py under this Python. Prints one line for each: seconds of wall clock, seconds of processor
time, peak memory. Nothing else should run beside it. Last, as ``--read`` does for any files: how long one month of all
places takes to read and how long all months of one place, of the files of tas and ta, which are in memory then.
"""

import argparse
import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]


class Watch:
    """Wall clock and processor time (s) spent in calls."""

    def __init__(self):
        self.wall = self.busy = 0.0

    def __enter__(self):
        self.started = time.perf_counter(), time.process_time()

    def __exit__(self, *_):
        self.wall += time.perf_counter() - self.started[0]
        self.busy += time.process_time() - self.started[1]


class WatchedCmor:
    """The module cmor with the calls that write watched."""

    def __init__(self, cmor, watch):
        self.cmor, self.watch = cmor, watch

    def __getattr__(self, name):
        made = getattr(self.cmor, name)
        if name not in ("write", "close"):
            return made

        def watched(*arguments, **options):
            with self.watch:
                return made(*arguments, **options)

        return watched


def write_with_cmor(rollout, forcing, tables, folder):
    """Seconds of wall clock and of processor time of CMOR's own calls in cmorize/simulation.py on the native grid."""
    from workflow.scripts.cmorize import cmor_versions, writing

    watch, cmor = Watch(), cmor_versions.import_cmor()
    writing.import_cmor = lambda: WatchedCmor(cmor, watch)
    writing.cmorize(rollout, forcing, ROOT / "config" / "variables.csv", tables, "aimip", 1, ["gn"], folder)
    return watch.wall, watch.busy


def write_plain(rollout, forcing, tables, folder):
    """What cmorize/simulation.py does on the native grid, with netCDF4 in place of CMOR and without its metadata.

    Returns seconds of wall clock and of processor time that netCDF4's calls take.
    """
    import netCDF4

    from workflow.scripts.cmorize import writing
    from workflow.scripts.cmorize.fields import Simulation, source_channels
    from workflow.scripts.common.mip_tables import read_entries
    from workflow.scripts.common.months import month_range

    settings = writing.read_settings(tables, "aimip", ["gn"])
    sources, months = source_channels(ROOT / "config" / "variables.csv"), len(month_range(*settings["period"]))
    watch = Watch()
    with netCDF4.Dataset(rollout) as made, netCDF4.Dataset(forcing) as prescribed:
        simulation = Simulation(made, prescribed, sources, settings["sst_offset"])
        for name, entry in read_entries(tables).items():
            shape = simulation.read(name, slice(0, 1)).shape
            chunks = writing.chunk_sizes(entry, [months, *([1] if len(shape) == 4 else []), *shape[-2:]])
            with watch:
                file = netCDF4.Dataset(folder / f"{name}.nc", "w", format="NETCDF4_CLASSIC")
                names = ("time", "plev", "lat", "lon") if len(shape) == 4 else ("time", "lat", "lon")
                for axis, size in zip(names, shape, strict=True):
                    file.createDimension(axis, None if axis == "time" else size)
                storage = {"zlib": True, "complevel": settings["deflate"], "shuffle": True, "chunksizes": chunks}
                values = file.createVariable(name, "f4", names, **storage)
            for start in range(0, months, writing.SLAB):
                slab = slice(start, min(start + writing.SLAB, months))
                data = simulation.read(name, slab)
                with watch:
                    values[slab] = data
            with watch:
                file.close()
    return watch.wall, watch.busy


def measure(label, command):
    """Run a command and print its wall clock (s), processor time (s) and peak memory (MB); returns the first two."""
    start, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    alone = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, env=alone)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{label} ended with {process.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    wall = time.monotonic() - start
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    peak = max(usage.ru_maxrss, 0) / 1024
    print(f"{label:<28} {wall:8.1f} s   processor {busy:8.1f} s   peak {peak:6.0f} MB", flush=True)
    return wall, busy


def writes_alone(way, rollout, forcing, tables, work):
    """Run this program with ``--alone``; print and return the seconds (wall clock, processor) it took to write."""
    folder = work / f"alone_{way}"
    folder.mkdir()
    words = [*with_cmor(), __file__, "--alone", way, rollout, forcing, tables, "--work", folder]
    alone = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(list(map(str, words)), stdout=subprocess.PIPE, text=True, check=True, env=alone)
    wall, busy = map(float, done.stdout.split()[-2:])
    print(f"{'writes alone, ' + way:<28} {wall:8.1f} s   processor {busy:8.1f} s", flush=True)
    shutil.rmtree(folder)
    return wall, busy


def read_times(path):
    """Print how long one month and one place's series of a file's variable take to read, opening included."""
    import netCDF4

    name = path.name.partition("_")[0]
    took = []
    with netCDF4.Dataset(path) as file:
        values = file[name]
        chunks, (months, *levels, nlat, nlon) = values.chunking(), values.shape
    every = [slice(None)] * len(levels)
    for part in ((months // 2, *every), (slice(None), *every, nlat // 3, nlon // 3)):
        start, busy = time.perf_counter(), time.process_time()
        with netCDF4.Dataset(path) as file:
            file[name][part]
        took.append(f"{time.perf_counter() - start:6.3f} s, processor {time.process_time() - busy:6.3f} s")
    print(f"{name}, chunks {chunks}: one month {took[0]}; one place {took[1]}", flush=True)


def with_cmor():
    """The words that start CMOR's Python with the project on its path, as the tests do."""
    from tests.helpers import submission_files

    return submission_files.WITH_CMOR


def make_inputs(work, resolution, period):
    """Write a rollout, its forcing and the tables of the experiment aimip into the folder ``work``."""
    from tests.helpers import submission_files
    from workflow.scripts.cmorize.tables import write_tables

    submission_files.write_rollout(work / "rollout/aimip/r1.nc", resolution=resolution, period=period)
    submission_files.write_aggregated_forcing(work / "forcing.nc", resolution, period)
    submission = {**submission_files.SUBMISSION, "grids": ["gn"]}
    write_tables(
        work / "tables/aimip",
        submission_files.FACTS,
        ROOT / "config/variables.csv",
        "aimip",
        0,
        submission,
        resolution,
        period,
    )


def compare(work, resolution, period):
    """Make the inputs in the folder ``work``, run the three programs on them and print what each took."""
    from tests.helpers import submission_files

    (work / "rollout/aimip").mkdir(parents=True)
    (work / "plain").mkdir()
    rollout, forcing, tables = work / "rollout/aimip/r1.nc", work / "forcing.nc", work / "tables/aimip"
    try:
        # In a process of its own: a child's peak memory counts what its parent held when it was forked.
        maker = multiprocessing.get_context("spawn").Process(target=make_inputs, args=(work, resolution, period))
        maker.start()
        maker.join()
        wall, busy = measure("cmorize/simulation.py", submission_files.cmorize_command(work, grids=("gn",)))
        plain_wall, plain_busy = measure(
            "netCDF4, same bytes",
            [
                *submission_files.WITH_CMOR,
                __file__,
                "--alone",
                "netCDF4",
                rollout,
                forcing,
                tables,
                "--work",
                work / "plain",
            ],
        )
        shutil.rmtree(work / "plain")
        print(f"CMOR takes {wall / plain_wall:.2f} times as long, {busy / plain_busy:.2f} times the processor time")
        wall, busy = writes_alone("CMOR", rollout, forcing, tables, work)
        plain_wall, plain_busy = writes_alone("netCDF4", rollout, forcing, tables, work)
        print(f"CMOR writes {wall / plain_wall:.2f} times as long, {busy / plain_busy:.2f} times the processor time")
        facts = submission_files.FACTS
        check = (
            "from workflow.scripts.check.simulation import check_simulation; "
            f"check_simulation('{work / 'submission'}', '{tables}', '{facts}', '{facts / 'ranges.csv'}', "
            f"'aimip', 1, '{forcing}', '{work / 'check.json'}')"
        )
        measure("check/simulation.py", [sys.executable, "-c", check])
        size = sum(path.stat().st_size for path in (work / "submission").rglob("*.nc"))
        print(f"submitted files of one simulation: {size / 1e9:.2f} GB")
        for name in ("tas", "ta"):
            read_times(next((work / "submission").rglob(f"{name}_*.nc")))
    finally:
        shutil.rmtree(work, ignore_errors=True)


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--work", type=Path, help="folder for the made files")
    what.add_argument("--read", type=Path, nargs="+", metavar="FILE", help="only read these files of a submission")
    parser.add_argument("--resolution", type=float, default=1.5, help="native grid, degrees")
    parser.add_argument("--period", nargs=2, default=("1978-10", "2024-12"), help="first and last month")
    parser.add_argument("--alone", nargs=4, metavar=("WAY", "ROLLOUT", "FORCING", "TABLES"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.read:
        for path in given.read:
            read_times(path)
    elif given.alone:
        way, *files = given.alone
        print(*{"CMOR": write_with_cmor, "netCDF4": write_plain}[way](*files, given.work))
    else:
        compare(given.work, given.resolution, given.period)


if __name__ == "__main__":
    main()
