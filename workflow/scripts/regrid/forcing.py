"""The AIMIP forcing on the model's grid, over the sea part of each cell: values at the starts of months."""

import sys

import numpy as np

from workflow.scripts.common import program
from workflow.scripts.common.ncfiles import add_field, add_grid, add_times, new_file
from workflow.scripts.common.variables import read_variables
from workflow.scripts.inputs.forcing import LAND_MASK, Forcing, blocks
from workflow.scripts.regrid.operators import Weights, add_regridding, long_name, regrid_mean, regrid_sea


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
            add_field(file, name, ("time", "lat", "lon"), units=rows[name].units, long_name=long_name(rows[name]))
            for name in ("sst", "siconc")
        )
        for start, stop in blocks(len(forcing.months)):
            warmth = forcing.read(rows["sst"], start, stop)
            cover = np.nan_to_num(forcing.read(rows["siconc"], start, stop), nan=0)
            cover = np.where(np.isfinite(warmth), np.clip(cover, 0, 1 - land), np.nan)
            for step in range(stop - start):
                sst[start + step] = regrid_sea(weights, warmth[step], threshold)
                ice[start + step] = np.clip(regrid_sea(weights, cover[step], threshold), 0, 1 - fraction)


def main(arguments=None):
    """Command line."""
    parser = program.command_line(__doc__)
    parser.add_argument("--forcing", required=True, help="the AIMIP forcing as it was delivered")
    add_regridding(parser)
    return program.run(
        parser,
        lambda given: regrid_forcing(given.forcing, given.weights, given.variables, given.out, given.threshold),
        arguments,
    )


if __name__ == "__main__":
    sys.exit(main())
