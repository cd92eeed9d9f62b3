"""AIMIP's metrics E1, E2, E3 and E5 of every member, and a scorecard, from the summaries of simulations and reference.

metrics.csv has one value a row (source, experiment, member, metric, period, field, value, units); metrics.nc the same
values as arrays, the spectra and the ensemble means of the maps. E4 is not applicable: it needs daily data.
"""

import csv
import json
import sys
from pathlib import Path

import netCDF4
import numpy as np

from workflow.scripts.common import program
from workflow.scripts.common.atomic import atomic_path
from workflow.scripts.common.experiments import CONTROL
from workflow.scripts.common.ncfiles import add_coordinate, add_grid, add_text, new_file
from workflow.scripts.common.periods import evaluation_periods
from workflow.scripts.common.skill import BASELINES, baseline_members
from workflow.scripts.evaluate.arguments import add_evaluation, add_summaries, settings_of
from workflow.scripts.evaluate.metrics.climate import evaluate_climate, evaluate_seasonal_response
from workflow.scripts.evaluate.metrics.one_degree import NO_PRESSURE, evaluate_one_degree
from workflow.scripts.evaluate.metrics.scores import (
    COLUMNS,
    INDEX_FIELDS,
    REFERENCE,
    Area,
    Results,
    evaluate_drift,
    evaluate_ensemble,
    evaluate_ensemble_mean,
    evaluate_history,
    evaluate_modes,
    evaluate_reference,
    evaluate_response,
    evaluate_spectra,
    evaluate_true_modes,
)
from workflow.scripts.evaluate.metrics.skill import evaluate_climatology, evaluate_differences
from workflow.scripts.evaluate.scorecard.layout import format_html, format_text
from workflow.scripts.evaluate.scorecard.lines import build_scorecard
from workflow.scripts.evaluate.summarize.reader import SummaryFile, summary_paths
from workflow.scripts.evaluate.summarize.summary import WIND_SPECTRUM, left_out
from workflow.scripts.submission.drs import member_label


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


def read_land_fraction(path, grid):
    """Land fraction (lat, lon) of the model grid; raises ValueError if it is on another grid."""
    with netCDF4.Dataset(path) as data:
        data.set_auto_mask(False)
        land = np.asarray(data["lsm"][:], np.float64).reshape(-1, *data["lsm"].shape[-2:])[0]
    if land.shape != (len(grid.lat), len(grid.lon)):
        raise ValueError(
            f"{path} has a grid of {land.shape}, the reference {(len(grid.lat), len(grid.lon))}: regrid again"
        )
    return np.nan_to_num(np.clip(land, 0, 1))


def read_truth(path):
    """Responses {experiment: {field: (lat, lon)}} and deviations of indices {name: value} from truth.py's file."""
    with netCDF4.Dataset(path) as data:
        data.set_auto_mask(False)
        experiments, fields = data["experiment"][:].tolist(), data["field"][:].tolist()
        values = data["response"][:].astype(np.float64)
        modes = dict(zip(data["index"][:].tolist(), data["index_std"][:].tolist(), strict=True))
    return {name: dict(zip(fields, maps, strict=True)) for name, maps in zip(experiments, values, strict=True)}, modes


def by_experiment(paths, experiments):
    """Summaries as {experiment: {member: SummaryFile}}, for paths that end in {experiment}/{member}.nc."""
    members = [SummaryFile(path) for path in paths]
    return {name: {item.member: item for item in members if item.experiment == name} for name in experiments}


def check_fields(groups, reference):
    """Raise ValueError if a summary has a field that the reference lacks."""
    members = [item for group in groups.values() for item in group.values()]
    for member in members:
        absent = sorted(set(member.fields) - set(reference.fields))
        if absent:
            raise ValueError(f"{member.path} has {', '.join(absent)}, which the reference {reference.path} lacks")


