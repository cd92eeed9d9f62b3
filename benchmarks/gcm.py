"""The climate of a GCM's run beside another: the means, differences and spread of its main fields, as a table.

    python benchmarks/gcm.py FOLDER REFERENCE [--years 1981 1986] [--resolution 3.75]

Both folders are in the local layout, {dataset}/{year}.nc, of any reader's making. Compared are the calendar years that
both have, on one grid: global means; the RMS over the globe of the difference of time means and of the twelve months'
means; and the RMS of departures of months from their own twelve means, which needs two years and more.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from workflow.scripts.common.grids import area_mean, centres
from workflow.scripts.common.months import month_range
from workflow.scripts.common.project import ROOT
from workflow.scripts.common.variables import read_variables
from workflow.scripts.evaluate.truth_files import year_fields, year_files

# Field: factor and units it is told in.
FIELDS = {
    "tas": (1, "K"),
    "pr": (86400, "mm/day"),
    "psl": (0.01, "hPa"),
    "ps": (0.01, "hPa"),
    "zg500": (1, "m"),
    "ta850": (1, "K"),
    "ua250": (1, "m/s"),
    "ua50": (1, "m/s"),
    "ta50": (1, "K"),
}


def read(years, lat, lon):
    """The FIELDS of ``years`` {year: paths} in their units, {name: (year, 12, lat, lon)}."""
    variables = read_variables(ROOT / "config" / "variables.csv", role="field")
    found = {name: [] for name in FIELDS}
    for year, paths in years.items():
        fields = year_fields(paths, year, variables, lat, lon)
        for name, (factor, _) in FIELDS.items():
            found[name].append(factor * fields[name])
    return {name: np.stack(values) for name, values in found.items()}


def compare(ours, theirs, lat, lon):
    """Numbers of a field (year, 12, lat, lon) of both: two means, two differences, two spreads (NaN of one year)."""

    def rms(values):
        return float(np.sqrt(np.mean(area_mean(values**2, lat, lon))))

    means = [float(np.mean(area_mean(values, lat, lon))) for values in (ours, theirs)]
    monthly = ours.mean(axis=0) - theirs.mean(axis=0)
    # Of n years their mean takes up one.
    spread = [
        rms(values - values.mean(axis=0)) * np.sqrt(len(values) / (len(values) - 1)) if len(values) > 1 else np.nan
        for values in (ours, theirs)
    ]
    return *means, rms(monthly.mean(axis=0)), rms(monthly), *spread


def table(folder, reference, period, resolution):
    """The table as lines of text, and the years compared. Raises ValueError if the folders have none in common."""
    datasets, months = ["single-levels", "pressure-levels"], month_range(f"{period[0]}-01", f"{period[1]}-12")
    every = [year_files(Path(path).parent, Path(path).name, datasets, months) for path in (folder, reference)]
    years = sorted(every[0].keys() & every[1].keys())
    if not years:
        raise ValueError(f"{folder} and {reference} have no year of {period[0]}..{period[1]} in common")
    lat, lon = centres(resolution)
    ours, theirs = (read({year: found[year] for year in years}, lat, lon) for found in every)
    rows = [["", "mean", "reference", "RMS of means", "of months", "spread", "reference"]]
    for name, (_, units) in FIELDS.items():
        rows.append([f"{name} ({units})", *(f"{value:.4g}" for value in compare(ours[name], theirs[name], lat, lon))])
    return rows, years


def main(arguments=None):
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="years of the run, {dataset}/{year}.nc")
    parser.add_argument("reference", help="years to set beside it")
    parser.add_argument("--years", nargs=2, type=int, default=[1979, 2013], help="first and last year to compare")
    parser.add_argument("--resolution", type=float, default=3.75, help="degrees of the grid of comparison")
    given = parser.parse_args(arguments)
    try:
        rows, years = table(given.folder, given.reference, given.years, given.resolution)
    except (ValueError, OSError) as error:
        print(f"gcm: {error}", file=sys.stderr)
        return 1
    print(f"years {', '.join(years)}")
    for name, *numbers in rows:
        print(f"{name:<14}" + "".join(f"{value:>14}" for value in numbers))
    return 0


if __name__ == "__main__":
    sys.exit(main())
