"""Means over area of fields (.., lat, lon), weighted as AIMIP weighs them.

Of plain arrays, since a summary takes thousands of them: xarray's weighted means would label each one first.
"""

import numpy as np


def latitude_weights(lat, max_latitude=90.0):
    """cos(lat), zero beyond ``max_latitude`` degrees: AIMIP's weights, float64 (lat,)."""
    lat = np.asarray(lat, np.float64)
    return np.where(np.abs(lat) <= max_latitude, np.clip(np.cos(np.deg2rad(lat)), 0, None), 0.0)


def weighted_mean(field, lat, max_latitude=90.0, weights=None):
    """Mean over the last two axes (lat, lon): sum(w x) / sum(w) with w = cos(lat), NaN left out.

    ``weights`` (lat, lon), for example a land fraction, multiplies w. NaN where no cell is left.
    """
    field = np.asarray(field, np.float64)
    w = np.broadcast_to(latitude_weights(lat, max_latitude)[:, None], field.shape[-2:])
    w = w if weights is None else w * weights
    known = np.isfinite(field)
    if known.all():
        total = w.sum()
        return np.tensordot(field, w, axes=2) / total if total > 0 else np.full(field.shape[:-2], np.nan)
    total = np.where(known, w, 0).sum((-2, -1))
    summed = np.where(known, field * w, 0).sum((-2, -1))
    return np.divide(summed, total, out=np.full(np.shape(summed), np.nan), where=total > 0)


def rms(field, lat, max_latitude=90.0, weights=None):
    """Root of the weighted mean square over the last two axes (lat, lon); RMSB where the field is a time-mean bias.

    weights: as in ``weighted_mean``.
    """
    return np.sqrt(weighted_mean(np.square(np.asarray(field, np.float64)), lat, max_latitude, weights))


def land_sea_means(field, lat, land_fraction):
    """Means of a field over land and over sea, and their ratio (nan where the sea mean is 0): three floats."""
    land = weighted_mean(field, lat, weights=land_fraction)
    sea = weighted_mean(field, lat, weights=1 - land_fraction)
    return float(land), float(sea), float(land / sea) if sea else np.nan
