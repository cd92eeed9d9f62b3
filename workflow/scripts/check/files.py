"""Files of a submission as the checks see them: header, coordinates and statistics, each file read once.

``read_files`` opens the files of one simulation and streams their values in slabs of months, so that memory does not
grow with the length of the simulation. Values that belong together (dewpoint and temperature) pass side by side.
"""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import cftime
import netCDF4
import numpy as np

from workflow.scripts.common.faults import explained
from workflow.scripts.submission.derive import specific_humidity
from workflow.scripts.submission.drs import FOLDERS, facets_of, facets_of_name

SLAB = 24  # months in memory at a time
COORDINATES = ("time", "time_bnds", "lat", "lat_bnds", "lon", "lon_bnds", "plev", "height")
TOGETHER = ("ps", "tas", "tdas", "huss")  # streamed side by side, the others alone


@dataclass
class Header:
    """A netCDF variable without its values."""

    dimensions: tuple
    dtype: str
    shape: tuple
    attributes: dict
    filters: dict


@dataclass
class Statistics:
    """What one pass over the values of a variable (time, [level,] lat, lon) leaves."""

    months: int = 0
    nan: int = 0
    infinite: int = 0
    missing: int = 0
    negative: int = 0
    minimum: np.ndarray | None = None  # by level
    maximum: np.ndarray | None = None
    total: np.ndarray | None = None  # sum over time, ([level,] lat, lon)
    repeated: list = field(default_factory=list)  # months equal to the one before
    flat: list = field(default_factory=list)  # months with one value everywhere, with their level
    last: np.ndarray | None = None
    digest: object = field(default_factory=hashlib.sha256)

    def add(self, values):
        """Take in the next months, float32 (time, [level,] lat, lon)."""
        self.digest.update(np.ascontiguousarray(values).tobytes())
        finite = np.isfinite(values)
        if not finite.all():
            self.nan += int(np.isnan(values).sum())
            self.infinite += int(np.isinf(values).sum())
        missing = np.abs(values) > 9e19
        if missing.any():
            self.missing += int((missing & finite).sum())
        if not finite.all() or missing.any():
            values = np.where(finite & ~missing, values, 0)
        levels = values.reshape(len(values), -1, *values.shape[-2:])
        low, high = levels.min(axis=(2, 3)), levels.max(axis=(2, 3))
        self.flat += [(self.months + month, level) for month, level in np.argwhere(low == high).tolist()]
        self.negative += int((values < 0).sum()) if low.min() < 0 else 0
        low, high = low.min(axis=0), high.max(axis=0)
        self.minimum = low if self.minimum is None else np.minimum(self.minimum, low)
        self.maximum = high if self.maximum is None else np.maximum(self.maximum, high)
        total = levels.sum(axis=0, dtype=np.float64)
        self.total = total if self.total is None else self.total + total
        before = self.last
        for month, now in enumerate(levels):
            if before is not None and np.array_equal(before, now):
                self.repeated.append(self.months + month)
            before = now
        self.last = before.copy()
        self.months += len(values)


@dataclass
class CmorFile:
    """One file: where it is, its names, header, coordinates and statistics; ``error`` if it cannot be read."""

    path: Path
    relative: str
    facets: dict
    name_facets: dict | None
    attributes: dict = field(default_factory=dict)
    variables: dict = field(default_factory=dict)
    coordinates: dict = field(default_factory=dict)
    data_model: str = ""
    statistics: Statistics | None = None
    error: str = ""

    @property
    def variable(self):
        """Name of the variable, from its folder."""
        return self.facets["variable_id"]

    @property
    def grid(self):
        """Grid label, from its folder."""
        return self.facets["grid_label"]

    def attributes_of(self, name):
        """The attributes of a variable, none where it is absent."""
        return self.variables[name].attributes if name in self.variables else {}

    def counting(self, name):
        """What ``time`` or ``time_bnds`` counts: bounds may have units and a calendar of their own."""
        own = {key: value for key, value in self.attributes_of(name).items() if key in ("units", "calendar")}
        return self.attributes_of("time") | own

    def month(self, number):
        """The month of a place on the time axis, as the file's own times and calendar tell it, as text."""
        for name in ("time_bnds", "time"):  # a stamp at the end of a month would be taken for the next one's
            found, attributes = np.atleast_1d(self.coordinates.get(name, [])), self.counting(name)
            if number < len(found):
                try:
                    date = cftime.num2date(
                        np.mean(found[number]), attributes.get("units", ""), attributes.get("calendar", "standard")
                    )
                    return f"{date.year:04d}-{date.month:02d}"
                except (TypeError, ValueError, OverflowError, AttributeError):
                    continue
        return f"month {number + 1} of the file"

    def area_mean(self):
        """Time and area mean by level, float64 (level,)."""
        share = np.diff(np.sin(np.deg2rad(np.sort(self.coordinates["lat_bnds"], axis=1))), axis=1)[:, 0] / 2
        return (self.statistics.total.mean(axis=-1) @ share) / share.sum() / self.statistics.months


