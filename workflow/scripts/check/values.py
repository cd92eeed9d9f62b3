"""Rules on the values of one file."""

import numpy as np

from workflow.scripts.check.rules import rule

NEVER_NEGATIVE = ("hus", "huss", "pr")


@rule("file")
def no_nan(file, expected):
    """No value is NaN."""
    if file.statistics.nan:
        yield f"{file.statistics.nan} values are NaN"


@rule("file")
def no_infinity(file, expected):
    """No value is infinite."""
    if file.statistics.infinite:
        yield f"{file.statistics.infinite} values are infinite"


@rule("file")
def no_missing(file, expected):
    """No value is missing: levels below the surface are filled."""
    if file.statistics.missing:
        yield f"{file.statistics.missing} values are the fill value or larger than 9e19"


@rule("file")
def never_negative(file, expected):
    """Humidity and precipitation are never negative."""
    if file.variable in NEVER_NEGATIVE and file.statistics.negative:
        yield f"{file.statistics.negative} values are negative, the lowest is {file.statistics.minimum.min():g}"


@rule("file")
def no_repeat(file, expected):
    """No month repeats the month before."""
    if file.statistics.repeated:
        first = file.month(file.statistics.repeated[0])
        yield f"{len(file.statistics.repeated)} months equal the month before, the first is {first}"


@rule("file")
def no_flat_field(file, expected):
    """No month has one value everywhere."""
    if file.statistics.flat:
        month, level = file.statistics.flat[0]
        levels = np.atleast_1d(file.coordinates.get("plev", []))
        place = f" at {levels[level]:g} Pa" if level < len(levels) else ""
        yield f"{len(file.statistics.flat)} months have one value everywhere, the first is {file.month(month)}{place}"


@rule("file")
def value_range(file, expected):
    """Every value lies within the range of what is possible on Earth."""
    for row, place, level in rows(file, expected):
        low, high = file.statistics.minimum[level].min(), file.statistics.maximum[level].max()
        units = expected.entries[file.variable]["units"]
        if low < row["minimum"] - 1e-9 or high > row["maximum"]:
            yield f"values{place} run from {low:g} to {high:g} {units}, outside {row['minimum']:g}..{row['maximum']:g}"


@rule("file")
def mean_range(file, expected):
    """The mean over time and globe is plausible: it shows wrong units, levels or variables."""
    if not any(True for _ in rows(file, expected)):
        return
    means = file.area_mean()
    for row, place, level in rows(file, expected):
        mean = float(np.mean(means[level]))
        units = expected.entries[file.variable]["units"]
        if not row["mean_minimum"] <= mean <= row["mean_maximum"]:
            yield f"the mean{place} is {mean:g} {units}, outside {row['mean_minimum']:g}..{row['mean_maximum']:g}"


def without_range(expected):
    """Variables, with their level in Pa where they have levels, for which no range is known."""
    known = {(row["variable"], row["plev"]) for row in expected.ranges}
    for name in expected.entries:
        for level in expected.levels(name) or [""]:
            if not {(name, level), (name, "")} & known:
                yield f"{name} at {level:g} Pa" if level else name


def rows(file, expected):
    """Ranges for the levels of a file: (row of ranges.csv, place in words, slice of levels)."""
    levels = np.atleast_1d(file.coordinates.get("plev", [])).tolist()
    for row in expected.ranges:
        if row["variable"] != file.variable:
            continue
        if row["plev"] == "":
            yield row, "", slice(None)
        elif row["plev"] in levels and len(file.statistics.minimum) == len(levels):
            level = levels.index(row["plev"])
            yield row, f" at {row['plev']:g} Pa", slice(level, level + 1)
