"""What does not depend on a run of the GCM: its static fields and its forcing, in the layout of the CDS and of AIMIP.

    python -m workflow.scripts.gcm.fixed --period 1981-01 1986-12 --offset 0 --variables TABLE --static static.nc
        --forcing forcing.nc

Statistics of the orography below the grid are those that jcm ships at T63, averaged. The forcing holds open water's
temperature and the share of ice as the GCM sees them at the start of each month, one month beyond the period too, NaN
over land. Runs in GCM_PYTHON, for the sake of jcm's data.
"""

import sys

import netCDF4
import numpy as np

from workflow.scripts.common import program
from workflow.scripts.common.grids import ConservativeRegridder
from workflow.scripts.common.months import month_range, parse_month
from workflow.scripts.common.ncfiles import add_coordinate, add_field, add_grid, add_months, new_file
from workflow.scripts.common.variables import read_variables
from workflow.scripts.gcm.boundary import Boundary, data_folder
from workflow.scripts.gcm.regular import Regular

LAND = 0.5  # cells with more land have no sea-surface temperature


def subgrid_orography(path, regular):
    """Statistics of the orography below the grid, dict of (latitude, longitude): sdor m, anor radian, isor, slor.

    ``path``: jcm's terrain at T63. Variances and the directions of slopes, which turn by half a circle, are averaged.
    """
    with netCDF4.Dataset(path) as file:
        longitude, latitude = np.ma.getdata(file["lon"][:]), np.ma.getdata(file["lat"][:])
        names = ("orostd", "orothe", "orogam", "orosig")
        spread, angle, shape, slope = (np.ma.getdata(file[name][:]).astype(np.float64).T for name in names)
    regrid = ConservativeRegridder((latitude, longitude), (regular.latitude, regular.longitude))
    turn = spread**2 * np.exp(2j * np.deg2rad(angle))
    variance, shape, slope, turn = (regrid(values) for values in (spread**2, shape, slope, turn))
    return {"sdor": np.sqrt(variance), "anor": np.angle(turn) / 2, "isor": shape, "slor": slope}


def write_static(path, variables, land, shapes, regular):
    """Write the static fields that the table asks for: ``land`` and ``shapes`` of ``subgrid_orography``."""
    fields = {"lsm": land, **shapes}
    with new_file(path, "static fields of SPEEDY, a general circulation model") as file:
        add_months(file, np.array(["2000-01"], "datetime64[M]"))
        add_grid(file, regular.latitude, regular.longitude)
        for row in read_variables(variables, role="static"):
            if row.short_name not in fields:
                raise ValueError(
                    f"{variables} asks for '{row.short_name}', which the GCM does not have; it has {', '.join(fields)}"
                )
            add_field(file, row.short_name, ("time", "lat", "lon"), units=row.units)[:] = fields[row.short_name]


def write_forcing(path, period, offset, boundary, land, regular):
    """Write the forcing of the months of ``period`` (first, last), AIMIP-shaped; ``land`` (latitude, longitude)."""
    months = month_range(period[0], str(parse_month(period[1]) + 1))
    with new_file(path, f"forcing of SPEEDY, a general circulation model, open water {offset:g} K warmer") as file:
        days = (months.astype("datetime64[D]") - months[0].astype("datetime64[D]")).astype(np.float64)
        add_coordinate(file, "time", days, units=f"days since {months[0]}-01", calendar="proleptic_gregorian")
        add_grid(file, regular.latitude, regular.longitude)
        add_field(file, "land_sea_mask", ("lat", "lon"), units="1")[:] = land
        sea = add_field(file, "sea_surface_temperature", ("time", "lat", "lon"), units="K")
        ice = add_field(file, "sea_ice_cover", ("time", "lat", "lon"), units="1")
        for place, month in enumerate(months):
            surface = boundary.surface(month, offset)
            for variable, values in ((sea, surface.water), (ice, surface.ice)):
                variable[place] = np.where(land > LAND, np.nan, regular(values, bounded=True))


def main(arguments=None):
    """Command line."""
    parser = program.command_line(__doc__)
    parser.add_argument("--period", nargs=2, required=True, metavar="MONTH", help="first and last month, YYYY-MM")
    parser.add_argument("--offset", type=float, required=True, help="of the temperature of open water, K")
    parser.add_argument("--variables", required=True, help="table of variables, CSV")
    parser.add_argument("--static", required=True, help="file of the static fields to write")
    parser.add_argument("--forcing", required=True, help="file of the forcing to write")

    def work(given):
        boundary = Boundary()
        regular = Regular(boundary.latitude)
        land = np.clip(regular(boundary.land, bounded=True), 0, 1)
        shapes = subgrid_orography(data_folder().parent / "t63" / "terrain.nc", regular)
        write_static(given.static, given.variables, land, shapes, regular)
        write_forcing(given.forcing, given.period, given.offset, boundary, land, regular)

    return program.run(parser, work, arguments)


if __name__ == "__main__":
    sys.exit(main())
