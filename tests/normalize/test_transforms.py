"""What a table of variables may transform comes back: a transform that destroys a field is refused with the table."""

import csv

import numpy as np
import pytest

from tests.helpers.project import DATA, VARIABLES
from workflow.scripts.common.variable_table import check_table
from workflow.scripts.common.variables import read_variables
from workflow.scripts.normalize.transforms import transform

BACK = {"none": lambda values: values, "sqrt": np.square, "logit": lambda values: 1 / (1 + np.exp(-values))}


def lost(row):
    """The largest loss of what a Variable may be, by its transform and back, as a share of the largest value."""
    values = np.linspace(row.valid_min, row.valid_max, 1001)
    return np.abs(BACK[row.transform](transform(values, row.transform)) - values).max() / np.abs(values).max()


@pytest.mark.parametrize("path", [VARIABLES, DATA / "ncep_reanalysis_fields.csv"], ids=["AIMIP", "reanalysis"])
def test_what_good_tables_transform_comes_back(path):
    check_table(path)
    assert max(lost(row) for row in read_variables(path)) < 0.05


@pytest.mark.parametrize(
    ("channel", "changes", "words"),
    [
        (
            "u10",
            {"transform": "sqrt"},
            "column 'valid_min': -60 allows negative values, which the transform sqrt makes 0",
        ),
        ("avg_tprate", {"valid_min": "-0.001"}, "column 'valid_min': -0.001 allows negative values"),
        (
            "slor",
            {"transform": "logit", "units": "%", "valid_max": "100"},
            "column 'units': '%' is not allowed, write 1",
        ),
        ("t2m", {"transform": "logit"}, "column 'units': 'K' is not allowed, write 1 where transform is logit"),
        ("siconc", {"valid_max": "101"}, "column 'valid_max': 101 is no fraction from 0 to 1"),
        ("isor", {"transform": "logit", "valid_min": "-1"}, "column 'valid_min': -1 is no fraction from 0 to 1"),
    ],
)
def test_a_transform_that_destroys_a_field_is_refused(tmp_path, channel, changes, words):
    path = tmp_path / "table.csv"
    with open(VARIABLES, newline="") as old, open(path, "w", newline="") as new:
        rows = csv.DictReader(old)
        writer = csv.DictWriter(new, rows.fieldnames)
        writer.writeheader()
        writer.writerows(row | changes if row["channel"] == channel else row for row in rows)
    assert max(lost(row) for row in read_variables(path)) > 0.05
    with pytest.raises(ValueError) as refused:
        check_table(path)
    assert words in str(refused.value) and "\n" not in str(refused.value)
