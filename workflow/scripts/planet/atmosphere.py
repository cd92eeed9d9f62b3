"""The planet's atmosphere: the 37 fields as formulas of season, SST, sea ice and weather.

``smooth_state`` makes what is smooth, on the planet's grid: temperature, humidity and wind on levels, sea-level
pressure, rain, and the air over sea and over land. ``surface`` puts the ground beneath it on a given grid, with its
coasts and mountains. The equations are in planet/world.py. Fields are (month, 60, 120) or (month, lat, lon).
"""

from functools import cache

import numpy as np

from workflow.scripts.common.physics import (
    GAS_CONSTANT,
    GAS_RATIO,
    GRAVITY,
    SEA_FREEZING,
    dew_point,
    saturation_pressure,
    specific_humidity,
)
from workflow.scripts.planet.climate import climate, features, sea_share, seasonal, zonal
from workflow.scripts.planet.grid import LAT, geostrophic_wind, random_fields, smooth
from workflow.scripts.planet.modes import stream
from workflow.scripts.planet.sea import drivers, month_means
from workflow.scripts.planet.weather import HIGH, LEVELS, OUTSIDE_TROPICS, WEATHER

# Forced warming of the air by level: in the tropics per K of tropical SST; elsewhere per K of SST, more at the poles
TROPICAL_WARMING = {1000: 1.0, 850: 1.15, 700: 1.35, 500: 1.65, 250: 2.2, 100: 0.8, 50: -0.6}
OTHER_WARMING = {1000: 1.0, 850: 1.15, 700: 1.15, 500: 1.25, 250: 1.0, 100: -0.5, 50: -0.6}
POLAR_EXCESS = {1000: 1.0, 850: 0.7, 700: 0.45, 500: 0.2, 250: 0.0, 100: 0.0, 50: 0.0}
LAND_WARMING, ICE_WARMING = 1.5, 1.7  # K of the air inland and over sea ice, per K of SST
# How far the contrast of land and sea reaches up: stationary waves in temperature, per K near the ground
CONTRAST = {1000: 1.0, 850: 0.6, 700: 0.4, 500: 0.22, 250: -0.2, 100: -0.12, 50: -0.05}
WAVE = {1000: 0.0, 850: 0.6, 700: 1.0, 500: 0.9, 250: -0.5, 100: -0.4, 50: -0.1}  # stationary waves of the troposphere
WAVE_ALOFT = {1000: 0.0, 850: 0.0, 700: 0.0, 500: 0.1, 250: 0.4, 100: 1.0, 50: 1.2}  # and of the stratosphere
ROUGH_SCALE = 8.0  # degrees: stationary waves too small for the tables, drawn once
ROUGH_PRESSURE, ROUGH_WARMTH = 1.2, 1.0  # hPa, K outside the tropics
ROUGH_WIND = {1000: 1.6, 850: 1.5, 700: 1.4, 500: 1.2, 250: 2.4, 100: 1.8, 50: 1.6}  # m s-1, beyond geostrophic
RH_BY_RAIN = {1000: 0.05, 850: 0.12, 700: 0.16, 500: 0.16, 250: 0.16}  # relative humidity per sqrt(mm/day)
HOT_LAND_DRYNESS = {1000: 0.34, 850: 0.1, 700: 0.0, 500: 0.0, 250: 0.0}  # relative humidity less where land is hottest
STRATOSPHERIC_MOISTENING = {100: 0.03, 50: 0.025}  # of sqrt(q), per K of tropical SST
SEA_AIR = 0.8  # K, open sea is this much warmer than the air above it
LAPSE = 5.8e-3  # K m-1, along the ground
FRICTION_SEA, FRICTION_LAND = 0.97, 0.72  # wind at 10 m per wind at 1000 hPa

TROPICAL = np.exp(-((LAT / 31) ** 4))[:, None]
LAND_POLAR_EXCESS = np.where(LAT > 0, 0.2, -0.15)[:, None]  # the Arctic's land warms more, Antarctica less
POLAR = (np.clip((np.abs(LAT) - 50) / 35, 0, 1))[:, None]


def mixed_saturation(temperature):
    """Saturation vapor pressure in Pa: over water, mixed between 0 C and -23 C, over ice below."""
    water = saturation_pressure(temperature)
    frozen = 611.21 * np.exp(22.587 * (temperature - 273.16) / (temperature + 0.7))
    share = np.clip((temperature - 250.16) / 23, 0, 1) ** 2
    return share * water + (1 - share) * frozen


def geopotential(msl, temperature, humidity):
    """Hypsometric geopotential (m2 s-2) of each level; ``msl`` Pa, dicts by level of K and kg/kg.

    Phi(1000) = R Tv(1000) ln(msl / 1000 hPa); between levels R times the mean Tv times the difference of ln p.
    """
    virtual = {level: temperature[level] * (1 + (1 / GAS_RATIO - 1) * humidity[level]) for level in LEVELS}
    heights = {LEVELS[0]: GAS_CONSTANT * virtual[LEVELS[0]] * np.log(msl / (100 * LEVELS[0]))}
    for below, above in zip(LEVELS, LEVELS[1:], strict=False):
        mean = (virtual[below] + virtual[above]) / 2
        heights[above] = heights[below] + GAS_CONSTANT * mean * np.log(below / above)
    return heights


