"""Maps: time-mean bias (E1), trend (E2), ENSO regression (E3) and response to another sea (E5).

One job draws them all: importing matplotlib costs more than a figure. Maps are means over members of each member's
own difference; the numbers in titles are medians over members, with the range.
"""

import sys

from workflow.scripts.common import program
from workflow.scripts.common.experiments import brief, is_changed
from workflow.scripts.common.skill import CLIMATOLOGY
from workflow.scripts.evaluate.display import long_name, number, scale_of
from workflow.scripts.evaluate.metrics.table import TRUTH
from workflow.scripts.evaluate.plots.results import add_arguments, evaluated
from workflow.scripts.evaluate.plots.style import NO_FIELD, colormap, map_figure, note_figure, save, symmetric_limit


def bias_figure(results, period):
    """Maps of the ensemble-mean bias of one period; titles give the RMSB of members and of the climatology."""
    panels = []
    for field in results.fields:
        factor, units = scale_of(field, results.table.units("E1_bias", field))
        values = results.map("E1_bias", period, field) * factor
        title = f"{long_name(field)}\nRMSB {results.words('E1_rmsb', period, field, factor)} {units}"
        baseline = results.table.single(CLIMATOLOGY, "E1_rmsb", period, field)
        if baseline is not None:
            title += f"; climatology {number(baseline * factor)}"
        panels.append(panel(values, title, symmetric_limit(values), field, units))
    name = f"{results.source} {results.control}"
    title = f"E1: bias of {name} against {results.reference_name}, {period} period {results.span(period)}"
    if not panels:
        return note_figure(title, NO_FIELD)
    return map_figure(title, panels, results.reference, results.land)


def response_figure(results, experiment):
    """Maps of the ensemble-mean response to another sea, beside the truth and the difference where truth is known.

    Titles give the global mean and its range over members.
    """
    panels, known = [], results.has_truth(experiment)
    for field in results.fields:
        factor, units = scale_of(field, results.table.units("E5_response", field))
        values = results.map("E5_response", "simulation", field, experiment) * factor
        mean = results.words("E5_response", "simulation", field, factor, experiment)
        title = f"{long_name(field)}\nglobal mean {mean} {units}"
        truth = results.map("E5_truth", "simulation", field, experiment) * factor if known else values
        limit = symmetric_limit(values, truth)
        panels.append(panel(values, title, limit, field, units))
        if known:
            mean = number(results.table.members(TRUTH, "E5_response", "simulation", field, experiment)[0] * factor)
            error = results.words("E5_error_rms", "simulation", field, factor, experiment)
            panels.append(
                panel(truth, f"truth of {results.reference_name}\nglobal mean {mean} {units}", limit, field, units)
            )
            panels.append(panel(values - truth, f"difference\nRMS {error} {units}", limit, field, units))
    name = f"{results.source} {experiment} less {results.control}"
    title = f"E5: {name} ({brief(results.experiments[experiment])}), mean of {results.span('simulation')}"
    if not panels:
        return note_figure(title, NO_FIELD)
    return map_figure(title, panels, results.reference, results.land, columns=3 if known else 2)


def comparison_figure(results, kind, title, rows):
    """Reference, ours and difference side by side for each of ``rows`` (period, field); kind: trend or enso."""
    rows = [row for row in rows if row[1] in results.reference.fields]
    reasons = [results.skipped.get(f"{kind}_{period}") for period, _ in rows]
    rows = [row for row, reason in zip(rows, reasons, strict=True) if reason is None]
    if not rows:
        return note_figure(title, reasons[0] if reasons else NO_FIELD)
    metric, error = {"trend": ("E2_trend_bias", "E2_trend_rms"), "enso": ("E3_enso_bias", "E3_enso_rms")}[kind]
    per = {"trend": "/decade", "enso": "/K"}[kind]
    panels = []
    for period, field in rows:
        factor, units = scale_of(field, results.reference.units[field])
        observed = results.reference.maps(f"{kind}_{period}", [field])[0] * factor
        bias = results.map(metric, period, field) * factor
        limit = symmetric_limit(observed, observed + bias)
        rms = results.words(error, period, field, factor)
        for values, text in (
            (observed, f"{long_name(field)}, {results.span(period)}\n{results.reference_name}"),
            (observed + bias, f"{results.source} {results.control}, mean of members"),
            (bias, f"difference, RMS {rms} {units}{per}"),
        ):
            panels.append(panel(values, text, limit, field, units + per))
    return map_figure(title, panels, results.reference, results.land, columns=3)


def panel(values, title, limit, field, label):
    """One panel of ``style.map_figure``."""
    return {"values": values, "title": title, "limit": limit, "cmap": colormap(field), "label": label}


def plot_maps(results, folder):
    """Draw all maps into ``folder``: bias_training, bias_test, trends, enso and one response_{experiment} each."""
    for period in ("training", "test"):
        save(bias_figure(results, period), f"{folder}/bias_{period}.png")
    for name, value in results.experiments.items():
        if is_changed(value):
            save(response_figure(results, name), f"{folder}/response_{name}.png")
    both = results.both()
    rows = [(period, "tas") for period in ("training", "test")]
    save(comparison_figure(results, "trend", f"E2: trends of annual means, {both}", rows), f"{folder}/trends.png")
    rows = [("training", field) for field in ("tas", "pr", "zg500")]
    title = f"E3: regression on the Nino3.4 index, {both}"
    save(comparison_figure(results, "enso", title, rows), f"{folder}/enso.png")


def main(arguments=None):
    """Command line."""
    parser = program.command_line(__doc__)
    add_arguments(parser)
    return program.run(parser, lambda given: plot_maps(evaluated(given), given.out), arguments)


if __name__ == "__main__":
    sys.exit(main())
