"""The planet's internal variability: modes and fine noise that SST does not force, on the planet's grid.

Pressure at the sea surface and temperature are drawn; wind follows from them (geostrophic), so the fields of one
month agree with each other. Draws depend on (seed, year, name) alone: the jobs that make the single-level and the
pressure-level file of a year see the same weather. Noise is independent from month to month, modes are red.
"""

from functools import cache

import numpy as np

from workflow.scripts.common.months import month_of_year, year_of
from workflow.scripts.planet.climate import features, seasonal
from workflow.scripts.planet.grid import LAT, random_fields
from workflow.scripts.planet.modes import MODES, index, stream

LEVELS = (1000, 850, 700, 500, 250, 100, 50)  # hPa
WEATHER = ("msl", "land", "moist", "moist aloft", "rain", *(f"{letter}{level}" for letter in "tuv" for level in LEVELS))
NOISE_SCALES = {  # degrees, correlation length
    "pressure": 11.0,
    "warmth": 9.0,
    "ground": 7.0,
    "stratosphere": 17.0,
    "moist": 7.0,
    "moist aloft": 7.0,
    "rain": 6.5,
}
WIND_NOISE = {1000: 0.5, 850: 0.6, 700: 0.7, 500: 0.9, 250: 1.5, 100: 1.0, 50: 0.8}  # m s-1, beyond geostrophic
WIND_NOISE_SCALE = 8.0
# Temperature by level: of the noise "warmth" and of a surface high (K per hPa, outside the tropics: warm-core highs)
WARMTH = {1000: 0.8, 850: 1.0, 700: 1.0, 500: 1.0, 250: -0.3, 100: -0.4, 50: -0.2}
HIGH = {1000: 0.0, 850: 0.06, 700: 0.12, 500: 0.17, 250: -0.22, 100: -0.15, 50: -0.04}
STRATOSPHERE = {1000: 0.0, 850: 0.0, 700: 0.0, 500: 0.0, 250: 0.35, 100: 0.75, 50: 1.0}
GROUND = {1000: 1.0, 850: 0.5, 700: 0.25, 500: 0.1, 250: 0.0, 100: 0.0, 50: 0.0}  # reach of the ground's anomaly
QBO_WIND = {50: (11.0, 0.0), 100: (-1.0, 3.0)}  # m s-1 at the equator per index (its two phases)
QBO_WARMTH = {50: (0.3, 1.6), 100: (-0.5, 0.5)}  # K
QBO_WIDTH = 12.0  # degrees

POLEWARD = np.clip((np.abs(LAT) - 12) / 35, 0, 1)
OUTSIDE_TROPICS = (POLEWARD**2 * (3 - 2 * POLEWARD))[:, None]  # 0 at the equator, 1 beyond 47 degrees


def winter(month):
    """-1 in local summer .. 1 in local winter, for ``month`` (n,) of the year (0 = January): (month, 60, 1)."""
    north = np.cos(2 * np.pi * (np.asarray(month) - 0.5) / 12)[:, None, None]
    return north * np.clip(LAT / 20, -1, 1)[:, None]


def _noise(seed, months, name, scale):
    years = year_of(months)
    by_year = {year: random_fields(stream(seed, year, name), 12, scale) for year in np.unique(years)}
    return np.stack([by_year[year][month - 1] for year, month in zip(years, month_of_year(months), strict=True)])


def mode_pattern(name, quantity, month):
    """Pattern of the mode per unit index, for ``month`` (n,) 0..11: ``msl`` hPa, ``land`` K; (month, 60, 120)."""
    return seasonal(_features(quantity, name), month)


@cache
def _features(quantity, name):
    return features(f"{quantity}_{name}")


def weather(seed, months, noise=True, modes=None):
    """Departures caused by modes and noise: dict of arrays (month, 60, 120), or 0 where nothing varies.

    ``modes``: {name: index (month, columns)} of the modes that are active; None: all, with the planet's own indices.
    Keys: msl (hPa), land (K, of the ground), t{level} (K), u{level}, v{level} (m s-1, beyond geostrophic wind), moist,
    moist aloft (relative humidity), rain (sqrt(mm/day)).
    """
    month = month_of_year(months) - 1
    modes = {name: index(seed, name, months) for name in MODES} if modes is None else modes
    out = dict.fromkeys(WEATHER, 0.0)
    for name, series in modes.items():
        series = series[..., None, None]
        if name == "qbo":
            shape = np.exp(-((LAT / QBO_WIDTH) ** 2))[:, None] * np.ones(2 * LAT.size)
            for letter, table in (("u", QBO_WIND), ("t", QBO_WARMTH)):
                for level, (first, second) in table.items():
                    out[f"{letter}{level}"] = (first * series[:, 0] + second * series[:, 1]) * shape
            continue
        out["msl"] = out["msl"] + series[:, 0] * mode_pattern(name, "msl", month)
        out["land"] = out["land"] + series[:, 0] * mode_pattern(name, "land", month)
    warmth = stratosphere = 0.0
    if noise:
        cold, draw = winter(month), {name: _noise(seed, months, name, scale) for name, scale in NOISE_SCALES.items()}
        out["msl"] = out["msl"] + draw["pressure"] * (0.55 + 2.7 * OUTSIDE_TROPICS * (1 + 0.4 * cold))
        out["land"] = out["land"] + draw["ground"] * (0.35 + 1.0 * OUTSIDE_TROPICS * (1 + 0.5 * cold))
        out["moist"], out["moist aloft"] = 0.03 * draw["moist"], 0.05 * draw["moist aloft"]
        out["rain"] = 0.22 * draw["rain"]
        warmth = draw["warmth"] * (0.3 + 0.9 * OUTSIDE_TROPICS * (1 + 0.35 * cold))
        stratosphere = draw["stratosphere"] * (0.6 + 1.6 * OUTSIDE_TROPICS * (1 + 0.7 * cold))
        for level in LEVELS:
            for letter in "uv":
                wind = WIND_NOISE[level] * _noise(seed, months, f"{letter}{level}", WIND_NOISE_SCALE)
                out[f"{letter}{level}"] = out[f"{letter}{level}"] + wind
    high = out["msl"] * OUTSIDE_TROPICS
    for level in LEVELS:
        ground = GROUND[level] * out["land"] if level < 1000 else 0.0  # at 1000 hPa it comes with the ground itself
        out[f"t{level}"] = out[f"t{level}"] + WARMTH[level] * warmth + STRATOSPHERE[level] * stratosphere
        out[f"t{level}"] = out[f"t{level}"] + HIGH[level] * high + ground
    return out
