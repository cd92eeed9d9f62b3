"""The check that the monthly series is complete: every month of the simulation is there once."""

import json

import netCDF4
import numpy as np

from workflow.scripts.common.atomic import atomic_path
from workflow.scripts.common.months import missing_months, months_from_times


def check_complete(paths, output, start, end):
    """Write {months, first, last} of the aggregated files ``paths`` to ``output`` if they hold each month once.

    Raises ValueError that names the months of ``start`` to ``end`` that are missing or there twice.
    """
    found = []
    for path in paths:
        with netCDF4.Dataset(path) as file:
            epoch = np.datetime64(file["time"].units.split()[-1])
            found.append(months_from_times(epoch + file["time"][:].astype("timedelta64[D]")))
    found = np.concatenate(found)
    absent, twice = missing_months(found, start, end)
    for problem, months in (("missing", absent), ("there twice", twice)):
        if months:
            more = f" and {len(months) - 6} more" if len(months) > 6 else ""
            raise ValueError(f"the series {start}..{end} is not complete: {', '.join(months[:6])}{more} {problem}")
    with atomic_path(output) as temporary:
        record = {"months": len(found), "first": str(found.min()), "last": str(found.max())}
        temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    from workflow.scripts.common import runlog

    runlog.start(snakemake.log[0])
    check_complete(snakemake.input.era5, snakemake.output[0], *snakemake.params.period)