@dataclass
class Comparison:
    """Values of several variables set against each other: worst supersaturation (K) and misfit of huss."""

    dewpoint_excess: float = -np.inf
    humidity_misfit: float = 0.0  # sum of |huss - f(tdas, ps)|
    humidity_total: float = 0.0

    def add(self, values):
        """Take in the next months of the variables by name."""
        if {"tas", "tdas"} <= set(values):
            excess = (values["tdas"] - values["tas"]).max()
            self.dewpoint_excess = float(np.maximum(self.dewpoint_excess, excess))  # keeps NaN, which max() would lose
        if {"huss", "tdas", "ps"} <= set(values):
            expected = specific_humidity(values["tdas"], values["ps"])
            self.humidity_misfit += float(np.abs(values["huss"] - expected).sum(dtype=np.float64))
            self.humidity_total += float(np.abs(expected).sum(dtype=np.float64))


def locate(path, root):
    """A CmorFile with its names only; facets is None if fewer than eight folders lead to the file below ``root``."""
    path = Path(path)
    relative = path.relative_to(root)
    folders = relative.parent.parts
    facets = facets_of(folders) if len(folders) == len(FOLDERS) else None
    return CmorFile(path, str(relative), facets, facets_of_name(path.name))


def read_files(paths, root):
    """Read files of one simulation. Returns the CmorFiles and, by grid label, a Comparison."""
    files = [locate(path, root) for path in paths]
    groups = {}
    for file in files:
        if file.facets is None:
            continue
        together = file.variable in TOGETHER
        groups.setdefault((file.grid, "" if together else file.relative), []).append(file)
    comparisons = {}
    for (grid, alone), group in groups.items():
        comparison = None if alone else comparisons.setdefault(grid, Comparison())
        _read_group(group, comparison)
    return files, comparisons


def _read_group(files, comparison):
    opened = {}
    try:
        for file in files:
            try:
                opened[file.relative] = dataset = netCDF4.Dataset(file.path)
                dataset.set_auto_mask(False)
                _read_header(file, dataset)
            except (OSError, RuntimeError, UnicodeDecodeError) as error:
                file.error = str(explained(error, file.path) or error)
        streams = [
            (file, opened[file.relative][file.variable])
            for file in files
            if not file.error and _streamable(file.variables.get(file.variable), file.coordinates)
        ]
        _stream(streams, comparison)
    finally:
        for dataset in opened.values():
            dataset.close()


def _streamable(header, coordinates):
    """True if a variable has the shape that statistics by month, level and area need."""
    latlon = tuple(len(coordinates.get(name, ())) for name in ("lat", "lon"))
    return (
        header is not None
        and header.dtype.startswith("float")
        and len(header.shape) in (3, 4)
        and header.shape[-2:] == latlon
        and min(header.shape) > 0
        and coordinates.get("lat_bnds", np.empty(0)).shape == (latlon[0], 2)
    )


def _read_header(file, dataset):
    file.data_model = dataset.data_model
    file.attributes = {key: dataset.getncattr(key) for key in dataset.ncattrs()}
    for name, variable in dataset.variables.items():
        attributes = {key: variable.getncattr(key) for key in variable.ncattrs()}
        file.variables[name] = Header(
            variable.dimensions, str(variable.dtype), variable.shape, attributes, variable.filters() or {}
        )
    for name in COORDINATES:
        if name in dataset.variables:
            file.coordinates[name] = np.asarray(dataset[name][...])


def _stream(streams, comparison):
    lengths = {variable.shape for _, variable in streams}
    months = max((shape[0] for shape in lengths), default=0)
    for file, _ in streams:
        file.statistics = Statistics()
    for start in range(0, months, SLAB):
        values = {}
        for file, variable in streams:
            if start < variable.shape[0] and not file.error:
                try:
                    values[file.variable] = variable[start : start + SLAB]
                    file.statistics.add(values[file.variable])
                except (OSError, RuntimeError) as error:
                    file.error, file.statistics = f"months from {file.month(start)} on cannot be read: {error}", None
        if comparison is not None and len(lengths) == 1:
            comparison.add(values)
    for file, _ in streams:
        if file.statistics is not None:
            file.statistics.last = None
