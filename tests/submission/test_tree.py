"""Which files of anybody's tree are which simulation's, by names alone; tests/evaluate/test_trees.py reads them too."""

from pathlib import Path

import pytest

from workflow.scripts.submission.drs import submission_path
from workflow.scripts.submission.tree import sort_simulations

FILE = "tas_Amon_M_aimip_r1i1p1f1_gn_197810-202412.nc"


@pytest.mark.parametrize("experiment", ["aimip-p2k", "aimip-m1k", "aimip-el-nino", "aimip-melt", "aimip-2"])
def test_a_tree_by_the_rules_has_any_experiment_that_a_config_may_name(experiment):
    paths = [
        Path(submission_path("G", "M", name, member, "tas", "gn", "v20261122", "197810-202412"))
        for name in ("aimip", experiment)
        for member in (1, 2)
    ]
    found = sort_simulations(paths)
    assert set(found) == {(name, f"r{member}i1p1f1") for name in ("aimip", experiment) for member in (1, 2)}
    assert found[experiment, "r2i1p1f1"] == {"tas": [paths[3]]}


@pytest.mark.parametrize(
    ("path", "experiment"),
    [
        (f"aimip-2k/{FILE}", "aimip-p2k"),
        (f"aimip-p3k/tas/{FILE}", "aimip-p3k"),
        (f"aimip/M/aimip-el-nino/r1i1p1f1/{FILE}", "aimip-el-nino"),  # told by the folder only
        (f"aimip-el-nino/{FILE.replace('aimip', 'aimip-el-nino')}", "aimip-el-nino"),
        (f"tas/{FILE.replace('aimip', 'aimip-el-nino')}", "aimip-el-nino"),
        (f"aimip-data/M/{FILE}", "aimip"),  # folders that are no experiment's
        (f"aimip-data/M/{FILE.replace('aimip', 'aimip-p4k')}", "aimip-p4k"),
        (f"aimip-p4k/aimip-net/tas/{FILE.replace('_M_', '_aimip-net_')}", "aimip-p4k"),
        (f"tas/{FILE.replace('_M_aimip_', '_aimip-net_aimip-p4k_')}", "aimip-p4k"),
    ],
)
def test_the_nearest_folder_of_an_experiment_counts_else_the_files_name(path, experiment):
    assert list(sort_simulations([Path(path)])) == [(experiment, "r1i1p1f1")]


@pytest.mark.parametrize("name", ["AIMIP", "aimip-", "historical", "amip"])
def test_a_file_of_no_experiment_of_aimips_is_left_out(name):
    assert sort_simulations([Path(f"{name}/r1i1p1f1", FILE.replace("aimip", name))]) == {}
