"""Conservative regridding weights from the ERA5 grid to the model's, in the file format of xESMF.

The file holds the sparse matrix as ``row`` and ``col`` (1-based, latitude-major) and ``S``, one entry per pair of
overlapping cells: the share of the target cell (row) that the source cell (col) covers. Beside them lie the centres of
both grids, so that the reader can tell whether a field is on the grid the weights were made for.
"""

import logging
import sys

import numpy as np

from workflow.scripts.common import program
from workflow.scripts.common.grids import centres, lat_edges, lat_overlap, lon_edges, lon_overlap
from workflow.scripts.common.ncfiles import add_coordinate, new_file
from workflow.scripts.inputs.checks import check_grid
from workflow.scripts.inputs.era5 import STATIC, open_era5


def write_weights(source_path, output, resolution, engine="boxes"):
    """Weights from the grid of the ERA5 file ``source_path`` to the global grid of ``resolution`` degrees with poles.

    ``engine``: ``boxes`` (exact overlap of latitude-longitude boxes) or ``xesmf`` (ESMF, which draws cell edges as
    great circles; where ESMF is installed). Raises ValueError for another engine or a grid that is not global.
    """
    with open_era5(source_path, STATIC) as dataset:
        source = dataset["latitude"].values, dataset["longitude"].values
    try:
        check_grid(*source)
    except ValueError as error:
        raise ValueError(f"{source_path}: {error}") from error
    target = centres(resolution)
    row, col, share = {"boxes": box_weights, "xesmf": esmf_weights}[engine](*source, *target)
    save_weights(output, row, col, share, source, target, engine)
    logging.info("%d weights from %dx%d to %dx%d by %s", len(share), *map(len, source), *map(len, target), engine)


def box_weights(source_lat, source_lon, lat, lon):
    """(row, col, share) of exact boxes, 0-based: latitudes overlap by the sine of their edges, longitudes by width.

    The boxes are products of intervals, so the matrix is the Kronecker product of two small ones.
    """
    i, j, height = _entries(lat_overlap(source_lat, lat))
    k, m, width = _entries(lon_overlap(source_lon, lon))
    row = i[:, None] * len(lon) + k[None, :]
    col = j[:, None] * len(source_lon) + m[None, :]
    share = height[:, None] * width[None, :]
    order = np.lexsort((col.ravel(), row.ravel()))
    return row.ravel()[order], col.ravel()[order], share.ravel()[order]


def esmf_weights(source_lat, source_lon, lat, lon):
    """(row, col, share) of ESMF's first-order conservative regridding, 0-based; needs xesmf with esmpy."""
    try:
        import xesmf
    except ImportError as error:
        raise RuntimeError(
            "regrid.engine is xesmf, but xesmf is not installed; use envs/regrid.yaml or set it to boxes"
        ) from error
    grids = [
        {"lat": one_lat, "lon": one_lon, "lat_b": lat_edges(one_lat), "lon_b": lon_edges(one_lon)}
        for one_lat, one_lon in ((source_lat, source_lon), (lat, lon))
    ]
    matrix = xesmf.Regridder(*grids, "conservative").weights.data.to_scipy_sparse().tocsr().tocoo()
    return matrix.row, matrix.col, matrix.data


def save_weights(output, row, col, share, source, target, engine):
    """Write 0-based (row, col, share) between the grids ``source`` and ``target``, each (lat, lon) in degrees."""
    with new_file(output, f"conservative regridding weights ({engine})") as file:
        file.createDimension("n_s", len(share))
        for name, kind, values in (("row", "i4", row + 1), ("col", "i4", col + 1), ("S", "f8", share)):
            file.createVariable(name, kind, ("n_s",))[:] = values
        for name, values in zip(("lat_in", "lon_in", "lat_out", "lon_out"), (*source, *target), strict=True):
            add_coordinate(file, name, values)


def _entries(overlap):
    """(target, source, share) of the cells that really overlap; rounding leaves slivers of 1e-16."""
    overlap = np.where(overlap > 1e-9, overlap, 0)
    overlap /= overlap.sum(axis=1, keepdims=True)
    target, source = np.nonzero(overlap)
    return target, source, overlap[target, source]


def main(arguments=None):
    """Command line."""
    parser = program.command_line(__doc__)
    parser.add_argument("--grid", required=True, help="a downloaded ERA5 file, for its grid")
    parser.add_argument("--resolution", type=float, required=True, help="of the model's grid, degrees")
    parser.add_argument("--engine", choices=["boxes", "xesmf"], default="boxes", help="what makes the weights")
    parser.add_argument("--out", required=True, help="file to write")
    return program.run(
        parser, lambda given: write_weights(given.grid, given.out, given.resolution, given.engine), arguments
    )


if __name__ == "__main__":
    sys.exit(main())
