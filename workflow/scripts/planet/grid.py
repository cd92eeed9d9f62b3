"""The planet's own grid: where its smooth fields live, and how they get to any other grid.

Every smooth field of the synthetic planet is a cubic surface through values on one fixed grid of 3 degrees, 60 x 120
cell centres. So the planet is defined at every point of the sphere, and files of 0.25 and of 2.25 degrees describe
the same one. The grid also offers what the physics needs: smoothing with an isotropic kernel, isotropic random
fields, and the geostrophic wind of a geopotential. Fields are arrays (..., 60, 120), latitude increasing.
"""

from functools import cache

import numpy as np

from workflow.scripts.common.grids import lat_overlap, lon_overlap

STEP = 3.0
LAT = np.arange(-90 + STEP / 2, 90, STEP)
LON = np.arange(STEP / 2, 360, STEP)
ROWS, COLUMNS = LAT.size, LON.size
AREA = np.cos(np.deg2rad(LAT)) / np.cos(np.deg2rad(LAT)).sum() / COLUMNS  # share of the sphere of one cell, (row,)
RADIUS = 6.371e6  # m
OMEGA = 7.292e-5  # rad s-1
EQUATOR_TAPER = 9.0  # degrees: within about this latitude the wind is not geostrophic and its formula fades out
WAVES = 41  # zonal wave numbers 0..40 are kept in random and smoothed fields, shorter waves dropped


def cubic_weights(position, count):
    """Matrix (len(position), count) of cubic convolution (Keys 1981, a = -1/2) at fractional indices ``position``."""
    position = np.asarray(position, np.float64)
    base = np.floor(position).astype(int)
    weights = np.zeros((position.size, count))
    for step in range(-1, 3):
        x = np.abs(position - (base + step))
        near = 1.5 * x**3 - 2.5 * x**2 + 1
        far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
        np.add.at(weights, (np.arange(position.size), (base + step) % count), np.where(x <= 1, near, far))
    return weights


