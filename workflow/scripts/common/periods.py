"""AIMIP's period, and those that the evaluation speaks of, from the config's. Needs the standard library only."""

PROTOCOL = ("1978-10", "2024-12")  # first and last month of AIMIP Phase 1, which AIMIP's forcing file covers


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
