"""Speed of regridding 0.25 to 1.5 degrees with ready weights, beside `cdo remap` with ready weights, in one run.

Both read the same netCDF file of fields and write their result, best of three; run it with

    python benchmarks/regrid.py [--fields 12]
"""

import argparse
import subprocess
import tempfile
import time
from pathlib import Path

import netCDF4
import numpy as np

from workflow.scripts.common.grids import centres, lat_edges
from workflow.scripts.common.ncfiles import add_field, add_grid, new_file
from workflow.scripts.regrid.operators import Weights, regrid_mean
from workflow.scripts.regrid.weights import box_weights, save_weights

SOURCE = np.linspace(90, -90, 721), np.arange(1440) * 0.25
TARGET = centres(1.5)
REPEATS = 3


def write_source(path, count):
    """``count`` fields of noise on a smooth one, float32, on ERA5's grid."""
    rng = np.random.default_rng(0)
    smooth = 280 + 20 * np.cos(np.deg2rad(SOURCE[0]))[:, None] * np.ones(1440)
    with netCDF4.Dataset(path, "w") as file:
        file.createDimension("time", count)
        file.createVariable("time", "f8", ("time",))[:] = np.arange(count)
        file["time"].units = "days since 2000-01-01"
        for name, values, units in (("lat", SOURCE[0], "degrees_north"), ("lon", SOURCE[1], "degrees_east")):
            file.createDimension(name, len(values))
            file.createVariable(name, "f8", (name,))[:] = values
            file[name].units = units
        field = file.createVariable("t", "f4", ("time", "lat", "lon"))
        for step in range(count):
            field[step] = smooth + rng.normal(size=smooth.shape)


def ours(source, weights_path, output):
    """Read, regrid and write as the workflow does it, weights read from their file."""
    weights = Weights(weights_path)
    with netCDF4.Dataset(source) as file, new_file(output, "benchmark") as out:
        add_grid(out, weights.lat, weights.lon)
        out.createDimension("time", len(file.dimensions["time"]))
        variable = add_field(out, "t", ("time", "lat", "lon"), compressed=False)
        for step in range(len(file["t"])):
            variable[step] = regrid_mean(weights, file["t"][step].data)


def cdo(*arguments):
    """Run cdo and stop if it fails."""
    subprocess.run(["cdo", "-s", *map(str, arguments)], check=True, capture_output=True)


def best(action):
    """Shortest of REPEATS runs, seconds."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times)


def main(count):
    """Print both times, their ratio and the largest difference of the results."""
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        source = folder / "source.nc"
        write_source(source, count)
        edges, (lat, _) = lat_edges(TARGET[0]), TARGET
        grid = ["gridtype = lonlat", "xsize = 240", "ysize = 121", "xfirst = 0", "xinc = 1.5"]
        grid += ["yvals = " + " ".join(map(str, lat))]
        grid += ["ybounds = " + " ".join(f"{low} {high}" for low, high in zip(edges[:-1], edges[1:], strict=True))]
        (folder / "grid.txt").write_text("\n".join(grid) + "\n")
        built = time.perf_counter()
        save_weights(folder / "boxes.nc", *box_weights(*SOURCE, *TARGET), SOURCE, TARGET, "boxes")
        built = time.perf_counter() - built
        cdo_built = time.perf_counter()
        cdo(f"gencon,{folder / 'grid.txt'}", source, folder / "cdo_weights.nc")
        cdo_built = time.perf_counter() - cdo_built
        mine = best(lambda: ours(source, folder / "boxes.nc", folder / "ours.nc"))
        theirs = best(
            lambda: cdo(f"remap,{folder / 'grid.txt'},{folder / 'cdo_weights.nc'}", source, folder / "cdo.nc")
        )
        with netCDF4.Dataset(folder / "ours.nc") as one, netCDF4.Dataset(folder / "cdo.nc") as two:
            difference = np.abs(one["t"][:] - two["t"][:]).max()
    print(f"weights: boxes {built:.2f} s, cdo gencon {cdo_built:.2f} s")
    print(f"{count} fields 721 x 1440 -> 121 x 240: workflow {mine:.2f} s, cdo remap {theirs:.2f} s")
    print(f"ratio cdo / workflow {theirs / mine:.2f}, largest difference {difference:.1e} K")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fields", type=int, default=48)
    main(parser.parse_args().fields)
