"""Other models beside ours: submission trees that deviate from the rules in the known ways."""

import netCDF4
import numpy as np
import pytest

from tests.helpers.evaluation_run import EXPERIMENTS, LAT, LON, MONTHS, PERIODS, SETTINGS, run
from tests.helpers.evaluation_tree import write_simulation
from tests.helpers.project import INDEX, VARIABLES
from workflow.scripts.evaluate.metrics.table import read_table
from workflow.scripts.evaluate.plots.models import models_figure
from workflow.scripts.evaluate.plots.style import save
from workflow.scripts.evaluate.summarize.reader import SummaryFile
from workflow.scripts.evaluate.summarize.simulation import summarize
from workflow.scripts.evaluate.summarize.tree import summarize_tree
from workflow.scripts.submission.tree import find_simulations


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """A simulation by the rules, summarized by the strict reader."""
    folder = tmp_path_factory.mktemp("straight")
    files = write_simulation(folder / "files", MONTHS, LAT, LON, seed=5)
    summarize(files, folder / "aimip" / "r1i1p1f1.nc", INDEX, PERIODS, 2)
    return SummaryFile(folder / "aimip" / "r1i1p1f1.nc")


def deviant_tree(root, experiment="aimip-2k", member="r1i1p2f1", **arguments):
    """The same simulation as other groups submitted theirs: names, units and variables changed."""
    folder = root / "GROUP" / "Deviant" / experiment / member
    for path in write_simulation(folder, MONTHS, LAT, LON, **{"seed": 5, **arguments}):
        name = path.name.split("_")[0]
        target = folder / f"{name}_Amon_Deviant_aimip_{member}_gn_197810-198601.nc"
        path.rename(target)
        with netCDF4.Dataset(target, "a") as data:
            if name == "zg":
                data["zg"][:] = data["zg"][:] * 9.80665
                data["zg"].units = "m2 s-2"
            if name == "ts":
                data["ts"][:] = data["ts"][:] - 273.15
                data["ts"].units = "degC"
                data.renameVariable("ts", "tos")
        if name == "ts":
            target.rename(folder / target.name.replace("ts_", "tos_"))
        if name == "huss":
            target.unlink()
    return root


def tree_summary(root, output, experiments=("aimip", "aimip-p2k")):
    summarize_tree(root, output, VARIABLES, INDEX, PERIODS, 2, experiments)
    (path,) = output.glob("*/*.nc")
    return SummaryFile(path)


def test_known_deviations_change_no_number(straight, tmp_path):
    found = tree_summary(deviant_tree(tmp_path / "tree"), tmp_path / "out")
    assert (found.experiment, found.member) == ("aimip-p2k", "r1i1p2f1")
    assert found.fields == straight.fields
    for field in straight.fields:
        expected = straight.maps("mean_test", [field])
        scale = np.abs(expected).max()
        assert found.maps("mean_test", [field]) == pytest.approx(expected, abs=2e-6 * scale), field
        assert found.units[field] == straight.units[field]


def test_geopotential_without_units_is_known_by_its_size(straight, tmp_path):
    root = deviant_tree(tmp_path / "tree")
    path = next(root.rglob("zg_*.nc"))
    with netCDF4.Dataset(path, "a") as data:
        data["zg"].units = "m"
    found = tree_summary(root, tmp_path / "out")
    assert found.maps("mean_test", ["zg500"]).mean() == pytest.approx(
        straight.maps("mean_test", ["zg500"]).mean(), rel=1e-5
    )


def test_other_levels_are_interpolated_in_pressure_and_not_extrapolated(tmp_path):
    folder = tmp_path / "tree" / "aimip" / "r1i1p1f1"
    for path in write_simulation(folder, MONTHS, LAT, LON, seed=5):
        if not path.name.startswith("ta_"):
            path.unlink()
    (path,) = folder.glob("ta_*.nc")
    target = folder / "ta_Amon_Other_aimip_r1i1p1f1_gn_197810-198512.nc"
    path.rename(target)
    with netCDF4.Dataset(target, "a") as data:
        data["plev"][:] = [95000, 80000, 60000, 40000, 20000, 15000, 7000]
        data["ta"][:] = np.broadcast_to(200 + data["plev"][:][:, None, None] / 1000, data["ta"].shape)
    found = tree_summary(tmp_path / "tree", tmp_path / "out")
    assert set(found.fields) == {"ta850", "ta700", "ta500", "ta250", "ta100"}
    for level in (850, 700, 500, 250, 100):
        assert found.maps("mean_test", [f"ta{level}"]) == pytest.approx(
            np.full((1, len(LAT), len(LON)), 200 + level / 10)
        )


def test_a_variable_on_a_second_grid_is_regridded_to_the_first(straight, tmp_path):
    root = deviant_tree(tmp_path / "tree")
    other = -85.0 + 10 * np.arange(18), 5.0 + 10 * np.arange(36)
    for path in write_simulation(tmp_path / "other", MONTHS, *other, seed=5):
        if path.name.startswith("tas_"):
            (target,) = root.rglob("tas_*.nc")
            path.rename(target)
    found = tree_summary(root, tmp_path / "out")
    assert found.fields == straight.fields
    assert np.array_equal(found.lat, straight.lat)
    assert found.maps("mean_test", ["ts"]) == pytest.approx(straight.maps("mean_test", ["ts"]), abs=1e-3)
    tas, expected = found.maps("mean_test", ["tas"])[0], straight.maps("mean_test", ["tas"])[0]
    assert tas == pytest.approx(expected, abs=2.5)  # the same mean climate, other noise, edges of cells smoothed
    assert abs(tas - expected).mean() < 0.5


def test_a_tree_without_submission_files_is_named(tmp_path):
    with pytest.raises(ValueError, match="holds no file named like tas_Amon_MODEL"):
        find_simulations(tmp_path)


def test_models_stand_side_by_side(tmp_path):
    root = deviant_tree(tmp_path / "tree", experiment="aimip", seed=0, bias=0.1)
    summarize_tree(root, tmp_path / "models" / "Deviant", VARIABLES, INDEX, PERIODS, 2, EXPERIMENTS)
    models = {"Deviant": tmp_path / "models" / "Deviant"}
    run(tmp_path, {("aimip", "r1i1p1f1"): {"seed": 0, "bias": 0.5}}, models=models)
    table = read_table(tmp_path / "metrics.csv")
    assert table.members("Deviant", "E1_rmsb", "test", "tas", "aimip") == pytest.approx([0.3], abs=1e-4)
    assert table.members("MD-made", "E1_rmsb", "test", "tas", "aimip") == pytest.approx([1.5], abs=1e-4)
    for metric, period, field in (
        ("index_std", "training", "NAO"),
        ("power_1-3", "test", "ke250"),
        ("E2_trend_rms", "full", "tas"),
        ("ensemble_crps", "test", "psl"),
    ):
        for source in ("MD-made", "Deviant"):
            assert len(table.members(source, metric, period, field, "aimip")) == 1, (source, metric)
    assert len(table.members("reference", "index_std", "training", "NAO", "")) == 1
    figure = models_figure(table, ["MD-made", "Deviant"], "aimip", "1984-01 to 1985-12", SETTINGS["reference_name"])
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert labels == ["climatology", "MD-made", "Deviant"]
    save(figure, tmp_path / "models.png")
    assert (tmp_path / "models.png").stat().st_size > 10_000
