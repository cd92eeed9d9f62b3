"""Statistics of the training period: what is subtracted from each field and what it is divided by.

A field x becomes (transform(x) - center[month]) / scale, both per channel. ``reference`` says against what:
``climatology``: center is the mean of that calendar month in each cell, scale the area-weighted standard deviation of
what is left; ``channel``: center is one area-weighted mean and scale one standard deviation per channel. Forcings (over
the sea) and statics get one mean and standard deviation each; the land fraction stays 0..1 as it is. Everything comes
from the training period alone.
"""

import sys

import netCDF4
import numpy as np

from workflow.scripts.common import program
from workflow.scripts.common.grids import cell_areas
from workflow.scripts.common.months import month_of_year, month_range
from workflow.scripts.common.ncfiles import add_field, add_grid, add_text, new_file, read_array, read_months
from workflow.scripts.common.variables import read_variables
from workflow.scripts.normalize.fields import add_center, add_channels, read_channel
from workflow.scripts.normalize.forcing import LAND, add_static, static_fields
from workflow.scripts.normalize.transforms import transform

NO_SPREAD = 1e-6  # a standard deviation this small beside the mean is rounding


def write_statistics(era5, forcing, static, variables, output, period, reference):
    """Statistics of the months of ``period`` (start, end): center, scale per channel, forcing and static.

    ``era5``: aggregated yearly files, of which only the months in ``period`` count. ``static``: the static fields, None
    where the table of variables has none. Raises ValueError that names the
    calendar month without data, or the channel that does not vary or is not finite.
    """
    rows = {role: read_variables(variables, role=role) for role in ("field", "forcing", "static")}
    months = month_range(*period)
    with netCDF4.Dataset(forcing) as file:
        lat, lon = file["lat"][:].data, file["lon"][:].data
    fields = static_fields(static, forcing, rows["static"])
    statics = {name: _moments([values], lat, lon) for name, values in fields.items()}
    center, scale = _field_statistics(era5, rows["field"], months, lat, lon, reference)
    with netCDF4.Dataset(forcing) as file:
        inside = np.isin(read_months(file), months)
        forcings = {
            row.channel: _moments(transform(read_array(file[row.short_name])[inside], row.transform), lat, lon)
            for row in rows["forcing"]
        }
    forcings[LAND] = (0.0, 1.0)
    for name, (mean, spread) in [*forcings.items(), *statics.items()]:
        if not np.isfinite([mean, spread]).all():
            raise ValueError(f"'{name}' has no finite mean or standard deviation in the training period")
    if not forcings["sst"][1] > NO_SPREAD * abs(forcings["sst"][0]):
        # But the sea is where its temperature is not 0, so that one of a single temperature stays sea.
        forcings["sst"] = (forcings["sst"][0] - 1.0, 0.0)
    # A map that is the same everywhere, such as no ice at all, says nothing; it becomes 0 and not an error.
    statics, forcings = (
        {name: (mean, spread if spread > NO_SPREAD * abs(mean) else 1.0) for name, (mean, spread) in values.items()}
        for values in (statics, forcings)
    )
    with new_file(output, f"statistics of {months[0]} to {months[-1]}, reference {reference}") as file:
        add_grid(file, lat, lon)
        add_channels(file, rows["field"])
        add_center(file, center, scale)
        for role, values in (("forcing", forcings), ("static", statics)):
            add_text(file, role, role, list(values))
            for number, name in enumerate((f"{role}_center", f"{role}_scale")):
                add_field(file, name, (role,), compressed=False)[:] = [pair[number] for pair in values.values()]


def _field_statistics(paths, rows, months, lat, lon, reference):
    """center (12 or 1, channel, lat or 1, lon or 1) and scale (channel), float32, from sums over the yearly files."""
    total = np.zeros((12, len(rows), len(lat), len(lon)))
    squares = np.zeros(total.shape[1:])
    counts, shift = np.zeros(12, int), [None] * len(rows)
    for path in paths:
        with netCDF4.Dataset(path) as file:
            found = read_months(file)
            steps = np.flatnonzero(np.isin(found, months))
            season = month_of_year(found[steps]) - 1
            counts += np.bincount(season, minlength=12)
            for number, row in enumerate(rows if len(steps) else []):
                values = read_channel(file, row, steps, found)
                # Sums of departures from a value near the mean do not lose digits.
                shift[number] = values.mean() if shift[number] is None else shift[number]
                values = values - shift[number]
                np.add.at(total[:, number], season, values)
                squares[number] += (values**2).sum(axis=0)
    _check_counts(counts, months, reference)
    area, shift = cell_areas(lat, lon), np.array(shift)
    if reference == "climatology":
        means = total / counts[:, None, None, None]
        rest = squares - np.einsum("m,mcyx->cyx", counts, means**2)
    else:
        means = np.einsum("mcyx,yx->c", total, area)[None, :, None, None] / counts.sum()
        rest = squares - 2 * means[0] * total.sum(axis=0) + counts.sum() * means[0] ** 2
    spread = np.sqrt(np.maximum(np.einsum("cyx,yx->c", rest, area), 0) / counts.sum())
    center = means + shift[:, None, None]
    for row, one, size in zip(rows, spread, np.abs(center).max(axis=(0, 2, 3)), strict=True):
        if not one > NO_SPREAD * size:
            raise ValueError(
                f"'{row.channel}' does not vary in the training period {months[0]}..{months[-1]} (standard deviation "
                f"{one:g}): check the data of that channel"
            )
    return center.astype(np.float32), spread.astype(np.float32)


def _check_counts(counts, months, reference):
    least = {"climatology": 2, "channel": 1}[reference]
    if counts.sum() != len(months):
        raise ValueError(
            f"the training period {months[0]}..{months[-1]} has {len(months)} months, found {counts.sum()}"
        )
    if counts.min() < least and reference == "climatology":
        raise ValueError(
            f"calendar month {counts.argmin() + 1} has {counts.min()} years of training data in {months[0]}.."
            f"{months[-1]}, but normalize.reference climatology needs {least}: lengthen periods.training "
            "or set it to channel, with model.noise_modes 0"
        )


def _moments(values, lat, lon):
    """Area-weighted mean and standard deviation over all times, NaN left out."""
    values = np.asarray(values, np.float64)
    weights = np.where(np.isfinite(values), cell_areas(lat, lon), 0)
    mean = (weights * np.nan_to_num(values)).sum() / weights.sum()
    return mean, np.sqrt((weights * np.nan_to_num(values - mean) ** 2).sum() / weights.sum())


def main(arguments=None):
    """Command line."""
    parser = program.command_line(__doc__)
    parser.add_argument("--era5", nargs="+", required=True, help="aggregated files, one per year")
    parser.add_argument("--forcing", required=True, help="aggregated forcing of the training period")
    add_static(parser)
    parser.add_argument("--variables", required=True, help="config/variables.csv")
    parser.add_argument("--period", nargs=2, required=True, metavar="MONTH", help="first and last month of training")
    parser.add_argument("--reference", choices=["climatology", "channel"], required=True, help="what is subtracted")
    parser.add_argument("--out", required=True, help="file to write")

    def work(given):
        files = given.era5, given.forcing, given.static, given.variables
        write_statistics(*files, given.out, given.period, given.reference)

    return program.run(parser, work, arguments)


if __name__ == "__main__":
    sys.exit(main())
