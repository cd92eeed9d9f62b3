"""The truth from a general circulation model's own runs: warmed less control, of years that both have."""

import json
import shutil

import netCDF4
import numpy as np
import pytest
import xarray as xr
import yaml

from tests.helpers import cds_replies
from tests.helpers.evaluation_run import EXPERIMENTS, members, run
from tests.helpers.project import VARIABLES, load_config, snakemake
from workflow.scripts.common.months import month_range
from workflow.scripts.evaluate import truth
from workflow.scripts.evaluate.metrics.table import read_table
from workflow.scripts.evaluate.summarize.true_response import read_truth
from workflow.scripts.evaluate.truth_files import folder_response
from workflow.scripts.inputs.era5 import open_era5

LAT, LON = cds_replies.grid(15)
SPANS = dict.fromkeys(("training", "validation", "test"), ("1990-01", "1991-12"))
SPANS["simulation"] = ("1990-01", "1992-06")


def write_run(folder, years):
    for year in years:
        for dataset in ("single-levels", "pressure-levels"):
            (folder / dataset).mkdir(parents=True, exist_ok=True)
        cds_replies.write_single_levels(folder / f"single-levels/{year}.nc", year)
        cds_replies.write_pressure_levels(folder / f"pressure-levels/{year}.nc", year)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Control 1989 to 1992, warmed 1990 to 1992: air 3 K and an amplitude of 1 K warmer, geopotential 98.0665 m2/s2."""
    folder = tmp_path_factory.mktemp("runs")
    write_run(folder / "aimip", range(1989, 1993))
    changed = {"t2m": (287, 21), "z": (55098.0665, 2000)}
    with pytest.MonkeyPatch.context() as patch:
        for name, scale in changed.items():
            patch.setitem(cds_replies.SCALES, name, scale)
        write_run(folder / "aimip-p4k", range(1990, 1993))
    return folder


def test_the_response_is_the_mean_difference_of_whole_years_within_the_simulation(runs, tmp_path):
    command = ["--variables", str(VARIABLES), "--folder", str(runs), "--resolution", "15", "--out", str(tmp_path / "a")]
    command += ["--periods", json.dumps(SPANS), "--experiments", json.dumps(EXPERIMENTS)]
    assert truth.main([*command, "--log", str(tmp_path / "log")]) == 0
    responses, deviations = read_truth(tmp_path / "a")
    found = responses["aimip-p4k"]
    times = np.concatenate([cds_replies.month_starts(year) for year in (1990, 1991)])
    shape = (cds_replies.fake("t2m", times, LAT, LON).astype(np.float64) - 284) / 20
    np.testing.assert_allclose(found["tas"], 3 + shape.mean(axis=0)[::-1], atol=1e-4)  # south first
    np.testing.assert_allclose(found["zg500"], 10, atol=1e-2)
    np.testing.assert_allclose(found["ta850"], 0, atol=1e-4)
    assert deviations == {} and set(responses) == {"aimip-p4k"}
    said = (tmp_path / "log").read_text()
    assert "of the years 1990, 1991" in said, said
    with netCDF4.Dataset(tmp_path / "a") as data:
        assert str(runs) in data.title


def test_a_finer_run_comes_to_the_models_grid(runs, tmp_path):
    simulation = month_range("1990-01", "1990-12")
    coarse, lat, lon = folder_response(runs, VARIABLES, 30, simulation, EXPERIMENTS)
    fine, *_ = folder_response(runs, VARIABLES, 15, simulation, EXPERIMENTS)
    assert (len(lat), len(lon)) == (7, 12)

    def mean(values, rows):
        weights = np.abs(
            np.diff(np.sin(np.deg2rad(np.clip(np.linspace(-90 - rows, 90 + rows, len(values) + 1), -90, 90))))
        )
        return (values.mean(axis=1) * weights).sum() / weights.sum()

    assert mean(coarse["aimip-p4k"]["tas"], 15) == pytest.approx(mean(fine["aimip-p4k"]["tas"], 7.5), abs=1e-5)


def test_what_the_folder_lacks_is_told(runs, tmp_path):
    simulation = month_range("1990-01", "1991-12")
    with pytest.raises(ValueError, match="no calendar year of aimip and of a warmed experiment within 1995-01"):
        folder_response(runs, VARIABLES, 15, month_range("1995-01", "1996-12"), EXPERIMENTS)
    shutil.copytree(runs, tmp_path / "few")
    shutil.rmtree(tmp_path / "few/aimip-p4k/pressure-levels")
    with pytest.raises(ValueError, match="EXPERIMENT/DATASET/YEAR.nc with .*pressure-levels"):
        folder_response(tmp_path / "few", VARIABLES, 15, simulation, EXPERIMENTS)
    shutil.copytree(runs, tmp_path / "short")
    cds_replies.write_single_levels(tmp_path / "short/aimip/single-levels/1990.nc", 1990, months=range(1, 12))
    with pytest.raises(ValueError, match="1990.nc holds 11 of the twelve months of 1990"):
        folder_response(tmp_path / "short", VARIABLES, 15, simulation, EXPERIMENTS)
    shutil.copytree(runs, tmp_path / "holes")
    with netCDF4.Dataset(tmp_path / "holes/aimip-p4k/pressure-levels/1991.nc", "a") as data:
        data["u"][3, 2, 5, 5] = np.nan
    with pytest.raises(ValueError, match="1991.nc: 'u' has places without a value"):
        folder_response(tmp_path / "holes", VARIABLES, 15, simulation, EXPERIMENTS)


def test_the_workflow_makes_it_of_the_folder_that_the_config_names(runs, tmp_path):
    runs = shutil.copytree(runs, tmp_path / "runs")
    spans = {"training": ["1990-01", "1990-12"], "validation": ["1991-01", "1991-06"], "test": ["1991-07", "1991-12"]}
    overlay = load_config("test") | {"source": "local", "periods": {"simulation": ["1990-01", "1991-12"], **spans}}
    overlay["experiments"] = EXPERIMENTS
    overlay["local"] |= {"name": "a GCM", "folder": str(runs / "aimip"), "forcing": "forcing.nc"}
    overlay["evaluation"]["truth"] = str(runs)
    (tmp_path / "overlay.yaml").write_text(yaml.safe_dump(overlay))
    done = snakemake(tmp_path, "results/evaluate/truth.nc", "--cores", "1", overlay=tmp_path / "overlay.yaml")
    assert "Computing the true response of a GCM" in done.stderr + done.stdout
    found = read_truth(tmp_path / "results/evaluate/truth.nc")[0]["aimip-p4k"]
    assert found["zg500"].shape == (13, 24) and np.allclose(found["zg500"], 10, atol=1e-2)
    planned = snakemake(tmp_path, "--dry-run", "results/evaluate/truth.nc", overlay=tmp_path / "overlay.yaml").stdout
    assert "Nothing to be done" in planned
    write_run(runs / "aimip-m2k", [1990])
    planned = snakemake(tmp_path, "--dry-run", "results/evaluate/truth.nc", overlay=tmp_path / "overlay.yaml").stdout
    assert "Nothing to be done" in planned, "an experiment that the config does not have changes nothing"
    write_run(runs / "aimip-p4k", [1993])
    planned = snakemake(tmp_path, "--dry-run", "results/evaluate/truth.nc", overlay=tmp_path / "overlay.yaml").stdout
    assert "Nothing to be done" not in planned


def test_the_scorecard_says_whose_truth_it_is(tmp_path):
    simulations = {("aimip", "r1i1p1f1"): {"seed": 0}, ("aimip-p4k", "r1i1p1f1"): {"seed": 0, "warming": 3.0}}
    run(tmp_path, simulations, truth=2.5, reference_name="SPEEDY")
    card = json.loads((tmp_path / "card.json").read_text())
    (section,) = {row["section"] for row in card["lines"] if row["section"].startswith("E5 aimip-p4k")}
    assert section.endswith("reference: truth of SPEEDY)")
    assert members(read_table(tmp_path / "metrics.csv"), "E5_error_rms", "simulation", "tas", "aimip-p4k") == (
        pytest.approx([0.5], abs=1e-4)
    )


def test_precipitation_may_be_an_accumulation_and_a_file_hold_more_months(runs, tmp_path):
    """What local files may: m of water a day where the table has a rate, and the January after the year."""
    simulation = month_range("1990-01", "1991-12")
    expected, *_ = folder_response(runs, VARIABLES, 15, simulation, EXPERIMENTS)
    shutil.copytree(runs, tmp_path / "runs")
    for path in (tmp_path / "runs").rglob("single-levels/199?.nc"):
        with open_era5(path) as data:
            later = data.isel(time=[0]).assign_coords(time=[np.datetime64(f"{int(path.stem) + 1}-01", "s")])
            whole = xr.concat([data, later], "time").load()
        whole["tp"] = (whole["avg_tprate"] * 86.4).assign_attrs(units="m")
        whole = whole.drop_vars(["avg_tprate", "expver"])
        path.unlink()
        whole.to_netcdf(path)
    found, *_ = folder_response(tmp_path / "runs", VARIABLES, 15, simulation, EXPERIMENTS)
    for name, values in expected["aimip-p4k"].items():
        np.testing.assert_allclose(found["aimip-p4k"][name], values, atol=1e-6, err_msg=name)
