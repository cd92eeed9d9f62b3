"""The scorecard: one line for each headline metric with the reference, ours and a verdict, on one screen.

Skill against the reference forecasts, and the criterion, are a table of its own (baselines.py).
"""

import numpy as np

from workflow.scripts.common.experiments import brief, has_own_forcing, plausible_response
from workflow.scripts.common.skill import CLIMATOLOGY
from workflow.scripts.evaluate.display import long_name, scale_of, scale_of_metric
from workflow.scripts.evaluate.measures.indices import INDICES
from workflow.scripts.evaluate.metrics.scores import WAVE_BANDS, power_metric
from workflow.scripts.evaluate.metrics.table import (
    ALL_FIELDS,
    PRESCRIBED,
    REFERENCE,
    TRUTH,
    Table,
    scaled_rmsb,
    scaled_trend_error,
    scored,
)
from workflow.scripts.evaluate.scorecard.baselines import baseline_table
from workflow.scripts.evaluate.scorecard.published import published_table
from workflow.scripts.evaluate.summarize.summary import STRATOSPHERE, WIND_SPECTRUM

ONE_DEGREE = ("tas", "pr", "zg500")
RAIN_LINES = (
    ("quantile_01", "test", "1 % of months and area below"),
    ("quantile_50", "test", "50 % below"),
    ("quantile_99", "test", "99 % below"),
    ("itcz_latitude", "test", "ITCZ, latitude of the mean"),
    ("itcz_seasonal_range", "test", "ITCZ, seasonal range"),
    ("ENSO_asymmetry_nino34", "training", "ENSO asymmetry, Nino3.4, training"),
)
SPECTRAL_LINES = [
    (field, power_metric(low, high), f"{low}-{high}")
    for field, bands in ((WIND_SPECTRUM, WAVE_BANDS), ("tas", WAVE_BANDS[1:3]), ("pr", WAVE_BANDS[1:3]))
    for low, high in bands
]


def line(section, name, units, reference, members, verdict="", factor=1.0):
    """One line of the card: median, lowest and highest member, in display units."""
    scaled = np.asarray(members) * factor
    return {
        "section": section,
        "name": name,
        "units": units,
        "reference": None if reference is None else reference * factor,
        "median": float(np.median(scaled)),
        "low": float(scaled.min()),
        "high": float(scaled.max()),
        "verdict": verdict,
    }


def better(median, baseline):
    """``better`` or ``worse`` than the baseline: a lower error is better; nothing where there is no baseline."""
    if baseline is None:
        return ""
    return "better" if median < baseline else "worse"


def skill_lines(table, source, control, settings):
    """Lines of E1 over the test period."""
    section = f"E1 RMSB {'..'.join(settings['periods']['test'])}, model grid (reference: training climatology)"
    lines = []
    for name, metric in ((ALL_FIELDS, "E1_rmsb"), (f"{ALL_FIELDS}, ensemble mean", "E1_ensemble_mean_rmsb")):
        members, baseline = scaled_rmsb(table, source, control, "test", metric=metric)
        if members.size:
            verdict = better(np.median(members), baseline)
            lines.append(line(section, name, "std", baseline, members, verdict))
    lines += rmsb_lines(table, source, control, section, settings["map_fields"])
    section = "Stratosphere, E1 RMSB, the protocol's two highest levels (reference: training climatology)"
    # From the ground up, temperature first.
    lines += rmsb_lines(table, source, control, section, STRATOSPHERE[::-1])
    section = "E1 RMSB, test, on 1 degree above the ground as AIMIP has it (reference: training climatology)"
    return lines + rmsb_lines(table, source, control, section, ONE_DEGREE, "E1_rmsb_1deg")


def rmsb_lines(table, source, control, section, fields, rmsb="E1_rmsb"):
    """Lines of E1 over the test period for ``fields``, where they are known, over the area where they are predicted."""
    lines = []
    for field in fields:
        metric = scored(rmsb, field)
        members = table.members(source, metric, "test", field, control)
        if members.size:
            baseline = table.single(CLIMATOLOGY, metric, "test", field)
            factor, units = scale_of(field, table.units(metric, field))
            verdict = better(np.median(members), baseline)
            name = long_name(field) + (", land" if field in PRESCRIBED else "")
            lines.append(line(section, name, units, baseline, members, verdict, factor))
    return lines


