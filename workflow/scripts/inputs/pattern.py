"""A pattern of sea-surface temperature from outside: one map of differences, or twelve from January to December.

The file is any netCDF that ``labelled`` opens, on any global latitude-longitude grid, in any unit of temperature: a
difference of 1 degC is one of 1 K. It has one field, with no dimension beside latitude and longitude but the months.
"""

import numpy as np

from workflow.scripts.common.grids import ConservativeRegridder
from workflow.scripts.common.months import month_of_year
from workflow.scripts.common.units import conversion
from workflow.scripts.inputs.labelled import load, months, open_labelled, ordered

LARGEST = 20.0  # K; what goes beyond is no difference but a temperature
LEAST_SHARE = 1e-6  # of a cell that must have a value


def read_pattern(path, lat, lon):
    """The pattern of the file ``path`` on the grid of ``lat`` (increasing) and ``lon``, K, float64 (1 or 12, lat, lon).

    Conservative, over the part of each cell that has values; NaN where there is none. Raises ValueError in one sentence
    that names the file for other units than temperature's, other months than 1 or 12, and no or several fields.
    """
    with open_labelled(path) as opened:
        dataset = ordered(opened, latitude=1)
        array = _field(dataset, path)
        if "units" not in array.attrs:
            raise ValueError(f"{path}: '{array.name}' states no units; K is wanted, for differences of temperature")
        factor, _ = conversion(array.attrs["units"], "K", array.name, path)
        values = _maps(dataset, array, path) * factor
        grid = dataset["latitude"].values, dataset["longitude"].values
    if len(grid[1]) < 2 or not np.allclose(np.diff(grid[1]), 360 / len(grid[1]), atol=1e-3):
        raise ValueError(f"{path}: its longitudes do not go round the globe in equal steps; give a global grid")
    if not np.nanmax(np.abs(values), initial=0) <= LARGEST:
        raise ValueError(
            f"{path}: '{array.name}' reaches {np.nanmax(np.abs(values)):g} K; differences from the control are wanted, "
            f"of at most {LARGEST:g} K"
        )
    return ConservativeRegridder(grid, (lat, lon))(values, LEAST_SHARE)


def _field(dataset, path):
    """The one field of ``dataset`` on latitude and longitude."""
    bounds = {one.attrs.get("bounds") for one in dataset.variables.values()}
    fields = [
        one
        for name, one in dataset.data_vars.items()
        if {"latitude", "longitude"} <= {*one.dims} and name not in bounds
    ]
    if len(fields) != 1:
        names = ", ".join(str(one.name) for one in fields)
        raise ValueError(
            f"{path} has {f'the fields {names}' if fields else 'no field'} of latitude and longitude; one is wanted"
        )
    return fields[0]


def _maps(dataset, array, path):
    """The values (1 or 12, lat, lon) of ``array``, January first."""
    extra = [dim for dim in array.dims if dim not in ("latitude", "longitude")]
    months_of = [dim for dim in extra if array.sizes[dim] != 1]
    count = int(np.prod([array.sizes[dim] for dim in extra]))
    if count not in (1, 12) or len(months_of) > 1:
        sizes = " x ".join(f"{array.sizes[dim]} {dim}" for dim in extra)
        raise ValueError(
            f"{path}: '{array.name}' has {count} maps ({sizes}), allowed are one, or twelve of one dimension"
        )
    if months_of and months_of[0] in dataset.coords:
        calendar = months_of[0] == "time" and " since " in str(dataset["time"].attrs.get("units", ""))
        found = month_of_year(months(dataset, path)) if calendar else dataset[months_of[0]].values
        if found.tolist() != list(range(1, 13)):
            raise ValueError(
                f"{path}: the months of '{array.name}' are {', '.join(f'{one:g}' for one in found)}, not 1 to 12; put "
                f"January first"
            )
    values = load(array.transpose(*extra, "latitude", "longitude")).astype(np.float64)
    return values.reshape(count, *values.shape[-2:])
