"""AIMIP's metrics of simulations from their summaries, as rows of a tidy table and ensemble-mean maps.

Every metric but those named ``ensemble`` is computed per member; medians and ranges over members come after. E1 to E3
are taken over |lat| up to ``max_latitude``, as AIMIP does. The baseline ``climatology`` predicts, for the test period,
the reference's mean of each calendar month over the training span. Skill is scored where a field is predicted: surface
temperature, which is prescribed over open sea, is scored over land besides (``scored``).
"""

from typing import NamedTuple

import numpy as np

from workflow.scripts.common.skill import BOX_FIELDS, CLIMATOLOGY
from workflow.scripts.evaluate.measures.along_time import (
    band_variance,
    decorrelation_time,
    deseasonalize,
    months_inside,
    smooth_spectrum,
)
from workflow.scripts.evaluate.measures.ensemble import (
    box_mean,
    crps,
    rank_shares,
    spread_and_error,
)
from workflow.scripts.evaluate.measures.indices import INDICES
from workflow.scripts.evaluate.measures.over_area import land_sea_means, rms, weighted_mean
from workflow.scripts.evaluate.metrics.table import COLUMNS, PRESCRIBED, REFERENCE, TRUTH, scored
from workflow.scripts.evaluate.summarize.summary import WIND_SPECTRUM
from workflow.scripts.submission.derive import OPEN_SEA

INDEX_FIELDS = {name: field for name, (field, _) in INDICES.items()}
PERIODS = {
    "mean": ("training", "test"),
    "trend": ("training", "test", "full"),
    "enso": ("training", "test"),
    "asymmetry": ("training", "test"),
}
INDEX_BANDS = ((2, 6), (6, 18), (18, 60), (60, np.inf))  # months
WAVE_BANDS = ((1, 3), (4, 10), (11, 30), (31, 59))  # total wavenumbers


class Area(NamedTuple):
    """Where errors are averaged: latitudes (lat,) up to ``max_latitude`` degrees, and the land fraction (lat, lon)."""

    lat: np.ndarray
    max_latitude: float
    land: np.ndarray


class Results:
    """Rows of the tidy table, maps {name: {experiment: {period: (field, lat, lon)}}} of ensemble means, and spectra.

    spectra: {(source, experiment, member): {field: power by total wavenumber}}; index_spectra: the same with
    {index: (period in months, density)}; crps: {(source, experiment, member): {field: CRPS of each month of the test
    period, (month,)}}.
    """

    def __init__(self):
        self.rows, self.maps, self.spectra, self.index_spectra, self.crps = [], {}, {}, {}, {}

    def add(self, source, experiment, member, metric, period, fields, values, units):
        """One row for each field; ``units`` is a text or a {field: text}."""
        for field, value in zip(fields, np.atleast_1d(values), strict=True):
            text = units if isinstance(units, str) else units[field]
            row = (source, experiment, member, metric, period, field, float(value), text)
            self.rows.append(dict(zip(COLUMNS, row, strict=True)))

    def add_rms(self, key, metric, period, fields, maps, area, units):
        """Rows of the RMS of ``maps`` (field, lat, lon) over an ``Area``, for a key (source, experiment, member).

        A prescribed field has one over land besides: over cells whose land fraction is such that it is never
        prescribed there. Under sea ice, which comes and goes, it is by turns: such sea is left out.
        """
        self.add(*key, metric, period, fields, rms(maps, area.lat, area.max_latitude), units)
        for field in PRESCRIBED:
            if field in fields:
                value = rms(maps[fields.index(field)], area.lat, area.max_latitude, area.land >= OPEN_SEA)
                self.add(*key, scored(metric, field), period, [field], value, units)

    def add_crps(self, key, field, score, units):
        """The row of the CRPS of a key (source, experiment, member): the mean of ``score`` (month,), which is kept."""
        self.crps.setdefault(key, {})[field] = score
        self.add(*key, "ensemble_crps", "test", [field], score.mean(), units)

    def add_map(self, name, experiment, period, values, count):
        """Add one of ``count`` members' maps to the ensemble mean ``name`` of that experiment and period."""
        periods = self.maps.setdefault(name, {}).setdefault(experiment, {})
        periods[period] = periods.get(period, 0) + values / count


def key_of(summary, source):
    """Source, experiment and member of a summary's rows; the reference's have the first alone."""
    return (source, "", "") if source == REFERENCE else (source, summary.experiment, summary.member)


def per_year(units):
    """Units of a trend per decade, {field: text}."""
    return {field: f"{text} decade-1" for field, text in units.items()}


def kinds(units):
    """Statistic's prefix: names of the mean and the RMS of its bias, and its units {field: text}."""
    return {
        "mean": ("E1_bias", "E1_rmsb", units),
        "trend": ("E2_trend_bias", "E2_trend_rms", per_year(units)),
        "enso": ("E3_enso_bias", "E3_enso_rms", {field: f"{text} K-1" for field, text in units.items()}),
        "asymmetry": ("ENSO_asymmetry_bias", "ENSO_asymmetry_rms", units),
    }