def evaluate(
    reference, summaries, static, experiments, settings, source, outputs, truth=None, models=None, baselines=None
):
    """Evaluate all simulations.

    reference, summaries, static: paths (summaries end in {experiment}/{member}.nc); experiments: {name: {sst_offset}};
    settings: the config's ``evaluation`` with ``periods`` and ``reference_name`` added; source: name of the model;
    outputs: paths by name (csv, netcdf, scorecard, text, html); truth: of truth.py, where it is known;
    models: {name: folder of summaries} of other models; baselines: {name: paths of summaries}, named as ours.
    """
    reference, periods = SummaryFile(reference), evaluation_periods(settings["periods"])
    ours = by_experiment(summaries, experiments)
    if not ours[CONTROL]:
        raise ValueError(f"no summary of the control experiment '{CONTROL}' was given; make its simulations first")
    check_fields(ours, reference)
    results, land = Results(), read_land_fraction(static, reference)
    area = Area(reference.lat, settings["max_latitude"], land)
    known, modes = read_truth(truth) if truth else ({}, {})
    history = list(ours[CONTROL].values())
    evaluate_reference(results, reference, history[0].fields, history[0].units, area)
    evaluate_climatology(results, reference, history[0].fields, periods)
    evaluate_modes(results, [reference], REFERENCE, periods["training"])
    evaluate_spectra(results, [reference], REFERENCE)
    evaluate_climate(results, [reference], REFERENCE, periods, reference, settings["max_latitude"])
    others = {name: sorted(Path(path).glob("*/*.nc")) for name, path in (models or {}).items()} | (baselines or {})
    others = {name: by_experiment(paths, experiments) for name, paths in others.items()}
    every = {source: ours, **others}
    controls = {name: list(groups[CONTROL].values()) for name, groups in every.items()}
    for name, groups in every.items():
        count, members = len(history) if name == source else 0, controls[name]
        for member in members:
            evaluate_history(results, reference, member, name, area, count)
        for experiment, group in groups.items():
            if experiment != CONTROL and group:
                truth_of = known.get(experiment)
                evaluate_response(results, reference, groups[CONTROL], group, name, land, truth_of, bool(count))
                evaluate_seasonal_response(results, reference, groups[CONTROL], group, name, land)
        if not members:
            continue
        evaluate_ensemble_mean(results, reference, members, name, area)
        evaluate_drift(results, reference, members, name)
        evaluate_ensemble(results, reference, members, name, periods)
        evaluate_modes(results, members, name, periods["training"])
        evaluate_spectra(results, members, name)
        evaluate_climate(results, members, name, periods, reference, settings["max_latitude"])
    evaluate_one_degree(results, reference, controls, settings["max_latitude"])
    evaluate_differences(results, (source, CONTROL, "all"), history[0].units)
    evaluate_true_modes(results, modes, history[0].units)
    drawn = dict.fromkeys([*settings["skill_fields"], *settings["map_fields"]])
    absent = {f"E1 of {field}": f"there is no {field}" for field in drawn if field not in history[0].fields}
    skipped = {**reference.skipped, **absent, **left_out(history[0].fields)}
    skipped |= {"E4": "the temporal variance metric needs daily data; this model is monthly"}
    if reference.lowest_pressure_on(reference) is None:
        skipped["E1_1deg below the ground"] = NO_PRESSURE
    write_csv(outputs["csv"], results.rows)
    write_netcdf(outputs["netcdf"], results, reference, history[0].fields, history[0].units, skipped)
    card = build_scorecard(results.rows, source, CONTROL, experiments, {**settings, "periods": periods}, skipped)
    texts = {"scorecard": json.dumps(card, indent=1), "text": format_text(card), "html": format_html(card)}
    for name, text in texts.items():
        with atomic_path(outputs[name]) as temporary:
            Path(temporary).write_text(text, encoding="utf-8")


def baseline_paths(folder, members):
    """Paths {baseline: [summary]} of the baselines of the control experiment, as many members as they have of ours."""
    return {
        name: [Path(folder, name, CONTROL, f"{member_label(number)}.nc") for number in baseline_members(name, members)]
        for name in BASELINES
    }


def main(arguments=None):
    """Command line."""
    parser = program.command_line(__doc__)
    add_summaries(parser)
    add_evaluation(parser)
    parser.add_argument("--truth", nargs="?", help="the true response of truth.py, where it is known")
    parser.add_argument("--models", nargs="*", default=[], help="folders of other models' summaries, named like them")
    parser.add_argument("--baselines", help="folder of the baselines' summaries, {baseline}/{experiment}/{member}.nc")
    parser.add_argument("--csv", required=True, help="table of all metrics to write")
    parser.add_argument("--netcdf", required=True, help="the same as arrays, with spectra and maps, to write")
    parser.add_argument("--scorecard", required=True, help="scorecard to write, JSON")
    parser.add_argument("--text", required=True, help="scorecard to write, plain text")
    parser.add_argument("--html", required=True, help="scorecard to write, HTML")
    return program.run(
        parser,
        lambda given: evaluate(
            given.reference,
            summary_paths(given.summaries, given.experiments, given.members),
            given.static,
            given.experiments,
            settings_of(given),
            given.source,
            {name: getattr(given, name) for name in ("csv", "netcdf", "scorecard", "text", "html")},
            given.truth,
            {Path(folder).name: folder for folder in given.models},
            baseline_paths(given.baselines, given.members) if given.baselines else None,
        ),
        arguments,
    )


if __name__ == "__main__":
    sys.exit(main())
