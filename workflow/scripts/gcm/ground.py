"""The ground under the GCM's atmosphere, SPEEDY's: a slab of soil or land ice. Needs numpy only.

Its departure from the climatology takes up the heat that goes into the ground and fades in 40 days, in steps of a day.
"""

import numpy as np

SECONDS = 86400.0
FADING = 40.0  # days
LEAST_LAND = 1 / 3  # share of a cell with less land keep to the climatology
ICE_ALBEDO = 0.4  # bare ground that reflects more is land ice
SOIL, LAND_ICE = 1.0 * 2.50e6, 5.0 * 1.93e6  # J m-2 K-1: depth in m times heat capacity
CONDUCTIVITY = 7.0  # W m-2 K-1, between skin and ground, jcm's and SPEEDY's, with and without snow


class Ground:
    """Temperature of the ground: ``anomaly`` (longitude, latitude), K, beside its climatology.

    ``land``: share of land, ``albedo``: of bare ground, both (longitude, latitude).
    """

    def __init__(self, land, albedo):
        self.land, self.anomaly = land, np.zeros_like(land, np.float64)
        self.per_heat = SECONDS / np.where(albedo < ICE_ALBEDO, SOIL, LAND_ICE)
        self.left = np.where(land >= LEAST_LAND, FADING / (1 + FADING), 0.0)

    def temperature(self, climatology):
        """The ground where the climatology of the day is ``climatology``, K."""
        return climatology + self.anomaly

    def flux(self, excess):
        """Heat flux into the ground, W m-2, where a cell's skin is ``excess`` K warmer than its surface."""
        some = self.land > 0
        return np.where(some, CONDUCTIVITY * excess / np.where(some, self.land, 1), 0)

    def step(self, flux):
        """A day of ``flux`` (W m-2) into the ground."""
        self.anomaly = self.left * (self.anomaly + self.per_heat * flux)
