"""One simulation's CMOR files as one small file of statistics (summary.py): everything that the evaluation needs of it.

The files are read one calendar year at a time, each value once.
"""

import csv
import re
from pathlib import Path

import netCDF4
import numpy as np

from workflow.scripts.common.months import TIME_UNITS, month_range, year_of
from workflow.scripts.common.periods import evaluation_periods
from workflow.scripts.evaluate.summarize.summary import Summary, field_name

FILL_LIMIT = 1e19  # CMOR's fill value is 1e20; no variable of the submission comes near.
DAY = {"days": 1.0, "hours": 1 / 24, "minutes": 1 / 1440, "seconds": 1 / 86400}


def read_index(path):
    """AIMIP's Nino3.4 table: times in days since 1978-10-01 and values in K, two float64 arrays."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    epoch = np.datetime64(TIME_UNITS.split()[-1])
    days = [(np.datetime64(row["date"]) - epoch).astype(float) for row in rows]
    return np.array(days), np.array([float(row["nino34"]) for row in rows])


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
    from workflow.scripts.common import runlog

    runlog.start(snakemake.log[0])
    summarize(
        snakemake.input.files,
        snakemake.output[0],
        snakemake.input.index,
        snakemake.params.periods,
        snakemake.params.minimum_years,
    )
