"""Running statistics of one simulation, or of the reference, and the small file that holds them.

Output (netCDF4): ``statistics`` (statistic, field, lat, lon) with time means, trends and ENSO regressions per period,
``series`` (field, time) global means, ``boxes`` (box_field, time, box_lat, box_lon) means over 15-degree boxes,
``indices`` (index, time), ``spectra`` (spectral_field, wavenumber) mean power by total wavenumber over the test
period, ``seasons`` (section_field, month, lat) zonal means of each calendar month over the training span, what
monthly.py adds, and the attribute ``skipped`` (JSON: statistic -> why it is not there). A field is a variable and its
level: ``tas``, ``ta850``.
"""

import json

import numpy as np

from workflow.scripts.common.field_names import field_order
from workflow.scripts.common.months import month_of_year, month_range, parse_month, year_of
from workflow.scripts.common.ncfiles import COORDINATES, add_coordinate, add_grid, add_months, add_text, new_file
from workflow.scripts.common.skill import BOX_FIELDS
from workflow.scripts.evaluate.measures.along_time import (
    TooShort,
    asymmetry_weights,
    climatology_weights,
    complete_years,
    mean_weights,
    regression_weights,
    trend_weights,
    whole_years,
)
from workflow.scripts.evaluate.measures.ensemble import BOX_LAT, BOX_LON, Boxes
from workflow.scripts.evaluate.measures.indices import INDICES, index_weights
from workflow.scripts.evaluate.measures.over_area import weighted_mean
from workflow.scripts.evaluate.measures.spherical import Harmonics
from workflow.scripts.evaluate.summarize.monthly import Monthly

SPECTRAL_FIELDS = ("pr", "tas", "zg500", "ta50")
WIND, WIND_SPECTRUM = ("ua250", "va250"), "ke250"  # kinetic energy of the wind at 250 hPa
STRATOSPHERE = ("ua50", "ua100", "ta50", "ta100")  # the protocol's two highest levels


def month_weights(months, periods, index, minimum_years):
    """Rows of month weights by statistic name, {name: (month,)}, and {name: reason} for those that cannot be had.

    ``mean_first`` and ``mean_last`` are the first and the last decade of training and test, for drift;
    ``climatology_test`` is there where it differs from ``mean_training``.
    """
    training, test = periods["training"], periods["test"]
    wanted = {f"mean_{name}": (mean_weights, (months, *periods[name])) for name in ("simulation", "training", "test")}
    if not (whole_years(*training) and whole_years(*test)):
        wanted["climatology_test"] = climatology_weights, (months, training, test)
    decade = np.timedelta64(119, "M")
    first, last = map(parse_month, periods["full"])
    if last - first + 1 >= 2 * (decade + 1):
        wanted["mean_first"] = mean_weights, (months, str(first), str(first + decade))
        wanted["mean_last"] = mean_weights, (months, str(last - decade), str(last))
    for name, period in (("training", training), ("test", test)):
        wanted[f"trend_{name}"] = trend_weights, (months, *period, minimum_years)
        wanted[f"enso_{name}"] = regression_weights, (months, *index, *period, minimum_years)
        wanted[f"asymmetry_{name}"] = asymmetry_weights, (months, *index, *period, minimum_years)
    wanted["trend_full"] = trend_weights, (months, *periods["full"], minimum_years)
    rows, skipped = {}, {}
    if "mean_first" not in wanted:
        skipped["mean_first"] = skipped["mean_last"] = f"{first}..{last} is shorter than two decades"
    for name, (function, arguments) in wanted.items():
        try:
            rows[name] = function(*arguments)
        except TooShort as reason:
            skipped[name] = str(reason)
    return rows, skipped


