"""Global attributes of CMIP6: those that every file must carry, and its names for the resolution of a grid.

Shared by the tables that CMOR enforces and the checks. Needs numpy only, so CMOR's interpreter can import it.
"""

import math

import numpy as np

from workflow.scripts.common.grids import bounds, cell_areas, lat_edges, lon_edges

EARTH_RADIUS_KM = 6371.0

REQUIRED_ATTRIBUTES = (
    "Conventions activity_id creation_date data_specs_version experiment experiment_id forcing_index frequency "
    "further_info_url grid grid_label initialization_index institution institution_id license mip_era "
    "nominal_resolution physics_index product realization_index realm source source_id source_type sub_experiment "
    "sub_experiment_id table_id tracking_id variable_id variant_label"
).split()

# Upper bound of the mean cell diameter (km) of each nominal resolution in CMIP6's vocabulary.
NOMINAL_RESOLUTIONS = {
    "0.5 km": 0.72,
    "1 km": 1.6,
    "2.5 km": 3.6,
    "5 km": 7.2,
    "10 km": 16,
    "25 km": 36,
    "50 km": 72,
    "100 km": 160,
    "250 km": 360,
    "500 km": 720,
    "1000 km": 1600,
    "2500 km": 3600,
    "5000 km": 7200,
    "10000 km": math.inf,
}


def mean_diameter(lat, lon):
    """Area-weighted mean over the cells of the distance (km) between opposite corners, CMIP6's definition."""
    south, north = np.deg2rad(bounds(lat_edges(lat))).T
    width = np.deg2rad(np.diff(lon_edges(lon))).mean()
    cosine = np.sin(south) * np.sin(north) + np.cos(south) * np.cos(north) * np.cos(width)
    along = np.where(np.abs(south) < np.abs(north), south, north)  # the edge nearer the equator is the longer one
    chord = np.sin(along) ** 2 + np.cos(along) ** 2 * np.cos(width)
    diameter = EARTH_RADIUS_KM * np.arccos(np.clip(np.minimum(cosine, chord), -1, 1))
    return float(np.average(diameter, weights=cell_areas(lat, lon).sum(axis=1)))


def nominal_resolution(lat, lon):
    """CMIP6's name for the resolution of a grid, such as ``250 km``; exactly one degree is ``1x1 degree``."""
    if len(lat) == 180 and len(lon) == 360:
        return "1x1 degree"
    diameter = mean_diameter(lat, lon)
    return next(name for name, largest in NOMINAL_RESOLUTIONS.items() if diameter < largest)
