"""Statistics of the training period, and the normalized files that training and rollouts read.

A field x becomes (transform(x) - center[month]) / scale, both per channel. ``reference`` says against what:
``climatology``: center is the mean of that calendar month in each cell, scale the area-weighted standard deviation of
what is left; ``channel``: center is one area-weighted mean and scale one standard deviation per channel. Forcings (over
the sea) and statics get one mean and standard deviation each; the land fraction stays 0..1 as it is. Everything comes
from the training period alone.
"""

import logging

import netCDF4
import numpy as np

from workflow.scripts.common.grids import cell_areas
from workflow.scripts.common.months import month_of_year, month_range, months_from_times, parse_month
from workflow.scripts.common.ncfiles import (
    add_coordinate,
    add_field,
    add_grid,
    add_months,
    add_text,
    new_file,
    read_array,
)
from workflow.scripts.common.variables import read_variables
from workflow.scripts.normalize.transforms import transform

LAND = "lsm"  # the forcing that stays as it is
NO_SPREAD = 1e-6  # a standard deviation this small beside the mean is rounding


def write_statistics(era5, forcing, static, variables, output, period, reference):
    """Statistics of the months of ``period`` (start, end): center, scale per channel, forcing and static.

    ``era5``: aggregated yearly files, of which only the months in ``period`` count. Raises ValueError that names the
    calendar month without data, or the channel that does not vary or is not finite.
    """
    rows = {role: read_variables(variables, role=role) for role in ("field", "forcing", "static")}
    months = month_range(*period)
    with netCDF4.Dataset(static) as file:
        lat, lon = file["lat"][:].data, file["lon"][:].data
        statics = {row.channel: _moments([read_array(file[row.short_name])], lat, lon) for row in rows["static"]}
    center, scale = _field_statistics(era5, rows["field"], months, lat, lon, reference)
    with netCDF4.Dataset(forcing) as file:
        inside = np.isin(_months(file), months)
        forcings = {
            row.channel: _moments(transform(read_array(file[row.short_name])[inside], row.transform), lat, lon)
            for row in rows["forcing"]
        }
    forcings[LAND] = (0.0, 1.0)
    for name, (mean, spread) in [*forcings.items(), *statics.items()]:
        if not np.isfinite([mean, spread]).all():
            raise ValueError(f"'{name}' has no finite mean or standard deviation in the training period")
    # A static field that is the same everywhere says nothing; it becomes 0 and not an error.
    statics = {name: (mean, spread if spread > 0 else 1.0) for name, (mean, spread) in statics.items()}
    with new_file(output, f"statistics of {months[0]} to {months[-1]}, reference {reference}") as file:
        add_grid(file, lat, lon)
        _add_channels(file, rows["field"])
        _add_center(file, center, scale)
        for role, values in (("forcing", forcings), ("static", statics)):
            add_text(file, role, role, list(values))
            for number, name in enumerate((f"{role}_center", f"{role}_scale")):
                add_field(file, name, (role,), compressed=False)[:] = [pair[number] for pair in values.values()]


def write_training(era5, forcing, static, statistics, variables, output, periods):
    """The normalized months of the training and validation period, one file; ``periods`` {name: (start, end)}.

    ``split`` tells which month belongs to which. Raises ValueError that names the channel and month of a value that is
    not finite, or the months that no file holds.
    """
    spans = [month_range(*periods[name]) for name in ("training", "validation")]
    months = np.union1d(*spans)
    with new_file(output, "normalized fields, forcings and statics for training", fill=False) as file:
        _write_series(file, era5, forcing, static, statistics, variables, months)
        split = file.createVariable("split", "i1", ("time",))
        split.setncatts({"flag_values": np.array([0, 1], "i1"), "flag_meanings": "training validation"})
        split[:] = np.where(np.isin(months, spans[0]), 0, 1)


def write_initial(era5, forcing, static, statistics, variables, output, month):
    """The normalized first month of the simulation, laid out like the training file but for ``split``."""
    with new_file(output, "normalized initial month", fill=False) as file:
        _write_series(file, [era5], forcing, static, statistics, variables, np.array([parse_month(month)]))


def write_forcing(forcing, statistics, output, sst_offset):
    """The normalized forcing of all simulation months with ``sst_offset`` (K) added to the sea surface temperature."""
    with netCDF4.Dataset(statistics) as stats, netCDF4.Dataset(forcing) as source:
        months = _months(source)
        with new_file(output, "normalized forcing of one experiment", fill=False) as file:
            file.sst_offset = float(sst_offset)
            add_grid(file, source["lat"][:], source["lon"][:])
            add_months(file, months)
            add_text(file, "forcing", "forcing", stats["forcing"][:])
            _add_forcing_statistics(file, stats)
            variable = add_field(file, "forcings", ("time", "forcing", "lat", "lon"), compressed=False)
            _put_forcings(variable, source, stats, np.arange(len(months)), months, sst_offset)


