"""From the GCM's sigma levels to pressure levels, and what a station would report. Needs numpy only.

Between levels temperature, wind and humidity are linear in the logarithm of pressure, and the geopotential is what such
a temperature integrates to. Below the lowest level the temperature falls with a constant lapse rate (as ECMWF extends
below the ground: IFS documentation, part VI), wind and humidity stay. Arrays are (level, ..), the top first.
"""

import numpy as np

from workflow.scripts.common import physics

GAS_CONSTANT = 287.04  # J kg-1 K-1, dry air, jcm's
GRAVITY = 9.81  # m s-2, jcm's: its geopotential is of this gravity
LAPSE = 6.5e-3  # K m-1
EXPONENT = GAS_CONSTANT * LAPSE / GRAVITY
VAPOR_RATIO = 0.622
# The GCM carries no moisture in the stratosphere. What stands there is the least that the air has: its saturation at
# the cold point of the tropical tropopause, growing with temperature, so that it varies as the temperature does.
DRY, DRY_TEMPERATURE, DRY_GROWTH = 2.4e-6, 205.0, 0.02  # kg kg-1, K, K-1
MOIST_BELOW = 250.0  # hPa: levels above have that least humidity


def on_levels(sigma, levels, state, surface_pressure):
    """Fields of ``state`` at pressure ``levels`` (hPa): dict by name t, q, u, v, z of (level, ..).

    ``sigma`` (n,) of the levels' middles; ``state``: the same names (n, ..) in K, kg kg-1, m s-1, m2 s-2;
    ``surface_pressure`` Pa, (..).
    """
    shape = (-1,) + (1,) * surface_pressure.ndim
    height = np.log(np.asarray(sigma)).reshape(shape) + np.log(surface_pressure)  # of each level: ln p
    found = {name: [] for name in "tquvz"}
    for level in levels:
        goal = np.log(100.0 * level) * np.ones_like(surface_pressure)
        lower = np.clip((height < goal).sum(axis=0), 1, len(height) - 1)
        ends = [np.take_along_axis(height, (lower + step)[None], axis=0)[0] for step in (-1, 0)]
        inside = np.minimum(goal, height[-1])
        share = (inside - ends[0]) / (ends[1] - ends[0])

        def between(values, lower=lower, share=share):
            above, below = (np.take_along_axis(values, (lower + step)[None], axis=0)[0] for step in (-1, 0))
            return above + share * (below - above), (below - above)

        for name in "quv":
            found[name].append(between(state[name])[0])
        temperature, difference = between(state["t"])
        straight, _ = between(state["z"])
        bend = 0.5 * GAS_CONSTANT * difference * share * (1 - share) * (ends[1] - ends[0])
        depth = goal - inside
        found["t"].append(temperature * np.exp(EXPONENT * depth))
        found["z"].append(straight + bend - GRAVITY / LAPSE * temperature * np.expm1(EXPONENT * depth))
    result = {name: np.stack(values) for name, values in found.items()}
    for place, level in enumerate(levels):
        least = DRY * np.exp(DRY_GROWTH * (result["t"][place] - DRY_TEMPERATURE))
        result["q"][place] = least if level < MOIST_BELOW else np.maximum(result["q"][place], least)
    return result


def hydrostatic(edges):
    """Weights (level, level) that make SPEEDY's geopotential above the ground of temperatures, m2 s-2 K-1.

    ``edges``: sigma of the levels' edges, the top first. A level has one temperature up to both edges, and where it has
    neighbours on both sides the slope between those corrects that of its lower part.
    """
    middles, count = (edges[1:] + edges[:-1]) / 2, len(edges) - 1
    lower = GAS_CONSTANT * np.log(edges[1:] / middles)
    upper = GAS_CONSTANT * np.log(middles[1:] / edges[1:-1])  # of all levels but the highest
    weights = np.zeros((count, count))
    for level in range(count - 1, -1, -1):
        if level < count - 1:
            weights[level] = weights[level + 1]
            weights[level, level + 1] += upper[level]
        weights[level, level] += lower[level]
    for level in range(1, count - 1):
        slope = 0.5 * lower[level] * np.log(edges[level + 1] / middles[level])
        slope /= np.log(middles[level + 1] / middles[level - 1])
        weights[level, level + 1] += slope
        weights[level, level - 1] -= slope
    return weights


def sea_level_pressure(lowest_temperature, lowest_sigma, surface_pressure, surface_geopotential):
    """Pressure at mean sea level, Pa, below ground of ``surface_geopotential`` (m2 s-2) with a constant lapse rate."""
    ground = lowest_temperature * lowest_sigma**-EXPONENT
    return surface_pressure * (1 + LAPSE * surface_geopotential / GRAVITY / ground) ** (1 / EXPONENT)


def dew_point(humidity, surface_pressure):
    """Temperature in K at which air of ``humidity`` (kg kg-1) saturates over water (Buck 1981, as ECMWF's)."""
    vapor = surface_pressure * humidity / (VAPOR_RATIO + (1 - VAPOR_RATIO) * humidity)
    return physics.dew_point(np.maximum(vapor, 1e-3))
