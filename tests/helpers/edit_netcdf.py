"""Ways to break files of a made submission, for the tests of the checks.

``rebuild`` rewrites a netCDF file after an edit of its plain description (attributes, dimensions, variables), so that
types, dimensions and bounds can be broken too.
"""

import dataclasses

import netCDF4
import numpy as np


@dataclasses.dataclass
class Plain:
    """A netCDF file as plain Python: edit and write back."""

    attributes: dict = dataclasses.field(default_factory=dict)
    unlimited: set = dataclasses.field(default_factory=set)
    variables: dict = dataclasses.field(default_factory=dict)  # name: [dimensions, values, attributes]
    format: str = "NETCDF4_CLASSIC"
    storage: dict = dataclasses.field(default_factory=lambda: {"zlib": True, "shuffle": True, "complevel": 1})

    def values(self, name):
        return self.variables[name][1]

    def set(self, name, values):
        self.variables[name][1] = values


def load(path):
    plain = Plain()
    with netCDF4.Dataset(path) as file:
        file.set_auto_mask(False)
        plain.attributes = {key: file.getncattr(key) for key in file.ncattrs()}
        plain.unlimited = {name for name, dimension in file.dimensions.items() if dimension.isunlimited()}
        for name, variable in file.variables.items():
            attributes = {key: variable.getncattr(key) for key in variable.ncattrs()}
            plain.variables[name] = [variable.dimensions, variable[...], attributes]
    return plain


def save(plain, path):
    with netCDF4.Dataset(path, "w", format=plain.format) as file:
        file.setncatts(plain.attributes)
        for dimensions, values, _ in plain.variables.values():
            for name, size in zip(dimensions, np.shape(values), strict=True):
                if name not in file.dimensions:
                    file.createDimension(name, None if name in plain.unlimited else size)
        for name, (dimensions, values, attributes) in plain.variables.items():
            attributes = dict(attributes)
            fill = attributes.pop("_FillValue", None)
            storage = plain.storage if len(dimensions) > 2 and plain.format.startswith("NETCDF4") else {}
            variable = file.createVariable(name, np.asarray(values).dtype, dimensions, fill_value=fill, **storage)
            variable.set_auto_mask(False)
            variable.setncatts(attributes)
            variable[...] = values


def rebuild(path, edit):
    """Rewrite ``path`` after ``edit(plain)``."""
    plain = load(path)
    edit(plain)
    path.unlink()
    save(plain, path)


def rename(path, part, new):
    """Rename a file (part None: the whole name) or a folder above it; returns the new path of the file."""
    if part is None:
        return path.rename(path.with_name(new))
    folder = next(parent for parent in path.parents if parent.name == part)
    moved = folder.rename(folder.with_name(new))
    return moved / path.relative_to(folder)


def attribute(key, value, variable=None):
    """An edit that sets an attribute of the file or of a variable; None removes it."""

    def edit(plain):
        attributes = plain.variables[variable][2] if variable else plain.attributes
        attributes.pop(key) if value is None else attributes.update({key: value})

    return edit


def coordinate(name, change):
    """An edit that applies ``change`` to a coordinate's values."""

    def edit(plain):
        plain.set(name, change(plain.values(name)))

    return edit


def field(name, change):
    """An edit that changes values of the field in place."""

    def edit(plain):
        change(plain.values(name))

    return edit


def put(index, value):
    """A change in place: one value or region."""

    def change(values):
        values[index] = value

    return change


def times(factor):
    """A change in place: another unit."""

    def change(values):
        values *= factor

    return change
