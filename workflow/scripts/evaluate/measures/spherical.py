"""Power by total wavenumber on the sphere, of a scalar and of horizontal wind, on any latitude-longitude grid.

Spherical harmonics (scipy's, orthonormal) up to degree L are fitted to the field, zonal wavenumber by zonal wavenumber,
by least squares weighted with the cells' areas: exact for a field that has no smaller scales. Wind is expanded in
vector harmonics, so that it has no trouble with the poles (there v_theta + i v_phi and v_theta - i v_phi separate).
torch-harmonics and pyshtools would bring grids of their own, and torch or Fortran, into every summary's job.
"""

import numpy as np
from scipy.special import sph_legendre_p

from workflow.scripts.common.grids import cell_areas


class Harmonics:
    """The fit for one grid: ``lat`` (nlat) and ``lon`` (nlon, equally spaced round the globe) in degrees.

    ``degree`` L is the largest that the grid holds, min(nlat - 2, nlon / 2 - 1).
    """

    def __init__(self, lat, lon):
        self.degree = min(len(lat) - 2, (len(lon) - 1) // 2)
        if self.degree < 1:
            raise ValueError(f"a grid of {len(lat)} x {len(lon)} cells is too coarse for spherical harmonics")
        area = cell_areas(lat, lon)[:, 0]
        # P / sin(theta) of the wind has a limit at the poles, not a value.
        colatitude = np.clip(np.deg2rad(90 - np.asarray(lat, np.float64)), 1e-6, np.pi - 1e-6)
        self._scalar, self._plus, self._minus = [], [], []
        for order in range(self.degree + 1):
            degrees = np.arange(order, self.degree + 1)
            value, slope = sph_legendre_p(degrees[:, None], order, colatitude, diff_n=1)
            self._scalar.append(_fit(value, area))
            known = degrees > 0  # There is no wind of degree 0.
            size = np.sqrt(degrees * (degrees + 1.0))[known, None]
            turn = order * value[known] / np.sin(colatitude)
            self._plus.append(_fit((slope[known] - turn) / size, area))
            self._minus.append(_fit((slope[known] + turn) / size, area))

    def power(self, values):
        """Power of ``values`` (month, lat, lon) at each total wavenumber, (month, L + 1).

        Sums to the area mean of the square, where the field has no smaller scales.
        """
        return self._power(self._scalar, values)

    def kinetic_energy(self, u, v):
        """Kinetic energy per mass (m2 s-2) of wind (month, lat, lon) in m s-1 at each total wavenumber, (month, L + 1).

        Sums to the area mean of (u^2 + v^2) / 2.
        """
        # v_theta = -v points south. E + iB and E - iB squared add up to twice the power of E and B.
        plus, minus = -np.asarray(v, np.float64) + 1j * np.asarray(u), -np.asarray(v, np.float64) - 1j * np.asarray(u)
        return (self._power(self._plus, plus) + self._power(self._minus, minus)) / 4

    def _power(self, fits, values):
        waves = np.moveaxis(np.fft.fft(values, axis=-1), -1, 0) / values.shape[-1]
        power = np.zeros((values.shape[0], self.degree + 1))
        for order, fit in enumerate(fits):
            share = (2 if order else 1) / (4 * np.pi)  # Both signs of the zonal wavenumber.
            power[:, self.degree + 1 - len(fit) :] += share * np.abs(fit @ waves[order].T).T ** 2
        return power


def _fit(basis, area):
    """Matrix (degree, lat) that fits ``basis`` (degree, lat) to values (lat) by area-weighted least squares."""
    weighted = basis * area
    return np.linalg.solve(weighted @ basis.T, weighted)
