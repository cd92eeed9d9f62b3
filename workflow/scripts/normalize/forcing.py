"""The normalized forcing of one experiment, with its offset of the sea surface temperature."""

import sys

import netCDF4
import numpy as np

from workflow.scripts.common import program
from workflow.scripts.common.ncfiles import add_field, add_grid, add_months, add_text, new_file, read_array, read_months
from workflow.scripts.normalize.fields import refuse_not_finite
from workflow.scripts.normalize.transforms import transform

LAND = "lsm"  # the forcing that stays as it is
ORDERS = (["sst", "siconc", LAND], ["sst", LAND])  # of the forcings, with and without sea ice


def write_forcing(forcing, statistics, output, sst_offset):
    """The normalized forcing of all simulation months with ``sst_offset`` (K) added to the sea surface temperature."""
    with netCDF4.Dataset(statistics) as stats, netCDF4.Dataset(forcing) as source:
        months = read_months(source)
        with new_file(output, "normalized forcing of one experiment", fill=False) as file:
            file.sst_offset = float(sst_offset)
            add_grid(file, source["lat"][:], source["lon"][:])
            add_months(file, months)
            add_text(file, "forcing", "forcing", stats["forcing"][:])
            add_forcing_statistics(file, stats)
            variable = add_field(file, "forcings", ("time", "forcing", "lat", "lon"), compressed=False)
            put_forcings(variable, source, stats, np.arange(len(months)), months, sst_offset)


def normalized_forcings(sst, siconc, land, center, scale, sst_offset=0.0):
    """Forcings (time, 3, lat, lon) float32 in the order sst, siconc, lsm; 0 where ``sst`` is NaN, that is not sea.

    ``sst`` K, ``siconc`` 0..1 (time, lat, lon), or None: then there are 2; ``land`` 0..1 (lat, lon); ``center``,
    ``scale`` (3,).
    """
    ice = [] if siconc is None else [transform(siconc, "logit")]
    values = np.stack([sst + sst_offset, *ice, np.broadcast_to(land, sst.shape)], axis=1)
    values = (values - center[:, None, None]) / scale[:, None, None]
    sea = np.isfinite(sst)[:, None]
    keep = np.concatenate([sea] * (1 + len(ice)) + [np.ones_like(sea)], axis=1)
    return np.where(keep, values, 0).astype(np.float32)


def add_forcing_statistics(file, stats):
    """What the forcings were normalized with: a checkpoint made with other statistics undoes it."""
    for name in ("forcing_center", "forcing_scale"):
        add_field(file, name, ("forcing",), compressed=False)[:] = stats[name][:]


def put_forcings(variable, source, stats, places, months, sst_offset):
    """Write the forcings of the months at ``places`` of the aggregated ``source`` to ``variable``, in pieces."""
    names = list(stats["forcing"][:])
    if names not in ORDERS:
        raise ValueError(f"the forcings are {', '.join(names)}; sst, siconc, {LAND} are expected, or no siconc")
    center, scale = (read_array(stats[f"forcing_{kind}"]).astype(np.float64) for kind in ("center", "scale"))
    land = read_array(source[LAND])
    for low in range(0, len(places), 120):
        part = slice(places[low], places[low : low + 120][-1] + 1)
        if part.stop - part.start != len(places[low : low + 120]):
            raise ValueError("the months of the forcing are not in order, one after the other")
        sst = read_array(source["sst"], part)
        siconc = read_array(source["siconc"], part) if "siconc" in names else None
        values = normalized_forcings(sst, siconc, land, center, scale, sst_offset)
        for number, name in enumerate(names):
            refuse_not_finite(values[:, number], name, months[low:])
        variable[low : low + len(values)] = values


def static_fields(static, forcing, rows):
    """Fields {channel: (lat, lon)} that do not change: of the file ``static``, for the ``rows`` of that role.

    With ``static`` None, where the table of variables has no such rows: the land fraction of the file ``forcing``.
    """
    names = {row.channel: row.short_name for row in rows} if static else {LAND: LAND}
    with netCDF4.Dataset(static or forcing) as file:
        return {channel: read_array(file[name]) for channel, name in names.items()}


def add_static(parser):
    """Add the option that names the static fields."""
    parser.add_argument("--static", help="aggregated static fields, where the table of variables has some")


def main(arguments=None):
    """Command line."""
    parser = program.command_line(__doc__)
    parser.add_argument("--forcing", required=True, help="aggregated forcing of the simulation")
    parser.add_argument("--statistics", required=True, help="statistics of the training period")
    parser.add_argument("--sst-offset", type=float, default=0.0, help="added to the sea surface temperature, K")
    parser.add_argument("--out", required=True, help="file to write")
    return program.run(
        parser, lambda given: write_forcing(given.forcing, given.statistics, given.out, given.sst_offset), arguments
    )


if __name__ == "__main__":
    sys.exit(main())
