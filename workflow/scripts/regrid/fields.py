"""Regridding of ERA5 and of the forcing to the model's grid with ready weights: conservative, sea-only, majority.

One field at a time goes through the same sparse matrix, whichever engine made it, so memory stays flat. Output: float32
(time, level, lat, lon), latitude south to north with both poles, level 1000 hPa first.
"""

from contextlib import ExitStack

import netCDF4
import numpy as np
from scipy.sparse import csr_array

from workflow.scripts.common.ncfiles import add_coordinate, add_field, add_grid, add_times, new_file
from workflow.scripts.common.variables import read_variables
from workflow.scripts.inputs.era5 import END_OF_HOUR, holds, open_members, read_fields
from workflow.scripts.inputs.forcing import LAND_MASK, Forcing
from workflow.scripts.inputs.forcing import blocks as month_blocks

LEAST_SHARE = 1e-6  # a target cell needs at least this much of valid source area, whatever the threshold
HOURS = "hours since 1978-10-01"


class Weights:
    """A weights file: its sparse ``matrix`` (target, source) and the centres of both grids, in degrees."""

    def __init__(self, path):
        with netCDF4.Dataset(path) as file:
            file.set_auto_mask(False)
            names = ("lat_in", "lon_in", "lat_out", "lon_out", "row", "col", "S")
            self.lat_in, self.lon_in, self.lat, self.lon, row, col, share = (file[name][:] for name in names)
        self.path, self.shape = path, (len(self.lat), len(self.lon))
        size = len(self.lat) * len(self.lon), len(self.lat_in) * len(self.lon_in)
        self.matrix = csr_array((share, (row - 1, col - 1)), shape=size)

    def check(self, latitude, longitude, label):
        """Raise ValueError unless the weights were made for the source grid ``latitude``, ``longitude``."""
        for have, wanted in ((latitude, self.lat_in), (longitude, self.lon_in)):
            if len(have) != len(wanted) or not np.allclose(have, wanted, atol=1e-4):
                raise ValueError(
                    f"{label} is on a grid of {len(latitude)} x {len(longitude)} points from {latitude[0]:g}, "
                    f"{longitude[0]:g}, but {self.path} is for {len(self.lat_in)} x {len(self.lon_in)} from "
                    f"{self.lat_in[0]:g}, {self.lon_in[0]:g}; give all data on one grid"
                )


def regrid_mean(weights, values):
    """Area mean over each target cell of one field (latitude, longitude); NaN where any part of it is NaN."""
    return (weights.matrix @ np.ravel(values)).reshape(weights.shape).astype(np.float32)


def regrid_sea(weights, values, threshold):
    """Area mean over the part of each target cell where ``values`` has a value; NaN where less than ``threshold`` is.

    ``threshold``: least share 0..1 of the cell that must have a value.
    """
    valid = np.isfinite(values)
    share = weights.matrix @ valid.ravel().astype(np.float64)
    total = weights.matrix @ np.where(valid, values, 0).ravel()
    enough = share >= max(threshold - LEAST_SHARE, LEAST_SHARE)
    return np.where(enough, total / np.where(enough, share, 1), np.nan).reshape(weights.shape).astype(np.float32)


def regrid_majority(weights, values):
    """The category that covers most of each target cell, the lowest one if two cover the same; never an average."""
    categories = np.unique(values)
    shares = np.stack([weights.matrix @ (values == one).ravel().astype(np.float64) for one in categories])
    # Rounding must not decide between equal shares.
    return categories[np.argmax(np.round(shares, 9), axis=0)].reshape(weights.shape).astype(np.float32)


def regrid_field(weights, values, method, threshold):
    """One field by the ``regrid`` method that config/variables.csv names: conservative, sea or majority."""
    if method == "conservative":
        return regrid_mean(weights, values)
    if method == "sea":
        return regrid_sea(weights, values, threshold)
    if method == "majority":
        return regrid_majority(weights, values)
    raise ValueError(f"config/variables.csv: regrid is '{method}', allowed are conservative, sea, majority")


def regrid_era5(sources, weights_path, variables_path, output, product="monthly", threshold=0.5):
    """Regrid the ERA5 files of one year, ``sources`` {dataset: path}, to one file (time, [level,] lat, lon).

    A field stays NaN on levels that config/variables.csv does not list for it; ``given_levels`` says which it has.
    Raises ValueError that names the file for a missing field, the wrong grid, or datasets with different times.
    """
    weights = Weights(weights_path)
    rows = {name: read_variables(variables_path, dataset=name) for name in sources}
    with ExitStack() as stack:
        members = [
            (stack.enter_context(member), name, path)
            for name, path in sources.items()
            for member in open_members(path, product)
        ]
        for member, _, path in members:
            weights.check(member["latitude"].values, member["longitude"].values, path)
        times = _common_times(members, product)
        with new_file(output, f"ERA5 {product} fields on the model grid") as file:
            _add_axes(file, weights, times, product, [row for group in rows.values() for row in group])
            done = [
                _regrid_member(file, weights, member, rows[name], times, product, threshold)
                for member, name, _ in members
            ]
            _refuse_missing(rows, sources, done)


