"""The file rmsb_1deg.nc of AIMIP's results as their notebook writes it, and the archive that it lies in, both small."""

import io
import tarfile
import zipfile

import netCDF4
import numpy as np

MEMBER = "evaluations/notebooks/cached/rmsb_1deg.nc"
MODELS = ("ACE2.1-ERA5", "MD-1.5 v0.9", "GFDL-CM4", "NeuralGCM")
PERIODS = ("training", "test")
LEVELS = (85000.0, 25000.0)


ORDER = ("time_period", "experiment_submission", "realization")


def write_rmsb(path, values, units=None, order=ORDER, periods=PERIODS, models=MODELS):
    """values: {name: (period, model, member) or (level, period, model, member)}; units: {name: text}."""
    with netCDF4.Dataset(path, "w") as data:
        for name, labels in (("time_period", periods), ("experiment_submission", models)):
            data.createDimension(name, len(labels))
            data.createVariable(name, str, (name,))[:] = np.array(labels, object)
        data.createDimension("realization", next(iter(values.values())).shape[-1])
        data.createDimension("plev", len(LEVELS))
        data.createVariable("plev", "f8", ("plev",))[:] = LEVELS
        for name, array in values.items():
            axes = [*["plev"] * (array.ndim - 3), *ORDER]
            wanted = [axis for axis in ("plev", *order) if axis in axes]
            variable = data.createVariable(name, "f8", wanted, fill_value=np.nan)
            variable[:] = array.transpose([axes.index(axis) for axis in wanted])
            if units and name in units:
                variable.units = units[name]
    return path


def write_tar(path, files, links=()):
    """A .tar.gz of {name: content}, then of links {name: target}."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            item = tarfile.TarInfo(name)
            item.size = len(content)
            archive.addfile(item, io.BytesIO(content))
        for name, target in dict(links).items():
            item = tarfile.TarInfo(name)
            item.type, item.linkname = tarfile.SYMTYPE, target
            archive.addfile(item)
    return path


def write_zip(path, files):
    """A .zip of {name: content}."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path
