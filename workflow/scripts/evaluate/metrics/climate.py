"""Metrics that the field asks for beside AIMIP's: interannual deviation of the global mean, precipitation's quantiles,
the ITCZ, ENSO asymmetry, and what +2 K and +4 K do to the seasons and to the variance, as rows of the tidy table.
"""

import numpy as np

from workflow.scripts.common.months import month_of_year
from workflow.scripts.evaluate.measures.along_time import annual_deviation, complete_years, months_inside
from workflow.scripts.evaluate.measures.indices import box_weights
from workflow.scripts.evaluate.measures.over_area import land_sea_means, rms, weighted_mean
from workflow.scripts.evaluate.measures.rainfall import QUANTILES, itcz_latitude
from workflow.scripts.evaluate.metrics.scores import PERIODS, key_of
from workflow.scripts.evaluate.metrics.table import REFERENCE
from workflow.scripts.evaluate.summarize.monthly import RAIN
from workflow.scripts.evaluate.summarize.reader import annual_means

NINO34 = -5, 5, 190, 240  # degrees: south, north, west, east


def evaluate_climate(results, summaries, source, periods, reference, max_latitude):
    """All of this module but the responses, of the control experiment's summaries or of the reference alone."""
    for summary in summaries:
        key = key_of(summary, source)
        for period in ("training", "test"):
            add_global_deviation(results, key, summary, period, periods[period])
            add_rainfall(results, key, summary, period, periods[period], reference)
        add_asymmetry(results, key, summary, max_latitude)


def add_global_deviation(results, key, summary, period, span):
    """Standard deviation of the annual global means of every field: as they are, and about their linear trend.

    Annual means have whole years of unweighted months; nothing where the period has fewer than three.
    """
    years = complete_years(summary.months, *span)
    if len(years) < 3:
        return
    found, means = annual_means(summary.series, summary.months)
    means = means[:, np.isin(found, years)]
    for metric, detrended in (("global_std", False), ("global_std_detrended", True)):
        results.add(*key, metric, period, summary.fields, annual_deviation(means, detrended), summary.units)


def add_rainfall(results, key, summary, period, span, reference):
    """Quantiles of monthly precipitation over all cells, over the reference's, and the ITCZ's latitude and season.

    The ITCZ's latitude is that of the period's mean, its range that of the twelve calendar months' means. Quantiles of
    a coarser grid are closer together: it has averaged over more.
    """
    if summary.zonal_rain is None:
        return
    units, known = summary.units[RAIN], reference.rain_quantiles.get(period)
    for number, (share, value) in enumerate(zip(QUANTILES, summary.rain_quantiles[period], strict=True)):
        results.add(*key, f"quantile_{100 * share:02.0f}", period, [RAIN], value, units)
        if key[0] != REFERENCE and known is not None:
            ratio = value / known[number] if known[number] else np.nan
            results.add(*key, f"quantile_{100 * share:02.0f}_ratio", period, [RAIN], ratio, "1")
    inside = months_inside(summary.months, *span)
    rain, calendar = summary.zonal_rain[inside], month_of_year(summary.months[inside])
    results.add(*key, "itcz_latitude", period, [RAIN], itcz_latitude(rain.mean(0), summary.lat), "degrees_north")
    if len(np.unique(calendar)) == 12:
        season = itcz_latitude([rain[calendar == month].mean(0) for month in range(1, 13)], summary.lat)
        results.add(*key, "itcz_seasonal_range", period, [RAIN], np.ptp(season), "degrees")


def add_asymmetry(results, key, summary, max_latitude):
    """Size of the ENSO asymmetry of every field: its root mean square over area, and its mean over the Nino3.4 box."""
    for period in PERIODS["asymmetry"]:
        if not summary.has(f"asymmetry_{period}"):
            continue
        maps = summary.maps(f"asymmetry_{period}")
        box = weighted_mean(maps, summary.lat, weights=box_weights(summary.lat, summary.lon, *NINO34) > 0)
        size = rms(maps, summary.lat, max_latitude)
        results.add(*key, "ENSO_asymmetry_nino34", period, summary.fields, box, summary.units)
        results.add(*key, "ENSO_asymmetry_size", period, summary.fields, size, summary.units)


def evaluate_seasonal_response(results, grid, control, warmed, source, land):
    """E5 by calendar month over the whole simulation, and the change of variance; arguments as ``evaluate_response``.

    The means of each calendar month weigh its months equally. The ratio of variance is that of area means of the
    variance of monthly departures from the annual cycle, warmed over control; the trend, which both have, is in it.
    """
    for name in (name for name in warmed if name in control):
        member, base = warmed[name], control[name]
        key = source, member.experiment, name
        for field in (field for field in member.monthly_fields if field in base.monthly_fields):
            units = member.units[field]
            (warm, warm_variance), (mean, variance) = (item.monthly_on(grid, field) for item in (member, base))
            parts = np.array([area_means(month, grid.lat, land) for month in warm - mean])
            for place, series in zip(("", "_land", "_sea"), parts.T, strict=True):
                for month, value in enumerate(series, 1):
                    results.add(*key, f"E5_response{place}_month_{month:02d}", "simulation", [field], value, units)
                results.add(*key, f"E5_seasonal_range{place}", "simulation", [field], np.ptp(series), units)
            pairs = zip(*(area_means(part, grid.lat, land) for part in (warm_variance, variance)), strict=True)
            for place, (after, before) in zip(("", "_land", "_sea"), pairs, strict=True):
                ratio = after / before if before else np.nan
                results.add(*key, f"E5_variance_ratio{place}", "simulation", [field], ratio, "1")


def area_means(values, lat, land):
    """Means of (lat, lon) over the globe, over land and over sea, three floats."""
    return float(weighted_mean(values, lat)), *land_sea_means(values, lat, land)[:2]