def regrid_static(source, weights_path, variables_path, output, threshold=0.5):
    """Regrid the fields that do not change, of the ERA5 file ``source``, to (lat, lon)."""
    weights = Weights(weights_path)
    rows = read_variables(variables_path, role="static")
    with ExitStack() as stack, new_file(output, "ERA5 static fields on the model grid") as file:
        add_grid(file, weights.lat, weights.lon)
        members = [stack.enter_context(member) for member in open_members(source)]
        for row in rows:
            holder = next((member for member in members if holds(member, row)), members[0])
            weights.check(holder["latitude"].values, holder["longitude"].values, source)
            ((_, _, values),) = read_fields(holder.isel(time=slice(1)), [row])
            variable = add_field(file, row.short_name, ("lat", "lon"), units=row.units, long_name=_words(row))
            variable[:] = regrid_field(weights, values[0], row.regrid, threshold)


def regrid_forcing(source, weights_path, variables_path, output, threshold=0.5):
    """Regrid the AIMIP forcing: month-start sst and siconc (time, lat, lon) over the sea, land fraction lsm (lat, lon).

    Sea is where the sea surface temperature has a value; sea ice missing there is no ice. Ice is limited to what the
    land leaves, 1 - land, in the source cells (AIMIP) and again in the target cells.
    """
    weights = Weights(weights_path)
    rows = {row.short_name: row for row in read_variables(variables_path, role="forcing")}
    with Forcing(source) as forcing, new_file(output, "AIMIP forcing at the start of each month, model grid") as file:
        weights.check(forcing.latitude, forcing.longitude, source)
        add_grid(file, weights.lat, weights.lon)
        add_times(file, forcing.months)
        land = forcing.land()
        fraction = np.clip(regrid_mean(weights, land), 0, 1)
        out = add_field(file, "lsm", ("lat", "lon"), units="1", long_name=f"land fraction ({LAND_MASK})")
        out[:] = fraction
        sst, ice = (
            add_field(file, name, ("time", "lat", "lon"), units=rows[name].units, long_name=_words(rows[name]))
            for name in ("sst", "siconc")
        )
        for start, stop in month_blocks(len(forcing.months)):
            warmth = forcing.read(rows["sst"].cds_name, start, stop)
            cover = np.nan_to_num(forcing.read(rows["siconc"].cds_name, start, stop), nan=0)
            cover = np.where(np.isfinite(warmth), np.clip(cover, 0, 1 - land), np.nan)
            for step in range(stop - start):
                sst[start + step] = regrid_sea(weights, warmth[step], threshold)
                ice[start + step] = np.clip(regrid_sea(weights, cover[step], threshold), 0, 1 - fraction)


def _common_times(members, product):
    """All times of the year. Monthly datasets must agree; hourly ones differ by the hour that ends a month."""
    found = {name: [] for _, name, _ in members}
    for member, name, _ in members:
        found[name].append(member["time"].values)
    found = {name: np.unique(np.concatenate(times)) for name, times in found.items()}
    first = next(iter(found))
    for name, times in found.items():
        if product == "monthly" and not np.array_equal(times, found[first]):
            odd = np.setxor1d(times, found[first])[0].astype("datetime64[M]")
            raise ValueError(f"{odd} is in only one of {first} and {name}; download both again")
    return np.unique(np.concatenate(list(found.values())))


def _add_axes(file, weights, times, product, rows):
    add_grid(file, weights.lat, weights.lon)
    levels = sorted({row.level for row in rows if row.level is not None}, reverse=True)
    if levels:
        add_coordinate(file, "level", levels)
    add_times(file, times, HOURS if product == "hourly" else "days since 1978-10-01")
    for row in rows:
        if row.short_name not in file.variables:
            dims = ("time", "lat", "lon") if row.level is None else ("time", "level", "lat", "lon")
            variable = add_field(file, row.short_name, dims, units=row.units, long_name=_words(row))
            variable.stamp = "end of the hour" if row.short_name in END_OF_HOUR else "instant"
            if row.level is not None:
                given = {one.level for one in rows if one.short_name == row.short_name}
                variable.given_levels = np.array(sorted(given, reverse=True), np.float64)


def _regrid_member(file, weights, member, rows, times, product, threshold):
    """Write the fields of ``rows`` that this member holds; return their channels."""
    place = np.searchsorted(times, member["time"].values)
    levels = list(file["level"][:]) if "level" in file.variables else []
    done = []
    for row, block, values in read_fields(member, [row for row in rows if holds(member, row)], product):
        for step, one in zip(place[block], values, strict=True):
            index = step if row.level is None else (step, levels.index(row.level))
            file[row.short_name][index] = regrid_field(weights, one, row.regrid, threshold)
        done.append(row.channel)
    return done


def _refuse_missing(rows, sources, done):
    done = {channel for channels in done for channel in channels}
    for name, group in rows.items():
        missing = [row.channel for row in group if row.channel not in done]
        if missing:
            raise ValueError(f"{sources[name]} lacks {', '.join(missing)}; download it again")


def _words(row):
    return row.cds_name.replace("_", " ")


if __name__ == "__main__":
    from workflow.scripts.common import runlog

    runlog.start(snakemake.log[0])
    job, shared = snakemake.input, (snakemake.input.weights, snakemake.input.variables, snakemake.output[0])
    if job.get("static"):
        regrid_static(job.static, *shared, snakemake.params.threshold)
    elif job.get("forcing"):
        regrid_forcing(job.forcing, *shared, snakemake.params.threshold)
    else:
        datasets = dict(zip(snakemake.params.datasets, job.era5, strict=True))
        regrid_era5(datasets, *shared, snakemake.params.product, snakemake.params.threshold)
