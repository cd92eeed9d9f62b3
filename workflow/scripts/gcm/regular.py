"""From the GCM's Gaussian grid to a regular one with poles. Needs numpy only.

Longitudes are the same; along a meridian fields are interpolated across the poles too, where the meridian goes on 180
degrees away. Winds change their sign there.
"""

from functools import cache

import numpy as np

from workflow.scripts.common.grids import centres

RESOLUTION = 3.75  # degrees, of the longitudes of T30


class Regular:
    """Regular grid of 3.75 degrees with poles: ``latitude`` (north to south), ``longitude`` (from 0), degrees.

    ``latitudes``: those of the Gaussian grid, south to north.
    """

    def __init__(self, latitudes):
        lat, self.longitude = centres(RESOLUTION)
        self.latitude = lat[::-1].copy()
        self.smooth, self.bounded = (_weights(tuple(latitudes), tuple(self.latitude), count) for count in (4, 2))

    def __call__(self, field, vector=False, bounded=False):
        """``field`` (.., longitude, latitude) as (.., latitude, longitude), north to south.

        ``vector``: a component of the wind. ``bounded``: interpolated linearly, so that no value goes beyond those
        around it; else with cubics, which keep small scales better.
        """
        turned = np.roll(field, field.shape[-2] // 2, axis=-2)[..., ::-1] * (-1 if vector else 1)
        extended = np.concatenate([turned[..., -2:], field, turned[..., :2]], axis=-1)
        found = np.swapaxes(extended @ (self.bounded if bounded else self.smooth).T, -1, -2)
        if not vector:
            for pole in (0, -1):
                found[..., pole, :] = found[..., pole, :].mean(axis=-1, keepdims=True)
        return found


@cache
def _weights(source, target, count):
    """Lagrange interpolation by ``count`` neighbours: (target, source), two rows more beyond each pole."""
    source = np.array(source)
    source = np.concatenate([-180 - source[1::-1], source, 180 - source[:-3:-1]])
    weights = np.zeros((len(target), len(source)))
    for row, place in enumerate(target):
        first = np.searchsorted(source, place, side="right") - count // 2
        nodes = source[first : first + count]
        for column, node in enumerate(nodes):
            others = np.delete(nodes, column)
            weights[row, first + column] = np.prod((place - others) / (node - others))
    return weights
