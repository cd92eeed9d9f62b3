"""How long the members of a run know their common first month: their variance by lead time, as a table.

    python benchmarks/first_year.py results/rollout/aimip/r*.nc [--fields t2m avg_tprate msl z500 t850 u250]

For each field the variance between members, area mean, over that of the same calendar months from the third year on:
below 1 while members still know where they began, above it where a start sets them apart. Members are files of
model.rollout.
"""

import argparse
import sys

import netCDF4
import numpy as np

from workflow.scripts.common.grids import area_mean

FIELDS = ("t2m", "avg_tprate", "msl", "z500", "t850", "u250")
YEARS = 2  # that later ones are held against
LEADS = {
    "month 1": slice(0, 1),
    "2": slice(1, 2),
    "3": slice(2, 3),
    "4-6": slice(3, 6),
    "7-12": slice(6, 12),
    "year 2": slice(12, 24),
}


def spread(paths, field):
    """Area-mean variance between the members in ``paths`` of each month, (time,), of a field, and its calendar months.

    Raises ValueError if there are not two members, or they are not of the same months.
    """
    total, squares, months = 0.0, 0.0, None
    for path in paths:
        with netCDF4.Dataset(path) as data:
            values = np.asarray(data[field][:], "f8")
            axes = np.asarray(data["lat"][:]), np.asarray(data["lon"][:])
            dates = netCDF4.num2date(data["time"][:], data["time"].units)
        found = [(date.year, date.month) for date in dates]
        if months is not None and found != months:
            raise ValueError(f"'{path}' has {found[0]} to {found[-1]}, other members {months[0]} to {months[-1]}")
        months = found
        total, squares = total + values, squares + values**2
    count = len(paths)
    if count < 2:
        raise ValueError(f"a variance between members needs two or more, not {count}")
    variance = (squares - total**2 / count) / (count - 1)
    return area_mean(variance, *axes), np.array([month for _, month in months])


def by_lead(variance, months):
    """``variance`` (time,) over the mean of the same calendar ``months`` (time,) after YEARS, {lead: mean quotient}.

    Raises ValueError if less than a year is left to compare with.
    """
    late = slice(12 * YEARS, None)
    later = {month: variance[late][months[late] == month] for month in range(1, 13)}
    if not all(len(values) for values in later.values()):
        raise ValueError(f"{len(months)} months are given; {12 * YEARS + 12} are the least")
    usual = np.array([later[month].mean() for month in months])
    return {lead: float(np.mean((variance / usual)[span])) for lead, span in LEADS.items()}


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("members", nargs="+", help="files of model.rollout, one member each")
    parser.add_argument("--fields", nargs="+", default=FIELDS, help="channels of the files")
    given = parser.parse_args()
    print(f"{'':12s}" + "".join(f"{lead:>9s}" for lead in LEADS))
    for field in given.fields:
        quotients = by_lead(*spread(given.members, field))
        print(f"{field:12s}" + "".join(f"{value:9.2f}" for value in quotients.values()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
