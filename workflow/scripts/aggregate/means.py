"""Monthly means on the model's grid, as CF wants them: from monthly fields as they are, from daily or hourly ones by
averaging, and of the forcing by the mean of its linear interpolation.

Only whole months are made. A field that is a mean or accumulation over the hour before its stamp (``stamp``: "end of
the hour") counts for the hour that ends then: 00 UTC on the 1st belongs to the month before. One field is in memory at
a time.
"""

import datetime
import logging
from contextlib import ExitStack

import cftime
import netCDF4
import numpy as np

from workflow.scripts.common.months import missing_months, month_range, months_from_times
from workflow.scripts.common.ncfiles import add_coordinate, add_field, add_grid, add_months, new_file, read_array

HOURS = {"daily": 24, "hourly": 1}  # hours that one value stands for
BLOCK_STEPS = 24  # months of forcing in memory at a time


def aggregate_era5(sources, output, months, product="monthly"):
    """Monthly means of ``months`` (datetime64[M], one year's) from the regridded ``sources``, one file per year.

    ``sources`` holds that year's file and may hold the next year's, for the hour that ends December. Raises ValueError
    that names the months, and the field, for which values are missing or there twice.
    """
    with ExitStack() as stack:
        files = [stack.enter_context(netCDF4.Dataset(path)) for path in sources]
        names = [
            name
            for name, variable in files[0].variables.items()
            if "lat" in variable.dimensions and "time" in variable.dimensions
        ]
        with new_file(output, "ERA5 monthly means on the model grid") as out:
            _copy_axes(files[0], out)
            add_months(out, months)
            for name in names:
                variable = _monthly_variable(out, name, files[0][name])
                if product == "monthly":
                    _copy_months(files[0], name, variable, months, sources[0])
                else:
                    _average(files, name, variable, months, HOURS[product])


def aggregate_static(source, output):
    """The regridded static fields with cell bounds; nothing to average."""
    with netCDF4.Dataset(source) as file, new_file(output, "ERA5 static fields on the model grid") as out:
        _copy_axes(file, out)
        for name in [name for name in file.variables if file[name].dimensions == ("lat", "lon")]:
            variable = add_field(out, name, ("lat", "lon"), units=file[name].units, long_name=file[name].long_name)
            variable[:] = read_array(file[name])


def aggregate_forcing(source, output, start, end):
    """Monthly means of sst and siconc from ``start`` to ``end`` from the regridded month-start values, and lsm.

    The mean of month m is 0.5 (v[m] + v[m + 1]), exact for values that change linearly within the month.
    """
    months = month_range(start, end)
    with netCDF4.Dataset(source) as file, new_file(output, "monthly mean forcing on the model grid") as out:
        found = _months(file)
        absent, twice = missing_months(
            found[(found >= months[0]) & (found <= months[-1] + 1)], start, str(months[-1] + 1)
        )
        if absent or twice:
            raise ValueError(
                f"{source}: the start of {(absent or twice)[0]} is {'missing' if absent else 'there twice'}"
            )
        first = int(np.argmax(found == months[0]))
        _copy_axes(file, out)
        add_months(out, months)
        lsm = add_field(out, "lsm", ("lat", "lon"), units="1", standard_name="land_area_fraction")
        lsm[:] = read_array(file["lsm"])
        for name in ("sst", "siconc"):
            variable = _monthly_variable(out, name, file[name])
            for low in range(0, len(months), BLOCK_STEPS):
                high = min(low + BLOCK_STEPS, len(months))
                variable[low:high] = month_means(read_array(file[name])[first + low : first + high + 1])


def month_means(starts):
    """Means of the months between consecutive month-start values ``starts`` (time + 1, ...): (time, ...)."""
    return 0.5 * (starts[:-1] + starts[1:])


def _copy_axes(file, out):
    add_grid(out, file["lat"][:], file["lon"][:], with_bounds=True)
    if "level" in file.variables:
        add_coordinate(out, "level", file["level"][:])


