"""Rules on several files together: a simulation, the simulations of an experiment, the experiments of a submission.

A simulation is given as its CmorFiles; an experiment and a submission as the summaries that check/simulation.py left
(dicts: institution_id, source_id, experiment, member_id, files).
"""

from collections import Counter, defaultdict

import numpy as np

from workflow.scripts.check.rules import ASKED_MEMBERS, rule
from workflow.scripts.common.experiments import CONTROL, plausible_response
from workflow.scripts.submission.drs import realization, submission_path

SAME_COORDINATES = ("lat", "lon", "lat_bnds", "lon_bnds", "plev")
# Attributes that may differ between the files of one simulation.
OWN_TO_FILE = {"creation_date", "tracking_id", "variable_id", "history", "table_info", "title", "comment", "name"}
OWN_TO_GRID = {"grid", "grid_label", "nominal_resolution"}


# One simulation: (files, comparisons, expected).


@rule("simulation")
def variables_complete(files, comparisons, expected):
    """Every variable that AIMIP asks for is there, on each grid of the simulation."""
    for grid in sorted({file.grid for file in files}):
        there = {file.variable for file in files if file.grid == grid}
        for names in expected.asked:
            if not there & set(names):
                yield f"{' or '.join(names)} on {grid} is absent"


@rule("simulation", own=True)
def files_as_planned(files, comparisons, expected):
    """The files are exactly those that the config plans."""
    attributes, found = expected.settings["attributes"], {file.relative for file in files}
    members = sorted({file.facets["member_id"] for file in files})
    for member in members:
        planned = {
            submission_path(
                attributes["institution_id"],
                attributes["source_id"],
                attributes["experiment_id"],
                realization(member) or 0,
                variable,
                grid,
                expected.settings["version"],
                expected.label,
            )
            for variable in expected.entries
            for grid in expected.settings["grids"]
        }
        for path in sorted(planned - found):
            yield f"{path} is absent"
        for path in sorted(path for path in found - planned if f"/{member}/" in path):
            yield f"{path} is not planned"


@rule("simulation")
def one_file_each(files, comparisons, expected):
    """There is one file of each variable on each grid."""
    for (variable, grid), count in Counter((file.variable, file.grid) for file in files).items():
        if count > 1:
            yield f"{count} files hold {variable} on {grid}"


@rule("simulation")
def coordinates_same(files, comparisons, expected):
    """Coordinates and bounds are identical in all files of one grid, levels where they are the same, times in all."""
    for names, key in ((SAME_COORDINATES, lambda file: file.grid), (("time", "time_bnds"), lambda file: "")):
        first = {}
        for file in files:
            for name in names:
                values = file.coordinates.get(name)
                if values is None or (name == "plev" and values.size < 2):
                    continue
                # In a table of variables of one's own each may have levels of its own.
                levels = expected.levels(file.variable) if name == "plev" and file.variable in expected.entries else []
                other, known = first.setdefault((key(file), name, *levels), (file, values))
                if not np.array_equal(known, values):
                    yield f"{name} of {file.relative} differs from that of {other.relative}"


@rule("simulation")
def attributes_same(files, comparisons, expected):
    """Global attributes are the same in all files, but for those that name the file or its grid."""
    first = {}
    for file in files:
        for key, value in file.attributes.items():
            if key not in OWN_TO_FILE:
                place = (key, file.grid if key in OWN_TO_GRID else "")
                other, known = first.setdefault(place, (file, value))
                if str(known) != str(value):
                    yield f"{key} is {value!r} in {file.relative}, but {known!r} in {other.relative}"


@rule("simulation")
def dewpoint_below_temperature(files, comparisons, expected):
    """Dewpoint is never above the air temperature at 2 m."""
    for grid, comparison in sorted(comparisons.items()):
        if not comparison.dewpoint_excess <= 0:  # so that NaN is found too
            yield f"tdas on {grid} exceeds tas by up to {comparison.dewpoint_excess:g} K"


@rule("simulation", own=True)
def humidity_consistent(files, comparisons, expected):
    """Specific humidity at 2 m is that of the dewpoint and the surface pressure, within 5 %."""
    for grid, comparison in sorted(comparisons.items()):
        if comparison.humidity_total and not comparison.humidity_misfit <= 0.05 * comparison.humidity_total:
            share = comparison.humidity_misfit / comparison.humidity_total
            yield f"huss on {grid} differs from that of tdas and ps by {share:.0%} on average"


@rule("simulation", own=True)
def grids_agree(files, comparisons, expected):
    """A variable's global mean is the same on both grids: the regridding conserves it."""
    known = {}
    for file in files:
        if file.statistics is None or not file.statistics.months:
            continue
        mean = file.area_mean()
        grid, other = known.setdefault(file.variable, (file.grid, mean))
        # Means of winds nearly cancel, so what single precision rounds off is measured by the values themselves.
        size = np.maximum(np.abs(file.statistics.minimum), np.abs(file.statistics.maximum))
        if mean.shape == other.shape and (np.abs(mean - other) > 1e-4 * np.abs(mean) + 1e-5 * size).any():
            yield f"the mean of {file.variable} is {mean.tolist()} on {file.grid}, but {other.tolist()} on {grid}"


# An experiment: (summaries, members), a submission: (summaries).


