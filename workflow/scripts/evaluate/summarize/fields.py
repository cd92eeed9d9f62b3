"""One variable of one simulation, ours or anybody's, read from its file or from the files it is split into."""

from pathlib import Path

import numpy as np

from workflow.scripts.common.physics import GRAVITY
from workflow.scripts.inputs.labelled import conversion, load, months, open_labelled, ordered

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
        self.pieces: list = []
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
        for _, _, dataset in self.pieces:
            dataset.close()

    def _open(self, path):
        stored = path.name.split("_")[0]
        dataset = ordered(open_labelled(path), latitude=1)
        self.pieces.append((months(dataset, path) if "time" in dataset.dims else np.array([]), path, dataset))
        if stored not in dataset.data_vars:
            raise ValueError(f"{path} has no variable '{stored}', which its name begins with")
        extra = [name for name in dataset[stored].dims if name not in AXES and dataset.sizes[name] > 1]
        if extra or not {"time", "latitude", "longitude"} <= set(dataset[stored].dims):
            raise ValueError(
                f"{path}: '{stored}' is on ({', '.join(map(str, dataset[stored].dims))}), not on time, latitude and "
                "longitude, with or without pressure levels: regrid that tree first"
            )

    def _join(self):
        self.pieces.sort(key=lambda piece: piece[0][0])
        self.months = np.concatenate([found for found, _, _ in self.pieces])
        steps = np.diff(self.months).astype(int)
        if (steps != 1).any():
            wrong = int(np.argmax(steps != 1))
            raise ValueError(
                f"{self.path}: the months {self.months[0]}..{self.months[-1]} are not one after the other without a "
                f"gap: after {self.months[wrong]} comes {self.months[wrong + 1]}"
            )
        first = self.pieces[0][2]
        for _, path, dataset in self.pieces[1:]:
            for name in ("latitude", "longitude", "level"):
                if not (name in first) == (name in dataset) or name in first and not first[name].equals(dataset[name]):
                    raise ValueError(f"{path} and {self.pieces[0][1]} differ in {name}; give files of one grid")
        self.lat, self.lon = first["latitude"].values, first["longitude"].values
        array = self._array(first, self.pieces[0][1])
        self.units = self.units or array.attrs.get("units")
        self.levels = np.atleast_1d(first["level"].values) if "level" in array.dims else None

    def _array(self, dataset, path):
        array = dataset[path.name.split("_")[0]]
        array = array.squeeze([name for name in array.dims if name not in AXES], drop=True)
        return array.transpose(*AXES, missing_dims="ignore")

    def read(self, span):
        """Months ``span`` (a slice of ``months``) as (month, level, lat, lon) in ``units``, NaN where there is none."""
        parts, start = [], 0
        for found, path, dataset in self.pieces:
            low, high = max(span.start - start, 0), min(span.stop - start, len(found))
            if low < high:
                parts.append(self._converted(self._array(dataset, path), slice(low, high), path))
            start += len(found)
        values = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return values if values.ndim == 4 else values[:, None]

    def _converted(self, array, span, path):
        values = load(array.isel(time=span))
        stated = array.attrs.get("units")
        if stated is None:
            raise ValueError(f"{path}: '{array.name}' states no units; '{self.units}' is wanted, as an attribute units")
        factor, offset = conversion(stated, self.units, array.name, path)
        # A known deviation: geopotential under the name and unit of its height.
        if self.variable == "zg" and factor == 1 and np.nanmedian(values[0]) > GEOPOTENTIAL:
            factor = 1 / GRAVITY
        return values if (factor, offset) == (1, 0) else values * np.float64(factor) + offset

    def level(self, values, level):
        """``values`` (month, level, lat, lon) at a pressure level (hPa), linear in pressure; None if out of range."""
        if self.levels is None or len(self.levels) == 1:
            return values[:, 0]
        order = np.argsort(self.levels)
        plev = self.levels[order]
        if not plev[0] - 1e-6 <= level <= plev[-1] + 1e-6:
            return None
        upper = min(max(int(np.searchsorted(plev, level)), 1), len(plev) - 1)
        share = (level - plev[upper - 1]) / (plev[upper] - plev[upper - 1])
        return (1 - share) * values[:, order[upper - 1]] + share * values[:, order[upper]]
