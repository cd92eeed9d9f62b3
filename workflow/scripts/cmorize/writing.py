"""What CMOR is told: the dataset, its axes and variables, and their values in slabs of months.

Needs numpy and netCDF4 only beside CMOR, so CMOR's interpreter can import it.
"""

import json
import logging
from functools import partial
from pathlib import Path

import numpy as np

from workflow.scripts.cmorize.cmor_versions import cmor_version, import_cmor, set_chunks, time_axis
from workflow.scripts.cmorize.fields import Simulation, check_rollout, source_channels
from workflow.scripts.common import grids as latlon
from workflow.scripts.common.experiments import history_entry, stated
from workflow.scripts.common.mip_tables import (
    AXES,
    ENTRIES,
    FORMULAS,
    SUBMISSION,
    VOCABULARY,
    height_axis,
    pressure_axis,
    read_entries,
    read_table,
)
from workflow.scripts.common.months import TIME_UNITS, mid_times, month_range, time_bounds

SLAB = 12  # months in memory at a time; a multiple of the chunks' months, so that each chunk is compressed once
MISSING = np.float32(1e20)


def read_settings(tables, experiment, grid_labels):
    """The submission's settings from the tables folder; ValueError if experiment or a grid is not in them."""
    settings = read_table(tables, SUBMISSION)
    known = settings["attributes"]["experiment_id"]
    if experiment != known:
        raise ValueError(f"experiment '{experiment}' is not in the tables {tables}, which allow '{known}'")
    for label in grid_labels:
        if label not in settings["grids"]:
            raise ValueError(f"grid '{label}' is not in the tables {tables}, which allow {sorted(settings['grids'])}")
    return settings


def cmorize(rollout, forcing, variables, tables, experiment, member, grid_labels, folder):
    """Write the files of one simulation below ``folder`` with CMOR. Raises ValueError or CMOR's error."""
    # Here, in the child process, so that a Python that lacks it ends in one sentence.
    import netCDF4

    settings = read_settings(tables, experiment, grid_labels)
    sources = source_channels(variables)
    missing = sorted(set(read_entries(tables)) - set(sources))
    if missing:
        raise ValueError(f"{variables} names no channel for the variables {', '.join(missing)} of {tables}")
    cmor = import_cmor()
    with netCDF4.Dataset(rollout) as made, netCDF4.Dataset(forcing) as prescribed:
        check_rollout(made, prescribed, sum(sources.values(), []), settings, rollout)
        simulation = Simulation(made, prescribed, sources, settings["sst_offset"])
        for label in grid_labels:
            write_grid(cmor, simulation, settings, label, member, tables, folder, history(made, settings, label, cmor))


def history(rollout, settings, label, cmor):
    """One line of what made the files of a grid: the rollout's global attributes, the config's keys, the software."""
    made = {key: rollout.getncattr(key) for key in sorted(rollout.ncattrs()) if key not in ("Conventions", "history")}
    made |= {"period": "..".join(settings["period"])}
    made |= {"grid": f"{label} {settings['grids'][label]['resolution']:g} degrees", "deflate": settings["deflate"]}
    made |= {"cmor": cmor_version(cmor), "numpy": np.__version__}
    return "; ".join([*(f"{key}={value}" for key, value in made.items()), history_entry(stated(settings))])


def dataset_description(settings, label, member, folder, made_by):
    """CMOR's dataset description for one grid, as a dict: the submission's attributes and what names the files."""
    return {
        **settings["attributes"],
        "_controlled_vocabulary_file": VOCABULARY,
        "_AXIS_ENTRY_FILE": AXES,
        "_FORMULA_VAR_FILE": FORMULAS,
        "_cmip6_option": "CMIP6",
        "_further_info_url_tmpl": settings["attributes"]["further_info_url"],
        "_history_template": "%s; written by CMOR",
        "outpath": str(folder),
        "output_path_template": "<institution_id><source_id><experiment_id><_member_id><table><variable_id><grid_label>"
        "<version>",
        "output_file_template": "<variable_id><table><source_id><experiment_id><_member_id><grid_label>",
        "grid_label": label,
        "grid": settings["grids"][label]["grid"],
        "nominal_resolution": settings["grids"][label]["nominal_resolution"],
        "realization_index": str(member),
        "initialization_index": "1",
        "physics_index": "1",
        "forcing_index": "1",
        "history": made_by,
    }


