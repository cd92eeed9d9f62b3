"""Which files of anybody's submission tree are which simulation's, by the names of folders and files.

Tolerant of experiments named aimip-2k or told apart by the folder only, of members numbered by the physics index, of
surface temperature as ``tos``, of trees without versions or with several (the last counts), of files split in time, and
of trees made of links, as ESGF's data nodes have them (``latest`` leads to a version, whose files lead to ``files/``).
"""

import os
import re
from pathlib import Path

from workflow.scripts.common.experiments import NAME, named_offset
from workflow.scripts.submission.drs import MEMBER, TABLE

EXPERIMENTS = {"aimip-2k": "aimip-p2k", "aimip-4k": "aimip-p4k"}
VARIABLES = {"tos": "ts"}
VERSION = re.compile(r"v\d+")  # of anybody's, not dates alone


def netcdf_files(folder):
    """Every netCDF file below ``folder``, through links too, once each, as sorted paths below ``folder``.

    Of several paths to one file the one in a folder of a version counts, of several versions the newest, else the
    first. Hidden folders and files (unfinished, or a notebook's) do not count. Raises ValueError for a broken link.
    """
    found = {}
    for path in _walk(Path(folder), ()):
        found.setdefault(os.path.realpath(path), []).append(path)
    return sorted(max(paths, key=_version) for paths in found.values())  # the first of equals


def _version(path):
    """Number of the version whose folder holds ``path``; -1 outside of one."""
    return int(path.parent.name[1:]) if VERSION.fullmatch(path.parent.name) else -1


def _walk(folder, above):
    """Paths of netCDF files in ``folder`` and below; a link that leads back to a folder ``above`` is not followed."""
    here = os.path.realpath(folder)
    if here in above:
        return
    with os.scandir(folder) as entries:
        entries = sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)
    for entry in entries:
        if entry.is_dir():
            yield from _walk(Path(entry.path), (*above, here))
        elif entry.name.endswith(".nc") and entry.is_file():
            yield Path(entry.path)
        elif entry.name.endswith(".nc"):
            raise ValueError(
                f"{entry.path} is a link to {os.readlink(entry.path)}, which is not there; mend or remove it"
            )


def sort_simulations(paths):
    """Monthly files among ``paths``, relative to the tree's root, as {(experiment, member): {variable: [path]}}.

    The paths of a variable lie in one folder, have one stored name and grid, and are in the order of their names, which
    is that of their periods. The folder nearest to a file says which experiment and member it is of. Raises ValueError
    if they are of several models.
    """
    found = {}
    models = set()
    for path in sorted(paths, key=lambda one: (one.parent.parent, _version(one), one)):
        parts = path.stem.split("_")
        if path.suffix != ".nc" or len(parts) < 5 or parts[1] != TABLE:
            continue
        folders = path.parts[-2::-1]  # the nearest first
        experiment = _experiment(folders, parts)
        member = next((name for name in (*folders, *parts) if re.fullmatch(MEMBER, name)), None)
        if experiment and member:
            simulation = found.setdefault((EXPERIMENTS.get(experiment, experiment), member), {})
            together = simulation.setdefault(VARIABLES.get(parts[0], parts[0]), [])
            # In the order of paths, the last folder has the last version.
            alike = [one for one in together if one.parent == path.parent and _series(one) == _series(path)]
            together[:] = [*alike, path]
            models.add(parts[2])
    if len(models) > 1:
        raise ValueError(f"there are files of the models {', '.join(sorted(models))}; name the folder of one of them")
    return found


def _experiment(folders, parts):
    """The experiment of a file in ``folders``, the nearest first, whose name has ``parts``; None if nothing says it.

    Where folder and name differ the folder counts. Any folder may be called aimip-data: one counts that AIMIP's names
    mean, that the file's name says too, or that holds a member's folder.
    """
    named = next((part for part in parts[3:] if re.fullmatch(NAME, part)), None)
    for folder, below in zip(folders, ("", *folders), strict=False):
        known = folder in EXPERIMENTS or named_offset(folder) is not None
        if known or (re.fullmatch(NAME, folder) and (folder == named or re.fullmatch(MEMBER, below))):
            return folder
    return named


def _series(path):
    """What the names of files that continue each other share: the variable and the grid."""
    parts = path.stem.split("_")
    return parts[0], parts[5] if len(parts) > 6 else ""


def find_simulations(folder):
    """``sort_simulations`` of a folder, with whole paths; raises ValueError if there is none."""
    found = sort_simulations(path.relative_to(folder) for path in netcdf_files(folder))
    if not found:
        raise ValueError(f"{folder} holds no file named like tas_Amon_MODEL_aimip_r1i1p1f1_gn_197810-202412.nc")
    return {
        key: {name: [Path(folder, path) for path in paths] for name, paths in files.items()}
        for key, files in found.items()
    }
