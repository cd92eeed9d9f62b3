"""Monthly means of ERA5 of one year on the model's grid, from monthly, daily or hourly fields.

Only whole months are made. A field that is a mean or accumulation over the hour before its stamp (``stamp``: "end of
the hour") counts for the hour that ends then: 00 UTC on the 1st belongs to the month before. One field is in memory at
a time.
"""

import datetime
import logging
import sys
from contextlib import ExitStack

import cftime
import netCDF4
import numpy as np

from workflow.scripts.aggregate.axes import copy_axes, monthly_variable
from workflow.scripts.common import program
from workflow.scripts.common.months import parse_month
from workflow.scripts.common.ncfiles import add_months, new_file, read_array, read_months

HOURS = {"daily": 24, "hourly": 1}  # hours that one value stands for


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
        with new_file(output, "monthly means on the model grid") as out:
            copy_axes(files[0], out)
            add_months(out, months)
            for name in names:
                variable = monthly_variable(out, name, files[0][name])
                if product == "monthly":
                    _copy_months(files[0], name, variable, months, sources[0])
                else:
                    _average(files, name, variable, months, HOURS[product])


def _places(file, name):
    """Where in a variable the field or its given levels lie: an index for the dimensions after time."""
    if "level" not in file[name].dimensions:
        return [()]
    return [(k,) for k in np.flatnonzero(np.isin(file["level"][:], file[name].given_levels))]


def _copy_months(file, name, variable, months, path):
    found = read_months(file)
    steps = [np.flatnonzero(found == month) for month in months]
    for month, place in zip(months, steps, strict=True):
        if len(place) != 1:
            raise ValueError(f"{path}: {month} is there {len(place)} times, not once; download its year again")
    steps = np.concatenate(steps)
    for place in _places(file, name):
        values = read_array(file[name], (slice(None), *place))
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
                total += read_array(file[name], (time, *place))
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


def main(arguments=None):
    """Command line."""
    parser = program.command_line(__doc__)
    parser.add_argument("--era5", nargs="+", required=True, help="regridded file of the year; for hours, the next too")
    parser.add_argument("--months", nargs="+", required=True, help="YYYY-MM of one year")
    parser.add_argument("--product", choices=["monthly", *HOURS], default="monthly", help="what the values stand for")
    parser.add_argument("--out", required=True, help="file to write")
    return program.run(
        parser,
        lambda given: aggregate_era5(given.era5, given.out, list(map(parse_month, given.months)), given.product),
        arguments,
    )


if __name__ == "__main__":
    sys.exit(main())