class Summary:
    """Running statistics of one simulation, filled by calendar years of fields in any order.

    months: all months of the simulation, ``datetime64[M]``; lat, lon: cell centres in degrees; periods: see
    ``evaluation_periods``; index: see ``read_index``. Memory does not grow with the number of months but for the wind
    at one level over the test period, which is kept until its other component has come.
    """

    def __init__(self, months, lat, lon, periods, index, minimum_years):
        self.months, self.lat, self.lon = months, np.asarray(lat), np.asarray(lon)
        self.rows, self.skipped = month_weights(months, periods, index, minimum_years)
        self.weights = np.array(list(self.rows.values()))
        self.years = {name: complete_years(months, *periods[name]) for name in ("training", "test")}
        for name, found in self.years.items():
            period = "..".join(periods[name])
            if len(found) < 2:
                self.skipped[f"std_{name}"] = f"{period} has fewer than two complete years"
            elif left := len(month_range(*periods[name])) - 12 * len(found):
                self.skipped[f"partial years of {name}"] = (
                    f"trends and interannual deviations take the complete years {found[0]}..{found[-1]} of {period}, "
                    f"without {left} month{'s' if left > 1 else ''}"
                )
        self.spectral = mean_weights(months, *periods["test"]) > 0
        self.seasonal = mean_weights(months, *periods["training"]) > 0
        self.harmonics, self.spectra, self.wind = None, {}, {}
        self.index_weights = {name: index_weights(name, lat, lon) for name in INDICES}
        self.fields, self.units, self.indices = {}, {}, {}
        self.boxes, self.box_series, self.seasons = Boxes(self.lat, self.lon), {}, {}
        self.monthly = Monthly(months, self.lat, self.lon, periods)

    def add(self, field, months, values, units=""):
        """Take in ``values`` (month, lat, lon) of a field: of each calendar year all the months that the data have."""
        values = np.asarray(values, np.float64)
        start = int((months[0] - self.months[0]).astype(int))
        span = slice(start, start + len(months))
        if field not in self.fields:
            self.fields[field] = self._empty()
            self.units[field] = units
        sums = self.fields[field]
        sums["linear"] += np.tensordot(self.weights[:, span], values, axes=1)
        sums["series"][span] = weighted_mean(values, self.lat)
        for name, years in self.years.items():
            for year in np.intersect1d(years, year_of(months)):
                annual = values[year_of(months) == year].mean(0)
                sums.setdefault("base", annual)  # Squares are summed about the first year: no loss of digits.
                sums[name] += np.stack([annual - sums["base"], (annual - sums["base"]) ** 2])
        if field in SPECTRAL_FIELDS + WIND and self.spectral[span].any():
            self._add_spectrum(field, start, values[self.spectral[span]])
        if field in STRATOSPHERE:
            inside = self.seasonal[span]
            every = month_of_year(self.months[self.seasonal])
            for month, row in zip(month_of_year(months[inside]) - 1, values[inside].mean(-1), strict=True):
                if field not in self.seasons:
                    there = np.isin(np.arange(1, 13), every)[:, None]
                    self.seasons[field] = np.where(there, np.zeros((12, len(self.lat))), np.nan)
                self.seasons[field][month] += row / (every == month + 1).sum()
        if field in BOX_FIELDS:
            shape = len(self.months), len(BOX_LAT), len(BOX_LON)
            self.box_series.setdefault(field, np.full(shape, np.nan))[span] = self.boxes.mean(values)
        self.monthly.add(field, span, values)
        for name, (source, _) in INDICES.items():
            if source == field:
                row = self.indices.setdefault(name, np.full(len(self.months), np.nan))
                row[span] = np.tensordot(values, self.index_weights[name], axes=2)

    def _add_spectrum(self, field, start, values):
        """Take in months of the test period (month, lat, lon), NaN in all of the spectrum if there is one in them."""
        if self.harmonics is None:
            self.harmonics = Harmonics(self.lat, self.lon)
        if field in SPECTRAL_FIELDS:
            self._add_power(field, self.harmonics.power(values))
            return
        other = self.wind.pop((WIND[1 - WIND.index(field)], start), None)
        if other is None:
            self.wind[field, start] = values.astype(np.float32)
        else:
            pair = (values, other) if field == WIND[0] else (other, values)
            self._add_power(WIND_SPECTRUM, self.harmonics.kinetic_energy(*pair))

    def _add_power(self, name, power):
        self.spectra[name] = self.spectra.get(name, 0) + power.sum(0) / self.spectral.sum()

    def _empty(self):
        shape = len(self.lat), len(self.lon)
        return {
            "linear": np.zeros((len(self.weights), *shape)),
            "series": np.full(len(self.months), np.nan),
            "training": np.zeros((2, *shape)),
            "test": np.zeros((2, *shape)),
        }

    def statistics(self, field):
        """Maps (lat, lon) of a field by statistic name: the linear ones, and std_* = interannual standard deviation."""
        maps = dict(zip(self.rows, self.fields[field]["linear"], strict=True))
        for name, years in self.years.items():
            if len(years) > 1:
                total, squares = self.fields[field][name]
                maps[f"std_{name}"] = np.sqrt(np.clip(squares - total**2 / len(years), 0, None) / (len(years) - 1))
        return maps

    def write(self, path, title):
        """Write the summary; fields in alphabetical order of variable, then surface first."""
        fields = sorted(self.fields, key=field_order)
        with new_file(path, title) as file:
            file.skipped = json.dumps(self.skipped)
            add_grid(file, self.lat, self.lon)
            add_months(file, self.months)
            file.createDimension("month", 12)
            self._write_fields(file, fields)
            self._write_boxes(file, [field for field in fields if field in self.box_series])
            self._write_indices(file)
            self._write_spectra(file)
            self._write_seasons(file)
            self.monthly.write(file)

    def _write_fields(self, file, fields):
        """Maps of all statistics, and global means."""
        names = list(self.statistics(fields[0]))
        add_text(file, "statistic", "statistic", names)
        add_text(file, "field", "field", fields)
        add_text(file, "units", "field", [self.units[field] for field in fields])
        dims = "statistic", "field", "lat", "lon"
        storage = {"zlib": True, "complevel": 1, "chunksizes": (1, 1, len(self.lat), len(self.lon))}
        maps = file.createVariable("statistics", "f4", dims, **storage)
        series = file.createVariable("series", "f8", ("field", "time"))
        for number, field in enumerate(fields):
            statistics = self.statistics(field)
            for row, name in enumerate(names):
                maps[row, number] = statistics[name]
            series[number] = self.fields[field]["series"]

    def _write_boxes(self, file, fields):
        """Means over boxes month by month."""
        add_text(file, "box_field", "box_field", fields)
        add_coordinate(file, "box_lat", BOX_LAT, **COORDINATES["lat"])
        add_coordinate(file, "box_lon", BOX_LON, **COORDINATES["lon"])
        boxes = file.createVariable("boxes", "f4", ("box_field", "time", "box_lat", "box_lon"))
        for number, field in enumerate(fields):
            boxes[number] = self.box_series[field]

    def _write_indices(self, file):
        """Indices of variability month by month."""
        add_text(file, "index", "index", list(self.indices))
        indices = file.createVariable("indices", "f8", ("index", "time"))
        for number, values in enumerate(self.indices.values()):
            indices[number] = values

    def _write_spectra(self, file):
        """Power by total wavenumber of what has values everywhere."""
        known = [name for name in (*SPECTRAL_FIELDS, WIND_SPECTRUM) if name in self.spectra]
        known = [name for name in known if np.isfinite(self.spectra[name]).all()]
        add_text(file, "spectral_field", "spectral_field", known)
        degree = self.harmonics.degree if self.harmonics else 0
        add_coordinate(file, "wavenumber", np.arange(degree + 1), long_name="total wavenumber", units="1")
        spectra = file.createVariable("spectra", "f8", ("spectral_field", "wavenumber"))
        for number, name in enumerate(known):
            spectra[number] = self.spectra[name]

    def _write_seasons(self, file):
        """Zonal means of each calendar month."""
        sections = [field for field in STRATOSPHERE if field in self.seasons]
        add_text(file, "section_field", "section_field", sections)
        seasons = file.createVariable("seasons", "f8", ("section_field", "month", "lat"))
        for number, field in enumerate(sections):
            seasons[number] = self.seasons[field]


def left_out(fields):
    """What is not in the summary of a run because of the fields that it lacks, {index or spectrum or field: why}."""
    needs = {name: (field,) for name, (field, _) in INDICES.items()}
    needs |= {f"spectrum of {field}": (field,) for field in SPECTRAL_FIELDS} | {f"spectrum of {WIND_SPECTRUM}": WIND}
    needs |= {f"annual cycle of {field}": (field,) for field in STRATOSPHERE}
    needs |= {f"ensemble of {field}": (field,) for field in BOX_FIELDS}
    absent = {name: [field for field in wanted if field not in fields] for name, wanted in needs.items()}
    return {name: f"there is no {' and no '.join(lacks)}" for name, lacks in absent.items() if lacks}
