"""The periods that the evaluation speaks of, from those of the config. Needs the standard library only."""


def evaluation_periods(periods):
    """The evaluation's periods from the config's: simulation, training (with validation, as AIMIP's E1), test, and
    full, which is training and test together. {name: (first month, last month)}, "YYYY-MM"."""
    starts, ends = zip(periods["training"], periods["validation"], strict=True)
    span, test = (min(starts), max(ends)), tuple(periods["test"])
    full = min(span[0], test[0]), max(span[1], test[1])
    return {"simulation": tuple(periods["simulation"]), "training": span, "test": test, "full": full}
