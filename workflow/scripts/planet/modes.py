"""What varies in time on the planet: the drivers of SST and the internal modes that SST does not force.

Each is an index by month times a fixed pattern. Red noise is x[m] = a x[m-1] + sqrt(1 - a^2) e[m], of variance 1,
started once in EPOCH and drawn month by month, so that a longer period never changes an earlier value and one year
costs a few milliseconds. Months are ``datetime64[M]``.
"""

import zlib
from dataclasses import dataclass
from functools import cache

import numpy as np

from workflow.scripts.common.tables import read_rows
from workflow.scripts.planet.climate import DATA

EPOCH = np.datetime64("1940-01", "M")  # the planet's first month
WARMING_START, WARMING_CENTER = 1970.0, 1997.0  # steady before the start; the anomaly is zero in the center
WARMING_RATE, WARMING_ACCELERATION = 0.0178, 0.00017  # K per year in the center, K per year^2: mean sea surface
QBO_MONTHS = 28.0


@dataclass(frozen=True)
class Mode:
    """An internal mode: ``decorrelation`` (months to correlation 1/e; none for the QBO, whose period is given)."""

    name: str
    decorrelation: float | None
    period: float | None = None


MODES = {
    "nao": Mode("nao", 1.5),
    "sam": Mode("sam", 2.0),
    "pna": Mode("pna", 1.3),
    "qbo": Mode("qbo", None, QBO_MONTHS),
}
SST_DECORRELATION = 8.0  # months, regional red noise of the sea


def stream(seed, *names):
    """A random generator that depends on the planet's seed and on ``names`` (text or int) alone."""
    return np.random.default_rng([seed, *(zlib.crc32(str(name).encode()) for name in names)])


def month_number(months):
    """Months since EPOCH, int; raises ValueError for a month before it."""
    number = (np.asarray(months, "datetime64[M]") - EPOCH).astype(int)
    if number.size and number.min() < 0:
        raise ValueError(f"the synthetic planet starts in {EPOCH}: {np.min(months)} lies before it")
    return number


@cache
def _red_noise(seed, name, count, decorrelation, length):
    shocks = stream(seed, name).standard_normal((length, count))
    memory = np.exp(-1 / decorrelation)
    series = np.empty_like(shocks)
    series[0] = shocks[0]
    for month in range(1, length):
        series[month] = memory * series[month - 1] + np.sqrt(1 - memory**2) * shocks[month]
    return series


def red_noise(seed, name, months, count, decorrelation):
    """``count`` independent red-noise indices of variance 1 at ``months``, (month, count)."""
    number = month_number(months)
    return _red_noise(seed, name, count, decorrelation, int(number.max()) + 1)[number]


def index(seed, name, months):
    """Index of the internal mode ``name`` at ``months``, mean 0 and variance 1; the QBO has two columns, a quarter
    of a period apart, the others one: (month, 1 or 2)."""
    mode = MODES[name]
    if mode.period is None:
        return red_noise(seed, name, months, 1, mode.decorrelation)
    phase = stream(seed, name).uniform(0, 2 * np.pi) + 2 * np.pi * month_number(months) / mode.period
    return np.sqrt(2) * np.stack([np.cos(phase), np.sin(phase)], axis=-1)


def warming(months):
    """Warming of the mean sea surface at the start of each month, K: constant before 1970, then ever faster."""
    years = np.maximum(1970 + np.asarray(months, "datetime64[M]").astype(int) / 12, WARMING_START) - WARMING_CENTER
    return WARMING_RATE * years + WARMING_ACCELERATION * years**2


@cache
def _nino34():
    rows = read_rows(DATA / "nino34_index.csv")
    months = np.array([row["date"][:7] for row in rows], "datetime64[M]").astype(int)
    return months, np.array([float(row["nino34"]) for row in rows])


def nino34(months):
    """Nino3.4 index (K) at the start of each month: the observed one, linear between its quarterly values.

    Outside 1978-10..2025-01 the record repeats.
    """
    known, values = _nino34()
    known, values = np.append(known, known[-1] + 3), np.append(values, values[0])
    wrapped = known[0] + (np.asarray(months, "datetime64[M]").astype(int) - known[0]) % (known[-1] - known[0])
    return np.interp(wrapped, known, values)
