"""What summaries are made from: time axes of files and their calendar years, fill values, and AIMIP's ENSO index."""

import csv
import re

import numpy as np

from workflow.scripts.common.months import TIME_UNITS, year_of

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
