"""Transforms before normalizing, so that skewed fields become nearly Gaussian, and their inverses; any array shape."""

import numpy as np

LOGIT_MARGIN = 0.001  # fractions are kept this far from 0 and 1, where logit has no value


def transform(values, name):
    """``none``; ``sqrt`` (negatives, which regridding and packing leave, count as 0); ``logit`` of a fraction 0..1."""
    if name == "none":
        return values
    if name == "sqrt":
        return np.sqrt(np.maximum(values, 0))
    if name == "logit":
        fraction = np.clip(values, LOGIT_MARGIN, 1 - LOGIT_MARGIN)
        return np.log(fraction / (1 - fraction))
    raise ValueError(f"transform is '{name}', allowed are none, sqrt, logit")


def inverse_transform(values, name):
    """The inverse of ``transform``; for ``sqrt`` a negative value means 0."""
    if name == "none":
        return values
    if name == "sqrt":
        return np.maximum(values, 0) ** 2
    if name == "logit":
        return 1 / (1 + np.exp(-values))
    raise ValueError(f"transform is '{name}', allowed are none, sqrt, logit")
