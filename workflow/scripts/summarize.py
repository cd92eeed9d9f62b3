"""One simulation's CMOR files as one small file of statistics: everything that the evaluation needs of it.

The files are read one calendar year at a time, each value once, so memory does not grow with the number of months.
Output (netCDF4): ``statistics`` (statistic, field, lat, lon) with time means, trends and ENSO regressions per period,
``series`` (field, time) global means, ``boxes`` (field, time, box_lat, box_lon) means over 15-degree boxes, ``indices``
(index, time), ``spectra`` (field, wavenumber) and the attribute ``skipped`` (JSON: statistic -> why it is not there). A
field is a variable and its level: ``tas``, ``ta850``.
"""

import csv
import json
import re
from pathlib import Path

import netCDF4
import numpy as np
from atomic import atomic_path
from ensemble import BOX_FIELDS, BOX_LAT, BOX_LON, Boxes
from metrics import (
    TooShort,
    complete_years,
    latitude_weights,
    mean_weights,
    regression_weights,
    trend_weights,
    weighted_mean,
)
from modes import INDICES, index_weights
from months import CALENDAR, TIME_UNITS, mid_times, month_range, parse_month, year_of

SPECTRAL_FIELDS = ("tas", "pr", "zg500", "ua250", "va250")
FILL_LIMIT = 1e19  # CMOR's fill value is 1e20; no variable of the submission comes near.
DAY = {"days": 1.0, "hours": 1 / 24, "minutes": 1 / 1440, "seconds": 1 / 86400}


def evaluation_periods(periods):
    """The evaluation's periods from the config's: simulation, training (with validation, as AIMIP's E1) and test."""
    seen = [periods["training"], periods["validation"]]
    span = min(start for start, _ in seen), max(end for _, end in seen)
    return {"simulation": tuple(periods["simulation"]), "training": span, "test": tuple(periods["test"])}


