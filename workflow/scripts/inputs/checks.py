"""The checks of content that every ERA5 file passes, wherever it came from.

It must hold every field, level and time that was asked, on a full global grid, without missing values but over land in
sea fields, within plausible bounds (``valid_min`` and ``valid_max`` of config/variables.csv), and be final ERA5. Each
failure is a ValueError with one sentence.
"""

from contextlib import ExitStack

import numpy as np

from workflow.scripts.common.faults import explained
from workflow.scripts.inputs.era5 import (
    END_OF_HOUR,
    FINAL,
    STATIC,
    TIME_STEP,
    Unreadable,
    holds,
    listed,
    open_era5,
    open_members,
    passed_over,
    read_fields,
)


def check_file(path, rows, months, product="monthly", label=None, era5t=False, resolution=None, extra=False):
    """Check that the ERA5 file ``path`` holds every field of ``rows`` for ``months``; returns its versions (expver).

    ``months``: "YYYY-MM" of one year, or None for fields that do not change. ``resolution`` of the grid in degrees;
    None takes any. ``era5t`` allows preliminary data; ``extra`` allows months that nobody asked, as a centre's file may
    hold (hourly and daily files may always). Raises Unreadable or ValueError with a sentence that names ``label``.
    """
    label = label or path
    try:
        if product != "monthly" and months is not None:
            return _check_long(path, rows, months, product, era5t, resolution)
        with open_era5(path, STATIC if months is None else product) as dataset:
            times = None if months is None else np.array(months, "datetime64[M]")
            if extra and times is not None:
                _check_covered(dataset["time"].values, times, "M")
            return check_era5(dataset, rows, None if extra else times, era5t, resolution)
    except (ValueError, RuntimeError) as error:
        raise _named(error, path, label) from error


def check_reply(path, rows, request, product, label, era5t=False, resolution=None):
    """Check one reply of hourly or daily fields against its ``request``; arguments and errors as in ``check_file``."""
    days = [f"{request['year'][0]}-{request['month'][0]}-{day}" for day in request["day"]]
    times = np.array([f"{day}T{hour}" for day in days for hour in request["time"]], f"datetime64[{TIME_STEP[product]}]")
    try:
        with open_era5(path, product) as dataset:
            return check_era5(dataset, rows, times, era5t, resolution, product)
    except (ValueError, RuntimeError) as error:
        raise _named(error, path, label) from error


def check_era5(dataset, rows, times, era5t=False, resolution=None, product="monthly"):
    """Check the Dataset of ``open_era5``: every field of ``rows`` at exactly ``times`` (datetime64; None takes any).

    Returns the versions found, a sorted list of text. Raises ValueError with one sentence.
    """
    check_grid(dataset["latitude"].values, dataset["longitude"].values, resolution)
    if times is not None:
        check_times(dataset["time"].values, times, TIME_STEP[product])
    versions = _check_version(dataset["expver"], era5t)
    for row, block, values in read_fields(dataset, rows, product):
        check_values(values, row, dataset["time"].values[block])
    return versions


def check_grid(latitude, longitude, resolution=None):
    """Raise ValueError unless the cell centres make a full global grid with both poles, of ``resolution`` if given."""
    if len(latitude) < 3 or len(longitude) < 4:
        raise ValueError(f"the grid of {len(latitude)} x {len(longitude)} points is not global")
    step = 180 / (len(latitude) - 1)
    wanted = f"90..-90 and 0..{360 - step:g} by {step:g} degrees"
    if not np.allclose(latitude, np.linspace(90, -90, len(latitude)), atol=1e-4):
        raise ValueError(f"latitudes {_span(latitude)} are not a full global grid, {wanted}; ask without 'area'")
    whole = np.arange(len(longitude)) * 360 / len(longitude)
    if not np.allclose(longitude, whole, atol=1e-4) or abs(360 / len(longitude) - step) > 1e-4:
        raise ValueError(f"longitudes {_span(longitude)} are not a full global grid, {wanted}; ask without 'area'")
    if resolution is not None and abs(step - resolution) > 1e-6:
        raise ValueError(f"the grid has a resolution of {step:g} degrees, not {resolution:g}")


def check_times(found, wanted, step="M"):
    """Raise ValueError that names what is missing, there twice or not asked among ``found``, in steps of ``step``."""
    found, counts = np.unique(np.asarray(found).astype(f"datetime64[{step}]"), return_counts=True)
    wanted = np.asarray(wanted).astype(f"datetime64[{step}]")
    for problem, steps in (
        ("is missing", np.setdiff1d(wanted, found)),
        ("is there twice", found[counts > 1]),
        ("was not asked", np.setdiff1d(found, wanted)),
    ):
        if len(steps):
            raise ValueError(f"{listed(steps)} {problem}")


