"""Skill over the test period: the CRPS of climatology, and ours less that of everything it is set beside.

A difference of two scores of the same months is known better than each of them, since hard months are hard for both.
Its standard error comes from paired blocks of a year (``standard_error``).
"""

import numpy as np

from workflow.scripts.common.skill import BOX_FIELDS, CLIMATOLOGY
from workflow.scripts.evaluate.measures.along_time import months_inside, standard_error
from workflow.scripts.evaluate.measures.ensemble import box_mean, climatology_crps

DIFFERENCE = "crps_ours_less_this"
DIFFERENCE_ERROR = f"{DIFFERENCE}_error"


def evaluate_climatology(results, reference, fields, periods):
    """CRPS of climatology, into ``results``: the reference's training values of the same month are its ensemble."""
    training, test = (months_inside(reference.months, *periods[name]) for name in ("training", "test"))
    for field in BOX_FIELDS:
        observed = reference.boxes(field) if field in fields else None
        if observed is not None:
            months = reference.months
            score = climatology_crps(observed[training], months[training], observed[test], months[test])
            if np.isfinite(score).all():
                results.add_crps((CLIMATOLOGY, "", ""), field, box_mean(score), reference.units[field])


def evaluate_differences(results, key, units):
    """Our CRPS less that of every other source, and its standard error, as rows of the other source in ``results``.

    key: our source, experiment and member in ``results.crps``; units: {field: text}. A test period below two years has
    no standard error.
    """
    ours = results.crps.get(key, {})
    for other, scores in results.crps.items():
        for field in [name for name in scores if name in ours and other != key]:
            difference = ours[field] - scores[field]
            error = standard_error(difference)
            results.add(*other, DIFFERENCE, "test", [field], difference.mean(), units[field])
            if np.isfinite(error):
                results.add(*other, DIFFERENCE_ERROR, "test", [field], error, units[field])
