"""AIMIP's periods, and those that the evaluation speaks of, from the config's. Needs the standard library only."""

# First and last months in AIMIP Phase 1's protocol.
PROTOCOL = ("1978-10", "2024-12")  # of the simulation, which AIMIP's forcing file covers
PROTOCOL_TRAINING = ("1979-01", "2014-12")  # that training, and choices between models, may read; of its evaluation too
PROTOCOL_TEST = ("2015-01", "2024-12")  # of its evaluation, which no model has read


def with_protocol(simulation):
    """First and last month of AIMIP's period and of ``simulation`` (first, last) together, as a list of "YYYY-MM"."""
    starts, ends = zip(PROTOCOL, simulation, strict=True)
    return [min(starts), max(ends)]


def evaluation_periods(periods):
    """The evaluation's periods from the config's: simulation, training (with validation, as AIMIP's E1), test, and
    full, which is training and test together. {name: (first month, last month)}, "YYYY-MM"."""
    starts, ends = zip(periods["training"], periods["validation"], strict=True)
    span, test = (min(starts), max(ends)), tuple(periods["test"])
    full = min(span[0], test[0]), max(span[1], test[1])
    return {"simulation": tuple(periods["simulation"]), "training": span, "test": test, "full": full}
