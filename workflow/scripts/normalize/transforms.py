"""Transforms before normalizing, so that skewed fields become nearly Gaussian; the model undoes them."""

import numpy as np

LOGIT_MARGIN = 0.001  # fractions are kept this far from 0 and 1, where logit has no value


def transform(values, name):
    """Values of any shape by ``none``, ``sqrt`` (negatives, which regridding and packing leave, count as 0), ``logit``.

    Raises ValueError for another name.
    """
    if name == "none":
        return values
    if name == "sqrt":
        return np.sqrt(np.maximum(values, 0))
    if name == "logit":
        fraction = np.clip(values, LOGIT_MARGIN, 1 - LOGIT_MARGIN)
        return np.log(fraction / (1 - fraction))
    raise ValueError(f"transform is '{name}', allowed are none, sqrt, logit")
