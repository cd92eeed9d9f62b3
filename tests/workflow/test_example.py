"""The page docs/example.md does what it says, on the submission of the test config."""

import json
import re
import warnings

import netCDF4
import numpy as np
import pytest

from tests.helpers.catalog import without_threads
from tests.helpers.project import ROOT
from workflow.scripts.evaluate.metrics.table import read_table

PAGE = (ROOT / "docs/example.md").read_text()


@pytest.fixture(scope="module")
def example(finished, tmp_path_factory):
    """What the page's programs, run one after another, leave: their names, and the folder they ran in."""
    pytest.importorskip("intake_esm")
    folder, names = tmp_path_factory.mktemp("example"), {}
    (folder / "results").symlink_to(finished.run / "results")
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.chdir(folder)
        patch.setenv("MPLBACKEND", "agg")
        without_threads(patch)
        patch.setenv("ITK_ESM_THREADING", "True")  # which the page is to change
        warnings.simplefilter("error")
        for program in re.findall(r"(?ms)^```python\n(.*?)^```$", PAGE):
            exec(program, names)
    return names, folder


def stored(finished, variable, experiment, member):
    (path,) = finished.run.glob(f"results/submission/*/*/{experiment}/{member}/Amon/{variable}/gn/*/*.nc")
    with netCDF4.Dataset(path) as data:
        return data[variable][:].filled().astype(float), data["lat"][:].filled(), data["lon"][:].filled()


def test_the_series_is_the_area_weighted_global_mean(finished, example):
    for number, member in enumerate(("r1i1p1f1", "r2i1p1f1")):
        values, lat, _ = stored(finished, "tas", "aimip", member)
        mean = np.average(values.mean(axis=2), axis=1, weights=np.cos(np.deg2rad(lat)))
        np.testing.assert_allclose(example[0]["series"][number], mean, rtol=1e-6)


def test_the_response_is_that_of_the_evaluation(finished, example):
    table = read_table(finished.run / "results/evaluate/metrics.csv")
    found = table.members("MD-15-test", "E5_response", "simulation", "tas", "aimip-p4k")
    assert len(found) == 2
    assert example[0]["mean"](example[0]["response"]) == pytest.approx(np.mean(found), rel=1e-4)


def test_the_correlation_is_that_of_anomalies(finished, example):
    """At one place, with the annual cycle taken away by hand."""
    found = []
    for member in ("r1i1p1f1", "r2i1p1f1"):
        (pr, lat, lon), (ts, *_) = (stored(finished, name, "aimip", member) for name in ("pr", "ts"))
        inside = np.abs(lat) <= 5
        box = ts[:, inside][:, :, (lon >= 190) & (lon <= 240)].mean(axis=2)
        series = np.stack([pr[:, 3, 4], np.average(box, axis=1, weights=np.cos(np.deg2rad(lat[inside])))])
        for month in range(12):
            series[:, month::12] -= series[:, month::12].mean(axis=1, keepdims=True)
        found.append(np.corrcoef(series)[0, 1])
    assert float(example[0]["correlation"][3, 4]) == pytest.approx(np.mean(found), abs=1e-4)


def test_the_figure_is_there_and_so_are_those_of_the_report(finished, example):
    assert (example[1] / "first_figure.png").stat().st_size > 10_000
    rules = (ROOT / "workflow/rules/evaluate_plots.smk").read_text()
    for category in re.findall(r"under \*(.*?)\*", " ".join(PAGE.split())):
        assert f'"{category}"' in rules, category
    for name in ("series", "response_aimip-p4k", "enso"):
        assert (finished.run / f"results/evaluate/figures/{name}.png").exists()


def test_datasets_have_what_shares_a_vertical_axis(example, monkeypatch):
    names, folder = example
    without_threads(monkeypatch)
    keyword, told = re.search(r"\((xarray_combine_by_coords_kwargs)=(.*?)\)`", PAGE).groups()
    monkeypatch.chdir(folder / names["folder"])
    found = names["catalog"].search(experiment_id="aimip", grid_label="gn")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        datasets = {key: found[key](**{keyword: json.loads(told)}).to_dask() for key in found.keys()}
    together = {key.rpartition(".")[2]: set(data.data_vars) for key, data in datasets.items()}
    assert together["height2m"] == {"tas", "huss", "tdas"} and together["height10m"] == {"uas", "vas"}
    assert together["plev500"] == {"zg"} and sum(map(len, together.values())) == 14
