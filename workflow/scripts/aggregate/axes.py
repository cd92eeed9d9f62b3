"""What the three kinds of aggregated files have in common: axes with bounds, and monthly variables."""

from workflow.scripts.common.ncfiles import add_coordinate, add_field, add_grid


def copy_axes(file, out):
    """Give ``out`` the grid, with bounds, and the levels of the regridded ``file``."""
    add_grid(out, file["lat"][:], file["lon"][:], with_bounds=True)
    if "level" in file.variables:
        add_coordinate(out, "level", file["level"][:])


def monthly_variable(out, name, source):
    """A variable of ``out`` for monthly means of the regridded variable ``source``, with what is said of that."""
    attributes = {
        key: source.getncattr(key) for key in ("units", "long_name", "given_levels") if key in source.ncattrs()
    }
    return add_field(out, name, source.dimensions, cell_methods="time: mean", **attributes)
