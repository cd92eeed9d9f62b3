"""Units as udunits reads them."""

from functools import cache


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
