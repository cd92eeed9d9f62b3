"""Every rule on names, shown by renaming a good file or a folder above it."""

import shutil
from types import SimpleNamespace

import pytest

from tests.helpers import submission_files
from tests.helpers.checking import check, named
from tests.helpers.edit_netcdf import rename
from workflow.scripts.check.rules import RULES

# Breaks of names: (rule, variable whose file is renamed, folder or None for the file name, new name, value named).
NAMES = [
    ("name-parts", None, "tas.nc", "tas.nc"),
    ("name-parts", None, "tas_Amon_MD_1p5_aimip_r1i1p1f1_gn_197810-197909.nc", "MD_1p5"),
    ("name-agrees", None, "tas_Amon_MD-1p5_aimip_r2i1p1f1_gn_197810-197909.nc", "'r2i1p1f1'"),
    ("name-agrees", "aimip", "aimip-p2k", "'aimip'"),
    ("period-name", None, "tas_Amon_MD-1p5_aimip_r1i1p1f1_gn_197810-197910.nc", "197810-197910"),
    ("model-name", "MD-1p5", "MD_1p5", "'MD_1p5'"),
    ("model-name", "MD-1p5", "MD-", "'MD-'"),
    ("model-name", "UMD-PARETO", "UMD PARETO", "'UMD PARETO'"),
    ("model-name", "UMD-PARETO", "UMD--PARETO", "'UMD--PARETO'"),
    ("experiment-name", "aimip", "aimip-4k", "'aimip-4k'"),
    ("experiment-name", "aimip", "aimip-p7k", "'aimip-p7k'"),
    ("member-name", "r1i1p1f1", "r1i1p2f1", "'r1i1p2f1'"),
    ("table-name", "Amon", "mon", "'mon'"),
    ("grid-name", "gn", "gr1", "'gr1'"),
    ("version-name", "v20261122", "20261122", "'20261122'"),
    ("variable-name", "tas", "tos", "'tos'"),
]


@pytest.mark.parametrize(("rule", "part", "new", "value"), NAMES)
def test_a_wrong_name_is_named(copy, rule, part, new, value):
    path = rename(submission_files.submission_file(copy, "tas"), part, new)
    found = [finding for finding in check(copy, [path])[1].findings if finding.rule == rule]
    assert found
    assert any(finding.subject == str(path.relative_to(copy / "submission")) for finding in found)
    assert any(value in finding.message for finding in found)


def test_a_missing_version_folder_is_named(copy):
    path = submission_files.submission_file(copy, "tas")
    shutil.move(path, path.parents[1] / path.name)
    assert named(check(copy)[1], "layout", path.name, "7 folders")


@pytest.mark.parametrize(
    ("experiment", "own", "passes"),
    [
        ("aimip-p2k", None, True),
        ("aimip-p7k", None, False),
        ("aimip-p7k", "aimip-p7k", True),
        ("aimip-p8k", "aimip-p7k", False),
    ],
)
def test_experiments_are_those_of_aimip_and_the_tables_own(experiment, own, passes):
    settings = {"attributes": {"experiment_id": own}} if own else None
    expected = SimpleNamespace(settings=settings)
    found = list(RULES["experiment-name"].function(SimpleNamespace(facets={"experiment_id": experiment}), expected))
    assert (found == []) == passes
    assert all(experiment in message for message in found)
