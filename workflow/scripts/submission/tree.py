"""Which files of anybody's submission tree are which simulation's, by the names of folders and files.

Tolerant of experiments named aimip-2k or told apart by the folder only, of members numbered by the physics index, of
surface temperature as ``tos``, and of trees without versions or with several (the last counts).
"""

import re
from pathlib import Path

EXPERIMENTS = {"aimip-2k": "aimip-p2k", "aimip-4k": "aimip-p4k"}
VARIABLES = {"tos": "ts"}
MEMBER = re.compile(r"r\d+i\d+p\d+f\d+")


def sort_simulations(paths):
    """Monthly files among ``paths``, relative to the tree's root, as {(experiment, member): {variable: path}}."""
    found = {}
    for path in sorted(paths):
        parts = path.stem.split("_")
        if path.suffix != ".nc" or ".ipynb_checkpoints" in path.parts or len(parts) < 5 or parts[1] != "Amon":
            continue
        names = [*path.parts[:-1], *parts]
        experiment = next((name for name in names if re.fullmatch(r"aimip(-[pm]?\d+k)?", name)), None)
        member = next((name for name in names if MEMBER.fullmatch(name)), None)
        if experiment and member:
            simulation = found.setdefault((EXPERIMENTS.get(experiment, experiment), member), {})
            simulation[VARIABLES.get(parts[0], parts[0])] = path
    return found


def find_simulations(folder):
    """``sort_simulations`` of a folder, with whole paths; raises ValueError if there is none."""
    found = sort_simulations(path.relative_to(folder) for path in Path(folder).rglob("*.nc"))
    if not found:
        raise ValueError(f"{folder} holds no file named like tas_Amon_MODEL_aimip_r1i1p1f1_gn_197810-202412.nc")
    return {key: {name: Path(folder, path) for name, path in files.items()} for key, files in found.items()}
