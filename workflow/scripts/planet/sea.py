"""The planet's sea: surface temperature and ice, as values at the start of each month.

    S*(x, t) = S0(x, season) + W(t) w(x) + N(t) e(x) + sigma(x)/sqrt(K) sum_k r_k(t) p_k(x)     virtual SST
    SST      = Tf + d log(1 + exp((S* - Tf)/d))                                                    >= freezing, Tf
    ice      = c / (1 + exp((S* - Ti)/b))

W: warming, N: the observed Nino3.4 index, r_k: red noise with K random patterns p_k. The start of the month is the
primary thing (that is what the forcing file of AIMIP holds); the mean of month m is (v[m] + v[m+1])/2, exactly as a
reader of the forcing file gets it. All on the planet's grid, defined over land too.
"""

from functools import cache

import numpy as np

from workflow.scripts.common.months import month_of_year
from workflow.scripts.common.physics import SEA_FREEZING
from workflow.scripts.planet.climate import climate, features, sea_share, seasonal
from workflow.scripts.planet.grid import LAT, LON, area_mean, random_fields, smooth
from workflow.scripts.planet.modes import SST_DECORRELATION, nino34, red_noise, stream, warming

SST_SOFTNESS = 0.5  # K
ICE_CENTER, ICE_SOFTNESS = 270.3, 0.6  # K: half-covered at this virtual SST
ICE_MOST = 0.95  # the sea never freezes over entirely
SST_LAG = 1.5  # months from the middle of January to the sea's extreme season
PATTERNS, PATTERN_SCALE = 80, 11.0  # of the regional red noise; degrees
NINO_BOX = ((np.abs(LAT) < 5)[:, None] & (LON > 190) & (LON < 240)).astype(float)
TROPICS = (np.abs(LAT) < 20)[:, None] * np.ones(LON.size)


@cache
def sst_patterns():
    """Response of SST per K of warming and per K of the Nino3.4 index, at the two extreme seasons: (2, 2, 60, 120)."""
    warm = 1 + features("sst_warming")
    warm = warm / area_mean(warm.mean(axis=0), sea_share())
    enso = features("sst_enso")
    enso = enso - area_mean(enso, TROPICS * sea_share())[:, None, None] * TROPICS
    enso = enso / area_mean(enso.mean(axis=0), NINO_BOX)
    return np.stack([warm, enso])


@cache
def _regional_patterns(seed):
    """Red noise of SST in K per index, (60, 120, K): deviation 0.25 K in the tropics, 0.45 K in mid-latitudes."""
    deviation = 0.25 + 0.2 * np.exp(-(((np.abs(LAT) - 45) / 17) ** 2))
    patterns = random_fields(stream(seed, "sst patterns"), PATTERNS, PATTERN_SCALE) * deviation[:, None]
    return patterns.transpose(1, 2, 0) / np.sqrt(PATTERNS)


def virtual_sst(seed, months, anomaly=True):
    """Virtual SST at the start of ``months``, K, (month, 60, 120); without its anomaly: the climate of 1997."""
    start = (month_of_year(months) - 1) - 0.5  # the start of January lies half a month before its middle
    field = seasonal(climate("sst"), start, SST_LAG)
    if anomaly:
        warm, enso = (seasonal(pattern, start, SST_LAG) for pattern in sst_patterns())
        noise = red_noise(seed, "sst", months, PATTERNS, SST_DECORRELATION)
        field = field + warm * warming(months)[:, None, None] + enso * nino34(months)[:, None, None]
        field = field + np.tensordot(noise, _regional_patterns(seed), axes=(1, 2))
    return field


def month_starts(seed, months, anomaly=True):
    """SST (K) and sea ice cover (0..1) at the start of each of ``months``, each (month, 60, 120)."""
    virtual = virtual_sst(seed, months, anomaly)
    sst = SEA_FREEZING + SST_SOFTNESS * np.logaddexp(0, (virtual - SEA_FREEZING) / SST_SOFTNESS)
    return sst, ICE_MOST / (1 + np.exp((virtual - ICE_CENTER) / ICE_SOFTNESS))


def month_means(seed, months, anomaly=True):
    """SST (K) and sea ice cover (0..1) of each of ``months``: the mean of its start and the next month's start."""
    months = np.asarray(months, "datetime64[M]")
    starts = np.unique(np.concatenate([months, months + 1]))
    first, second = np.searchsorted(starts, months), np.searchsorted(starts, months + 1)
    return tuple((field[first] + field[second]) / 2 for field in month_starts(seed, starts, anomaly))


def drivers(anomaly):
    """What the atmosphere feels of an SST anomaly (month, 60, 120) over sea, as a dict; land values do not count.

    near (smoothed over 5 degrees of sea), region (over 14 degrees): (month, 60, 120); tropics (20 S - 20 N), globe
    (60 S - 60 N), nino (Nino3.4 less the tropics): (month, 1, 1). Linear in the anomaly.
    """
    sea = sea_share()
    reach = np.maximum(sea, 1e-9)  # so little that far inland, too, the nearest sea counts
    mean = {"tropics": TROPICS, "globe": (np.abs(LAT) < 60)[:, None] * np.ones(LON.size), "nino": NINO_BOX}
    mean = {name: area_mean(anomaly, box * sea)[:, None, None] for name, box in mean.items()}
    mean["nino"] = mean["nino"] - mean["tropics"]
    return {"near": smooth(anomaly, 5, reach), "region": smooth(anomaly, 14, reach), **mean}
