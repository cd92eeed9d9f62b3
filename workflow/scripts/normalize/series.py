"""Normalized fields, forcings and statics of any months, as training and rollouts read them."""

import logging

import netCDF4
import numpy as np

from workflow.scripts.common.months import month_of_year
from workflow.scripts.common.ncfiles import add_field, add_grid, add_months, add_text, read_array, read_months
from workflow.scripts.common.variables import read_variables
from workflow.scripts.normalize.fields import add_center, add_channels, read_channel, refuse_not_finite
from workflow.scripts.normalize.forcing import add_forcing_statistics, put_forcings, static_fields


def write_series(file, era5, forcing, static, statistics, variables, months):
    """Write ``months`` from the aggregated files to the open netCDF ``file``; raises ValueError as its callers say."""
    rows = read_variables(variables, role="field")
    with netCDF4.Dataset(statistics) as stats:
        center, scale = read_array(stats["center"]), read_array(stats["scale"])
        add_grid(file, stats["lat"][:], stats["lon"][:])
        add_months(file, months)
        add_channels(file, rows)
        add_center(file, center, scale)
        for role in ("forcing", "static"):
            add_text(file, role, role, stats[role][:])
        add_forcing_statistics(file, stats)
        fields = add_field(file, "fields", ("time", "channel", "lat", "lon"), compressed=False, units="1")
        _put_fields(fields, era5, rows, months, center, scale)
        forcings = add_field(file, "forcings", ("time", "forcing", "lat", "lon"), compressed=False, units="1")
        with netCDF4.Dataset(forcing) as source:
            places = _find(read_months(source), months, forcing)
            put_forcings(forcings, source, stats, places, months, 0.0)
        statics = add_field(file, "statics", ("static", "lat", "lon"), compressed=False, units="1")
        given = static_fields(static, forcing, read_variables(variables, role="static"))
        pairs = zip(stats["static"][:], stats["static_center"][:], stats["static_scale"][:], strict=True)
        for number, (name, mean, spread) in enumerate(pairs):
            values = (given[name] - mean) / spread
            refuse_not_finite(values[None], name, [static])
            statics[number] = values


def _put_fields(fields, paths, rows, months, center, scale):
    written = np.zeros(len(months), bool)
    for path in paths:
        with netCDF4.Dataset(path) as file:
            found = read_months(file)
            steps = np.flatnonzero(np.isin(found, months))
            if not len(steps):
                continue
            target = np.searchsorted(months, found[steps])
            season = (month_of_year(found[steps]) - 1) % len(center)
            for number, row in enumerate(rows):
                values = (read_channel(file, row, steps, found) - center[season, number]) / scale[number]
                refuse_not_finite(values, row.channel, found[steps])
                fields[target, number] = values
            written[target] = True
    if not written.all():
        missing = ", ".join(str(month) for month in months[~written][:6])
        raise ValueError(f"no aggregated file holds {missing}")
    logging.info("%d months of %d channels normalized", len(months), len(rows))


def _find(found, months, path):
    missing = months[~np.isin(months, found)]
    if len(missing):
        raise ValueError(f"{path} lacks {missing[0]}")
    return np.searchsorted(found, months)
