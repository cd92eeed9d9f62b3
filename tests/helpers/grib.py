"""GRIB files with the content of netCDF ones, written by ecCodes as ECMWF writes ERA5's monthly means."""

import csv
import zipfile

import eccodes
import netCDF4
import numpy as np

from tests.helpers.project import ROOT

BITS = 16
# Hours from the start of the forecast to the stamp, by type of step.
STEPS = {"avgua": 0, "avgad": 12}
# What ECMWF adds to a message, with its version of the experiment (expver) among it.
LOCAL = {"setLocalDefinition": 1, "localDefinitionNumber": 1, "marsClass": "ea", "marsStream": "moda"}
with open(ROOT / "workflow/data/grib_parameters.csv", encoding="utf-8") as _file:
    PARAMETERS = {row["short_name"]: int(row["param_id"]) for row in csv.DictReader(_file.readlines()[1:])}
PARAMETERS |= {"tp": 228}
MISSING = 9999.0  # no value of any field


def write_grib(path, reply, bits=BITS, expver=None, local=True, south_first=False, edition=1, **keys):
    """Write the fields of ``reply``, netCDF as the CDS delivers it or a ZIP of it, to ``path``, which is returned.

    A message per time and level, in ``bits`` a value, from the last time to the first, as nothing keeps them in order.
    ``expver``: of each time, in place of the reply's; ``local``: whether it is there at all; ``keys``: of each message.
    """
    with open(path, "wb") as target:
        for file in _members(reply):
            with file:
                for variable in file.variables.values():
                    if {"latitude", "longitude"} <= set(variable.dimensions):
                        for about, field in _messages(file, variable, expver, local):
                            about |= {"centre": "ecmf", "bitsPerValue": bits} | keys
                            _write(target, field[::-1] if south_first else field, about, south_first, edition)
    return path


def packing_error(values, bits=BITS):
    """Largest error of simple packing of ``values``: half a step of 2**n that covers their range in ``bits``."""
    return (np.nanmax(values) - np.nanmin(values)) / (2**bits - 1)


def _members(reply):
    """The open netCDF files of a reply."""
    if not zipfile.is_zipfile(reply):
        return [netCDF4.Dataset(reply)]
    with zipfile.ZipFile(reply) as archive:
        return [netCDF4.Dataset(name, memory=archive.read(name)) for name in archive.namelist()]


def _messages(file, variable, expver, local):
    """(keys, values (lat, lon) from north to south) of each message of a variable."""
    times = file["valid_time"][:].astype("datetime64[s]")
    versions = np.broadcast_to(file["expver"][...] if expver is None else expver, len(times))
    levels = file["pressure_level"][:].astype(int) if "pressure_level" in file.variables else [None]
    lat, lon = file["latitude"][:], file["longitude"][:]
    values = np.ma.filled(variable[:], np.nan).reshape(len(times), len(levels), len(lat), len(lon))
    step = STEPS[variable.GRIB_stepType]
    grid = {"Ni": len(lon), "Nj": len(lat), "iDirectionIncrementInDegrees": lon[1] - lon[0]}
    grid |= {"jDirectionIncrementInDegrees": lat[0] - lat[1], "longitudeOfFirstGridPointInDegrees": lon[0]}
    grid |= {"longitudeOfLastGridPointInDegrees": lon[-1], "latitudeOfFirstGridPointInDegrees": lat[0]}
    grid |= {"latitudeOfLastGridPointInDegrees": lat[-1]}
    for time in reversed(range(len(times))):
        begun = (times[time] - np.timedelta64(step, "h")).item()
        about = {"dataDate": int(f"{begun:%Y%m%d}"), "dataTime": int(f"{begun:%H%M}")}
        about |= {"stepType": variable.GRIB_stepType, "endStep": step, "paramId": PARAMETERS[variable.name]}
        about |= LOCAL | {"marsType": "fc" if step else "an", "expver": str(versions[time])} if local else {}
        for level, field in zip(levels, values[time], strict=True):
            yield grid | about | ({} if level is None else {"level": int(level)}), field


def _write(target, field, about, south_first, edition):
    handle = eccodes.codes_grib_new_from_samples(f"regular_ll_{'pl' if 'level' in about else 'sfc'}_grib1")
    about |= {"jScansPositively": int(south_first), "bitmapPresent": int(np.isnan(field).any())}
    if south_first:
        ends = ("latitudeOfFirstGridPointInDegrees", "latitudeOfLastGridPointInDegrees")
        about |= dict(zip(ends, (about[key] for key in reversed(ends)), strict=True))
    try:
        eccodes.codes_set(handle, "centre", about["centre"])
        for key, value in about.items():
            eccodes.codes_set(handle, key, value)
        eccodes.codes_set(handle, "missingValue", MISSING)
        eccodes.codes_set_values(handle, np.nan_to_num(field, nan=MISSING).astype(float).ravel())
        eccodes.codes_set(handle, "edition", edition)
        eccodes.codes_write(handle, target)
    finally:
        eccodes.codes_release(handle)
