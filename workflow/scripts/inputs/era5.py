"""ERA5 files as the CDS delivers them: the one reader.

A file is judged by what is in it, never by its name: netCDF, GRIB or a ZIP of several (the CDS splits a netCDF reply by
type of step), axes and units as ``labelled`` reads them, fields under their old or new names. Facts on the format:
https://confluence.ecmwf.int/display/CKB (GRIB to netCDF conversion on the new CDS).
"""

import tempfile
import zipfile
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import xarray as xr

from workflow.scripts.common.faults import MachineFault
from workflow.scripts.common.physics import WATER_DENSITY
from workflow.scripts.common.units import conversion
from workflow.scripts.inputs.labelled import (
    load,
    months,
    open_labelled,
    open_netcdf,
    ordered,
    same_axis,
    times,
)

# The CDS renamed some fields early in 2025; a field read is called by its new name.
NAMES = {"mtpr": "avg_tprate", "ci": "siconc"}
# Precipitation as an accumulation, m of water: what a reply holds if total_precipitation was asked.
ACCUMULATED = {"avg_tprate": "tp"}
ACCUMULATION_SECONDS = {"monthly": 86400, "daily": 86400, "hourly": 3600}  # monthly means of tp are per day
# Means and accumulations over the hour before their stamp; every other field is an instant.
END_OF_HOUR = ("avg_tprate",)
TIME_STEP = {"monthly": "M", "daily": "D", "hourly": "h"}
STATIC = "static"  # the product of fields that do not change, which may have no time
FINAL = "0001"  # expver of final ERA5
PASSED_OVER = "passed_over"  # attribute of a Dataset: the members of its ZIP that are text, such as a README
NETCDF, GRIB = (b"\x89HDF", b"CDF"), b"GRIB"  # what such files start with
BLOCK_BYTES = 200e6  # read at most this much of a field at a time


class Unreadable(ValueError):
    """The file is no netCDF, no GRIB and no ZIP of these, or is damaged or cut short."""


def open_era5(path, product="monthly"):
    """One Dataset of everything in the ERA5 file ``path``: all members of a ZIP merged, read lazily.

    Dimensions ``time`` (datetime64: start of the month, day or hour, as ``product`` says; without meaning if STATIC),
    ``level`` (hPa, 1000 first), ``latitude`` (north to south), ``longitude`` (0 to 360); coordinate ``expver`` (time),
    "0001" for final ERA5. Fields keep the file's units and carry today's CDS short names. Raises Unreadable (a
    ValueError) if the content is neither netCDF nor GRIB nor a ZIP of these, ValueError if the members do not fit.
    """
    members = open_members(path, product)
    versions = [member["expver"] for member in members]
    plain = [member.drop_vars("expver") for member in members]
    if len(plain) > 1:
        plain = [_along_level(one) for one in plain]
    try:
        for one in plain:
            if not all(same_axis(one, plain[0], name) for name in ("latitude", "longitude")):
                raise ValueError("they are on different grids")
        merged = xr.merge(plain, join="outer", compat="no_conflicts", combine_attrs="override")
    except ValueError as error:
        for member in members:
            member.close()
        raise ValueError(f"the parts of {path} do not fit together: {error}") from error
    merged["expver"] = _merged_versions(versions, merged["time"].values)
    merged = merged.set_coords("expver")
    merged.set_close(lambda: [member.close() for member in members])
    return merged


def open_members(path, product="monthly"):
    """The Datasets in the ERA5 file ``path``, each as ``open_era5`` describes: one per netCDF file or field of GRIB.

    Hourly and daily files are read through this: their members cover different times, and merging would load them.
    """
    path = Path(path)
    zipped = _start(path).startswith(b"PK")
    sources, texts = _unzip(path) if zipped else ([(str(path), one) for one in _open(path, path)], [])
    try:
        members = [_standard(source, label, product) for label, source in sources]
    except Exception:
        # The netCDF library is not made for threads: a file that is left open must not be closed by another one.
        for _, source in sources:
            source.close()
        raise
    for member in members if texts else []:
        member.attrs[PASSED_OVER] = listed(texts)
    return members


def passed_over(dataset):
    """What a message on a field that ``dataset`` lacks adds: the members of the ZIP that no field was looked for in."""
    names = dataset.attrs.get(PASSED_OVER)
    return f"; passed over in the ZIP, as neither netCDF nor GRIB: {names}" if names else ""


def is_grib(path):
    """Whether the file ``path`` is GRIB, by its first bytes."""
    return _start(path).startswith(GRIB)


def _start(path):
    """The first bytes of a file, which tell its kind."""
    with open(path, "rb") as file:
        return file.read(8)


