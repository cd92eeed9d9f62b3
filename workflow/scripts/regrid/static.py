"""The fields that do not change, from ERA5's grid to the model's."""

import sys
from contextlib import ExitStack

from workflow.scripts.common import program
from workflow.scripts.common.ncfiles import add_field, add_grid, new_file
from workflow.scripts.common.variables import read_variables
from workflow.scripts.inputs.era5 import STATIC, holds, open_members, read_fields
from workflow.scripts.regrid.operators import Weights, add_regridding, long_name, regrid_field


def regrid_static(source, weights_path, variables_path, output, threshold=0.5):
    """Regrid the fields that do not change, of the ERA5 file ``source``, to (lat, lon)."""
    weights = Weights(weights_path)
    rows = read_variables(variables_path, role="static")
    with ExitStack() as stack, new_file(output, "static fields on the model grid") as file:
        add_grid(file, weights.lat, weights.lon)
        members = [stack.enter_context(member) for member in open_members(source, STATIC)]
        for row in rows:
            holder = next((member for member in members if holds(member, row)), members[0])
            weights.check(holder["latitude"].values, holder["longitude"].values, source)
            ((_, _, values),) = read_fields(holder.isel(time=slice(1)), [row])
            variable = add_field(file, row.short_name, ("lat", "lon"), units=row.units, long_name=long_name(row))
            variable[:] = regrid_field(weights, values[0], row.regrid, threshold)


def main(arguments=None):
    """Command line."""
    parser = program.command_line(__doc__)
    parser.add_argument("--static", required=True, help="downloaded static fields")
    add_regridding(parser)
    return program.run(
        parser,
        lambda given: regrid_static(given.static, given.weights, given.variables, given.out, given.threshold),
        arguments,
    )


if __name__ == "__main__":
    sys.exit(main())
