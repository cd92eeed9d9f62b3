"""Constants of nature that several stages use. Needs the standard library only, so CMOR's interpreter can import it."""

GRAVITY = 9.80665  # standard gravity, m s-2, of ERA5's geopotential and CF's geopotential height
WATER_DENSITY = 1000.0  # kg m-3, the convention of ERA5's m of water equivalent