def ratio_lines(table, source, control, name):
    """Lines that set trends, variability and spectra beside the reference's; the verdict is the ratio of the two.

    The standard deviations of indices stand beside the truth, where that is known, as on the synthetic planet.
    """
    reference_is = f"(reference: {name})"
    known = any(key[0] == TRUTH and key[2] == "index_std" for key in table.values)
    index_is = f"(reference: truth of {name})" if known else reference_is
    wanted = [
        (f"E2 trend of the global mean {reference_is}", "trend_global", "tas", "training", "2 m temperature, training"),
        (f"E2 trend of the global mean {reference_is}", "trend_global", "tas", "test", "2 m temperature, test"),
        (f"E2 trend of the global mean {reference_is}", "trend_global", "tas", "full", "2 m temperature, both"),
        *(
            (f"Interannual standard deviation, training {reference_is}", "interannual_std", field, "training", None)
            for field in ("tas", "pr", "zg500", "ua50")
        ),
        *(
            (
                f"Interannual standard deviation, training {reference_is}",
                "global_std_detrended",
                field,
                "training",
                f"global {long_name(field)}, detrended",
            )
            for field in ("tas", "pr")
        ),
        *((f"Precipitation, test {reference_is}", metric, "pr", period, label) for metric, period, label in RAIN_LINES),
        *(
            (f"Indices, standard deviation, training {index_is}", "index_std", index, "training", index)
            for index in INDICES
        ),
        *(
            (f"Indices, decorrelation time, training {reference_is}", "index_decorrelation", index, "training", index)
            for index in INDICES
        ),
        *(
            (f"Power by total wavenumber, test {reference_is}", metric, field, "test", f"{long_name(field)}, {band}")
            for field, metric, band in SPECTRAL_LINES
        ),
    ]
    lines = trend_lines(table, source, control, reference_is)
    for section, metric, field, period, label in wanted:
        members = table.members(source, metric, period, field, control)
        owner = TRUTH if known and metric == "index_std" else REFERENCE
        reference = table.single(owner, metric, period, field)
        if members.size and reference is not None:
            factor, text = scale_of_metric(metric, field, table.units(metric, field))
            verdict = f"{np.median(members) / reference:.2f} x" if reference else ""
            if metric == "itcz_latitude":  # a place has no ratio
                verdict = f"{np.median(members) - reference:+.2f}"
            lines.append(line(section, label or long_name(field), text, reference, members, verdict, factor))
    return lines


def trend_lines(table, source, control, reference_is):
    """Lines of the error in the trend of the global mean, over all fields."""
    section = f"E2 trend of the global mean {reference_is}"
    found = {period: scaled_trend_error(table, source, control, period) for period in ("training", "test")}
    return [
        line(section, f"mean error, all fields, {period}", "std/dec.", 0.0, members)
        for period, members in found.items()
        if members.size
    ]


def drift_lines(table, source, control):
    """The line of drift, where the run is long enough."""
    drift = table.members(source, "drift", "last-first", "tas", control)
    if drift.size:
        section = "Drift, global mean, last less first decade beyond the reference's own change"
        return [line(section, long_name("tas"), "K", 0.0, drift)]
    return []


def response_lines(table, source, control, experiments, owner):
    """Lines of E5: global response of 2 m temperature and precipitation, and the land-sea warming ratio.

    ``owner``: in words, the reference, whose truth stands beside the response where it is known.
    """
    lines = []
    for name, value in experiments.items():
        known = table.members(TRUTH, "E5_response", "simulation", "tas", name).size
        reference_is = f"; reference: truth of {owner}" if known else ""
        section = f"E5 {name} - {control}, whole run ({brief(value)}{reference_is})"
        for metric, field, label in (
            ("E5_response", "tas", "2 m temperature"),
            ("E5_response", "pr", "precipitation"),
            ("E5_land_sea_ratio", "tas", "land/sea warming ratio"),
            ("E5_seasonal_range_land", "tas", "2 m temp. of land, seasonal range"),
            ("E5_variance_ratio", "tas", "2 m temperature, variance ratio"),
            ("E5_variance_ratio", "pr", "precipitation, variance ratio"),
        ):
            members = table.members(source, metric, "simulation", field, name)
            if name == control or not members.size or np.isnan(members).any():
                continue
            factor, units = (1, "") if "ratio" in metric else scale_of(field, table.units(metric, field))
            truth = table.members(TRUTH, metric, "simulation", field, name)
            truth = float(truth[0]) if truth.size else None
            verdict = f"{np.median(members) / truth:.2f} x" if truth else ""
            # To a pattern, and to ice that follows, no one number is in proportion.
            scaled = not has_own_forcing(value) and (metric, field) == ("E5_response", "tas")
            if truth is None and scaled:
                low, high = plausible_response(value["sst_offset"])
                inside = low <= np.median(members) <= high
                verdict = f"{'within' if inside else 'outside'} {low:g}..{high:g}"
            lines.append(line(section, label, units, truth, members, verdict, factor))
    return lines


def build_scorecard(rows, source, control, experiments, settings, skipped):
    """The scorecard as a dict for JSON: lines, baselines, the skill criterion, published submissions and what was
    skipped, with reasons.

    criterion: {field: baselines that are not beaten}.
    """
    table = Table(rows)
    skill = skill_lines(table, source, control, settings)
    baselines, criterion = baseline_table(table, source, control, settings["skill_fields"])
    ratios = ratio_lines(table, source, control, settings["reference_name"])
    drift = drift_lines(table, source, control)
    lines = [*skill, *ratios, *drift, *response_lines(table, source, control, experiments, settings["reference_name"])]
    members = len(table.members(source, "E1_rmsb", "test", rows[0]["field"], control))
    return {
        "source": source,
        "experiment": control,
        "members": members,
        "periods": {name: "..".join(period) for name, period in settings["periods"].items()},
        "criterion": criterion,
        "criterion_met": bool(criterion) and not any(criterion.values()),
        "baselines": baselines,
        "lines": lines,
        "published": published_table(table, source, control, experiments, settings),
        "skipped": skipped,
    }
