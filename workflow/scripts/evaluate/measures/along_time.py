"""Statistics along time: AIMIP's E1, E2 and E3 as weights of months, and the variability of series. Needs numpy only.

E1 (time-mean bias), E2 (trend) and E3 (ENSO regression) are linear in the monthly fields. Each is therefore a row of
month weights w, and the statistic of a field x(month, lat, lon) is sum_m w[m] x[m]: one pass over the data gives them
all, in memory that does not grow with the number of months. E4 needs daily data, which a monthly model does not have.
E5 is the difference of two time means. Definitions: AIMIP specification V7 and its evaluation notebooks.
"""

import numpy as np

from workflow.scripts.common.months import mid_times, month_of_year, month_range, parse_month, year_of

EVENT = 0.5  # K from which on a month counts as warm or cold, as NOAA counts El Nino and La Nina


class TooShort(ValueError):
    """A period that is too short for a metric, or data that do not cover it: a reason to skip it, not a failure."""


def months_inside(months, start, end):
    """Whether each of ``months`` lies in ``start``..``end``, both included, bool (month,)."""
    months = np.asarray(months, "datetime64[M]")
    return (months >= parse_month(start)) & (months <= parse_month(end))


def mean_weights(months, start, end):
    """E1, E5: month weights of the unweighted mean over ``start``..``end``, both included, float64 (month,).

    Raises TooShort if a month of the period is not among ``months``.
    """
    months = np.asarray(months, "datetime64[M]")
    absent = np.setdiff1d(month_range(start, end), months)
    if absent.size:
        raise TooShort(f"the data lack {absent.size} months of {start}..{end}, the first is {absent[0]}")
    inside = months_inside(months, start, end)
    return inside / inside.sum()


def climatology_weights(months, training, test):
    """E1 of the climatology as a prediction: the mean of each calendar month over ``training``, as often as ``test``
    has that month; month weights, float64 (month,). With whole years in both it is the mean over ``training``.

    training, test: (first, last) month. Raises TooShort if ``training`` lacks a month of the year that ``test`` has.
    """
    past, asked = (mean_weights(months, *period) > 0 for period in (training, test))
    season = month_of_year(months) - 1
    found, wanted = (np.bincount(season[inside], minlength=12) for inside in (past, asked))
    if absent := np.flatnonzero((wanted > 0) & (found == 0)).tolist():
        raise TooShort(f"{'..'.join(training)} has no month {absent[0] + 1:02d}, which {'..'.join(test)} has")
    return np.where(past, (wanted / np.maximum(found, 1))[season], 0) / wanted.sum()


def whole_years(start, end):
    """Whether a period has each month of the year equally often."""
    return len(month_range(start, end)) % 12 == 0


def complete_years(months, start, end):
    """Calendar years with all twelve months both in ``months`` and in the period, int array."""
    months = np.asarray(months, "datetime64[M]")
    inside = months[months_inside(months, start, end)]
    values, counts = np.unique(year_of(inside), return_counts=True)
    return values[counts == 12]


def trend_weights(months, start, end, minimum_years=2):
    """E2: month weights of the least-squares slope, per decade, of the annual means (months unweighted) on the year.

    Equal to ``np.polyfit(year / 10, annual_mean, 1)[0]``. Raises TooShort below ``minimum_years`` complete years.
    """
    found = _enough_years(months, start, end, max(2, minimum_years))
    decades = (found - found.mean()) / 10
    slope = dict(zip(found.tolist(), decades / np.sum(decades**2) / 12, strict=True))
    return np.array([slope.get(year, 0.0) for year in year_of(months).tolist()])


def _index_anomaly(months, index_times, index_values, start, end, minimum_years):
    """The index at each mid-month less its mean over ``start``..``end`` (month,), zero outside; and what is inside."""
    _enough_years(months, start, end, minimum_years)
    mean = mean_weights(months, start, end)
    times = mid_times(months)
    inside = mean > 0
    if times[inside].min() < index_times[0] or times[inside].max() > index_times[-1]:
        raise TooShort(f"the ENSO index does not cover {start}..{end}")
    index = np.interp(times, index_times, index_values)
    return np.where(inside, index - (mean * index).sum(), 0), inside


def regression_weights(months, index_times, index_values, start, end, minimum_years=1):
    """E3: month weights of mean_t(I' x) / var_t(I'), I' = I - mean_t(I), in field units per unit of the index.

    The index (values at ``index_times``, days since 1978-10-01) is interpolated linearly to each mid-month; nothing is
    detrended or deseasonalized. Raises TooShort below ``minimum_years`` complete years or outside the index.
    """
    anomaly, _ = _index_anomaly(months, index_times, index_values, start, end, minimum_years)
    return anomaly / np.sum(anomaly**2)


