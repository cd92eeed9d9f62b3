"""AIMIP's metrics E1, E2, E3 and E5 of every member, and a scorecard, from the summaries of simulations and reference.

metrics.csv has one value a row (source, experiment, member, metric, period, field, value, units); metrics.nc the same
values as arrays, the spectra and the ensemble means of the maps. E4 is not applicable: it needs daily data.
"""

import json
import sys
from pathlib import Path

from workflow.scripts.common import program
from workflow.scripts.common.atomic import atomic_path
from workflow.scripts.common.experiments import CONTROL
from workflow.scripts.common.periods import evaluation_periods
from workflow.scripts.common.skill import BASELINES, baseline_members
from workflow.scripts.evaluate.arguments import add_evaluation, add_summaries, settings_of
from workflow.scripts.evaluate.metrics.climate import evaluate_climate, evaluate_seasonal_response
from workflow.scripts.evaluate.metrics.files import write_csv, write_netcdf
from workflow.scripts.evaluate.metrics.land import read_land_fraction
from workflow.scripts.evaluate.metrics.one_degree import NO_PRESSURE, evaluate_one_degree
from workflow.scripts.evaluate.metrics.scores import (
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
from workflow.scripts.evaluate.metrics.table import REFERENCE
from workflow.scripts.evaluate.scorecard.layout import format_html, format_text
from workflow.scripts.evaluate.scorecard.lines import build_scorecard
from workflow.scripts.evaluate.summarize.reader import SummaryFile, summary_paths
from workflow.scripts.evaluate.summarize.summary import left_out
from workflow.scripts.evaluate.summarize.true_response import read_truth
from workflow.scripts.submission.drs import member_label


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
