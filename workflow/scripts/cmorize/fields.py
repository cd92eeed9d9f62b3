"""Values of the submission's variables: read from a rollout in slabs of months, derived, and regridded.

Needs numpy only beside the netCDF4 datasets it is given, so CMOR's interpreter can import it.
"""

import re

import numpy as np

from workflow.scripts.common.months import TIME_UNITS, mid_times, month_range
from workflow.scripts.common.variables import read_variables
from workflow.scripts.submission.derive import UNITS, submitted, submitted_rows
from workflow.scripts.submission.prescribed import prescribed_surface


def check_rollout(rollout, forcing, channels, settings, path):
    """ValueError in one sentence if the rollout lacks a channel, has a wrong unit, or other months than the forcing."""
    months = month_range(*settings["period"])
    wanted = mid_times(months)
    for name, dataset in ((path, rollout), ("the forcing file", forcing)):
        times = days_since_epoch(dataset["time"])
        if len(times) != len(wanted):
            raise ValueError(
                f"{name} has {len(times)} months, not the {len(wanted)} of {'..'.join(settings['period'])}"
            )
        wrong = np.flatnonzero(~(np.abs(times - wanted) <= 1))
        if wrong.size:
            first = wrong[0]
            raise ValueError(
                f"{name} has the time {times[first]:g} {TIME_UNITS} at index {first}, not {wanted[first]:g}, "
                f"the middle of {months[first]}"
            )
    for row in channels:
        if row.channel not in rollout.variables:
            raise ValueError(f"{path} has no channel '{row.channel}', which the table of variables names")
        units = getattr(rollout[row.channel], "units", "")
        if units != row.units:
            raise ValueError(
                f"{path}: channel '{row.channel}' is in '{units}', the table of variables says '{row.units}'"
            )
    for axis in ("lat", "lon"):
        ours, theirs = rollout[axis][:], forcing[axis][:]
        if ours.shape != theirs.shape or not np.allclose(ours, theirs, atol=1e-6):
            raise ValueError(f"{path} and the forcing file differ in {axis}: regrid both to the same grid")


def days_since_epoch(time):
    """Values of a CF time variable in days since the workflow's epoch, whatever its own epoch."""
    epoch = np.datetime64(re.fullmatch(r"days since (\d{4}-\d\d-\d\d).*", time.units)[1])
    return np.asarray(time[:], np.float64) + float((epoch - np.datetime64(TIME_UNITS.split()[-1])).astype(int))


def source_channels(variables):
    """Rows of the table ``variables`` for each variable of the submission, surface or top level last: {name: rows}."""
    return submitted_rows(read_variables(variables, role="field"))


class Simulation:
    """The variables of the submission, slab by slab, from a rollout (netCDF4 dataset) and its prescribed sea."""

    def __init__(self, rollout, forcing, sources, offset):
        self.rollout, self.forcing, self.sources, self.offset = rollout, forcing, sources, offset
        self.land = self.plain(forcing["lsm"], slice(None))

    def read(self, name, months):
        """Variable ``name`` for a slice of months, float32 (time, [level,] lat, lon), in the units of ``units``."""
        values = self.derive(name, months)
        bad = np.count_nonzero(~np.isfinite(values))
        if bad:
            raise ValueError(f"{name} has {bad} values that are not finite in months {months.start}..{months.stop - 1}")
        return np.asarray(values, np.float32)

    def derive(self, name, months):
        """The same before the check for values that are not finite, of any float type."""
        rows = self.sources[name]
        values = [submitted(name, row, self.sources, lambda row: self.channel(row.channel, months)) for row in rows]
        if name == "ts":
            return prescribed_surface(values[0], self.forcing, self.land, months, self.offset)
        return np.stack(values, axis=1) if rows[0].level else values[0]

    def channel(self, channel, months):
        """One channel of the rollout as it is, (time, lat, lon)."""
        return self.plain(self.rollout[channel], months)

    @staticmethod
    def plain(variable, months):
        """Values of a netCDF variable with NaN for what is masked."""
        return np.ma.filled(variable[months], np.nan)

    def units(self, name):
        """Units of what ``read`` returns: the derivations', else those of the channels."""
        return UNITS.get(name, self.sources[name][0].units)
