"""Scores of AIMIP's published submissions from their authors' own results, as rows of the table of published scores.

The file rmsb_1deg.nc of their results has E1 on 1 degree: the RMSB against ERA5 of every member, per variable with the
dimensions time_period, experiment_submission, realization and, where it has levels, plev (Pa), as the notebook
E1-time-mean-biases of https://github.com/ai2cm/AIMIP writes it. A model's score is the median of its members, as there.
"""

import csv
import logging
import sys

import netCDF4
import numpy as np
from cf_units import Unit

from workflow.scripts.common import program
from workflow.scripts.common.atomic import atomic_path
from workflow.scripts.common.field_names import field_name
from workflow.scripts.evaluate.published import COLUMNS, FILE_UNITS, NAMES, PERIODS

# What AIMIP's aimip_data_utils.py writes where a submission names no units.
UNNAMED = {"-": "1", "kg / s / m **2": "kg m-2 s-1"}
LEVELS = {"zg": 500}  # hPa, of a variable that is there on one level without a dimension for it
AXES = "experiment_submission", "time_period", "realization"


def read_results(path):
    """Rows (dicts with the keys ``COLUMNS``) of the file at ``path``, in SI units; none where no member has a value.

    Raises ValueError with one sentence if the file is not as the module says.
    """
    try:
        data = netCDF4.Dataset(path)
    except OSError as error:
        raise ValueError(f"{path} is no netCDF file ({error}); check evaluation.archive.results") from error
    with data:
        absent = [name for name in AXES[:2] if name not in data.variables] or [
            name for name in PERIODS if name not in data["time_period"][:].tolist()
        ]
        if absent:
            raise ValueError(
                f"{path} has no {', '.join(absent)}, so it is not AIMIP's table of E1; check evaluation.archive.results"
            )
        models, periods = (data[name][:].tolist() for name in AXES[:2])
        known = [name for name in data.variables if name in FILE_UNITS]
        others = set(data.variables) - set(known) - {*AXES, "plev"}
        if others:
            logging.warning("%s: not read, since no field of ours: %s", path, ", ".join(sorted(others)))
        if not known:
            raise ValueError(f"{path} has none of {', '.join(FILE_UNITS)}; check evaluation.archive.results")
        return [
            {
                "metric": "E1_rmsb",
                "grid_or_region": "1deg",
                "period": period,
                "model": NAMES.get(model, model),
                "field": field,
                "value": float(np.median(members[np.isfinite(members)])),
                "units": FILE_UNITS[name],
            }
            for name in known
            for field, values in fields_of(data, name, path).items()
            for model, of_model in zip(models, values, strict=True)
            for period, members in zip(periods, of_model, strict=True)
            if period in PERIODS and np.isfinite(members).any()
        ]


def fields_of(data, name, path):
    """{field: float64 (model, period, member)} of one variable, such as ta850 of ta, in the units of ``FILE_UNITS``.

    Empty, with a warning, where its units are none that can be converted.
    """
    variable = data[name]
    if set(variable.dimensions) not in ({*AXES}, {*AXES, "plev"}):
        raise ValueError(
            f"{path}: '{name}' has the dimensions {', '.join(variable.dimensions)}, expected are {', '.join(AXES)} and "
            f"perhaps plev; check evaluation.archive.results"
        )
    values = np.ma.filled(np.ma.asarray(variable[:], np.float64), np.nan)
    units = getattr(variable, "units", "")
    try:
        values = values * factor_to(FILE_UNITS[name], UNNAMED.get(units.strip(), units))
    except ValueError:
        logging.warning("%s: '%s' is in '%s', which is no %s: not read", path, name, units, FILE_UNITS[name])
        return {}
    levelled = "plev" in variable.dimensions
    values = values.transpose([variable.dimensions.index(axis) for axis in (*["plev"] * levelled, *AXES)])
    if not levelled:
        return {field_name(name, LEVELS.get(name)): values}
    levels = [round(float(pressure) / 100) for pressure in data["plev"][:]]
    return {field_name(name, level): values[place] for place, level in enumerate(levels)}


def factor_to(wanted, units):
    """What differences in ``units`` are multiplied by to be in ``wanted``; of no units, 1. Raises ValueError."""
    one = Unit(units or wanted)
    return one.convert(1.0, Unit(wanted)) - one.convert(0.0, Unit(wanted))


def write_results(scores, out):
    """The rows of the file ``scores`` as CSV at ``out``."""
    rows = read_results(scores)
    with atomic_path(out) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def main(arguments=None):
    """Command line."""
    parser = program.command_line(__doc__)
    parser.add_argument("--scores", required=True, help="rmsb_1deg.nc of AIMIP's results")
    parser.add_argument("--out", required=True, help="table to write, CSV")
    return program.run(parser, lambda given: write_results(given.scores, given.out), arguments)


if __name__ == "__main__":
    sys.exit(main())