def normalized_forcings(sst, siconc, land, center, scale, sst_offset=0.0):
    """Forcings (time, 3, lat, lon) float32 in the order sst, siconc, lsm; 0 where ``sst`` is NaN, that is not sea.

    ``sst`` K, ``siconc`` 0..1 (time, lat, lon); ``land`` 0..1 (lat, lon); ``center``, ``scale`` (3,).
    """
    values = np.stack([sst + sst_offset, transform(siconc, "logit"), np.broadcast_to(land, sst.shape)], axis=1)
    values = (values - center[:, None, None]) / scale[:, None, None]
    sea = np.isfinite(sst)[:, None]
    keep = np.concatenate([sea, sea, np.ones_like(sea)], axis=1)
    return np.where(keep, values, 0).astype(np.float32)


def _field_statistics(paths, rows, months, lat, lon, reference):
    """center (12 or 1, channel, lat or 1, lon or 1) and scale (channel), float32, from sums over the yearly files."""
    total = np.zeros((12, len(rows), len(lat), len(lon)))
    squares = np.zeros(total.shape[1:])
    counts, shift = np.zeros(12, int), [None] * len(rows)
    for path in paths:
        with netCDF4.Dataset(path) as file:
            found = _months(file)
            steps = np.flatnonzero(np.isin(found, months))
            season = month_of_year(found[steps]) - 1
            counts += np.bincount(season, minlength=12)
            for number, row in enumerate(rows if len(steps) else []):
                values = _read(file, row, steps, found)
                # Sums of departures from a value near the mean do not lose digits.
                shift[number] = values.mean() if shift[number] is None else shift[number]
                values = values - shift[number]
                np.add.at(total[:, number], season, values)
                squares[number] += (values**2).sum(axis=0)
    _check_counts(counts, months, reference)
    area, shift = cell_areas(lat, lon), np.array(shift)
    if reference == "climatology":
        means = total / counts[:, None, None, None]
        rest = squares - np.einsum("m,mcyx->cyx", counts, means**2)
    else:
        means = np.einsum("mcyx,yx->c", total, area)[None, :, None, None] / counts.sum()
        rest = squares - 2 * means[0] * total.sum(axis=0) + counts.sum() * means[0] ** 2
    spread = np.sqrt(np.maximum(np.einsum("cyx,yx->c", rest, area), 0) / counts.sum())
    center = means + shift[:, None, None]
    for row, one, size in zip(rows, spread, np.abs(center).max(axis=(0, 2, 3)), strict=True):
        if not one > NO_SPREAD * size:
            raise ValueError(
                f"'{row.channel}' does not vary in the training period {months[0]}..{months[-1]} (standard deviation "
                f"{one:g}): check the data of that channel"
            )
    return center.astype(np.float32), spread.astype(np.float32)


def _check_counts(counts, months, reference):
    least = {"climatology": 2, "channel": 1}[reference]
    if counts.sum() != len(months):
        raise ValueError(
            f"the training period {months[0]}..{months[-1]} has {len(months)} months, found {counts.sum()}"
        )
    if counts.min() < least and reference == "climatology":
        raise ValueError(
            f"calendar month {counts.argmin() + 1} has {counts.min()} years of training data in {months[0]}.."
            f"{months[-1]}, but normalize.reference climatology needs {least}: lengthen periods.training "
            "or set it to channel"
        )


def _write_series(file, era5, forcing, static, statistics, variables, months):
    rows = read_variables(variables, role="field")
    with netCDF4.Dataset(statistics) as stats:
        center, scale = read_array(stats["center"]), read_array(stats["scale"])
        add_grid(file, stats["lat"][:], stats["lon"][:])
        add_months(file, months)
        _add_channels(file, rows)
        _add_center(file, center, scale)
        for role in ("forcing", "static"):
            add_text(file, role, role, stats[role][:])
        _add_forcing_statistics(file, stats)
        fields = add_field(file, "fields", ("time", "channel", "lat", "lon"), compressed=False, units="1")
        _put_fields(fields, era5, rows, months, center, scale)
        forcings = add_field(file, "forcings", ("time", "forcing", "lat", "lon"), compressed=False, units="1")
        with netCDF4.Dataset(forcing) as source:
            places = _find(_months(source), months, forcing)
            _put_forcings(forcings, source, stats, places, months, 0.0)
        statics = add_field(file, "statics", ("static", "lat", "lon"), compressed=False, units="1")
        with netCDF4.Dataset(static) as source:
            names = {row.channel: row.short_name for row in read_variables(variables, role="static")}
            pairs = zip(stats["static"][:], stats["static_center"][:], stats["static_scale"][:], strict=True)
            for number, (name, mean, spread) in enumerate(pairs):
                values = (read_array(source[names[name]]) - mean) / spread
                _refuse_not_finite(values[None], name, [static])
                statics[number] = values


def _put_fields(fields, paths, rows, months, center, scale):
    written = np.zeros(len(months), bool)
    for path in paths:
        with netCDF4.Dataset(path) as file:
            found = _months(file)
            steps = np.flatnonzero(np.isin(found, months))
            if not len(steps):
                continue
            target = np.searchsorted(months, found[steps])
            season = (month_of_year(found[steps]) - 1) % len(center)
            for number, row in enumerate(rows):
                values = (_read(file, row, steps, found) - center[season, number]) / scale[number]
                _refuse_not_finite(values, row.channel, found[steps])
                fields[target, number] = values
            written[target] = True
    if not written.all():
        missing = ", ".join(str(month) for month in months[~written][:6])
        raise ValueError(f"no aggregated file holds {missing}")
    logging.info("%d months of %d channels normalized", len(months), len(rows))


