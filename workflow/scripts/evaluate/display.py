"""Units that people read: the factor and the text for each variable, where they differ from the files' units."""

from workflow.scripts.common.field_names import split_field

SCALES = {
    "pr": (86400, "mm/day"),
    "ps": (0.01, "hPa"),
    "psl": (0.01, "hPa"),
    "hus": (1e3, "g/kg"),
    "huss": (1e3, "g/kg"),
}
PLAIN = {
    "m s-1": "m/s",
    "K decade-1": "K/decade",
    "kg m-2 s-1": "mm/day",
    "1": "",
    "m2 s-2": "m²/s²",
    "month": "months",
    "degrees": "°",
    "degrees_north": "°N",
}
NAMES = {
    "tas": "2 m temperature",
    "ts": "surface temperature",
    "pr": "precipitation",
    "ps": "surface pressure",
    "psl": "sea-level pressure",
    "huss": "2 m specific humidity",
    "tdas": "2 m dewpoint",
    "uas": "10 m zonal wind",
    "vas": "10 m meridional wind",
    "ta": "temperature",
    "hus": "specific humidity",
    "ua": "zonal wind",
    "va": "meridional wind",
    "zg": "geopotential height",
    "ke": "kinetic energy",
}


def scale_of(field, units):
    """Factor and text to show values of a field that is in ``units``: (86400, "mm/day") for precipitation."""
    variable, _ = split_field(field)
    return SCALES.get(variable, (1, PLAIN.get(units, units)))


def long_name(field):
    """``850 hPa temperature``, ``2 m temperature``; the name itself where it is not known."""
    variable, level = split_field(field)
    name = NAMES.get(variable, variable)
    return name if level is None else f"{level} hPa {name}"


def squared(units):
    """Text of squared units: ``K²``, ``(m/s)²``."""
    return f"({units})²" if "/" in units else f"{units}²"


def scale_of_metric(metric, field, units):
    """Factor and text to show a metric of a field or of an index; power and variance are in squared units."""
    if metric.startswith("index_"):
        return (0.01, "hPa") if units == "Pa" else (1, PLAIN.get(units, units))
    if metric.startswith("itcz_"):
        return 1, PLAIN[units]
    factor, text = scale_of(field, units)
    if metric.startswith("power_") and units.startswith("("):
        factor, text = scale_of(field, units[1:-2])
        return factor**2, squared(text)
    return factor, text


def number(value):
    """Three significant digits, without an exponent where that is short; a dash for None."""
    if value is None:
        return "-"
    return f"{value:.3g}" if 1e-3 <= abs(value) < 1e4 or value == 0 else f"{value:.2e}"
