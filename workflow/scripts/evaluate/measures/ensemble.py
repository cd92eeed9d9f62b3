"""How an ensemble's spread compares with its error, from monthly means over boxes of 15 degrees.

Members of an ensemble whose spread is right are such that what is observed might be one more of them: the spread-skill
ratio is 1, and it takes every rank among the members equally often. Needs numpy only: scoringrules' fair estimator of
the CRPS gives the same numbers from all pairs of members, for 50 of them in 65 times the time.
"""

import numpy as np

from workflow.scripts.common.grids import ConservativeRegridder, cell_areas, centres
from workflow.scripts.common.months import month_of_year

BOX_LAT, BOX_LON = centres(15, poles=False)


class Boxes:
    """Area means over the 12 x 24 boxes, for fields on the grid of ``lat`` and ``lon``."""

    def __init__(self, lat, lon):
        self.regrid = ConservativeRegridder((lat, lon), (BOX_LAT, BOX_LON))

    def mean(self, values):
        """(.., lat, lon) to (.., 12, 24)."""
        return self.regrid(values)


def box_mean(values):
    """Area mean of ``values`` (.., 12, 24) over the globe."""
    return np.tensordot(values, cell_areas(BOX_LAT, BOX_LON), axes=2)


def spread_and_error(members, observed):
    """Ensemble spread and error of the ensemble mean, area mean over boxes and mean over months: two floats.

    members: (member, month, 12, 24), at least two; observed: (month, 12, 24). The spread is the root of the mean
    variance of members times (n + 1) / n, the factor that makes it equal to the error where what is observed is one
    more member.
    """
    count = len(members)
    error = box_mean((members.mean(0) - observed) ** 2).mean()
    spread = box_mean(members.var(0, ddof=1)).mean() * (count + 1) / count
    return float(np.sqrt(spread)), float(np.sqrt(error))


def crps(members, observed):
    """Continuous ranked probability score of members (member, ..) against ``observed`` (..), fair for few members.

    mean |x_i - y| - sum_ij |x_i - x_j| / (2 n (n - 1)), in the units of the field; with one member the absolute error.
    """
    x = np.sort(np.asarray(members, np.float64), axis=0)
    count = len(x)
    error = np.abs(x - observed).mean(0)
    if count == 1:
        return error
    rank = (2 * np.arange(1, count + 1) - count - 1).reshape(-1, *[1] * (x.ndim - 1))
    return error - (rank * x).sum(0) / (count * (count - 1))


def rank_shares(members, observed):
    """Share of months and area in which ``observed`` is above 0, 1, .., n members, (n + 1), summing to 1."""
    ranks = (members < observed).sum(0)
    return np.array([box_mean((ranks == rank).astype(float)).mean() for rank in range(len(members) + 1)])


def climatology_crps(values, months, observed, wanted):
    """CRPS of the climatology: values of the same calendar month as an ensemble, however many there are.

    values: (month, 12, 24) at ``months``; observed: (wanted month, 12, 24) at ``wanted``. Returns (wanted month, 12,
    24), NaN in a month of the year that ``months`` lack.
    """
    calendar, asked = month_of_year(months), month_of_year(wanted)
    score = np.full(observed.shape, np.nan)
    for month in np.intersect1d(asked, calendar):
        score[asked == month] = crps(values[calendar == month][:, None], observed[asked == month])
    return score
