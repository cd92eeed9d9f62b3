"""Units as real files write them and as udunits reads them, and the way from one to another."""

import re
from functools import cache

import numpy as np

from workflow.scripts.common.physics import GRAVITY, WATER_DENSITY

# Units as real files write them where udunits does not read them, or reads something else (C is coulomb).
SPELLED = {
    **dict.fromkeys(("~", "(0 - 1)", "(0-1)", "0-1", "dimensionless", "fraction", "proportion", "none", "-", ""), "1"),
    # ecCodes since 2.4x, of slopes and of types of soil and plants.
    **dict.fromkeys(("Numeric", "(-1 to 1)", "(Code table 4.213)", "(Code table 4.234)"), "1"),
    **dict.fromkeys(("C", "deg_c", "Celcius"), "degC"),
    **dict.fromkeys(("mb", "hpa", "HPA"), "hPa"),
    **dict.fromkeys(("gpm", "geopotential meter", "geopotential metre"), "m"),
    **dict.fromkeys(("m of water equivalent", "m of water"), "m"),
}
# A degree of temperature in two words, which udunits takes for an angle times a temperature: 288 degrees K are 5.03 K.
DEGREES = re.compile(
    r"(?:\bdeg(?:ree)?s?[\s.*-]+|°[\s.*-]*)(k(?:elvins?)?|c(?:el[sc]ius)?|f(?:ahrenheit)?)\b", re.IGNORECASE
)
ANGLE, TEMPERATURE = (
    re.compile(rf"(?<![a-z_])(?:{names})(?![a-z_])", re.IGNORECASE)
    for names in ("(?:arc_?)?deg(?:ree)?s?|°", "k|kelvins?|celsius|fahrenheit|rankine|deg_?[ckfr]")
)


@cache
def unit(text):
    """The cf_units.Unit that udunits reads in ``text``, or None."""
    # Not above: importing it takes time and writes a temporary file, and a disk without room is told inside a program's
    # frame only.
    import cf_units

    try:
        return cf_units.Unit(text)
    except ValueError:
        return None


def conversion(found, wanted, name, label=None):
    """(factor, offset) that turn values of the variable ``name`` from the units ``found`` into ``wanted``.

    Depths of precipitation become masses of water, geopotential its height, and height geopotential. Raises ValueError
    that names the variable, both units and ``label`` (the file, if given) where there is no way from one to the other.
    """
    place = f"{label}: " if label else ""
    found, wanted = str(found), str(wanted)
    if spelled(found) == spelled(wanted):
        return 1.0, 0.0
    target, stated = unit(spelled(wanted)), unit(spelled(found))
    if stated is None:
        raise ValueError(f"{place}'{name}' is in '{found}', which is no unit that udunits knows; '{wanted}' is wanted")
    if ANGLE.search(spelled(found)) and TEMPERATURE.search(spelled(found)):
        raise ValueError(f"{place}'{name}' is in '{found}', an angle with a temperature; write it without, '{wanted}'")
    ways = [(1.0, target), (WATER_DENSITY, target / "kg m-3"), (1 / GRAVITY, target * "m s-2")]
    if target == unit("m2 s-2"):
        ways.append((GRAVITY, target / "m s-2"))
    for factor, way in ways:
        if stated.is_convertible(way):
            zero, one = stated.convert(np.array([0.0, 1.0]), way)
            return factor * (one - zero), factor * zero
    raise ValueError(f"{place}'{name}' is in '{found}', which cannot be converted to '{wanted}'; give it in that unit")


def spelled(units):
    """``units`` as udunits spells them."""
    text = str(units).strip()
    text = DEGREES.sub(lambda found: {"k": "K", "c": "degC", "f": "degF"}[found[1][0].lower()], text)
    return SPELLED.get(text, text)