def read_index(path):
    """AIMIP's Nino3.4 table: times in days since 1978-10-01 and values in K, two float64 arrays."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    epoch = np.datetime64(TIME_UNITS.split()[-1])
    days = [(np.datetime64(row["date"]) - epoch).astype(float) for row in rows]
    return np.array(days), np.array([float(row["nino34"]) for row in rows])


def month_weights(months, periods, index, minimum_years):
    """Rows of month weights by statistic name, {name: (month,)}, and {name: reason} for those that cannot be had.

    ``mean_first`` and ``mean_last`` are the first and the last decade of training and test, for drift.
    """
    training, test = periods["training"], periods["test"]
    wanted = {f"mean_{name}": (mean_weights, (months, *period)) for name, period in periods.items()}
    decade = np.timedelta64(119, "M")
    first, last = parse_month(training[0]), parse_month(test[1])
    if last - first + 1 >= 2 * (decade + 1):
        wanted["mean_first"] = mean_weights, (months, str(first), str(first + decade))
        wanted["mean_last"] = mean_weights, (months, str(last - decade), str(last))
    for name, period in (("training", training), ("test", test)):
        wanted[f"trend_{name}"] = trend_weights, (months, *period, minimum_years)
        wanted[f"enso_{name}"] = regression_weights, (months, *index, *period, minimum_years)
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
    ``evaluation_periods``; index: see ``read_index``.
    """

    def __init__(self, months, lat, lon, periods, index, minimum_years):
        self.months, self.lat, self.lon = months, np.asarray(lat), np.asarray(lon)
        self.rows, self.skipped = month_weights(months, periods, index, minimum_years)
        self.weights = np.array(list(self.rows.values()))
        self.years = {name: complete_years(months, *periods[name]) for name in ("training", "test")}
        for name, found in self.years.items():
            if len(found) < 2:
                self.skipped[f"std_{name}"] = f"{'..'.join(periods[name])} has fewer than two complete years"
        self.spectral = mean_weights(months, *periods["test"]) > 0
        self.index_weights = {name: index_weights(name, lat, lon) for name in INDICES}
        self.fields, self.units, self.indices = {}, {}, {}
        self.boxes, self.box_series = Boxes(self.lat, self.lon), {}

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
        if field in SPECTRAL_FIELDS and self.spectral[span].any():
            power = np.abs(np.fft.rfft(values[self.spectral[span]], axis=-1) / len(self.lon)) ** 2
            power[..., 1:] *= 2  # Both signs of the wavenumber.
            weights = latitude_weights(self.lat)
            sums["power"] += np.tensordot(weights / weights.sum(), power.sum(0), axes=1) / self.spectral.sum()
        if field in BOX_FIELDS:
            shape = len(self.months), len(BOX_LAT), len(BOX_LON)
            self.box_series.setdefault(field, np.full(shape, np.nan))[span] = self.boxes.mean(values)
        for name, (source, _) in INDICES.items():
            if source == field:
                row = self.indices.setdefault(name, np.full(len(self.months), np.nan))
                row[span] = np.tensordot(values, self.index_weights[name], axes=2)

    def _empty(self):
        shape = len(self.lat), len(self.lon)
        return {
            "linear": np.zeros((len(self.weights), *shape)),
            "series": np.full(len(self.months), np.nan),
            "training": np.zeros((2, *shape)),
            "test": np.zeros((2, *shape)),
            "power": np.zeros(len(self.lon) // 2 + 1),
        }

    def statistics(self, field):
        """Maps (lat, lon) of a field by statistic name: the linear ones, and std_* = interannual standard deviation."""
        maps = dict(zip(self.rows, self.fields[field]["linear"], strict=True))
        for name, years in self.years.items():
            if len(years) > 1:
                total, squares = self.fields[field][name]
                maps[f"std_{name}"] = np.sqrt(np.clip(squares - total**2 / len(years), 0, None) / (len(years) - 1))
        return maps

    def write(self, path, **attributes):
        """Write the summary; fields in alphabetical order of variable, then surface first."""
        fields = sorted(self.fields, key=field_order)
        names = list(self.statistics(fields[0]))
        spectral = [field for field in fields if field in SPECTRAL_FIELDS]
        boxed = [field for field in fields if field in BOX_FIELDS]
        with atomic_path(path) as temporary, netCDF4.Dataset(temporary, "w") as data:
            data.setncatts({**attributes, "skipped": json.dumps(self.skipped)})
            write_labels(data, "statistic", names)
            write_labels(data, "field", fields)
            write_labels(data, "spectral_field", spectral)
            write_labels(data, "box_field", boxed)
            write_labels(data, "index", list(self.indices))
            write_labels(data, "units", [self.units[field] for field in fields], "field")
            axes = {"lat": self.lat, "lon": self.lon, "box_lat": BOX_LAT, "box_lon": BOX_LON}
            for name, values in axes.items():
                data.createDimension(name, len(values))
                data.createVariable(name, "f8", (name,))[:] = values
                data[name].units = "degrees_north" if name.endswith("lat") else "degrees_east"
            data.createDimension("time", len(self.months))
            data.createVariable("time", "f8", ("time",))[:] = mid_times(self.months)
            data["time"].setncatts({"units": TIME_UNITS, "calendar": CALENDAR})
            maps = data.createVariable(
                "statistics",
                "f4",
                ("statistic", "field", "lat", "lon"),
                zlib=True,
                complevel=1,
                chunksizes=(1, 1, len(self.lat), len(self.lon)),
            )
            series = data.createVariable("series", "f8", ("field", "time"))
            for number, field in enumerate(fields):
                statistics = self.statistics(field)
                for row, name in enumerate(names):
                    maps[row, number] = statistics[name]
                series[number] = self.fields[field]["series"]
            boxes = data.createVariable("boxes", "f4", ("box_field", "time", "box_lat", "box_lon"))
            for number, field in enumerate(boxed):
                boxes[number] = self.box_series[field]
            indices = data.createVariable("indices", "f8", ("index", "time"))
            for number, values in enumerate(self.indices.values()):
                indices[number] = values
            data.createDimension("wavenumber", len(self.lon) // 2 + 1)
            spectra = data.createVariable("spectra", "f8", ("spectral_field", "wavenumber"))
            for number, field in enumerate(spectral):
                spectra[number] = self.fields[field]["power"]


def write_labels(data, name, values, dimension=None):
    """Write texts as the coordinate ``name`` of a netCDF dataset, or as a variable along ``dimension``."""
    if dimension is None:
        data.createDimension(name, len(values))
    variable = data.createVariable(name, str, (dimension or name,))
    for number, value in enumerate(values):
        variable[number] = value


def field_order(field):
    """Sort key of a field's name: surface fields first, then by variable and from the ground up."""
    name, level = re.fullmatch(r"(\D+)(\d*)", field).groups()
    return bool(level), name, -int(level or 0)


def field_name(variable, level=None):
    """``tas`` at the surface, ``ta850`` at a pressure level in hPa."""
    return variable if level is None else f"{variable}{level:.0f}"


def read_months(data, path):
    """Months of a file's time axis, ``datetime64[M]``; raises ValueError unless they follow one another."""
    time = data["time"]
    match = re.fullmatch(r"(\w+) since (\d+)-(\d+)-(\d+).*", time.units)
    calendar = getattr(time, "calendar", "standard")
    if match is None or match[1] not in DAY or calendar not in ("standard", "gregorian", "proleptic_gregorian"):
        raise ValueError(
            f"{path}: time is in '{time.units}' ({calendar}); days since a date of a real calendar are read"
        )
    epoch = np.datetime64(
        "-".join(part.zfill(width) for part, width in zip(match.groups()[1:], (4, 2, 2), strict=True))
    )
    seconds = np.round(np.asarray(time[:], np.float64) * DAY[match[1]] * 86400).astype("timedelta64[s]")
    months = (epoch + seconds).astype("datetime64[M]")
    if (np.diff(months).astype(int) != 1).any():
        raise ValueError(f"{path}: the months {months[0]}..{months[-1]} are not one after the other without a gap")
    return months


def year_slices(months):
    """Slices of a month axis, one per calendar year."""
    starts = [0, *(np.flatnonzero(np.diff(year_of(months))) + 1).tolist(), len(months)]
    return [slice(start, stop) for start, stop in zip(starts, starts[1:], strict=False)]


def summarize(files, output, index, periods, minimum_years):
    """Summarize one simulation.

    files: its CMOR files, one variable each, all of one grid; output: the summary; index: AIMIP's Nino3.4 table (CSV);
    periods: the config's ``periods``; minimum_years: complete years that trends and regressions need.
    """
    periods = evaluation_periods(periods)
    summary = None
    for path in sorted(map(Path, files)):
        with netCDF4.Dataset(path) as data:
            data.set_auto_mask(False)
            name = path.name.split("_")[0]
            if name not in data.variables:
                raise ValueError(f"{path} has no variable '{name}', which its name begins with")
            variable, months = data[name], read_months(data, path)
            lat, lon = data["lat"][:], data["lon"][:]
            if summary is None:
                first = path
                absent = np.setdiff1d(month_range(*periods["simulation"]), months)
                if absent.size:
                    raise ValueError(
                        f"{path} has {months[0]}..{months[-1]} and lacks {absent.size} months of the simulation "
                        f"{'..'.join(periods['simulation'])}; make it again with the config's periods"
                    )
                summary = Summary(months, lat, lon, periods, read_index(index), minimum_years)
            if not (np.array_equal(months, summary.months) and np.array_equal(lat, summary.lat)):
                raise ValueError(f"{path} and {first} differ in their months or latitudes; give files of one grid")
            levels = data["plev"][:] / 100 if "plev" in variable.dimensions else [None]
            for span in year_slices(months):
                values = variable[span]
                values = values if values.ndim == 4 else values[:, None]
                if not np.max(np.abs(values)) < FILL_LIMIT:
                    values = np.where(np.abs(values) < FILL_LIMIT, values, np.nan)
                for number, level in enumerate(levels):
                    summary.add(field_name(name, level), months[span], values[:, number], variable.units)
    if summary is None:
        raise ValueError(f"no files to summarize for {output}; the list of CMOR files is empty")
    summary.write(output, title="statistics of one simulation for the evaluation")


if __name__ == "__main__":
    import runlog

    runlog.start(snakemake.log[0])
    summarize(
        snakemake.input.files,
        snakemake.output[0],
        snakemake.input.index,
        snakemake.params.periods,
        snakemake.params.minimum_years,
    )
