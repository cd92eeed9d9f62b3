"""The AIMIP forcing on the model's grid, with values as its file has them for each month.

Temperature is the mean over the sea part of a cell. Sea ice is a share of the whole cell, not of its sea part: AIMIP
limits it to what the land leaves, 1 - land, so that ice, land and open water add up to the cell. Its area in a cell is
conserved; cells with too little sea for a temperature have no ice either.
"""

import sys

import numpy as np

from workflow.scripts.common import program
from workflow.scripts.common.ncfiles import LAND_FRACTION, add_field, add_grid, add_times, new_file
from workflow.scripts.common.variables import read_variables
from workflow.scripts.inputs.forcing import VALUES, Forcing, blocks
from workflow.scripts.regrid.operators import Weights, add_regridding, long_name, regrid_mean, regrid_sea


def regrid_forcing(source, weights_path, variables_path, output, threshold=0.5, values="start"):
    """Regrid the AIMIP forcing: sst and, if the table has it, siconc (time, lat, lon) over the sea, lsm (lat, lon).

    Sea is where the sea surface temperature has a value; sea ice missing there is no ice, nor is there any elsewhere.
    Ice is limited to 1 - land in the source cells (AIMIP), and so in the target cells, which have the mean over all of
    the cell, NaN where they have no temperature. ``values``: what the file holds for a month, its start or its mean.
    """
    weights = Weights(weights_path)
    rows = {row.short_name: row for row in read_variables(variables_path, role="forcing")}
    title = f"AIMIP forcing, {values} of each month, model grid"
    with Forcing(source, values) as forcing, new_file(output, title) as file:
        weights.check(forcing.latitude, forcing.longitude, source)
        add_grid(file, weights.lat, weights.lon)
        add_times(file, forcing.months)
        land = forcing.land()
        fraction = np.clip(regrid_mean(weights, land), 0, 1)
        out = add_field(file, "lsm", ("lat", "lon"), **LAND_FRACTION)
        out[:] = fraction
        fields = {
            name: add_field(file, name, ("time", "lat", "lon"), units=row.units, long_name=long_name(row))
            for name, row in rows.items()
        }
        for start, stop in blocks(len(forcing.months)):
            warmth = forcing.read(rows["sst"], start, stop)
            water = np.stack([regrid_sea(weights, one, threshold) for one in warmth])
            fields["sst"][start:stop] = water
            if "siconc" not in rows:
                continue
            cover = np.nan_to_num(forcing.read(rows["siconc"], start, stop), nan=0)
            cover = np.where(np.isfinite(warmth), np.clip(cover, 0, 1 - land), 0)
            ice = np.stack([regrid_mean(weights, one) for one in cover])
            # Limited once more for rounding alone.
            fields["siconc"][start:stop] = np.where(np.isfinite(water), np.clip(ice, 0, 1 - fraction), np.nan)


def main(arguments=None):
    """Command line."""
    parser = program.command_line(__doc__)
    parser.add_argument("--forcing", required=True, help="the AIMIP forcing as it was delivered")
    parser.add_argument("--values", choices=VALUES, default="start", help="what the file holds for each month")
    add_regridding(parser)

    def work(given):
        files = given.forcing, given.weights, given.variables, given.out
        regrid_forcing(*files, given.threshold, given.values)

    return program.run(parser, work, arguments)


if __name__ == "__main__":
    sys.exit(main())