def evaluate_reference(results, reference, fields, units, area):
    """Means, trends, ENSO regressions and interannual variability of the reference, and the climatology's bias.

    area: the ``Area`` that errors are averaged over.
    """
    lat, max_latitude = area.lat, area.max_latitude
    for kind, (_, _, unit) in kinds(units).items():
        for period in PERIODS[kind]:
            if reference.has(f"{kind}_{period}"):
                mean = weighted_mean(reference.maps(f"{kind}_{period}", fields), lat, max_latitude)
                results.add(REFERENCE, "", "", f"{kind}_global", period, fields, mean, unit)
    for period in ("training", "test"):
        if reference.has(f"std_{period}"):
            std = reference.maps(f"std_{period}", fields)
            results.add_rms((REFERENCE, "", ""), "interannual_std", period, fields, std, area, units)
    if "climatology_test" in reference.skipped:
        return
    bias = reference.maps(reference.climatology, fields) - reference.maps("mean_test", fields)
    results.add(CLIMATOLOGY, "", "", "E1_bias", "test", fields, weighted_mean(bias, lat, max_latitude), units)
    results.add_rms((CLIMATOLOGY, "", ""), "E1_rmsb", "test", fields, bias, area, units)


def evaluate_history(results, reference, member, source, area, count=0):
    """E1, E2, E3 and the interannual variability of one member of the control experiment, into ``results``.

    Fields are those that the reference has too. area: as in ``evaluate_reference``; count: members whose maps are
    averaged; 0 to keep no maps.
    """
    fields, units = [name for name in member.fields if name in reference.fields], member.units
    lat, max_latitude = area.lat, area.max_latitude
    key = source, member.experiment, member.member
    for kind, (mean_name, rms_name, unit) in kinds(units).items():
        for period in PERIODS[kind]:
            statistic = f"{kind}_{period}"
            if not (reference.has(statistic) and member.has(statistic)):
                continue
            predicted = member.maps_on(reference, statistic, fields)
            bias = predicted - reference.maps(statistic, fields)
            results.add(*key, f"{kind}_global", period, fields, weighted_mean(predicted, lat, max_latitude), unit)
            results.add(*key, mean_name, period, fields, weighted_mean(bias, lat, max_latitude), unit)
            results.add_rms(key, rms_name, period, fields, bias, area, unit)
            if count:
                results.add_map(mean_name, member.experiment, period, bias, count)
    for period in ("training", "test"):
        if member.has(f"std_{period}"):
            std = member.maps_on(reference, f"std_{period}", fields)
            results.add_rms(key, "interannual_std", period, fields, std, area, units)


def evaluate_ensemble_mean(results, reference, members, source, area):
    """E1 over the test period of the mean of all members of the control experiment, into ``results``.

    Of n members it has 1/n of the variance that weather leaves in a member's time mean.
    """
    if not (reference.has("mean_test") and all(member.has("mean_test") for member in members)):
        return
    shared = set(reference.fields).intersection(*(member.fields for member in members))
    fields, key = [name for name in members[0].fields if name in shared], (source, members[0].experiment, "all")
    if not fields:
        return
    mean = sum(member.maps_on(reference, "mean_test", fields) for member in members) / len(members)
    bias = mean - reference.maps("mean_test", fields)
    results.add_rms(key, "E1_ensemble_mean_rmsb", "test", fields, bias, area, members[0].units)


def evaluate_drift(results, reference, members, source):
    """Change from the first to the last decade beyond the reference's own, per field, into ``results``.

    members: summaries of the control experiment; none, where the reference is too short for two decades.
    """
    if not reference.has("mean_first"):
        return
    for member in members:
        fields, units = [name for name in member.fields if name in reference.fields], member.units
        forced = reference.maps("mean_last", fields) - reference.maps("mean_first", fields)
        change = member.maps_on(reference, "mean_last", fields) - member.maps_on(reference, "mean_first", fields)
        drift = weighted_mean(change - forced, reference.lat)
        results.add(source, member.experiment, member.member, "drift", "last-first", fields, drift, units)


