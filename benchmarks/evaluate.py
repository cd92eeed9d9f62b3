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
EXPERIMENTS = {"aimip": {"sst_offset": 0}, "aimip-p2k": {"sst_offset": 2}, "aimip-p4k": {"sst_offset": 4}}
PERIODS = {"training": ["1985-01", "2014-12"], "validation": ["1979-01", "1984-12"], "test": ["2015-01", "2024-12"]}
TABLE = ROOT / "config" / "variables.csv"
INDEX = ROOT / "workflow" / "data" / "nino34_index.csv"


def make_inputs(work, resolution, period):
    """Write ERA5's years and static fields, and one simulation, into ``work``, of the made climate of the tests."""
    import netCDF4
    import numpy as np

    from tests.helpers.axes import write_axes
    from tests.helpers.evaluation_tree import channels, write_land, write_year
    from workflow.scripts.common.grids import centres
    from workflow.scripts.common.months import month_range, year_of
    from workflow.scripts.common.variables import read_variables
    from workflow.scripts.evaluate.summarize.reference import cmor_fields

    rows, (lat, lon), months = read_variables(TABLE, role="field"), centres(resolution), month_range(*period)
    for folder in ("era5", "simulation"):
        (work / folder).mkdir(parents=True, exist_ok=True)
    outputs = {}
    # Year by year: the whole simulation would not fit into memory.
    for number, year in enumerate(np.unique(year_of(months))):
        inside = year_of(months) == year
        write_year(work / f"era5/{year}.nc", months[inside], lat, lon, channels(months[inside], lat, lon, 2 * number))
        fields = cmor_fields(channels(months[inside], lat, lon, 2 * number + 1), rows)
        for name in sorted({name for row in rows for name in row.cmor_name}):
            at = sorted((row.level for row in rows if name in row.cmor_name and row.level), reverse=True)
            if name not in outputs:
                data = netCDF4.Dataset(work / f"simulation/{name}_Amon_made_aimip_r1i1p1f1_gn.nc", "w")
                outputs[name] = data
                write_axes(data, months, lat, lon)
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
    write_land(work / "era5/static.nc", months, lat, lon)


def summarize_simulation(work, periods, output):
    """The rule summarize."""
    from workflow.scripts.evaluate.summarize.simulation import summarize

    summarize(sorted((work / "simulation").glob("*.nc")), output, INDEX, periods, 5)


def summarize_era5(work, periods):
    """The rule summarize_reference."""
    from workflow.scripts.evaluate.summarize.reference import summarize_reference

    files = sorted((work / "era5").glob("[12]*.nc"))
    summarize_reference(files, work / "reference.nc", TABLE, INDEX, periods, 5)


def settings(periods):
    """The section ``evaluation`` of the shipped config, with what the rules add."""
    import yaml

    config = yaml.safe_load((ROOT / "config" / "config.yaml").read_text(encoding="utf-8"))
    return config["evaluation"] | {"periods": periods, "reference_name": "ERA5"}


def compute_metrics(work, periods):
    """The rule evaluate."""
    from workflow.scripts.evaluate.evaluation import evaluate

    names = {"csv": "metrics.csv", "netcdf": "metrics.nc", "scorecard": "card.json", "text": "card.txt"}
    outputs = {key: work / name for key, name in {**names, "html": "card.html"}.items()}
    paths = work / "reference.nc", sorted((work / "summary").glob("*/*.nc")), work / "era5/static.nc"
    evaluate(*paths, EXPERIMENTS, settings(periods), "made", outputs)


def evaluated(work, periods):
    """What the figures are drawn from."""
    from workflow.scripts.evaluate.plots.results import Evaluated

    paths = work / "metrics.csv", work / "metrics.nc", work / "reference.nc", work / "era5/static.nc"
    return Evaluated(*paths, EXPERIMENTS, settings(periods), "made")


def draw_maps(work, periods):
    """The rule plot_maps."""
    from workflow.scripts.evaluate.plots.maps import plot_maps

    plot_maps(evaluated(work, periods), work / "figures")


def draw_lines(work, periods):
    """The rule plot_lines."""
    from workflow.scripts.evaluate.plots.lines import plot_lines

    plot_lines(evaluated(work, periods), sorted(work.glob("summary/*/*.nc")), work / "figures")


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
        "maps": (draw_maps, work, periods),
        "lines": (draw_lines, work, periods),
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