def holds(dataset, row):
    """Whether ``dataset`` holds the field of the Variable ``row`` at its level, as a rate or an accumulation."""
    name = row.short_name if row.short_name in dataset else ACCUMULATED.get(row.short_name)
    return name in dataset and (row.level is None or row.level in _levels(dataset))


def _levels(dataset):
    """The levels of a dataset, hPa; none where it states none."""
    return np.atleast_1d(dataset["level"].values).tolist() if "level" in dataset.variables else []


def read_fields(dataset, rows, product="monthly"):
    """Read the fields of ``rows`` block by block: yields (row, slice of time, float32 values (time, lat, lon)).

    All levels of a field are read together, since a reply may hold them in one compressed chunk, and at most
    BLOCK_BYTES at a time. Values are in ``row.units``; precipitation given as an accumulation becomes a rate. Raises
    ValueError if the dataset lacks a field or level, or has it in units that cannot be converted.
    """
    for name in dict.fromkeys(row.short_name for row in rows):
        group = [row for row in rows if row.short_name == name]
        values, factor, offset = _find(dataset, group[0], product)
        places, levels = [None] * len(group), _levels(dataset)
        for row in group:
            if row.level is not None and row.level not in levels:
                raise ValueError(f"'{name}' lacks the level {row.level} hPa; it has {listed(levels) or 'none'}")
        if "level" in values.dims:
            if len(group) == 1:
                values = values.isel(level=levels.index(group[0].level))
            else:
                places = [levels.index(row.level) for row in group]
        step = max(1, int(BLOCK_BYTES // (4 * np.prod(values.shape[1:]))))
        for start in range(0, values.shape[0], step):
            block = slice(start, min(start + step, values.shape[0]))
            data = load(values[block])
            for row, place in zip(group, places, strict=True):
                one = data if place is None else data[:, place]
                yield row, block, one if (factor, offset) == (1, 0) else one * factor + offset


def listed(values, limit=6):
    """The first few of ``values`` as text for a message."""
    text = [f"{value:g}" if isinstance(value, float) else str(value) for value in values]
    return ", ".join(text[:limit]) + (f" and {len(text) - limit} more" if len(text) > limit else "")


def _find(dataset, row, product):
    """The variable that holds ``row``, and the factor and offset (float32) that bring it into the row's units."""
    name, rate, units = row.short_name, 1.0, row.units
    if name not in dataset and ACCUMULATED.get(name) in dataset:
        name, units = ACCUMULATED[name], "m"
        rate = WATER_DENSITY / ACCUMULATION_SECONDS[product]
    if name not in dataset:
        held = ", ".join(map(str, dataset.data_vars))
        raise ValueError(f"'{row.short_name}' ({row.cds_name}) is not among {held}{passed_over(dataset)}")
    factor, offset = conversion(dataset[name].attrs.get("units", units), units, name)
    return dataset[name], np.float32(factor * rate), np.float32(offset * rate)


def _open(path, label):
    """What the file ``path`` holds: the open netCDF file, or a Dataset for each field of a GRIB file."""
    start = _start(path)
    try:
        if start.startswith(NETCDF):
            return [open_netcdf(path, label)]
        if is_grib(path):
            # Here, since ecCodes takes a while to load and most files are netCDF.
            from workflow.scripts.inputs.grib import open_grib

            return open_grib(path, label)
    except MachineFault:  # the file may well be sound
        raise
    except OSError as error:
        raise Unreadable(f"{error}; download it again") from error
    kind = f"something that starts with {start!r}" if start else "empty"
    raise Unreadable(f"{label} is {kind}, not netCDF, GRIB or a ZIP of these; download it again")


def _unzip(path):
    """(label, open netCDF file or Dataset of a field of GRIB) of the data in the ZIP file ``path``, names of its texts.

    A ZIP may have a README beside its data: members that begin as text are passed over, others must be data.
    """
    sources, texts = [], []
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not _is_beside(name)]
            texts = [name for name in names if _is_text(archive, name)]
            names = [name for name in names if name not in texts]
            for name in names:
                label = f"{path}:{name}" if len(names) > 1 else str(path)
                sources += [(label, one) for one in _extracted(archive, name, f"{path}:{name}")]
    except (zipfile.BadZipFile, zipfile.zlib.error, EOFError, ValueError) as error:
        for _, source in sources:
            source.close()
        if isinstance(error, ValueError):
            raise
        raise Unreadable(f"{path} is a damaged ZIP file ({error}); download it again") from error
    if not sources:
        alone = f", but for {listed(texts)}: it has neither netCDF nor GRIB; download it again" if texts else ""
        raise Unreadable(f"{path} is an empty ZIP file{alone}")
    return sources, texts


def _is_text(archive, name):
    """Whether the member ``name`` of a ZIP begins as text does, and neither as netCDF nor as GRIB."""
    with archive.open(name) as member:
        start = member.read(8)
    known = start.startswith((*NETCDF, GRIB))
    return bool(start) and not known and all(byte >= 32 or byte in b"\t\n\r" for byte in start)


def _extracted(archive, name, label):
    """What the member ``name`` of a ZIP holds, as ``_open`` gives it, from a copy in the job's TMPDIR.

    Not beside the ZIP, which may lie in a centre's archive. The copy is unlinked at once and lives while it is open;
    but one of GRIB, which is opened anew for each message, when its Datasets are closed.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        opened = _open(archive.extract(name, folder), label)
        if isinstance(opened[0], xr.Dataset):
            opened[0].set_close(stack.pop_all().close)
    return opened


def _is_beside(name):
    """Whether a member of a ZIP is a folder, or what a system puts beside files (macOS: __MACOSX, ._x, .DS_Store)."""
    return name.endswith("/") or name.startswith("__MACOSX/") or name.split("/")[-1].startswith(".")


def _standard(source, label, product):
    """The open netCDF file ``source`` as a Dataset with standard names, order and times."""
    dataset = ordered(open_labelled(source, label))
    dataset = dataset.rename({old: new for old, new in NAMES.items() if old in dataset.variables})
    if "time" not in dataset.variables and product != STATIC:
        raise ValueError(f"{label} has no time; it has {', '.join(map(str, dataset.variables))}")
    if any(dataset.sizes["expver"] > 1 for name in dataset.data_vars if "expver" in dataset[name].dims):
        raise ValueError(f"{label} has a dimension expver, the legacy format; ask the CDS for 'netcdf'")
    dataset = _without_others(dataset, label)
    stamps = _stamps(dataset, label, product)
    if "time" not in dataset.dims:
        dataset = dataset.drop_vars("time", errors="ignore").expand_dims("time")
    expver = dataset["expver"].values if "expver" in dataset.variables else FINAL
    fields = [name for name in dataset.data_vars if {"latitude", "longitude"} <= set(dataset[name].dims)]
    extra = [name for name in dataset.coords if name not in ("time", "level", "latitude", "longitude")]
    dataset = dataset.drop_vars(extra)[fields].assign_coords(time=stamps)
    dims = [dim for dim in ("time", "level", "latitude", "longitude") if dim in dataset.dims]
    dataset = dataset.transpose(*dims, missing_dims="ignore")
    versions = np.array([_version(one) for one in np.broadcast_to(expver, len(stamps))])
    dataset = dataset.assign_coords(expver=("time", versions))
    dataset.set_close(source.close)
    return dataset


def _along_level(dataset):
    """``dataset`` with its level as an axis where it is one number, beside which members of other levels fit."""
    single = "level" in dataset.variables and not dataset["level"].dims
    return dataset.expand_dims("level", 1) if single else dataset


def _without_others(dataset, label):
    """``dataset`` without dimensions of one value beside the axes, such as the number of the ensemble's member."""
    others = [dim for dim in dataset.dims if dim not in ("time", "level", "latitude", "longitude")]
    fields = [name for name in dataset.data_vars if {"latitude", "longitude"} <= set(dataset[name].dims)]
    for dim in others:
        if dataset.sizes[dim] > 1 and any(dim in dataset[name].dims for name in fields):
            raise ValueError(f"{label} has {dataset.sizes[dim]} values along '{dim}'; give a file of one of them")
    return dataset.squeeze([dim for dim in others if dataset.sizes[dim] == 1])


def _stamps(dataset, label, product):
    """Times of ``dataset``, datetime64[s] (time,): the start of each month, day or hour; of a static file any."""
    if product == STATIC:
        return np.zeros(dataset.sizes.get("time", 1), "datetime64[s]")
    stamps = months(dataset, label) if product == "monthly" else times(dataset, label)
    return stamps.astype(f"datetime64[{TIME_STEP[product]}]").astype("datetime64[s]")


def _version(value):
    text = value.decode() if isinstance(value, bytes) else str(value)
    try:
        return f"{int(float(text)):04d}"  # a whole number with a fill value is read as a float
    except ValueError:
        return text


def _merged_versions(versions, times):
    """Per time, the last in order of the versions that the members give: preliminary if any of them is."""
    found = [dict(zip(one["time"].values.tolist(), one.values.tolist(), strict=True)) for one in versions]
    last = [max(one.get(time, "") for one in found) for time in times.tolist()]
    return xr.DataArray(np.array(last), dims="time", coords={"time": times})
