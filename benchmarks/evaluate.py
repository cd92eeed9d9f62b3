"""The evaluation at full size: seconds and peak memory of every step, for a submission of 15 simulations.

    python benchmarks/evaluate.py --work /tmp/evaluate [--resolution 1.5] [--members 5] [--computed 15]

Makes, in the folder ``--work`` (5 GB at 1.5 degrees, removed at the end), one simulation of 14 CMOR-like files with
CMOR's chunks and deflate level, and ERA5 as the aggregation leaves it. Then runs the workflow's own steps, each in a
process of its own: the summary of every simulation (experiments times members, all reading the same files, so that
15 need the disk of one; ``--computed`` summarizes fewer and copies the last for the rest), the summary of ERA5, the
metrics and scorecard, and all figures. Prints a line for each: seconds of wall clock and of processor time, peak
memory; the totals count the simulations computed.
"""

import argparse
import json
import os
import resource
import shutil
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
SCRIPTS = ROOT / "workflow" / "scripts"
sys.path.insert(0, str(SCRIPTS))
EXPERIMENTS = {"aimip": {"sst_offset": 0}, "aimip-p2k": {"sst_offset": 2}, "aimip-p4k": {"sst_offset": 4}}
PERIODS = {"training": ["1985-01", "2014-12"], "validation": ["1979-01", "1984-12"], "test": ["2015-01", "2024-12"]}
TABLE = ROOT / "config" / "variables.csv"
INDEX = ROOT / "workflow" / "data" / "nino34_index.csv"
TYPICAL = {"t": 260, "q": 0.005, "z": 54000, "skt": 285, "t2m": 284, "d2m": 278, "avg_tprate": 3e-5, "sp": 98000}
SPREAD = {"q": 5e-4, "z": 600, "avg_tprate": 5e-6, "sp": 400, "msl": 400}


def made(row, months, lat, lon, rng):
    """Months of one ERA5 field of the table's ``row``: mean, wave, season and noise, float32 (month, lat, lon)."""
    import numpy as np
    from months import month_of_year

    season = np.cos(2 * np.pi * month_of_year(months)[:, None, None] / 12) * np.sin(np.deg2rad(lat))[:, None]
    wave = np.cos(np.deg2rad(lat))[:, None] * np.cos(np.deg2rad(2 * lon))
    noise = rng.standard_normal((len(months), len(lat), len(lon)), np.float32)
    typical = TYPICAL.get(row.short_name, 100000 if row.short_name == "msl" else 0)
    return (typical + SPREAD.get(row.short_name, 3.0) * (wave - 3 * season + 0.3 * noise)).astype(np.float32)


def make_inputs(work, resolution, period):
    """Write ERA5's years and static fields, and one simulation, into the folder ``work``."""
    import netCDF4
    import numpy as np
    from grids import centres
    from months import CALENDAR, TIME_UNITS, mid_times, month_range, year_of
    from summarize_reference import cmor_fields
    from tables import read_variables

    rows, (lat, lon), months = read_variables(TABLE, role="field"), centres(resolution), month_range(*period)

    def create(path, times):
        path.parent.mkdir(parents=True, exist_ok=True)
        data = netCDF4.Dataset(path, "w")
        for name, values in (("time", mid_times(times)), ("lat", lat), ("lon", lon)):
            data.createDimension(name, len(values))
            data.createVariable(name, "f8", (name,))[:] = values
        data["time"].setncatts({"units": TIME_UNITS, "calendar": CALENDAR})
        return data

    levels = sorted({row.level for row in rows if row.level}, reverse=True)
    outputs = {}
    for number, year in enumerate(np.unique(year_of(months))):
        inside = year_of(months) == year
        with create(work / f"era5/{year}.nc", months[inside]) as data:
            data.createDimension("level", len(levels))
            data.createVariable("level", "f8", ("level",))[:] = levels
            for row in rows:
                dims = ("time", "level", "lat", "lon") if row.level else ("time", "lat", "lon")
                if row.short_name not in data.variables:
                    data.createVariable(row.short_name, "f4", dims)
                place = (slice(None), levels.index(row.level)) if row.level else slice(None)
                data[row.short_name][place] = made(row, months[inside], lat, lon, np.random.default_rng(2 * number))
        rng = np.random.default_rng(2 * number + 1)
        fields = cmor_fields({row.channel: made(row, months[inside], lat, lon, rng) for row in rows}, rows)
        for name in sorted({name for row in rows for name in row.cmor_name}):
            at = sorted((row.level for row in rows if name in row.cmor_name and row.level), reverse=True)
            if name not in outputs:
                data = outputs[name] = create(work / f"simulation/{name}_Amon_made_aimip_r1i1p1f1_gn.nc", months)
                dims = ("time", "plev", "lat", "lon") if at else ("time", "lat", "lon")
                if at:
                    data.createDimension("plev", len(at))
                    data.createVariable("plev", "f8", ("plev",))[:] = [100 * level for level in at]
                chunks = (1, len(at), len(lat), len(lon)) if at else (1, len(lat), len(lon))
                storage = {"zlib": True, "complevel": 1, "shuffle": True, "chunksizes": chunks, "fill_value": 1e20}
                data.createVariable(name, "f4", dims, **storage)
                data[name].units = fields[f"{name}{at[0]:.0f}" if at else name][1]
            values = [fields[f"{name}{level:.0f}"][0] for level in at]
            outputs[name][name][np.flatnonzero(inside)] = np.stack(values, axis=1) if at else fields[name][0]
    for data in outputs.values():
        data.close()
    with create(work / "era5/static.nc", months[:1]) as data:
        half = np.broadcast_to(lon < 180, (len(lat), len(lon)))
        data.createVariable("lsm", "f4", ("lat", "lon"))[:] = half


