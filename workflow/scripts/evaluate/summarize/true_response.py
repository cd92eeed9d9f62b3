"""The file of what no observation knows, written by truth.py: the true response to warmer seas, and true indices."""

import netCDF4
import numpy as np

from workflow.scripts.common.field_names import field_order
from workflow.scripts.common.ncfiles import add_grid, add_text, new_file


def write_truth(output, title, responses, lat, lon, deviations):
    """Write ``responses`` {experiment: {field: (lat, lon)}} and ``deviations`` {index: standard deviation}."""
    names = sorted(next(iter(responses.values()), {}), key=field_order)
    with new_file(output, title) as file:
        add_text(file, "experiment", "experiment", list(responses))
        add_text(file, "field", "field", names)
        add_grid(file, lat, lon)
        add_text(file, "index", "index", list(deviations))
        file.createVariable("index_std", "f8", ("index",))[:] = list(deviations.values())
        response = file.createVariable("response", "f4", ("experiment", "field", "lat", "lon"), zlib=True, complevel=1)
        for number, fields in enumerate(responses.values()):
            response[number] = np.stack([fields[name] for name in names])


def read_truth(path):
    """Responses {experiment: {field: (lat, lon)}} and deviations of indices {name: value} from truth.py's file."""
    with netCDF4.Dataset(path) as data:
        data.set_auto_mask(False)
        experiments, fields = data["experiment"][:].tolist(), data["field"][:].tolist()
        values = data["response"][:].astype(np.float64)
        modes = dict(zip(data["index"][:].tolist(), data["index_std"][:].tolist(), strict=True))
    return {name: dict(zip(fields, maps, strict=True)) for name, maps in zip(experiments, values, strict=True)}, modes