def asymmetry_weights(months, index_times, index_values, start, end, minimum_years=1):
    """ENSO asymmetry: month weights of the composite of warm months plus that of cold months, in field units.

    What is left of the sum where a field does not answer to warm events as to cold ones with the other sign (Zhang and
    Sun 2014, J. Climate 27, 4070). Warm is an index (as in ``regression_weights``) of EVENT or more above its mean,
    cold as much below; composites are means of departures from each calendar month's mean over the period. Raises
    TooShort as ``regression_weights`` does, and where the period has no warm or no cold month.
    """
    anomaly, inside = _index_anomaly(months, index_times, index_values, start, end, minimum_years)
    weights = np.zeros(len(anomaly))
    for word, chosen in (("above", anomaly >= EVENT), ("below", anomaly <= -EVENT)):
        if not chosen.any():
            raise TooShort(f"no month of {start}..{end} has an ENSO index {EVENT} K {word} the mean")
        weights += chosen / chosen.sum()
    calendar = month_of_year(months)
    for month in np.unique(calendar):
        same = inside & (calendar == month)
        weights -= same * weights[same].sum() / same.sum()
    return weights


def annual_deviation(values, detrended=False):
    """Standard deviation over years of annual means (.., year), of their departures from a line if ``detrended``.

    Divides by the number of years less one, or less two where a line was fitted, so that the variance is unbiased.
    """
    values = np.asarray(values, np.float64)
    departures = values - values.mean(-1, keepdims=True)
    if detrended:
        time = np.arange(values.shape[-1]) - (values.shape[-1] - 1) / 2
        departures -= (departures @ time)[..., None] * time / (time @ time)
    return np.sqrt((departures**2).sum(-1) / (values.shape[-1] - 1 - detrended))


def _enough_years(months, start, end, minimum):
    found = complete_years(months, start, end)
    if len(found) < minimum:
        plural = "" if len(found) == 1 else "s"
        raise TooShort(f"{start}..{end} has {len(found)} complete year{plural} in the data and {minimum} are needed")
    return found


def deseasonalize(series, months):
    """Series (.., month) minus its mean of each calendar month."""
    series, calendar = np.array(series, np.float64), month_of_year(months)
    for month in np.unique(calendar):
        chosen = calendar == month
        series[..., chosen] -= series[..., chosen].mean(-1, keepdims=True)
    return series


def decorrelation_time(series):
    """Months at which the autocorrelation of a series falls to 1/e, linearly between lags; nan if it never does."""
    x = np.asarray(series, np.float64) - np.mean(series)
    variance = np.sum(x**2)
    previous = 1.0
    for lag in range(1, len(x) // 2) if variance > 0 else ():
        value = np.sum(x[:-lag] * x[lag:]) / variance
        if value < np.exp(-1):
            return lag - 1 + (previous - np.exp(-1)) / (previous - value)
        previous = value
    return np.nan


def smooth_spectrum(series, bins=12):
    """Power spectral density of a monthly series, averaged in bins of equal width in log frequency.

    Returns period (months) and density (units squared times months); over frequency it integrates to the variance.
    """
    count = len(series)
    power = 2 * np.abs(np.fft.rfft(series - np.mean(series))[1:]) ** 2 / count
    if count % 2 == 0:
        power[-1] /= 2
    frequency = np.fft.rfftfreq(count)[1:]
    place = np.digitize(frequency, np.geomspace(frequency[0], frequency[-1] * 1.001, bins + 1))
    used = np.unique(place)
    frequency, power = (np.array([values[place == bin].mean() for bin in used]) for values in (frequency, power))
    return 1 / frequency, power


def standard_error(series, block=12):
    """Standard error of the mean of a monthly series (month,) from its blocks of ``block`` months; nan below two.

    Means over blocks that do not overlap, from the first month on (a shorter rest is left out), are taken as
    independent: s / sqrt(n) of their deviation s (n - 1). Months of a block may depend on each other in any way; what
    lasts longer than a block, such as ENSO or a trend, makes the true error larger.
    """
    count = len(series) // block
    if count < 2:
        return np.nan
    means = np.reshape(series[: count * block], (count, block)).mean(1)
    return float(means.std(ddof=1) / np.sqrt(count))


def band_variance(series, low, high):
    """Variance of a monthly series at periods from ``low`` up to, not including, ``high`` months; the bands of a
    partition of all periods from 2 months on add up to the variance."""
    count = len(series)
    power = 2 * np.abs(np.fft.rfft(series - np.mean(series))[1:]) ** 2 / count**2
    if count % 2 == 0:
        power[-1] /= 2
    period = 1 / np.fft.rfftfreq(count)[1:]
    return float(power[(period >= low) & (period < high)].sum())