def _monthly_variable(out, name, source):
    attributes = {
        key: source.getncattr(key) for key in ("units", "long_name", "given_levels") if key in source.ncattrs()
    }
    return add_field(out, name, source.dimensions, cell_methods="time: mean", **attributes)


def _months(file):
    time = file["time"]
    epoch = np.datetime64(time.units.split()[-1])
    return months_from_times(epoch + time[:].astype("timedelta64[D]"))


def _places(file, name):
    """Where in a variable the field or its given levels lie: an index for the dimensions after time."""
    if "level" not in file[name].dimensions:
        return [()]
    return [(k,) for k in np.flatnonzero(np.isin(file["level"][:], file[name].given_levels))]


def _copy_months(file, name, variable, months, path):
    found = _months(file)
    steps = [np.flatnonzero(found == month) for month in months]
    for month, place in zip(months, steps, strict=True):
        if len(place) != 1:
            raise ValueError(f"{path}: {month} is there {len(place)} times, not once; download its year again")
    steps = np.concatenate(steps)
    for place in _places(file, name):
        values = np.ma.filled(file[name][(slice(None), *place)], np.nan)
        variable[(slice(None), *place)] = values[steps]


def _average(files, name, variable, months, hours):
    """Write the mean over each month of ``name``, weighted by hours, from values that stand for ``hours`` each."""
    at_end = getattr(files[0][name], "stamp", "instant") == "end of the hour" and hours == 1
    stamps = [_stamps(file, at_end) for file in files]
    unit = "hours" if hours == 1 else "days"
    for step, month in enumerate(months):
        wanted = _hours_in(month, files[0]["time"].calendar) // hours
        chosen = [np.flatnonzero(found == month) for found, _ in stamps]
        # The next year's file may repeat a value of this one's: each instant counts once.
        seen = np.concatenate([times[places] for (_, times), places in zip(stamps, chosen, strict=True)])
        _, first = np.unique(seen, return_index=True)
        if len(first) != wanted:
            raise ValueError(f"{month} is not whole: '{name}' has {len(first)} of its {wanted} {unit}; give the rest")
        pairs = [(file, place) for file, places in zip(files, chosen, strict=True) for place in places]
        for place in _places(files[0], name):
            total = np.zeros(variable.shape[-2:])
            for index in sorted(first):
                file, time = pairs[index]
                total += np.ma.filled(file[name][(time, *place)], np.nan)
            if np.isnan(total).any():
                raise ValueError(f"{month} is not whole: '{name}' lacks values in some of its {unit}; give the rest")
            variable[(step, *place)] = total / wanted
        logging.info("%s of %s from %d values", name, month, wanted)


def _stamps(file, at_end):
    """(month that each value belongs to, its time in the file's units); calendars as cftime knows them."""
    time = file["time"]
    dates = cftime.num2date(time[:], time.units, time.calendar)
    if at_end:
        dates = dates - datetime.timedelta(hours=1)
    return np.array([f"{date.year:04d}-{date.month:02d}" for date in dates], "datetime64[M]"), np.array(time[:])


def _hours_in(month, calendar):
    """Hours in ``month`` of a CF calendar."""
    year, number = int(str(month)[:4]), int(str(month)[5:7])
    start = cftime.datetime(year, number, 1, calendar=calendar)
    end = cftime.datetime(year + number // 12, number % 12 + 1, 1, calendar=calendar)
    return round((end - start).total_seconds() / 3600)


if __name__ == "__main__":
    from workflow.scripts.common import runlog

    runlog.start(snakemake.log[0])
    job, params, output = snakemake.input, snakemake.params, snakemake.output[0]
    if job.get("static"):
        aggregate_static(job.static, output)
    elif job.get("forcing"):
        aggregate_forcing(job.forcing, output, *params.period)
    else:
        months = [np.datetime64(month, "M") for month in params.months]
        aggregate_era5([job.era5] if isinstance(job.era5, str) else job.era5, output, months, params.product)
