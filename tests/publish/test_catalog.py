"""The catalogue of a submission: what it says of each file, and that the real intake-esm opens it wherever it lies."""

import contextlib
import csv
import json
import shutil
import warnings

import netCDF4
import numpy as np
import pytest

from tests.helpers import submission_files
from tests.helpers.catalog import without_threads
from workflow.scripts.publish.card import CATALOGUE
from workflow.scripts.publish.catalog import row, vertical_axes, write_catalog

MODEL = "UMD-PARETO/MD-1p5"
FACETS = "activity_id institution_id source_id experiment_id table_id variable_id grid_label".split()
# What xarray would warn of, since its default is to change: with one variable it needs not be said.
SEVERAL = {"xarray_combine_by_coords_kwargs": {"compat": "no_conflicts"}}


@pytest.fixture(scope="module")
def product(tmp_path_factory):
    """A copy of the made submission with its catalogue, moved since that was written."""
    before, after = (tmp_path_factory.mktemp("moved") / place / MODEL for place in ("before", "after"))
    shutil.copytree(submission_files.tree() / "submission" / MODEL, before)
    write_catalog(before, [str(path.relative_to(before)) for path in before.rglob("*.nc")], submission_files.FACTS)
    after.parent.mkdir(parents=True)
    shutil.move(before, after)
    return after


@pytest.fixture(scope="module")
def rows(product):
    with open(product / "catalog.csv", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def catalog(product, monkeypatch):
    intake = pytest.importorskip("intake")
    pytest.importorskip("intake_esm")
    without_threads(monkeypatch)
    with contextlib.chdir(product):
        yield intake.open_esm_datastore("catalog.json")


def test_every_file_has_a_row_that_says_what_the_file_says(product, rows):
    assert [each["path"] for each in rows] == sorted(str(path.relative_to(product)) for path in product.rglob("*.nc"))
    for each in rows:
        with netCDF4.Dataset(product / each["path"]) as data:
            assert {name: each[name] for name in FACETS} == {name: data.getncattr(name) for name in FACETS}
            assert each["member_id"] == data.variant_label and each["version"] == data.version
            months = netCDF4.num2date(data["time"][[0, -1]], data["time"].units, data["time"].calendar)
            assert each["time_range"] == "-".join(f"{month:%Y%m}" for month in months)


def test_the_attributes_name_every_column(product, rows):
    content = json.loads((product / "catalog.json").read_text())
    attributes = [entry["column_name"] for entry in content["attributes"]]
    assert [*attributes, content["assets"]["column_name"]] == list(rows[0])
    joined = {entry["attribute_name"] for entry in content["aggregation_control"]["aggregations"]}
    grouped = set(content["aggregation_control"]["groupby_attrs"])
    assert grouped | joined | {"version"} == set(attributes), "a column neither tells datasets apart nor is joined"


def test_intake_joins_members_and_variables_of_the_moved_tree(product, rows, catalog):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        datasets = {key: catalog[key](**SEVERAL).to_dask() for key in catalog.keys()}
    joined = 0
    for dataset in datasets.values():
        assert dataset.member_id.values.tolist() == ["r1i1p1f1", "r2i1p1f1"]
        facets = {name: dataset.attrs[name] for name in ("experiment_id", "grid_label")}
        for name in dataset.data_vars:
            members = [each for each in rows if each["variable_id"] == name and facets.items() <= each.items()]
            for each, field in zip(members, dataset[name], strict=True):
                with netCDF4.Dataset(product / each["path"]) as data:
                    assert np.array_equal(field, data[name][:].filled()), each["path"]
                    for axis in {"plev", "height"} & data.variables.keys():
                        assert np.array_equal(dataset[axis], data[axis][:]), f"{axis} of another variable"
                joined += 1
    assert joined == len(rows)
    assert {len(dataset.data_vars) for dataset in datasets.values()} == {1, 2, 3, 4}


def test_one_variable_opens_without_options_and_warnings(catalog):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = catalog.search(experiment_id="aimip", variable_id="tas", grid_label="gn").to_dask(progressbar=False)
    assert dict(found.tas.sizes) == {"member_id": 2, "time": 12, "lat": 13, "lon": 24}
    assert found.tas.units == "K" and found.height == 2


def test_the_dataset_card_says_how_without_threads(product, monkeypatch):
    pytest.importorskip("intake_esm")
    without_threads(monkeypatch)
    monkeypatch.setenv("ITK_ESM_THREADING", "True")  # which the card is to change
    monkeypatch.chdir(product)
    names = {}
    exec(CATALOGUE, names)
    assert dict(names["tas"].sizes) == {"member_id": 2, "time": 12, "lat": 13, "lon": 24}


@pytest.mark.parametrize(
    "path",
    [
        "aimip/r1i1p1f1/Amon/tas/gn/v20261122/tas.nc",
        "aimip/r1i1p1f1/tas_Amon_MD-1p5_aimip_r1i1p1f1_gn_197810-197909.nc",
        "aimip/r1i1p1f1/Amon/rsut/gn/v20261122/rsut_Amon_MD-1p5_aimip_r1i1p1f1_gn_197810-197909.nc",
    ],
)
def test_a_path_that_says_too_little_or_names_no_variable_is_refused(path):
    with pytest.raises(ValueError, match=f"'{path}' is not the path of a file of the submission; run the checks"):
        row(MODEL.split("/"), path, vertical_axes(submission_files.FACTS))
