"""E1 on 1 degree, as AIMIP computes it."""

import shutil
import subprocess

import netCDF4
import numpy as np
import pytest

from tests.evaluate.test_climate import summarized
from tests.helpers.evaluation_run import LAT, LON, MONTHS, PERIODS, members
from workflow.scripts.evaluate.measures.over_area import rms
from workflow.scripts.evaluate.metrics.one_degree import GRID, above_ground, evaluate_one_degree
from workflow.scripts.evaluate.metrics.scores import Results
from workflow.scripts.evaluate.metrics.table import Table

ONES = np.ones((len(MONTHS), len(LAT), len(LON)))


def test_the_grid_ends_at_the_row_where_aimip_ends():
    assert len(GRID.lat) == 180 and len(GRID.lon) == 360
    assert np.abs(GRID.lat[np.abs(GRID.lat) <= 87.5]).max() == 87.5


def test_what_is_below_the_ground_at_any_time_is_left_out(tmp_path):
    """Half the globe is a plateau whose pressure falls below 850 hPa in one month; there the bias is 50 K, else 1 K."""
    plateau = np.broadcast_to(LON >= 180, (len(LAT), len(LON)))
    pressure = 1e5 * ONES
    pressure[7, plateau] = 8.4e4
    bias = np.where(plateau, 50.0, 1.0)
    fields = {"tas": 280 * ONES, "ta850": 280 * ONES, "ta700": 270 * ONES, "ta1000": 290 * ONES, "ps": pressure}
    reference = summarized(tmp_path / "reference.nc", fields)
    (tmp_path / "aimip").mkdir()
    biased = {name: values + bias for name, values in fields.items() if name != "ps"}
    member = summarized(tmp_path / "aimip" / "r1.nc", biased)
    # Cells that the plateau's edges cut in half, at 172.5 E and 352.5 E, have a mean pressure above 850 hPa.
    kept = above_ground(reference.lowest_pressure_on(GRID), "ta850")
    assert (kept == ((GRID.lon < 173) | (GRID.lon > 352))).all()
    results = Results()
    evaluate_one_degree(results, reference, {"made": [member]}, 87.5)
    table = Table(results.rows)

    def value(metric, field):
        (found,) = table.members("made", metric, "test", field, "aimip")
        return pytest.approx(found, rel=1e-3)

    assert np.sqrt((179 + 2 * 25.5**2) / 181) == value("E1_rmsb_1deg", "ta850")
    whole = np.sqrt((179 * 50**2 + 179 + 2 * 25.5**2) / 360)
    for field in ("tas", "ta700"):
        assert whole == value("E1_rmsb_1deg", field)
        assert 25.5 == value("E1_bias_1deg", field)
    assert table.single("climatology", "E1_rmsb_1deg", "test", "ta850") == pytest.approx(0, abs=1e-4)


def test_a_reference_without_surface_pressure_leaves_nothing_out(tmp_path):
    reference = summarized(tmp_path / "reference.nc", {"ta1000": 290 * ONES})
    assert reference.lowest_pressure_on(GRID) is None
    assert above_ground(None, "ta1000").all()


def test_a_uniform_bias_is_the_same_on_every_grid(table):
    """The made climate's ground is at 980 hPa, so that 1000 hPa is below it everywhere."""
    for field in ("tas", "ta850", "ua50"):
        native = members(table, "E1_rmsb", "test", field)
        assert members(table, "E1_rmsb_1deg", "test", field) == pytest.approx(native, abs=1e-4)
    assert not members(table, "E1_rmsb_1deg", "test", "ta1000").size


@pytest.mark.skipif(shutil.which("cdo") is None, reason="needs CDO")
def test_bias_on_one_degree_agrees_with_cdo(tmp_path, result, table):
    """CDO's conservative remapping of the climatology's bias: training mean less test mean of the reference."""
    grid = "gridtype=lonlat xsize=360 ysize=180 xfirst=0.5 xinc=1 yfirst=-89.5 yinc=1".replace(" ", "\n")
    (tmp_path / "grid.txt").write_text(grid)

    def cdo(*arguments):
        subprocess.run(["cdo", "-s", "-O", "-b", "F64", *map(str, arguments)], check=True, capture_output=True)

    cdo(
        "mergetime",
        *sorted((result / "era5").glob("19*.nc")),
        tmp_path / "all.nc",
    )
    means = [
        word
        for start, end in ((PERIODS["training"][0], PERIODS["validation"][1]), PERIODS["test"])
        for word in ("-timmean", f"-seldate,{start}-01,{end}-31", "-selname,t2m", tmp_path / "all.nc")
    ]
    cdo(f"remapcon,{tmp_path / 'grid.txt'}", "-sub", *means, tmp_path / "bias.nc")
    with netCDF4.Dataset(tmp_path / "bias.nc") as data:
        bias = data["t2m"][:].filled().reshape(180, 360)
    expected = rms(bias, GRID.lat, 87.5)
    assert table.single("climatology", "E1_rmsb_1deg", "test", "tas") == pytest.approx(expected, rel=1e-3)
