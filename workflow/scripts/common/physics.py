"""Constants of nature and the moisture of air, which several stages use; arrays of any shape, or scalars.

Needs numpy only, so CMOR's interpreter can import it. Saturation as in the IFS documentation, part IV (Buck 1981).
"""

import numpy as np

GRAVITY = 9.80665  # standard gravity, m s-2, of ERA5's geopotential and CF's geopotential height
SEA_FREEZING = 271.35  # K, -1.8 degC, of sea water (Hurrell et al. 2008, doi:10.1175/2008JCLI2292.1)
WATER_DENSITY = 1000.0  # kg m-3, the convention of ERA5's m of water equivalent
GAS_CONSTANT = 287.0597  # J kg-1 K-1, dry air
GAS_RATIO = GAS_CONSTANT / 461.5250  # of dry air over water vapor


def saturation_pressure(temperature):
    """Vapor pressure (Pa) at which air of ``temperature`` (K) saturates over water."""
    return 611.21 * np.exp(17.502 * (temperature - 273.16) / (temperature - 32.19))


def dew_point(vapor):
    """Temperature (K) at which ``vapor`` (Pa) saturates over water."""
    ratio = np.log(vapor / 611.21) / 17.502
    return (273.16 - 32.19 * ratio) / (1 - ratio)


def specific_humidity(vapor, pressure):
    """Specific humidity (1) of air with vapor pressure ``vapor`` at ``pressure``, both Pa."""
    return GAS_RATIO * vapor / (pressure - (1 - GAS_RATIO) * vapor)
