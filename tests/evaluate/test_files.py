"""What the evaluation's netCDF files say of themselves to others' tools."""

import netCDF4
import numpy as np
import pytest
import xarray as xr

from tests.helpers.evaluation_run import LAT, LON, MONTHS
from workflow.scripts.evaluate.summarize.true_response import write_truth

SAID = {
    "lat": ("latitude", "degrees_north"),
    "lon": ("longitude", "degrees_east"),
    "box_lat": ("latitude", "degrees_north"),
    "box_lon": ("longitude", "degrees_east"),
}


@pytest.fixture
def paths(result, tmp_path):
    """One file of each kind, {name: path}."""
    write_truth(tmp_path / "truth.nc", "made", {"aimip-p4k": {"tas": np.ones((len(LAT), len(LON)))}}, LAT, LON, {})
    names = {"metrics": "metrics.nc", "reference": "reference.nc", "summary": "summary/aimip/r1i1p1f1.nc"}
    return {name: result / path for name, path in names.items()} | {"truth": tmp_path / "truth.nc"}


def test_coordinates_say_what_they_are(paths):
    for name, path in paths.items():
        with netCDF4.Dataset(path) as data:
            assert data.Conventions.startswith("CF-") and data.title, name
            found = {axis: data[axis] for axis in SAID if axis in data.variables}
            assert {"lat", "lon"} <= found.keys(), name
            for axis, variable in found.items():
                assert (variable.standard_name, variable.units) == SAID[axis], (name, axis)
            for axis in {"wavenumber", "quantile", "index_period"} & data.variables.keys():
                assert data[axis].long_name and data[axis].units, (name, axis)


def test_months_of_a_summary_are_read_by_others(paths):
    for name in ("reference", "summary"):
        with xr.open_dataset(paths[name]) as data:
            assert (data["time"].values.astype("datetime64[M]") == MONTHS).all()
            starts = data["time_bnds"].values[:, 0].astype("datetime64[D]")
            assert (starts == MONTHS.astype("datetime64[D]")).all()
