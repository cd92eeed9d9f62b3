"""The prescribed sea in submitted ts: over ice-free open sea ts is the forcing's SST plus the experiment's offset.

The forcing is the experiment's: with its pattern added and its ice followed, if it has such.
"""

from functools import cached_property

import netCDF4
import numpy as np

from workflow.scripts.common.grids import WHOLE, ConservativeRegridder
from workflow.scripts.common.ncfiles import read_array
from workflow.scripts.inputs.labelled import months, open_labelled
from workflow.scripts.submission.derive import open_sea

SLAB = 24  # months in memory at a time
# Variables of a forcing and their dimensions; it may be without ice.
FORCING = {
    **{"lat": ("lat",), "lon": ("lon",), "lsm": ("lat", "lon")},
    **{"sst": ("time", "lat", "lon"), "siconc": ("time", "lat", "lon")},
}
TOLERANCE = 1e-4  # K; ts is single precision, whose steps near 300 K are 3e-5


class PrescribedSea:
    """Open-sea mask and SST (K) of the forcing, on its own grid or on any other by exact conservative boxes.

    With the forcing ``control`` of another experiment: what SST has beyond that one's, where both are open sea.
    Raises ValueError naming the file if it is no such forcing.
    """

    def __init__(self, path, control=None):
        self.path, self.dataset = path, netCDF4.Dataset(path)
        for name, dimensions in FORCING.items():
            found = self.dataset[name].dimensions if name in self.dataset.variables else None
            if found != dimensions and (found is not None or name != "siconc"):
                self.dataset.close()
                said = "absent" if found is None else f"on {found}"
                raise ValueError(
                    f"{path} is no monthly forcing: {name} is {said}, wanted on {dimensions}; give a file such as "
                    "results/aggregate/forcing/simulation.nc"
                )
        self.control = None if control is None else PrescribedSea(control)
        self.lat, self.lon = (np.asarray(self.dataset[name][:]) for name in ("lat", "lon"))
        self.land = np.ma.filled(self.dataset["lsm"][:], 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.dataset.close()
        if self.control is not None:
            self.control.dataset.close()

    @cached_property
    def months(self):
        """The months of the forcing, datetime64[M] (time,)."""
        return months_of(self.path)

    def left_out(self, variables):
        """Why ts is not compared with the sea: no ts is among ``variables``, or no ice in the forcing; else None."""
        if "ts" not in variables:
            return "there is no ts"
        return None if "siconc" in self.dataset.variables else "the forcing has no sea ice, so open sea is not known"

    def on(self, lat, lon, wanted):
        """SST (K) and open-sea mask (time, lat, lon) of the months ``wanted`` on the grid of ``lat``, ``lon``."""
        sst, mask = self._own(wanted)
        if self.control is not None:
            before, open_before = self.control._own(wanted)
            sst, mask = sst - before, mask & open_before
        same = (one.shape == own.shape and np.allclose(one, own) for one, own in ((lat, self.lat), (lon, self.lon)))
        if all(same):
            return sst, mask
        # A regridded cell is open sea only where every cell it overlaps is.
        regrid = ConservativeRegridder((self.lat, self.lon), (lat, lon))
        found = regrid(np.where(mask, sst, np.nan), WHOLE)
        return found, np.isfinite(found)

    def _own(self, wanted):
        places = places_of(self.months, wanted)
        sst, ice = (read_array(self.dataset[name], places) for name in ("sst", "siconc"))
        return sst, open_sea(self.land, ice) & np.isfinite(sst)


def sea_findings(path, sea, offset, control=None):
    """Sentences on a file ``path`` of ts whose open sea is not as prescribed; arguments as of ``offset_misfit``."""
    there = None
    try:
        found, others = months_of(path), {"the forcing": sea.months}
        others |= {"the control's forcing": sea.control.months} if sea.control else {}
        if control:
            others["the control"] = there = months_of(control)
    except (ValueError, OSError) as error:
        yield f"ts was not compared: {error}"
        return
    absent = {name: np.setdiff1d(found, there) for name, there in others.items()}
    short = [f"{name} lacks {len(months)}, the first {months[0]}" for name, months in absent.items() if len(months)]
    if short:
        yield f"ts was not compared: of its {len(found)} months {' and '.join(short)}"
        return
    worst, count = offset_misfit(path, sea, offset, found, control, there)
    if not count:
        yield "the forcing has no open sea on this grid, so no value was compared"
    elif not worst <= TOLERANCE:  # so that NaN is found too
        base = "ts of the control" if control else "the SST"
        pattern = " + the pattern" if control and "sst_pattern" in sea.dataset.ncattrs() else ""
        yield f"ts over ice-free sea differs from {base} + {offset:g} K{pattern} by up to {worst:g} K"


def months_of(path):
    """The months of a file, datetime64[M] (time,), by its bounds where it has some."""
    with open_labelled(path) as dataset:
        return months(dataset, path)


def places_of(months, wanted):
    """Where the months ``wanted`` are among ``months``, which hold them in any order."""
    order = np.argsort(months)
    return order[np.searchsorted(months, wanted, sorter=order)]


def offset_misfit(path, sea, offset, found, control=None, there=None):
    """Largest misfit (K) of ts over open sea, NaN if one is NaN, and how many values were compared.

    Without ``control``: of the file ``path`` from SST + ``offset`` (K). With it: of ``path`` minus the file
    ``control`` from what SST has beyond the control's + ``offset``. ``sea`` is a PrescribedSea, with the control's if
    ``control`` is given. ``found``: the months of the file, which ``sea`` has all; ``there``: those of ``control``.
    """
    worst, count = 0.0, 0
    places = places_of(there, found) if control else None
    with netCDF4.Dataset(path) as file, netCDF4.Dataset(control or path) as other:
        file.set_auto_mask(False)
        other.set_auto_mask(False)
        lat, lon = file["lat"][:], file["lon"][:]
        for start in range(0, len(found), SLAB):
            slab = slice(start, start + SLAB)
            sst, mask = sea.on(lat, lon, found[slab])
            values = file["ts"][slab].astype(np.float64)
            base = sst + other["ts"][places[slab]].astype(np.float64) if control else sst
            misfit = np.abs(values - base - offset)[mask]
            count += misfit.size
            worst = float(np.maximum(worst, misfit.max(initial=0)))  # keeps NaN, which max() would lose
    return worst, count