def evaluate_response(results, grid, control, warmed, source, land, truth=None, maps=True):
    """E5: mean(warmed) - mean(control) over the whole simulation, member by member, into ``results``.

    Beside it the same over the first decade of training and test, period "first", which published responses are of.

    control, warmed: {member: SummaryFile}; a member that one of the two lacks is left out. land: fraction (lat, lon);
    truth: true response {field: (lat, lon)} where it is known, as of a GCM's own runs; maps: whether to keep them.
    """
    both = [name for name in warmed if name in control]
    if truth and maps:
        first = next(iter(warmed.values()))
        response = np.stack([truth[field] for field in first.fields])
        add_response(results, (TRUTH, first.experiment, ""), first.fields, first.units, response, grid.lat, land)
        results.add_map("E5_truth", first.experiment, "simulation", response, 1)
    for name in both:
        member = warmed[name]
        fields = [field for field in member.fields if field in control[name].fields and field in grid.fields]
        units = member.units
        response = member.maps_on(grid, "mean_simulation", fields)
        response = response - control[name].maps_on(grid, "mean_simulation", fields)
        add_response(results, (source, member.experiment, name), fields, units, response, grid.lat, land)
        if member.has("mean_first") and control[name].has("mean_first"):
            early, before = (one.maps_on(grid, "mean_first", fields) for one in (member, control[name]))
            add_response(
                results, (source, member.experiment, name), fields, units, early - before, grid.lat, land, "first"
            )
        if truth:
            error = rms(response - np.stack([truth[field] for field in fields]), grid.lat)
            results.add(source, member.experiment, name, "E5_error_rms", "simulation", fields, error, units)
        if maps:
            results.add_map("E5_response", member.experiment, "simulation", response, len(both))


def evaluate_ensemble(results, reference, members, source, periods):
    """Spread, error, CRPS and ranks of the reference among the members over the test period, into ``results``."""
    test = months_inside(reference.months, *periods["test"])
    for field in BOX_FIELDS:
        observed, ours = reference.boxes(field), [member.boxes(field) for member in members]
        # A field that a model leaves out, in some member or below the ground, has no fair ensemble.
        if observed is None or any(values is None or np.isnan(values).any() for values in ours):
            continue
        units, ours = members[0].units[field], np.stack(ours)[:, test]
        observed, key = observed[test], (source, members[0].experiment, "all")
        results.add_crps(key, field, box_mean(crps(ours, observed)), units)
        if len(members) > 1:
            spread, error = spread_and_error(ours, observed)
            results.add(*key, "ensemble_spread", "test", [field], spread, units)
            results.add(*key, "ensemble_error", "test", [field], error, units)
            results.add(*key, "ensemble_spread_skill", "test", [field], spread / error if error else np.nan, "1")
            for rank, share in enumerate(rank_shares(ours, observed)):
                results.add(*key, f"ensemble_rank_{rank}", "test", [field], share, "1")


def add_response(results, key, fields, units, response, lat, land, period="simulation"):
    """Rows of one response (field, lat, lon): global, land and sea means, and the ratio of land to sea."""
    means = np.array([land_sea_means(field, lat, land) for field in response])
    results.add(*key, "E5_response", period, fields, weighted_mean(response, lat), units)
    names = "E5_response_land", "E5_response_sea", "E5_land_sea_ratio"
    for metric, values, unit in zip(names, means.T, (units, units, "1"), strict=True):
        results.add(*key, metric, period, fields, values, unit)


def evaluate_modes(results, summaries, source, period):
    """Variability of each index in monthly anomalies from the mean annual cycle over the training span.

    Standard deviation, decorrelation time (months), variance by bands of periods and spectrum; and the time mean and
    the standard deviation of the mean annual cycle, which tell a polar vortex' strength and season. summaries: of the
    control experiment, or of the reference alone.
    """
    for summary in summaries:
        key, inside = key_of(summary, source), months_inside(summary.months, *period)
        for name, values in summary.indices.items():
            units = summary.units[INDEX_FIELDS[name]]
            anomaly = deseasonalize(values[inside], summary.months[inside])
            if np.isnan(anomaly).any():
                continue
            results.add(*key, "index_mean", "training", [name], values[inside].mean(), units)
            results.add(*key, "index_annual_cycle", "training", [name], (values[inside] - anomaly).std(), units)
            results.add(*key, "index_std", "training", [name], anomaly.std(), units)
            results.add(*key, "index_decorrelation", "training", [name], decorrelation_time(anomaly), "month")
            for low, high in INDEX_BANDS:
                band = f"index_variance_{low}-{high:g}_months"
                results.add(*key, band, "training", [name], band_variance(anomaly, low, high), f"({units})2")
            results.index_spectra.setdefault(key, {})[name] = smooth_spectrum(anomaly)


def evaluate_true_modes(results, deviations, units):
    """The planet's own standard deviation of each index, {name: value}, as rows of ``results``; units: of fields."""
    for name, value in deviations.items():
        results.add(TRUTH, "", "", "index_std", "training", [name], value, units[INDEX_FIELDS[name]])


def power_metric(low, high):
    """Name of the metric of power summed over the total wavenumbers ``low``..``high``."""
    return f"power_{low}-{high}"


def evaluate_spectra(results, summaries, source):
    """Power by total wavenumber over the test period, and its sums over bands that the grid holds, into ``results``.

    summaries: as in ``evaluate_modes``.
    """
    for summary in summaries:
        key = key_of(summary, source)
        for name, power in summary.spectra.items():
            units = "m2 s-2" if name == WIND_SPECTRUM else f"({summary.units[name]})2"
            for low, high in WAVE_BANDS:
                if high < len(power):
                    results.add(*key, power_metric(low, high), "test", [name], power[low : high + 1].sum(), units)
            results.spectra.setdefault(key, {})[name] = power