def _rough(name):
    """Fixed random field at both extremes of the season, the same for every seed: (2, 60, 120), variance 1."""
    always, january, july = random_fields(stream(0, "rough", name), 3, ROUGH_SCALE)
    return np.sqrt(0.75) * always + 0.5 * np.stack([january, july])


@cache
def _facts():
    """Fixed fields: how continental each place is, and the seasonal extremes of every climate of the tables."""
    names = ["land", "msl", "pr", *(f"rh{level}" for level in RH_BY_RAIN)]
    names += [f"{letter}{level}" for letter in "u" for level in LEVELS] + ["v1000", "v850", "v250"]
    facts = {name: climate(name) for name in names}
    facts |= {f"t{level}": zonal(f"t{level}") for level in LEVELS if level != 1000}
    facts |= {f"sqrtq{level}": zonal(f"sqrtq{level}") for level in (100, 50)}
    facts["wave"], facts["wave aloft"] = features("wave"), features("wave aloft")
    rough = _rough("pressure"), _rough("warmth")
    facts["msl"] = facts["msl"] + ROUGH_PRESSURE * (0.3 + 0.7 * OUTSIDE_TROPICS) * rough[0]
    facts["wave"] = facts["wave"] + ROUGH_WARMTH * OUTSIDE_TROPICS * rough[1]
    for level in LEVELS:
        for name in (f"u{level}", f"v{level}"):
            facts[name] = facts.get(name, 0) + ROUGH_WIND[level] * _rough(name)
    facts["ice air"] = np.minimum(zonal("land"), 272.6)
    facts["continental"] = np.clip(1.3 * smooth(1 - sea_share(), 5), 0, 1)
    facts["hot land"] = facts["continental"] * np.clip((facts["land"] - 297) / 10, 0, 1)
    return facts


@cache
def _response(field):
    return features(f"{field}_warming"), features(f"{field}_enso")


def _forced(field, force, month):
    """Features of the response of ``field`` to tropical warming and to Nino3.4."""
    warm, enso = _response(field)
    return seasonal(warm, month) * force["tropics"] + seasonal(enso, month) * force["nino"]


def _low_air(month, sst, ice, force, weather):
    """Air near sea level over sea and over land, and both mixed: three fields in K."""
    facts, spread = _facts(), 0.5 * force["region"] + 0.5 * force["globe"]
    cover = seasonal(facts["ice air"], month) + ICE_WARMING * spread + weather["land"]
    sea = (1 - ice) * (sst - SEA_AIR + 0.25 * weather["t850"]) + ice * cover
    inland = seasonal(facts["land"], month) + LAND_WARMING * (1 + LAND_POLAR_EXCESS * POLAR) * spread
    inland = inland + _forced("land", force, month) + weather["land"] + 0.6 * weather["t850"]
    land = sea + facts["continental"] * (inland - sea)
    return sea, land, sea + (1 - sea_share()) * (land - sea)


@cache
def climate_background():
    """Of the climate of each month 0..11: the stationary waves near the ground (12, 60, 120), K, and the zonal-mean
    geopotential by level (12, 60, 1). The wind tables stand for the wind of the latter."""
    month = np.arange(12)
    sst, ice = month_means(0, np.datetime64("1997-01", "M") + month, anomaly=False)
    force, still = drivers(np.zeros_like(sst)), dict.fromkeys(WEATHER, 0.0)
    low = smooth(_low_air(month, sst, ice, force, still)[2], 4)
    waves = low - low.mean(axis=-1, keepdims=True)
    air = _air(month, sst, ice, force, still, waves)
    return waves, {level: smooth(air[f"z{level}"], 4).mean(axis=-1, keepdims=True) for level in LEVELS}


