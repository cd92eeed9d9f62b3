"""One variable of one simulation, ours or anybody's, read from its file or from the files it is split into."""

from pathlib import Path

import numpy as np

from workflow.scripts.common.physics import GRAVITY
from workflow.scripts.common.units import conversion
from workflow.scripts.inputs.labelled import load, months, open_labelled, ordered, same_axis

GEOPOTENTIAL = 20000  # no height (m) of 500 hPa reaches it and every geopotential (m2 s-2) exceeds it
AXES = ("time", "level", "latitude", "longitude")


class Field:
    """A variable in the units asked for, on axes from south to north: read by months, whatever files hold them.

    paths: its file, or the files that follow one another in time; units: the submission's, None for what the first file
    states. ``months`` (datetime64[M]),
    ``lat``, ``lon`` (degrees) and ``levels`` (hPa, or None at the surface) are the same for all of them. Use as a
    context manager. Raises ValueError with one sentence that names the file.
    """

    def __init__(self, paths, variable, units=None):
        self.path, self.variable, self.units = Path(paths[0]), variable, units
        self.datasets, self.pieces = [], []
        try:
            for path in map(Path, paths):
                self._open(path)
            self._join()
        except Exception:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def close(self):
        """Close all files."""
        for dataset in self.datasets:
            dataset.close()

    def _open(self, path):
        """Add the months, the path and the variable of one file."""
        stored = path.name.split("_")[0]
        dataset = ordered(open_labelled(path), latitude=1)
        self.datasets.append(dataset)
        if stored not in dataset.data_vars:
            raise ValueError(f"{path} has no variable '{stored}', which its name begins with")
        # A Variable, not a DataArray: choosing months of it hundreds of times does not choose its coordinates as well.
        variable = dataset[stored].variable
        extra = [name for name in variable.dims if name not in AXES]
        if any(dataset.sizes[name] > 1 for name in extra) or not {"time", "latitude", "longitude"} <= set(
            variable.dims
        ):
            raise ValueError(
                f"{path}: '{stored}' is on ({', '.join(map(str, variable.dims))}), not on time, latitude and longitude "
                "with or without pressure levels: regrid that tree first"
            )
        self.pieces.append(
            (months(dataset, path), path, variable.squeeze(extra).transpose(*AXES, missing_dims="ignore"))
        )

    def _join(self):
        """Put the files in the order of their months and see that they are one series on one grid."""
        order = sorted(range(len(self.pieces)), key=lambda number: self.pieces[number][0][0])
        self.pieces, self.datasets = ([which[number] for number in order] for which in (self.pieces, self.datasets))
        self.months = np.concatenate([found for found, _, _ in self.pieces])
        steps = np.diff(self.months).astype(int)
        if (steps != 1).any():
            wrong = int(np.argmax(steps != 1))
            raise ValueError(
                f"{self.path}: the months {self.months[0]}..{self.months[-1]} are not one after the other without a "
                f"gap: after {self.months[wrong]} comes {self.months[wrong + 1]}"
            )
        first, variable = self.datasets[0], self.pieces[0][2]
        for dataset, (_, path, _) in zip(self.datasets[1:], self.pieces[1:], strict=True):
            for name in ("latitude", "longitude", "level"):
                if not same_axis(first, dataset, name):
                    raise ValueError(f"{path} and {self.pieces[0][1]} differ in {name}; give files of one grid")
        self.lat, self.lon = first["latitude"].values, first["longitude"].values
        self.units = self.units or variable.attrs.get("units")
        self.levels = np.atleast_1d(first["level"].values) if "level" in first.variables else None
        around = np.diff(np.append(self.lon, self.lon[0] + 360))
        even = np.allclose(around, 360 / len(self.lon), atol=1e-3)
        step = np.diff(self.lat).mean()
        if not even or self.lat[0] > step - 90 or self.lat[-1] < 90 - step:
            raise ValueError(
                f"{self.path}: latitudes {self.lat[0]:g}..{self.lat[-1]:g} and longitudes {self.lon[0]:g}.."
                f"{self.lon[-1]:g} do not go once round the globe in equal steps; give a global grid, no cyclic point"
            )

    def read(self, span):
        """Months ``span`` (a slice of ``months``) as (month, level, lat, lon) in ``units``, NaN where there is none."""
        parts, start = [], 0
        for found, path, variable in self.pieces:
            low, high = max(span.start - start, 0), min(span.stop - start, len(found))
            if low < high:
                parts.append(self._converted(variable[low:high], path))
            start += len(found)
        values = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return values if values.ndim == 4 else values[:, None]

    def _converted(self, variable, path):
        values, stored = load(variable), path.name.split("_")[0]
        stated = variable.attrs.get("units")
        if stated is None:
            raise ValueError(f"{path}: '{stored}' states no units; '{self.units}' is wanted, as its attribute units")
        factor, offset = conversion(stated, self.units, stored, path)
        # A known deviation: geopotential under the name and unit of its height.
        if self.variable == "zg" and factor == 1 and np.nanmedian(values[0]) > GEOPOTENTIAL:
            factor = 1 / GRAVITY
        return values if (factor, offset) == (1, 0) else values * np.float64(factor) + offset

    def level(self, values, level):
        """``values`` (month, level, lat, lon) at a pressure level (hPa), linear in pressure; None if out of range."""
        if self.levels is None:
            return values[:, 0]
        if len(self.levels) == 1:
            return values[:, 0] if abs(self.levels[0] - level) < 1e-6 else None
        order = np.argsort(self.levels)
        plev = self.levels[order]
        if not plev[0] - 1e-6 <= level <= plev[-1] + 1e-6:
            return None
        upper = min(max(int(np.searchsorted(plev, level)), 1), len(plev) - 1)
        share = (level - plev[upper - 1]) / (plev[upper] - plev[upper - 1])
        return (1 - share) * values[:, order[upper - 1]] + share * values[:, order[upper]]