def check_values(values, row, times):
    """Raise ValueError if ``values`` (time, lat, lon) of ``row`` hold a NaN (sea fields may) or an impossible value."""
    low, high = np.nanmin(values, initial=np.inf), np.nanmax(values, initial=-np.inf)
    if not low <= high:
        raise ValueError(f"'{row.channel}' has no values at all")
    if row.regrid == "sea" and (empty := np.isnan(values).all(axis=(1, 2))).any():
        raise ValueError(f"'{row.channel}' has no values in {times[empty][0].astype('datetime64[M]')}")
    # A sum is NaN or infinite if any value is, and is quicker than looking at each.
    if row.regrid != "sea" and not np.isfinite(values.sum(dtype=np.float64)):
        bad = ~np.isfinite(values)
        when = times[bad.any(axis=(1, 2))][0].astype("datetime64[M]")
        # ERA5 has values on all levels, other models often none where a level lies below the ground.
        below = (
            "" if row.level is None else f"; if {row.level} hPa is below the ground there, fill it from the level above"
        )
        raise ValueError(f"'{row.channel}' has {int(bad.sum())} values that are not finite, the first in {when}{below}")
    for value, bound, beyond in (
        (low, row.valid_min, low < row.valid_min),
        (high, row.valid_max, high > row.valid_max),
    ):
        if beyond:
            when = times[(values == value).any(axis=(1, 2))][0].astype("datetime64[M]")
            raise ValueError(f"'{row.channel}' reaches {value:g} {row.units} in {when}, beyond the plausible {bound:g}")


def _named(error, path, label):
    """``error`` with a sentence that begins with ``label``; a RuntimeError means data that cannot be decoded."""
    if isinstance(error, RuntimeError):
        if (known := explained(error, path)) is not None:
            return known
        return Unreadable(f"{label} is damaged ({error}); download it again")
    text = str(error).replace(str(path), str(label))
    return type(error)(text if text.startswith(str(label)) else f"{label}: {text}")


def _check_long(path, rows, months, product, era5t, resolution):
    """The checks of ``check_era5`` for a file of daily or hourly fields, member by member."""
    step, months = TIME_STEP[product], np.array(months, "datetime64[M]")
    wanted = np.arange(months[0].astype(f"datetime64[{step}]"), (months[-1] + 1).astype(f"datetime64[{step}]"))
    found, versions = {row.channel: [] for row in rows}, set()
    with ExitStack() as stack:
        members = [stack.enter_context(member) for member in open_members(path, product)]
        for member in members:
            check_grid(member["latitude"].values, member["longitude"].values, resolution)
            versions.update(_check_version(member["expver"], era5t))
            held = [row for row in rows if holds(member, row)]
            for row, block, values in read_fields(member, held, product):
                check_values(values, row, member["time"].values[block])
                found[row.channel].append(member["time"].values[block])
    for row in rows:
        if not found[row.channel]:
            raise ValueError(f"'{row.channel}' ({row.cds_name}) is missing{passed_over(members[0])}")
        # The hour that ends December may be in the next year's file; the aggregation looks there.
        ended = product == "hourly" and row.short_name in END_OF_HOUR
        try:
            _check_covered(np.concatenate(found[row.channel]), wanted[1:] if ended else wanted, step)
        except ValueError as error:
            raise ValueError(f"'{row.channel}': {error}") from error
    return sorted(versions)


def _check_covered(found, wanted, step):
    """Raise ValueError unless each time of ``wanted`` is in ``found`` once; more is fine."""
    found = np.asarray(found).astype(f"datetime64[{step}]")
    check_times(found[np.isin(found, wanted)], wanted, step)


def _check_version(expver, era5t):
    found = sorted(set(expver.values.tolist()))
    other = [version for version in found if version != FINAL]
    if other and not era5t:
        when = expver["time"].values[expver.values == other[0]][0].astype("datetime64[M]")
        raise ValueError(
            f"{when} is not final ERA5 but expver {other[0]} (ERA5T); wait until it is final, or allow it with "
            "download.era5t: true in the config"
        )
    return found


def _span(values):
    return f"{values[0]:g}..{values[-1]:g} ({len(values)})"
