"""The MIP tables read in one way: which axis a variable has beside time and place, and what is on it."""

import pytest

from workflow.scripts.common import mip_tables
from workflow.scripts.common.project import CMOR_FACTS


def test_the_projects_own_tables_are_all_that_are_named():
    found = {path.name for path in CMOR_FACTS.glob("*.json")}
    assert found == set(mip_tables.MIP_TABLES) < set(mip_tables.TABLE_FILES)


@pytest.mark.parametrize(
    ("variable", "axis", "levels", "height"),
    [
        ("ta", "plev7aimip", [100000, 85000, 70000, 50000, 25000, 10000, 5000], None),
        ("zg", "plev500", [50000], None),
        ("tas", "height2m", [], 2),
        ("uas", "height10m", [], 10),
        ("pr", None, [], None),
    ],
)
def test_the_axis_beside_time_and_place(variable, axis, levels, height):
    entry, axes = mip_tables.read_entries(CMOR_FACTS)[variable], mip_tables.read_axes(CMOR_FACTS)
    assert mip_tables.vertical_axis(entry) == axis
    assert mip_tables.pressure_axis(entry) == (axis if levels else None)
    assert mip_tables.height_axis(entry) == (axis if height else None)
    assert mip_tables.levels(entry, axes) == levels and mip_tables.height(entry, axes) == height
