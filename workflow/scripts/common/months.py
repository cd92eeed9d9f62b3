"""Calendar months: ranges, CF times and bounds, and the labels that file names carry.

A month is a ``numpy.datetime64[M]``; a period is an inclusive pair of them. Every month count and every label in
the workflow derives from here. The calendar is proleptic Gregorian. Needs numpy only, so CMOR's interpreter can
import it.
"""

import numpy as np

TIME_UNITS = "days since 1978-10-01"
CALENDAR = "proleptic_gregorian"


def parse_month(text):
    """``"1978-10"`` as a ``datetime64[M]``; raises ValueError naming the text if it is no month."""
    try:
        month = np.datetime64(str(text), "M")
    except ValueError:
        month = None
    if month is None or str(month) != str(text):
        raise ValueError(f"'{text}' is not a month: write YYYY-MM, for example 1978-10")
    return month


def month_range(start, end):
    """All months from ``start`` to ``end``, both included, as an array of ``datetime64[M]``."""
    start, end = parse_month(start), parse_month(end)
    if end < start:
        raise ValueError(f"the period {start}..{end} ends before it starts")
    return np.arange(start, end + 1)


def year_of(months):
    """Calendar year of each month, int."""
    return np.asarray(months, "datetime64[Y]").astype(int) + 1970


def month_of_year(months):
    """Month of the year 1..12 of each month, int."""
    return np.asarray(months, "datetime64[M]").astype(int) % 12 + 1


def years(start, end):
    """Calendar years that the period touches, as a list of int."""
    return [int(year) for year in np.unique(year_of(month_range(start, end)))]


def year_slices(months):
    """Slices of a month axis, one per calendar year."""
    starts = [0, *(np.flatnonzero(np.diff(year_of(months))) + 1).tolist(), len(months)]
    return [slice(start, stop) for start, stop in zip(starts, starts[1:], strict=False)]


def time_bounds(months):
    """Month bounds in days since 1978-10-01, float64 (month, 2): start of the month, start of the next."""
    months = np.asarray(months, "datetime64[M]")
    epoch = np.datetime64(TIME_UNITS.split()[-1])
    starts = np.stack([months, months + 1], axis=-1).astype("datetime64[D]")
    return (starts - epoch).astype(np.float64)


def mid_times(months):
    """Middle of each month in days since 1978-10-01, float64 (month,)."""
    return time_bounds(months).mean(axis=-1)


def months_from_times(times):
    """The month that holds each ``datetime64`` time; the inverse of writing ``mid_times`` or month starts."""
    return np.asarray(times).astype("datetime64[M]")


def period_label(start, end):
    """The time range as CMIP file names write it: ``197810-202412``."""
    return "-".join(str(parse_month(month)).replace("-", "") for month in (start, end))


def missing_months(found, start, end):
    """(absent, twice): the months of the period that ``found`` lacks, and those that it has more than once.

    Two lists of text such as "1978-10"; those of the second may lie outside the period.
    """
    wanted = month_range(start, end)
    found = np.asarray(found, "datetime64[M]")
    values, counts = np.unique(found, return_counts=True)
    absent = [str(month) for month in wanted if month not in values]
    twice = [str(month) for month in values[counts > 1]]
    return absent, twice