def across_poles(field, rows, sign=1):
    """``field`` with ``rows`` more rows beyond each pole: the same circles half a turn away, times ``sign``."""
    south = sign * np.roll(field[..., rows - 1 :: -1, :], COLUMNS // 2, axis=-1)
    north = sign * np.roll(field[..., : -rows - 1 : -1, :], COLUMNS // 2, axis=-1)
    return np.concatenate([south, field, north], axis=-2)


class Interpolator:
    """Carries fields of the planet's grid to the points of another grid, ``lat`` x ``lon`` in degrees, any order."""

    def __init__(self, lat, lon):
        self.lat, self.lon = np.asarray(lat, np.float64), np.asarray(lon, np.float64)
        rows = (self.lat - LAT[0]) / STEP + 2  # two rows beyond each pole
        self._rows = cubic_weights(rows, ROWS + 4).astype(np.float32)
        self._columns = cubic_weights((self.lon - LON[0]) / STEP, COLUMNS).astype(np.float32).T.copy()
        self._poles = np.abs(self.lat) > 90 - 1e-6

    def __call__(self, field, vector=False):
        """``field`` (..., 60, 120) on this grid, float32 (..., lat, lon); ``vector``: a wind component."""
        wide = across_poles(np.asarray(field, np.float32), 2, -1 if vector else 1)
        out = self._rows @ (wide @ self._columns)
        if not vector and self._poles.any():  # a scalar has one value at the pole
            out[..., self._poles, :] = out[..., self._poles, :].mean(axis=-1, keepdims=True)
        return out


def to_planet(field, lat, lon):
    """Area means of ``field`` (..., lat, lon) of a global grid over the planet's cells; NaN (land) is left out.

    Cells without any value get that of their surroundings. Raises ValueError if the field has no value at all.
    """
    if np.isnan(field).all():
        raise ValueError("the SST anomaly has no value anywhere: all points are NaN")
    rows, columns = lat_overlap(lat, LAT), lon_overlap(lon, LON)
    present = rows @ (~np.isnan(field)).astype(float) @ columns.T
    total = rows @ np.nan_to_num(field) @ columns.T
    known = np.broadcast_to(present, total.shape) > 1e-9
    mean = np.where(known, total / np.where(known, present, 1), 0)
    near = _convolve(mean * present * AREA[:, None], 12) / np.maximum(_convolve(present * AREA[:, None], 12), 1e-30)
    return np.where(known, mean, near)


def area_mean(field, weight=1.0):
    """Mean over the sphere of ``field`` (..., 60, 120), weighted by area and by ``weight`` (60, 120)."""
    weight = AREA[:, None] * weight * np.ones((ROWS, COLUMNS))
    return (field * weight).sum(axis=(-2, -1)) / weight.sum()


@cache
def _kernel(scale):
    """Zonal spectrum (wave, row, row) of the kernel exp(-(d/scale)^2/2), d = great-circle distance in degrees."""
    lat, turn = np.deg2rad(LAT), np.deg2rad(LON - LON[0])
    cosine = np.sin(lat)[:, None] * np.sin(lat) + np.cos(lat)[:, None] * np.cos(lat) * np.cos(turn)[:, None, None]
    kernel = np.exp((cosine - 1) / np.deg2rad(scale) ** 2)
    return np.fft.rfft(kernel, axis=0).real[:WAVES]


def smooth(field, scale, weight=None):
    """``field`` averaged with a Gaussian of ``scale`` degrees, over the part ``weight`` (60, 120) of each cell."""
    weight = np.ones((ROWS, COLUMNS)) if weight is None else weight
    return _convolve(np.asarray(field) * weight * AREA[:, None], scale) / _convolve(weight * AREA[:, None], scale)


def _convolve(field, scale):
    shape = field.shape
    spectrum = np.fft.rfft(field.reshape(-1, ROWS, COLUMNS), axis=-1)[..., :WAVES]
    return _synthesis(np.ascontiguousarray(spectrum.transpose(2, 1, 0)), scale).reshape(shape)


def _synthesis(spectrum, scale):
    """Apply the kernel to a zonal spectrum (wave, row, field), complex, and return fields (field, 60, 120)."""
    count = spectrum.shape[-1]
    parts = _kernel(scale).astype(spectrum.real.dtype) @ spectrum.view(spectrum.real.dtype).reshape(WAVES, ROWS, -1)
    spectrum = np.ascontiguousarray(parts).view(spectrum.dtype).reshape(WAVES, ROWS, count)
    return np.fft.irfft(spectrum.transpose(2, 1, 0), COLUMNS, axis=-1)


@cache
def _noise_deviation(scale):
    """Standard deviation by row of what ``_synthesis`` makes of unit complex white noise times sqrt(area)."""
    power = (_kernel(scale) ** 2 @ AREA) * np.where(np.arange(WAVES) == 0, 1, 4)[:, None]
    return np.sqrt(power.sum(axis=0)) / COLUMNS


def random_fields(generator, count, scale):
    """``count`` isotropic Gaussian random fields of mean 0, variance 1 and correlation length ``scale`` degrees."""
    white = generator.standard_normal((WAVES, ROWS, 2 * count), dtype=np.float32)
    spectrum = (white * np.sqrt(AREA).astype(np.float32)[:, None]).view(np.complex64)
    return _synthesis(spectrum, scale) / _noise_deviation(scale)[:, None]


def geostrophic_wind(geopotential):
    """Eastward and northward wind (m s-1) of ``geopotential`` (..., 60, 120) in m2 s-2.

    u = -(1/f) dPhi/dy and v = (1/f) dPhi/dx with 1/f replaced by f/(f^2 + f0^2), f0 = f(EQUATOR_TAPER), so that the
    formula fades to zero at the equator instead of growing without limit.
    """
    f, f0 = 2 * OMEGA * np.sin(np.deg2rad(LAT)), 2 * OMEGA * np.sin(np.deg2rad(EQUATOR_TAPER))
    factor = (f / (f**2 + f0**2) / (2 * np.deg2rad(STEP) * RADIUS))[:, None]
    wide = across_poles(geopotential, 1)
    north_south = wide[..., 2:, :] - wide[..., :-2, :]
    east_west = np.roll(geopotential, -1, axis=-1) - np.roll(geopotential, 1, axis=-1)
    return -factor * north_south, factor * east_west / np.cos(np.deg2rad(LAT))[:, None]
