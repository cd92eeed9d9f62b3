"""What the normalized files share: channels with their facts, their center and scale, and values that are finite."""

import numpy as np

from workflow.scripts.common.ncfiles import add_coordinate, add_field, add_text, read_array
from workflow.scripts.normalize.transforms import transform


def add_channels(file, rows):
    """Write the dimension channel and what the table of variables says of each of ``rows``."""
    add_text(file, "channel", "channel", [row.channel for row in rows])
    for name in ("short_name", "transform", "units"):
        add_text(file, name, "channel", [getattr(row, name) for row in rows])
    file.createVariable("level", "f8", ("channel",)).units = "hPa"
    file["level"][:] = [np.nan if row.level is None else row.level for row in rows]
    for name in ("valid_min", "valid_max"):
        file.createVariable(name, "f8", ("channel",))[:] = [getattr(row, name) for row in rows]


def add_center(file, center, scale):
    """center (month, channel, lat, lon), whose dimensions may have length 1, and scale (channel)."""
    everywhere = center.shape[-1] == 1
    add_coordinate(file, "month", np.arange(1, 13) if len(center) == 12 else [0], long_name="calendar month, 0 for all")
    if everywhere:
        file.createDimension("one_lat", 1)
        file.createDimension("one_lon", 1)
    dims = ("month", "channel", *(("one_lat", "one_lon") if everywhere else ("lat", "lon")))
    add_field(file, "center", dims, compressed=False, long_name="subtracted after the transform")[:] = center
    add_field(file, "scale", ("channel",), compressed=False, long_name="divided by after subtracting center")[:] = scale


def read_channel(file, row, steps, found):
    """Transformed values of one channel at ``steps``, float64 (time, lat, lon)."""
    variable = file[row.short_name]
    if row.level is None:
        values = read_array(variable, steps)
    else:
        level = int(np.flatnonzero(file["level"][:] == row.level)[0])
        values = read_array(variable, (steps, level))
    refuse_not_finite(values, row.channel, found[steps])
    return transform(values.astype(np.float64), row.transform)


def refuse_not_finite(values, name, months):
    """Raise ValueError that names the month of the first field (.., lat, lon) with a value that is not finite."""
    bad = ~np.isfinite(values).all(axis=(-2, -1))
    if bad.any():
        raise ValueError(f"'{name}' is not finite in {months[int(np.argmax(bad))]}")
