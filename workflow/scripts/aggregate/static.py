"""The regridded static fields with cell bounds; nothing to average."""

import sys

import netCDF4

from workflow.scripts.aggregate.axes import copy_axes
from workflow.scripts.common import program
from workflow.scripts.common.ncfiles import add_field, new_file, read_array


def aggregate_static(source, output):
    """Write the fields (lat, lon) of the regridded ``source`` to ``output``."""
    with netCDF4.Dataset(source) as file, new_file(output, "static fields on the model grid") as out:
        copy_axes(file, out)
        for name in [name for name in file.variables if file[name].dimensions == ("lat", "lon")]:
            variable = add_field(out, name, ("lat", "lon"), units=file[name].units, long_name=file[name].long_name)
            variable[:] = read_array(file[name])


def main(arguments=None):
    """Command line."""
    parser = program.command_line(__doc__)
    parser.add_argument("--static", required=True, help="regridded static fields")
    parser.add_argument("--out", required=True, help="file to write")
    return program.run(parser, lambda given: aggregate_static(given.static, given.out), arguments)


if __name__ == "__main__":
    sys.exit(main())