def _add_forcing_statistics(file, stats):
    """What the forcings were normalized with: a checkpoint made with other statistics undoes it."""
    for name in ("forcing_center", "forcing_scale"):
        add_field(file, name, ("forcing",), compressed=False)[:] = stats[name][:]


def _put_forcings(variable, source, stats, places, months, sst_offset):
    names = list(stats["forcing"][:])
    if names != ["sst", "siconc", LAND]:
        raise ValueError(f"the forcings are {', '.join(names)}; sst, siconc, {LAND} are expected")
    center, scale = (read_array(stats[f"forcing_{kind}"]).astype(np.float64) for kind in ("center", "scale"))
    land = read_array(source[LAND])
    for low in range(0, len(places), 120):
        part = slice(places[low], places[low : low + 120][-1] + 1)
        if part.stop - part.start != len(places[low : low + 120]):
            raise ValueError("the months of the forcing are not in order, one after the other")
        sst, siconc = read_array(source["sst"])[part], read_array(source["siconc"])[part]
        values = normalized_forcings(sst, siconc, land, center, scale, sst_offset)
        for number, name in enumerate(names):
            _refuse_not_finite(values[:, number], name, months[low:])
        variable[low : low + len(values)] = values


def _read(file, row, steps, found):
    """Transformed values of one channel at ``steps``, float64 (time, lat, lon)."""
    variable = file[row.short_name]
    if row.level is None:
        values = np.ma.filled(variable[steps], np.nan)
    else:
        level = int(np.flatnonzero(file["level"][:] == row.level)[0])
        values = np.ma.filled(variable[steps, level], np.nan)
    _refuse_not_finite(values, row.channel, found[steps])
    return transform(values.astype(np.float64), row.transform)


def _refuse_not_finite(values, name, months):
    bad = ~np.isfinite(values).all(axis=(-2, -1))
    if bad.any():
        raise ValueError(f"'{name}' is not finite in {months[int(np.argmax(bad))]}")


def _moments(values, lat, lon):
    """Area-weighted mean and standard deviation over all times, NaN left out."""
    values = np.asarray(values, np.float64)
    weights = np.where(np.isfinite(values), cell_areas(lat, lon), 0)
    mean = (weights * np.nan_to_num(values)).sum() / weights.sum()
    return mean, np.sqrt((weights * np.nan_to_num(values - mean) ** 2).sum() / weights.sum())


def _months(file):
    epoch = np.datetime64(file["time"].units.split()[-1])
    return months_from_times(epoch + file["time"][:].data.astype("timedelta64[D]"))


def _find(found, months, path):
    missing = months[~np.isin(months, found)]
    if len(missing):
        raise ValueError(f"{path} lacks {missing[0]}")
    return np.searchsorted(found, months)


def _add_channels(file, rows):
    add_text(file, "channel", "channel", [row.channel for row in rows])
    for name in ("short_name", "transform", "units"):
        add_text(file, name, "channel", [getattr(row, name) for row in rows])
    file.createVariable("level", "f8", ("channel",)).units = "hPa"
    file["level"][:] = [np.nan if row.level is None else row.level for row in rows]
    for name in ("valid_min", "valid_max"):
        file.createVariable(name, "f8", ("channel",))[:] = [getattr(row, name) for row in rows]


def _add_center(file, center, scale):
    """center (month, channel, lat, lon), whose dimensions may have length 1, and scale (channel)."""
    everywhere = center.shape[-1] == 1
    add_coordinate(file, "month", np.arange(1, 13) if len(center) == 12 else [0], long_name="calendar month, 0 for all")
    if everywhere:
        file.createDimension("one_lat", 1)
        file.createDimension("one_lon", 1)
    dims = ("month", "channel", *(("one_lat", "one_lon") if everywhere else ("lat", "lon")))
    add_field(file, "center", dims, compressed=False, long_name="subtracted after the transform")[:] = center
    add_field(file, "scale", ("channel",), compressed=False, long_name="divided by after subtracting center")[:] = scale


if __name__ == "__main__":
    from workflow.scripts.common import runlog

    runlog.start(snakemake.log[0])
    job, params, output = snakemake.input, snakemake.params, snakemake.output[0]
    if params.step == "statistics":
        write_statistics(job.era5, job.forcing, job.static, job.variables, output, params.training, params.reference)
    elif params.step == "training":
        periods = {"training": params.training, "validation": params.validation}
        write_training(job.era5, job.forcing, job.static, job.statistics, job.variables, output, periods)
    elif params.step == "initial":
        write_initial(job.era5, job.forcing, job.static, job.statistics, job.variables, output, params.month)
    else:
        write_forcing(job.forcing, job.statistics, output, params.sst_offset)
