"""A table of five fields of the real Earth, without sea ice and statics, through the workflow: planned, and run."""

import csv
import json

import netCDF4
import numpy as np
import pytest
import yaml

from tests.helpers.project import DATA, snakemake
from tests.workflow.test_workflow import job_counts
from workflow.scripts.inputs.convert import convert

OVERLAY = {
    "source": "local",
    "variables": str(DATA / "ncep_reanalysis_fields.csv"),
    "local": {"folder": "local", "forcing": "forcing.nc", "forcing_values": "mean"},
    "periods": {
        "simulation": ["1995-01", "2000-12"],
        "training": ["1995-01", "1997-12"],
        "validation": ["1998-01", "1998-12"],
        "test": ["1999-01", "2000-12"],
    },
    "grid": {"resolution": 15},
    "members": 2,
    # Three years tell too little of the response for a sea 4 K warmer.
    "experiments": {"aimip-p2k": None, "aimip-p4k": None, "aimip-p1k": {"sst_offset": 1}},
    "submission": {
        "contact": "climate@institution.edu",
        "source_id": "MD-15-five",
        "grids": ["gn", "gr"],
        "regridded_resolution": 10.0,
    },
    "model": {
        **{"latent_channels": 4, "hidden": 16, "encoder_rank": 8, "decoder_rank": 16, "denoiser_rank": 8},
        **{"forced_modes": 2, "noise_modes": 0, "evaluations": 4},
    },
    "training": {"epochs": 1, "validate_every": 1, "offset_members": 1},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fields")
    units = {"z500": "m", "z200": "m", "v200": "m/s"}
    files = [DATA / "ncep_reanalysis_15deg.nc"]
    convert(files, OVERLAY["variables"], folder / "local", {"msl": "slp"}, units, ("1995-01", "2000-12"))
    (folder / "overlay.yaml").write_text(yaml.safe_dump(OVERLAY))
    return folder


def test_what_the_table_leaves_out_is_not_planned(folder):
    done = snakemake(folder, "--dry-run", "all", overlay=folder / "overlay.yaml")
    jobs = job_counts(done.stdout)
    assert jobs["download_era5"] == 12 and jobs["regrid_forcing"] == 1 and jobs["cmorize"] == 4
    assert not {"download_static", "regrid_static", "aggregate_static", "truth"} & set(jobs)


def test_a_wrong_table_stops_the_run_in_one_sentence(folder, tmp_path):
    table = tmp_path / "table.csv"
    table.write_text((DATA / "ncep_reanalysis_fields.csv").read_text().replace(",psl", ",slp"))
    (tmp_path / "overlay.yaml").write_text(yaml.safe_dump(OVERLAY | {"variables": str(table)}))
    done = snakemake(folder, "--dry-run", "all", overlay=tmp_path / "overlay.yaml", check=False)
    assert done.returncode
    assert f"{table} line 6, column 'cmor_name': 'slp' is not allowed" in done.stdout + done.stderr


@pytest.mark.slow
def test_five_fields_from_files_to_scores(folder):
    snakemake(folder, "all", overlay=folder / "overlay.yaml")
    product = folder / "results/submission/UMD-PARETO/MD-15-five"
    files = sorted(product.rglob("*.nc"))
    assert {path.parts[-4] for path in files} == {"va", "zg", "psl", "tas"} and len(files) == 2 * 2 * 4 * 2
    with netCDF4.Dataset(next(path for path in files if path.name.startswith("zg") and "_gn_" in path.name)) as file:
        assert file["plev"][:].tolist() == [50000, 20000] and file["zg"].shape == (72, 2, 13, 24)
        heights = file["zg"][:].mean(axis=(0, 3))[:, 6]  # at the equator
    np.testing.assert_allclose(heights, [5860, 12400], rtol=0.02)
    rules = {row["rule"]: row for row in csv.DictReader(open(folder / "results/check/submission.csv"))}
    assert "AIMIP asks for" in rules["variables-complete"]["left_out"]
    assert rules["prescribed-sea"]["left_out"] == "there is no ts"
    assert rules["levels"]["checked"] == "32" and rules["cf-conventions"]["failed"] == "0"
    card = json.loads((folder / "results/evaluate/scorecard.json").read_text())
    assert card["skipped"]["QBO"] == "there is no ua50"
    assert {"NAO", "SAM", "PNA"} <= {line["name"] for line in card["lines"]}
    assert (product / "variables.csv").read_text() == (DATA / "ncep_reanalysis_fields.csv").read_text()
    text = (product / "README.md").read_text()
    assert "Pressure levels (hPa): of `va`: 200, a dimension of length one; of `zg`: 500, 200." in text
    assert "`huss`" not in text and "`ts`" not in text