def write_grid(cmor, simulation, settings, label, member, tables, folder, made_by):
    """Write all variables on the grid ``label`` below ``folder``; all are declared to CMOR before one is written."""
    native = tuple(np.asarray(simulation.rollout[axis][:], np.float64) for axis in ("lat", "lon"))
    fact = settings["grids"][label]
    grid = latlon.centres(fact["resolution"], poles=fact["poles"])
    if fact["poles"] and [len(axis) for axis in native] != [len(axis) for axis in grid]:
        raise ValueError(f"the rollout's grid is {len(native[0])}x{len(native[1])}, but '{label}' is '{fact['grid']}'")
    # A cell that lacks a part has no value, so that the checks find what is missing.
    regrid = np.asarray if fact["poles"] else partial(latlon.ConservativeRegridder(native, grid), least=latlon.WHOLE)

    description = folder / f"dataset_{label}.json"
    description.write_text(
        json.dumps(dataset_description(settings, label, member, folder, made_by), indent=1), encoding="utf-8"
    )
    tables = Path(tables).resolve()
    cmor.setup(
        inpath=str(tables),
        netcdf_file_action=cmor.CMOR_REPLACE,
        set_verbosity=cmor.CMOR_NORMAL,
        exit_control=cmor.CMOR_NORMAL,
        logfile=str(folder / f"cmor_{label}.log"),
        create_subdirectories=1,
    )
    cmor.dataset_json(str(description))
    for key in ("version", "_version"):
        cmor.set_cur_dataset_attribute(key, settings["version"])
    cmor.set_cur_dataset_attribute("further_info_url", settings["attributes"]["further_info_url"])
    cmor.load_table(ENTRIES)

    entries, months = read_entries(tables), month_range(*settings["period"])
    axes = declare_axes(cmor, grid, simulation, entries, len(months))
    lengths = {"time": len(months), "latitude": len(grid[0]), "longitude": len(grid[1])}
    handles = {}
    for name, entry in entries.items():
        # A height of 2 or 10 m is a constant of the coordinate table, which CMOR adds itself.
        dimensions = [each for each in reversed(entry["dimensions"].split()) if each != height_axis(entry)]
        ids = [axes[dimension] for dimension in dimensions]
        handles[name] = cmor.variable(name, simulation.units(name), ids, missing_value=MISSING)
        cmor.set_deflate(handles[name], 1, int(settings["deflate"] > 0), settings["deflate"])
        set_chunks(cmor, handles[name], chunk_sizes(entry, [lengths.get(each, 1) for each in dimensions]))
    for name, handle in handles.items():
        for start in range(0, len(months), SLAB):
            slab = slice(start, min(start + SLAB, len(months)))
            times, limits = mid_times(months[slab]), time_bounds(months[slab])
            data = np.ascontiguousarray(regrid(simulation.read(name, slab)), np.float32)
            cmor.write(handle, data, len(times), time_vals=times, time_bnds=limits)
        cmor.close(handle)
        logging.info("%s on %s: %d months", name, label, len(months))
    cmor.close()


def chunk_sizes(entry, lengths):
    """Sizes of a variable's chunks from its entry's chunk_dimensions (time, level, lat, lon), at most ``lengths``.

    ``lengths``: of the variable's dimensions, three or four; of levels 1, since each has chunks of its own.
    """
    time, level, *place = (int(size) for size in entry["chunk_dimensions"].split())
    sizes = [time, level, *place] if len(lengths) == 4 else [time, *place]
    return [min(pair) for pair in zip(sizes, lengths, strict=True)]


def declare_axes(cmor, grid, simulation, entries, months):
    """CMOR's axes of so many months by their names in the table: {name: id}; levels (Pa) are those of the channels."""
    lat, lon = grid
    axes = {
        "time": time_axis(cmor, TIME_UNITS, months),
        "latitude": cmor.axis(
            "latitude", units="degrees_north", coord_vals=lat, cell_bounds=latlon.bounds(latlon.lat_edges(lat))
        ),
        "longitude": cmor.axis(
            "longitude", units="degrees_east", coord_vals=lon, cell_bounds=latlon.bounds(latlon.lon_edges(lon))
        ),
    }
    for name, entry in entries.items():
        dimension = pressure_axis(entry)
        if dimension is not None and dimension not in axes:
            levels = np.array([row.level * 100.0 for row in simulation.sources[name]])
            axes[dimension] = cmor.axis(dimension, units="Pa", coord_vals=levels)
    return axes
