"""The response of a general circulation model's own runs, as the truth of E5: warmed less control.

The folder holds {experiment}/single-levels/{year}.nc and {experiment}/pressure-levels/{year}.nc, as ``make gcm`` writes
them, or anything that ``source: local`` reads. Of each warmed experiment the calendar years within the simulation that
it and the control both have are averaged; channels are brought to the model's grid before the submission's fields are
made from them, as the reference's are. Its modes of variability are not known beyond the reference's own.
"""

import logging
from pathlib import Path

import numpy as np

from workflow.scripts.common.experiments import CONTROL, is_changed
from workflow.scripts.common.grids import ConservativeRegridder, centres
from workflow.scripts.common.months import month_range, months_from_times, year_slices
from workflow.scripts.common.variables import read_variables
from workflow.scripts.evaluate.summarize.reference import cmor_fields
from workflow.scripts.inputs.era5 import holds, open_era5, read_fields


def year_files(folder, experiment, datasets, simulation):
    """{year: paths of its ``datasets``} of the years of ``experiment`` that lie whole within ``simulation``, months."""
    whole = {str(simulation[part][0])[:4] for part in year_slices(simulation) if part.stop - part.start == 12}
    years = {path.stem for path in Path(folder, experiment, datasets[0]).glob("*.nc")} & whole
    found = {year: [Path(folder, experiment, dataset, f"{year}.nc") for dataset in datasets] for year in sorted(years)}
    return {year: paths for year, paths in found.items() if all(path.is_file() for path in paths)}


def year_fields(paths, year, variables, lat, lon):
    """A year's submitted fields on the grid of ``lat`` and ``lon``, {name: (12, lat, lon)} float64.

    Raises ValueError that names the file where months or values are missing.
    """
    channels = {}
    for path in paths:
        with open_era5(path) as data:
            months = months_from_times(data["time"].values)
            whole = np.isin(months, month_range(f"{year}-01", f"{year}-12"))
            if whole.sum() != 12:
                raise ValueError(f"{path} holds {whole.sum()} of the twelve months of {year}")
            data = data.isel(time=np.flatnonzero(whole))
            regrid = ConservativeRegridder((data["latitude"].values, data["longitude"].values), (lat, lon))
            wanted = [row for row in variables if holds(data, row)]
            for row, block, values in read_fields(data, wanted):
                if not np.isfinite(values).all():
                    raise ValueError(f"{path}: '{row.short_name}' has places without a value")
                channels.setdefault(row.channel, np.empty((12, len(lat), len(lon))))[block] = regrid(values)
    absent = [row.channel for row in variables if row.channel not in channels]
    if absent:
        raise ValueError(f"{', '.join(map(str, paths))} lack {', '.join(absent)}, which the table of variables has")
    return {name: values for name, (values, _) in cmor_fields(channels, variables).items()}


def folder_response(folder, variables, resolution, simulation, experiments):
    """Response of each warmed experiment that ``folder`` has: ({name: {field: (lat, lon)}}, lat, lon).

    variables: the variables table (CSV); resolution: of the model grid, degrees; simulation: its months; experiments:
    {name: {sst_offset: K}}. Raises ValueError if no warmed experiment has a whole year in common with the control.
    """
    variables = read_variables(variables, role="field")
    datasets = list(dict.fromkeys(row.dataset for row in variables))
    lat, lon = centres(resolution)
    control = year_files(folder, CONTROL, datasets, simulation)
    means, responses = {}, {}
    for name, value in experiments.items():
        warmed = year_files(folder, name, datasets, simulation)
        years = sorted(control.keys() & warmed.keys())
        if not is_changed(value) or not years:
            continue
        logging.info("the response of %s is that of the years %s", name, ", ".join(years))
        for experiment, files in ((CONTROL, control), (name, warmed)):
            for year in years:
                if (experiment, year) not in means:
                    fields = year_fields(files[year], year, variables, lat, lon)
                    means[experiment, year] = {field: values.mean(axis=0) for field, values in fields.items()}
        responses[name] = {
            field: np.mean([means[name, year][field] - means[CONTROL, year][field] for year in years], axis=0)
            for field in means[CONTROL, years[0]]
        }
    if not responses:
        raise ValueError(
            f"{folder} has no calendar year of {CONTROL} and of a warmed experiment within {simulation[0]}.."
            f"{simulation[-1]}; it wants EXPERIMENT/DATASET/YEAR.nc with {', '.join(datasets)} of both, as make gcm "
            f"writes"
        )
    return responses, lat, lon
