"""Names of fields: a variable of the submission and its level in hPa, ``ta850``, or at the surface ``tas``."""

import re


def field_name(variable, level=None):
    """``tas`` at the surface, ``ta850`` at a pressure level in hPa."""
    return variable if level is None else f"{variable}{level:.0f}"


def split_field(field):
    """``("ta", 850)`` from ``ta850``; the level in hPa is None at the surface."""
    variable, level = re.fullmatch(r"(\D+)(\d*)", field).groups()
    return variable, int(level) if level else None


def field_order(field):
    """Sort key of a field's name: surface fields first, then by variable and from the ground up."""
    variable, level = split_field(field)
    return level is not None, variable, -(level or 0)