def _air(month, sst, ice, force, weather, waves):
    """All that is smooth but the wind: t, q, z by level, msl, pr, rh, sea, land, sst, ice."""
    facts = _facts()
    sea, land, low = _low_air(month, sst, ice, force, weather)
    spread = 0.55 * force["region"] + 0.45 * force["globe"]
    pressure_change = _forced("msl", force, month) + weather["msl"]
    high = _forced("msl", force, month) * OUTSIDE_TROPICS
    wave, wave_aloft = seasonal(facts["wave"], month), seasonal(facts["wave aloft"], month)
    msl = 100 * (seasonal(facts["msl"], month) + pressure_change)

    temperature = {1000: smooth(low, 3) - 0.3 + weather["t1000"]}
    for level in LEVELS[1:]:
        tropical = TROPICAL_WARMING[level] * force["tropics"] + 0.2 * (force["region"] - force["tropics"])
        other = OTHER_WARMING[level] * (1 + POLAR_EXCESS[level] * POLAR) * spread
        mean = seasonal(facts[f"t{level}"], month) + CONTRAST[level] * waves
        mean = mean + WAVE[level] * wave + WAVE_ALOFT[level] * wave_aloft
        warming = TROPICAL * tropical + (1 - TROPICAL) * other
        temperature[level] = mean + warming + HIGH[level] * high + weather[f"t{level}"]

    normal = seasonal(facts["pr"], month)
    wetter = 0.22 * TROPICAL * (force["near"] - force["tropics"]) - 0.03 * pressure_change
    wetter = (wetter + _forced("pr", force, month) + weather["rain"]) * np.clip(normal / 1.3, 0.15, 1.2)
    rain = np.maximum(normal * (1 + 0.012 * force["tropics"]) + wetter, 0)
    wet = normal - normal.mean(axis=-1, keepdims=True) + 0.5 * wetter

    humidity, relative = {}, {}
    for level, by_rain in RH_BY_RAIN.items():
        noise = weather["moist"] if level > 500 else weather["moist aloft"]
        mean = seasonal(facts[f"rh{level}"] - HOT_LAND_DRYNESS[level] * facts["hot land"], month)
        relative[level] = np.clip(mean + by_rain * wet + noise, 0.05, 0.98)
        humidity[level] = specific_humidity(relative[level] * mixed_saturation(temperature[level]), 100 * level)
    for level, moistening in STRATOSPHERIC_MOISTENING.items():
        root = seasonal(facts[f"sqrtq{level}"], month, lag=1.5) * (1 + moistening * force["tropics"])
        humidity[level] = (1e-3 * (root + 0.02 * weather[f"t{level}"])) ** 2

    heights = geopotential(msl, temperature, humidity)
    fields = {"msl": msl, "pr": rain**2 / 86400, "rh": relative[1000], "sea": sea, "land": land, "sst": sst, "ice": ice}
    for letter, levels in (("t", temperature), ("q", humidity), ("z", heights)):
        fields |= {f"{letter}{level}": field for level, field in levels.items()}
    return {name: np.broadcast_to(field, sst.shape) for name, field in fields.items()}


def smooth_state(month, sst, ice, anomaly, weather=None):
    """Everything smooth, as a dict of fields (month, 60, 120) on the planet's grid.

    ``month`` (n,) 0..11; ``sst`` (K) and ``ice`` of the months; ``anomaly``: SST less its climate, K; ``weather``: see
    `weather.py`, none by default. Keys: t, q, u, v, z with the level; msl (Pa), pr (kg m-2 s-1), sea and land (air
    near sea level, K), rh (near the ground), sst, ice.
    """
    weather = dict.fromkeys(WEATHER, 0.0) if weather is None else weather
    facts, force = _facts(), drivers(anomaly)
    waves, rest = climate_background()
    fields = _air(month, sst, ice, force, weather, waves[month])
    for level in LEVELS:
        eddy = geostrophic_wind(smooth(fields[f"z{level}"], 4) - rest[level][month])
        for letter, wind in zip("uv", eddy, strict=True):
            name = f"{letter}{level}"
            fields[name] = seasonal(facts[name], month) + _forced(name, force, month) + weather[name] + wind
    return fields


def surface(fields, carry, land, height):
    """Add the fields that know coasts and mountains, on the grid of ``carry`` (an ``Interpolator`` of `grid.py`).

    ``fields``: of ``smooth_state``; ``land`` (0..1), ``height`` (m): (lat, lon). Yields (channel, (month, lat, lon)
    float32): skt, t2m, d2m, sp, msl, u10, v10, avg_tprate.
    """
    msl, sst, sea, inland = (carry(fields[name]) for name in ("msl", "sst", "sea", "land"))
    ice = np.clip(carry(fields["ice"]), 0, 1)
    inversion = 8 * np.clip((260 - inland) / 28, 0, 1) * np.clip(height / 1500, 0, 1)  # over ice sheets
    ground = inland - LAPSE * height - inversion
    air = sea + land * (ground - sea)
    yield "t2m", air
    open_sea = (1 - ice) * np.maximum(sst, SEA_FREEZING) + ice * (sea - 0.5)
    skin_sea = np.where(land < 0.01, open_sea, sea + SEA_AIR * (1 - ice))
    yield "skt", skin_sea + land * (ground + 0.05 * (ground - 272) - skin_sea)
    relative = np.clip(carry(fields["rh"]) - 0.08 * land * (air > 273.16), 0.1, 0.99)
    yield "d2m", np.minimum(dew_point(relative * saturation_pressure(air)), air)
    yield "msl", msl
    yield "sp", msl * np.exp(-GRAVITY * height / (GAS_CONSTANT * (air + LAPSE * height / 2)))
    friction = FRICTION_SEA + (FRICTION_LAND - FRICTION_SEA) * land
    yield "u10", friction * carry(fields["u1000"], vector=True)
    yield "v10", friction * carry(fields["v1000"], vector=True)
    yield "avg_tprate", np.maximum(carry(fields["pr"]), 0)
