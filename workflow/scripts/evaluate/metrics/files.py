"""The files of all metrics: metrics.csv, one value a row, and metrics.nc, the same as arrays with spectra and maps."""

import csv
import json

import numpy as np

from workflow.scripts.common.atomic import atomic_path
from workflow.scripts.common.ncfiles import add_coordinate, add_grid, add_text, new_file
from workflow.scripts.evaluate.metrics.scores import INDEX_FIELDS
from workflow.scripts.evaluate.metrics.table import COLUMNS
from workflow.scripts.evaluate.summarize.summary import WIND_SPECTRUM


def write_csv(path, rows):
    """The tidy table; nothing is rounded, so that it reads back as computed."""
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def write_netcdf(path, results, grid, fields, units, skipped):
    """Metrics as arrays (source, experiment, member, period, field), NaN where undefined, and ensemble-mean maps."""
    with new_file(path, "AIMIP evaluation metrics") as file:
        file.skipped = json.dumps(skipped)
        axes = {name: list(dict.fromkeys(row[name] for row in results.rows)) for name in (*COLUMNS[:3], "period")}
        axes["field"] = [*fields, *(name for name, field in INDEX_FIELDS.items() if field in units), WIND_SPECTRUM]
        for name, values in axes.items():
            add_text(file, name, name, values)
        texts = units | {WIND_SPECTRUM: "m2 s-2"}
        add_text(file, "units", "field", [texts.get(field) or units[INDEX_FIELDS[field]] for field in axes["field"]])
        add_grid(file, grid.lat, grid.lon)
        order = {name: {value: number for number, value in enumerate(values)} for name, values in axes.items()}
        for metric in dict.fromkeys(row["metric"] for row in results.rows):
            array = np.full([len(values) for values in axes.values()], np.nan)
            for row in results.rows:
                if row["metric"] == metric:
                    array[tuple(order[name][row[name]] for name in axes)] = row["value"]
            file.createVariable(metric, "f8", tuple(axes), zlib=True, fill_value=np.nan)[:] = array
        write_spectra(file, results, order)
        write_maps(file, results, order, len(fields))


def write_maps(file, results, order, count):
    """Ensemble-mean maps of each metric; they have the first ``count`` of the file's fields."""
    for name, experiments in results.maps.items():
        dims = ("experiment", "period", "field", "lat", "lon")
        variable = file.createVariable(f"{name}_map", "f4", dims, zlib=True, complevel=1, fill_value=np.nan)
        for experiment, periods in experiments.items():
            for period, maps in periods.items():
                variable[order["experiment"][experiment], order["period"][period], :count] = maps


def write_spectra(file, results, order):
    """Spectra of fields by total wavenumber and of indices by period, for each source, experiment and member.

    A run on a coarser grid than others ends at a smaller wavenumber, with NaN from there on.
    """
    count = max((len(power) for found in results.spectra.values() for power in found.values()), default=0)
    add_coordinate(file, "wavenumber", np.arange(count), long_name="total wavenumber", units="1")
    _write_curves(file, "spectrum", results.spectra, order, ("spectral_field", "wavenumber"), "units squared")
    periods = [period for found in results.index_spectra.values() for period, _ in found.values()]
    add_coordinate(file, "index_period", periods[0] if periods else [], long_name="period", units="month")
    densities = {
        run: {name: density for name, (_, density) in found.items()} for run, found in results.index_spectra.items()
    }
    _write_curves(file, "index_spectrum", densities, order, ("index", "index_period"), "units squared times months")


def _write_curves(file, name, runs, order, dims, units):
    """The variable ``name`` of ``runs`` {(source, experiment, member): {label: values along dims[1]}}."""
    labels = list(dict.fromkeys(label for found in runs.values() for label in found))
    add_text(file, dims[0], dims[0], labels)
    variable = file.createVariable(name, "f8", (*COLUMNS[:3], *dims), zlib=True, fill_value=np.nan)
    variable.units = units
    for run, found in runs.items():
        place = [order[key][value] for key, value in zip(COLUMNS, run, strict=False)]
        for label, values in found.items():
            variable[(*place, labels.index(label), slice(len(values)))] = values