@rule("experiment")
def members_counted(simulations, members):
    """Members are r1i1p1f1, r2i1p1f1, .. without a gap, as many as asked for."""
    found = sorted(realization(simulation["member_id"]) or 0 for simulation in simulations)
    wanted = list(range(1, (members or len(found)) + 1))
    if found != wanted:
        yield f"the members are {', '.join(f'r{number}' for number in found)}, not r1 to r{wanted[-1] if wanted else 0}"


@rule("experiment", warning=True)
def members_enough(simulations, members):
    """An experiment has at least the five members that AIMIP asks for."""
    found = sorted({simulation["member_id"] for simulation in simulations})
    if len(found) < ASKED_MEMBERS:
        yield f"{len(found)} of the {ASKED_MEMBERS} members that AIMIP asks for are there: {', '.join(found)}"


@rule("experiment")
def members_differ(simulations, members):
    """No two members hold the same values of any variable, but for prescribed ones."""
    known = {}
    for simulation in simulations:
        for file in simulation["files"]:
            key = (file["variable"], file["grid"], file["data_sha256"])
            other = known.setdefault(key, simulation["member_id"])
            if other != simulation["member_id"]:
                yield f"{file['variable']} on {file['grid']} is the same in {other} and {simulation['member_id']}"


@rule("experiment")
def members_have_same_files(simulations, members):
    """Every member has the same variables on the same grids."""
    first = simulations[0]
    wanted = {(file["variable"], file["grid"]) for file in first["files"]}
    for simulation in simulations[1:]:
        found = {(file["variable"], file["grid"]) for file in simulation["files"]}
        for variable, grid in sorted(wanted ^ found):
            place = simulation if (variable, grid) in wanted else first
            yield f"{variable} on {grid} is absent in {place['member_id']}, but there in other members"


@rule("submission")
def control_there(simulations):
    """The experiment aimip, which every other one is compared with, is there."""
    names = sorted({simulation["experiment"] for simulation in simulations})
    if CONTROL not in names:
        yield f"the experiments are {', '.join(names)}: {CONTROL} is absent"


@rule("submission")
def members_same(simulations):
    """Every experiment has the same members."""
    members = defaultdict(set)
    for simulation in simulations:
        members[simulation["experiment"]].add(simulation["member_id"])
    everyone = set().union(*members.values())
    for experiment, found in sorted(members.items()):
        for member in sorted(everyone - found):
            yield f"{experiment} lacks the member {member}, which another experiment has"


@rule("submission")
def one_version(simulations):
    """One version holds for the whole tree."""
    versions = Counter(file["version"] for simulation in simulations for file in simulation["files"])
    if len(versions) > 1:
        yield f"the versions are {', '.join(f'{name} ({count} files)' for name, count in sorted(versions.items()))}"


@rule("submission")
def one_model(simulations):
    """One institution and one model name hold for the whole tree."""
    names = sorted({f"{simulation['institution_id']}/{simulation['source_id']}" for simulation in simulations})
    if len(names) > 1:
        yield f"institutions and models are {', '.join(names)}"


@rule("submission")
def same_files_everywhere(simulations):
    """Every experiment has the same variables on the same grids."""
    files = defaultdict(set)
    for simulation in simulations:
        files[simulation["experiment"]] |= {(file["variable"], file["grid"]) for file in simulation["files"]}
    everything = set().union(*files.values())
    for experiment, found in sorted(files.items()):
        for variable, grid in sorted(everything - found):
            yield f"{experiment} lacks {variable} on {grid}, which another experiment has"


@rule("submission")
def tracking_ids_unique(simulations):
    """No tracking_id is used twice."""
    known = {}
    for simulation in simulations:
        for file in simulation["files"]:
            other = known.setdefault(file["tracking_id"], file["path"])
            if file["tracking_id"] and other != file["path"]:
                yield f"{file['path']} and {other} share the tracking_id {file['tracking_id']}"


@rule("submission")
def experiments_differ(simulations):
    """No two experiments hold the same values of a member's variable."""
    known = {}
    for simulation in simulations:
        for file in simulation["files"]:
            key = (file["variable"], file["grid"], file["data_sha256"])
            other = known.setdefault(key, file["path"])
            if other.split("/")[2] != simulation["experiment"]:
                yield f"{file['path']} holds the same values as {other}"


@rule("submission", warning=True)
def response_plausible(simulations):
    """The globe warms by 0.8..5 K where the sea is 2 K warmer, 1.8..9 K where it is 4 K warmer, and in proportion."""
    tas, offsets = defaultdict(dict), {}
    for simulation in simulations:
        # To a pattern, and to ice that follows, no one number is in proportion.
        scaled = not simulation["sea"]
        offsets[simulation["experiment"]] = simulation["sst_offset"] if scaled else None
        for file in simulation["files"]:
            if file["variable"] == "tas" and file["mean"]:
                tas[simulation["experiment"]][simulation["member_id"]] = file["mean"][0]
    for experiment, offset in offsets.items():
        if offset is None or experiment == CONTROL:
            continue
        low, high = plausible_response(offset)
        for member in sorted(set(tas[experiment]) & set(tas[CONTROL])):
            response = tas[experiment][member] - tas[CONTROL][member]
            if not low <= response <= high:
                yield f"tas of {experiment} {member} is {response:.2f} K above {CONTROL}'s, outside {low:g}..{high:g} K"
