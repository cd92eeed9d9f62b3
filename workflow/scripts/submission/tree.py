"""Which files of anybody's submission tree are which simulation's, by the names of folders and files.

Tolerant of experiments named aimip-2k or told apart by the folder only, of members numbered by the physics index, of
surface temperature as ``tos``, of trees without versions or with several (the last counts), of files split in time, and
of trees made of links, as ESGF's data nodes have them (``latest`` leads to a version, whose files lead to ``files/``).
"""

import os
import re
from pathlib import Path

EXPERIMENTS = {"aimip-2k": "aimip-p2k", "aimip-4k": "aimip-p4k"}
VARIABLES = {"tos": "ts"}
MEMBER = re.compile(r"r\d+i\d+p\d+f\d+")
VERSION = re.compile(r"v\d+")


def netcdf_files(folder):
    """Every netCDF file below ``folder``, through links too, once each, as sorted paths below ``folder``.

    Of several paths to one file the one in a folder of a version counts, else the first. Hidden folders and files
    (unfinished, or a notebook's) do not count.
    """
    found = {}
    for path in _walk(Path(folder), ()):
        found.setdefault(os.path.realpath(path), []).append(path)
    chosen = (
        next((path for path in paths if VERSION.fullmatch(path.parent.name)), paths[0]) for paths in found.values()
    )
    return sorted(chosen)


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


def sort_simulations(paths):
    """Monthly files among ``paths``, relative to the tree's root, as {(experiment, member): {variable: [path]}}.

    The paths of a variable lie in one folder and are in the order of their names, which is that of their periods.
    """
    found = {}
    for path in sorted(paths):
        parts = path.stem.split("_")
        if path.suffix != ".nc" or len(parts) < 5 or parts[1] != "Amon":
            continue
        names = [*path.parts[:-1], *parts]
        experiment = next((name for name in names if re.fullmatch(r"aimip(-[pm]?\d+k)?", name)), None)
        member = next((name for name in names if MEMBER.fullmatch(name)), None)
        if experiment and member:
            simulation = found.setdefault((EXPERIMENTS.get(experiment, experiment), member), {})
            together = simulation.setdefault(VARIABLES.get(parts[0], parts[0]), [])
            # In the order of paths, the last folder has the last version.
            together[:] = [*(one for one in together if one.parent == path.parent), path]
    return found


def find_simulations(folder):
    """``sort_simulations`` of a folder, with whole paths; raises ValueError if there is none."""
    found = sort_simulations(path.relative_to(folder) for path in netcdf_files(folder))
    if not found:
        raise ValueError(f"{folder} holds no file named like tas_Amon_MODEL_aimip_r1i1p1f1_gn_197810-202412.nc")
    return {
        key: {name: [Path(folder, path) for path in paths] for name, paths in files.items()}
        for key, files in found.items()
    }
