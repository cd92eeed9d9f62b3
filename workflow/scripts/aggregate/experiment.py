"""The forcing of an experiment whose sea differs from the control's by more than a number.

To the monthly means of the simulation a pattern of sea-surface temperature is added, and sea ice follows the water
where the experiment asks for that. The experiment's offset is not in the file: whatever reads a forcing adds it, here
as for every experiment. But the ice follows the water with it.

Ice and water are kept as Hurrell et al. (2008, J. Climate 21, 5145, doi:10.1175/2008JCLI2292.1) make them consistent:
of water that a share C, up to 0.9, is covered, the warmest is at 9.328 (0.729 - C^3) - 1.8 degC; above 4.97 degC there
is no ice; and more than 0.9 is covered where water freezes, at -1.8 degC. So where water is warmed, cover is limited to
what the formula allows, and where water is cooled to -1.8 degC or below, at least 0.9 of it is covered. The water
itself is not held at -1.8 degC.
"""

import sys
from pathlib import Path

import netCDF4
import numpy as np

from workflow.scripts.aggregate.axes import copy_axes, monthly_variable
from workflow.scripts.aggregate.forcing import BLOCK_STEPS
from workflow.scripts.common import program
from workflow.scripts.common.checksums import digests
from workflow.scripts.common.months import month_of_year
from workflow.scripts.common.ncfiles import add_field, add_months, new_file, read_array, read_months
from workflow.scripts.common.physics import SEA_FREEZING
from workflow.scripts.inputs.pattern import read_pattern

ICE_FREE = 278.12  # K, 4.97 degC
SLOPE, FROZEN = 9.328, 0.9  # K; cover of water that freezes


def change_sea(forcing, output, sst_offset=0.0, pattern=None, ice="keep"):
    """Write the aggregated ``forcing`` with ``pattern`` (a file of inputs/pattern.py) added to sst.

    ``ice``: "keep", or "follow": siconc follows the water with pattern and ``sst_offset`` (K), which is not added.
    Raises ValueError in one sentence for a pattern without a value over the sea, and for ice where there is none.
    """
    with netCDF4.Dataset(forcing) as file, new_file(output, "monthly mean forcing of an experiment") as out:
        if ice == "follow" and "siconc" not in file.variables:
            raise ValueError(f"{forcing} has no sea ice that could follow the water; set the experiment's ice to keep")
        months = read_months(file)
        copy_axes(file, out)
        add_months(out, months)
        land = read_array(file["lsm"])
        add_field(out, "lsm", ("lat", "lon"), **_attributes(file["lsm"]))[:] = land
        lat, lon = read_array(file["lat"]), read_array(file["lon"])
        maps = np.zeros((1, 1, 1)) if pattern is None else read_pattern(pattern, lat, lon)
        if pattern is not None:
            out.setncatts({"sst_pattern": Path(pattern).name, "sst_pattern_sha256": digests(pattern)["sha256"]})
        fields = {name: monthly_variable(out, name, file[name]) for name in ("sst", "siconc") if name in file.variables}
        for low in range(0, len(months), BLOCK_STEPS):
            part = slice(low, low + BLOCK_STEPS)
            added = maps[(month_of_year(months[part]) - 1) % len(maps)]
            sst = read_array(file["sst"], part)
            _refuse_missing(sst, added, lat, lon, pattern)
            fields["sst"][part] = sst + added.astype(np.float32)
            if "siconc" in fields:
                cover = read_array(file["siconc"], part)
                total = added + sst_offset
                fields["siconc"][part] = cover if ice == "keep" else followed_ice(cover, sst + total, total, land)


def followed_ice(ice, water, added, land):
    """Sea ice beside ``water`` (K) to which ``added`` (K) was added; ``ice`` and ``land`` are shares 0..1 of the cell.

    ``ice`` stays where nothing was added, where warm water has no more of it than it may, and where cooled water does
    not freeze. Arrays (.., lat, lon), NaN where there is no sea.
    """
    sea = np.maximum(1 - land, 1e-6)
    cover = ice / sea
    with np.errstate(invalid="ignore"):
        limit = np.cbrt(np.clip(FROZEN**3 - (water - SEA_FREEZING) / SLOPE, 0, None))
        limit = np.where(water > ICE_FREE, 0, np.where(water <= SEA_FREEZING, 1, limit))
        melts = (added > 0) & (cover > limit)
        freezes = (added < 0) & (water <= SEA_FREEZING) & (cover < FROZEN)
    return np.where(melts, limit * sea, np.where(freezes, FROZEN * sea, ice)).astype(np.float32)


def _attributes(variable):
    return {key: variable.getncattr(key) for key in variable.ncattrs() if key != "_FillValue"}


def _refuse_missing(sst, added, lat, lon, path):
    missing = (np.isfinite(sst) & np.isnan(added)).any(axis=0)
    if missing.any():
        row, column = np.argwhere(missing)[0]
        raise ValueError(
            f"{path} has no value in {int(missing.sum())} cells of the sea, the first at latitude {lat[row]:g}, "
            f"longitude {lon[column]:g}; give it one everywhere, 0 where nothing is added"
        )


def main(arguments=None):
    """Command line."""
    parser = program.command_line(__doc__)
    parser.add_argument("--forcing", required=True, help="aggregated forcing of the simulation")
    parser.add_argument("--sst-offset", type=float, default=0.0, help="of the experiment, for the ice that follows, K")
    parser.add_argument("--sst-pattern", metavar="FILE", help="one map or twelve, added to the sea surface temperature")
    parser.add_argument("--ice", choices=["keep", "follow"], default="keep", help="whether sea ice follows the water")
    parser.add_argument("--out", required=True, help="file to write")

    def work(given):
        change_sea(given.forcing, given.out, given.sst_offset, given.sst_pattern, given.ice)

    return program.run(parser, work, arguments)


if __name__ == "__main__":
    sys.exit(main())
