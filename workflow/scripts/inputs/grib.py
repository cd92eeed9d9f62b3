"""GRIB files: a Dataset for each field, named and laid out as the netCDF of the CDS, which is itself made from GRIB.

ecCodes decodes; cfgrib, with which the CDS makes its netCDF, gives names, units and coordinates; values are read
message by message when they are asked for. The index is built here and once: cfgrib's own ``open_datasets`` reads the
file for every Dataset that it tries, takes the last of several messages for one time and level, and gives ``expver`` in
the order of the file, whatever that of the times (https://github.com/ecmwf/cfgrib).
"""

import os

import cfgrib
import eccodes
import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from workflow.scripts.common.faults import explained

TIME, VERSION = "valid_time", "expver"
# What cfgrib wants to be the same in all messages of a field: parameter, type of level and of step, grid, ...
SAME = (*cfgrib.dataset.GLOBAL_ATTRIBUTES_KEYS, *cfgrib.dataset.DATA_ATTRIBUTES_KEYS, *cfgrib.dataset.HASH_KEYS)
# Where in its field a message lies: time, member and level.
PLACE = (TIME, *cfgrib.dataset.ALL_HEADER_DIMS)
UNDEFINED = "undef"  # cfgrib's word for what a message does not state
NAMELESS = (0, UNDEFINED)  # paramId of what is in none of ecCodes' tables


def open_grib(path, label):
    """The Datasets in the GRIB file ``path``: one for each field and type of level and step, read lazily.

    Dimensions ``valid_time`` (s since 1970-01-01), ``number``, the type of level such as ``isobaricInhPa``,
    ``latitude`` and ``longitude`` (degrees); one float32 variable under its CF name (t2m, msl, ...) in the units that
    the message states; ``expver`` (valid_time) where messages have one. Fields that ecCodes has no name for are left
    out. Raises OSError that names ``label`` if the file is damaged or cut short, or the MachineFault that is behind it;
    ValueError if a field is there twice for one time and level, or none has a name.
    """
    try:
        stream = cfgrib.FileStream(os.fspath(path), errors="raise")
        keys = cfgrib.compute_index_keys((TIME,), {VERSION: TIME})
        index = cfgrib.FieldsetIndex.from_fieldset(stream, keys, cfgrib.COMPUTED_KEYS)
        fields = [shared for shared in _fields(index) if shared["paramId"] not in NAMELESS]
        datasets = [_dataset(index.subindex(shared), label) for shared in fields]
    except (eccodes.CodesInternalError, KeyError, OSError, EOFError) as error:
        reason = "a message is damaged" if isinstance(error, KeyError) else error
        raise explained(error, path) or OSError(f"{label} is no readable GRIB file ({reason})") from error
    if not datasets:
        raise ValueError(f"{label} holds no field that ecCodes {cfgrib.messages.eccodes_version} has a name for")
    return datasets


def _fields(index):
    """What the messages of each field share, {key: value}, in the order of the file."""
    places = [index.index_keys.index(key) for key in SAME]
    found = dict.fromkeys(tuple(header[place] for place in places) for header, _ in index.iter_index())
    return [dict(zip(SAME, values, strict=True)) for values in found]


def _dataset(index, label):
    """The Dataset of one field from the index of its messages."""
    variables = cfgrib.open_from_index(index, time_dims=(TIME,), squeeze=False).variables
    (name,) = (name for name, one in variables.items() if isinstance(one.data, cfgrib.dataset.OnDiskArray))
    _refuse_repeated(index, name, label)
    field = variables.pop(name)
    values = indexing.LazilyIndexedArray(_Messages(field.data, name))
    coordinates = {key: (one.dimensions, one.data, one.attributes) for key, one in variables.items()}
    versions = dict(zip(_column(index, TIME), _column(index, VERSION), strict=True))
    if UNDEFINED not in versions.values():
        coordinates[VERSION] = TIME, [versions[time] for time in variables[TIME].data.tolist()]
    return xr.Dataset({name: (field.dimensions, values, field.attributes)}, coordinates)


def _column(index, key):
    """The values of ``key`` in all headers of ``index``."""
    place = index.index_keys.index(key)
    return [header[place] for header, _ in index.iter_index()]


def _refuse_repeated(index, name, label):
    """Raise ValueError if several messages lie in one place, of which only one would be read."""
    seen = set()
    columns = zip(*(_column(index, key) for key in PLACE), strict=True)
    for place, (_, messages) in zip(columns, index.iter_index(), strict=True):
        if place in seen or len(messages) > 1:
            raise ValueError(
                f"{label} has '{name}' of {np.datetime64(place[0], 's')} more than once (expver "
                f"{', '.join(map(str, index[VERSION]))}); give a file with one message for each time and level"
            )
        seen.add(place)


class _Messages(BackendArray):
    """The values of the field ``name``, as xarray reads arrays that are not in memory."""

    def __init__(self, values, name):
        self.values, self.name, self.shape, self.dtype = values, name, values.shape, values.dtype

    def __getitem__(self, key):
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.BASIC, self._read)

    def _read(self, key):
        try:
            return self.values[key]
        except (eccodes.CodesInternalError, EOFError, KeyError, ValueError) as error:
            # The kind of error that netCDF raises for data that it cannot decompress.
            raise RuntimeError(f"'{self.name}' cannot be decoded: {error}") from error