def summarize_simulation(work, periods, output):
    """The rule summarize."""
    from summarize import summarize

    summarize(sorted((work / "simulation").glob("*.nc")), output, INDEX, periods, 5)


def summarize_era5(work, periods):
    """The rule summarize_reference."""
    from summarize_reference import summarize_reference

    files = sorted((work / "era5").glob("[12]*.nc"))
    summarize_reference(files, work / "reference.nc", TABLE, INDEX, periods, 5)


def settings(periods):
    """The section ``evaluation`` of the shipped config, with what the rules add."""
    import yaml

    config = yaml.safe_load((ROOT / "config" / "config.yaml").read_text(encoding="utf-8"))
    return config["evaluation"] | {"periods": periods, "reference_name": "ERA5"}


def compute_metrics(work, periods):
    """The rule evaluate."""
    from evaluate import evaluate

    names = {"csv": "metrics.csv", "netcdf": "metrics.nc", "scorecard": "card.json", "text": "card.txt"}
    outputs = {key: work / name for key, name in {**names, "html": "card.html"}.items()}
    paths = work / "reference.nc", sorted((work / "summary").glob("*/*.nc")), work / "era5/static.nc"
    evaluate(*paths, EXPERIMENTS, settings(periods), "made", outputs)


def draw(work, periods, script):
    """The rules plot_maps and plot_lines."""
    import importlib

    from evaluated import Evaluated

    paths = work / "metrics.csv", work / "metrics.nc", work / "reference.nc", work / "era5/static.nc"
    results, summaries = Evaluated(*paths, EXPERIMENTS, settings(periods), "made"), sorted(work.glob("summary/*/*.nc"))
    function = getattr(importlib.import_module(script), script)
    function(results, work / "figures") if script == "plot_maps" else function(results, summaries, work / "figures")


def measure(label, function, *arguments):
    """Run a function in a process of its own; print and return seconds of wall clock, of processor, and peak MB."""
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            function(*arguments)
            status = 0
        finally:
            sys.stdout.flush()
            os._exit(status)
    _, status, usage = os.wait4(child, 0)
    if status:
        raise SystemExit(f"{label} failed")
    cost = time.monotonic() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
    print(f"{label:<28}{cost[0]:8.1f} s   processor {cost[1]:8.1f} s   peak {cost[2]:6.0f} MB", flush=True)
    return cost


def main(work, resolution, members, period, computed):
    """Make the inputs in the folder ``work``, run all steps on them and print the totals as JSON."""
    periods = PERIODS | {"simulation": period}
    measure("(inputs made)", make_inputs, work, resolution, period)
    simulations = [(name, f"r{member}i1p1f1") for name in EXPERIMENTS for member in range(1, members + 1)]
    costs, done = [], None
    for name, member in simulations:
        output = work / "summary" / name / f"{member}.nc"
        if len(costs) == computed:
            output.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(done, output)
            continue
        done = output
        costs.append(measure(f"summary {name} {member}", summarize_simulation, work, periods, output))
    steps = {
        "summary of ERA5": (summarize_era5, work, periods),
        "metrics": (compute_metrics, work, periods),
        "maps": (draw, work, periods, "plot_maps"),
        "lines": (draw, work, periods, "plot_lines"),
    }
    rest = {name: measure(name, *step) for name, step in steps.items()}
    seconds = sum(cost[1] for cost in [*costs, *rest.values()])
    first, last, peak = costs[0][2], costs[-1][2], max(cost[2] for cost in [*costs, *rest.values()])
    found = {"simulations": len(costs), "processor_s": seconds, "wall_s": sum(c[0] for c in [*costs, *rest.values()])}
    found |= {"peak_mb": peak, "peak_mb_first_summary": first, "peak_mb_last_summary": last}
    print(json.dumps({key: round(value, 1) for key, value in found.items()}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder for files, which must not exist")
    parser.add_argument("--resolution", type=float, default=1.5, help="grid spacing, degrees (default: 1.5)")
    parser.add_argument("--members", type=int, default=5, help="members per experiment (default: 5)")
    parser.add_argument("--period", nargs=2, default=["1978-10", "2024-12"], help="first and last month")
    parser.add_argument("--computed", type=int, default=15, help="simulations to summarize (default: 15)")
    options = parser.parse_args()
    if options.work.exists():
        raise SystemExit(f"{options.work} is there already; name a folder that is not")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        main(options.work, options.resolution, options.members, options.period, options.computed)
    finally:
        shutil.rmtree(options.work, ignore_errors=True)
