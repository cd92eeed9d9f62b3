"""How jobs grow with the model's grid and the months of training: workflow/rules.csv tells which, and what they took.

ERA5's own grid makes no job larger than measured: what reads it was measured at 0.25 degrees, the finest of a config.
"""

import math
from pathlib import Path

from workflow.scripts.common.months import month_range
from workflow.scripts.common.tables import read_rows

RULES = Path(__file__).parent / "rules.csv"
REFERENCE = 1.5  # degrees: the grid of that table
TRAINED, WATCHED = 360, 72  # months of training and validation of that table


def axes(resolution):
    """Latitudes and longitudes of a grid with poles."""
    return round(180 / resolution) + 1, round(360 / resolution)


def cells(resolution):
    """Cells of a grid."""
    return math.prod(axes(resolution))


def growth(resolution):
    """Cells of a grid over those of the grid that was measured."""
    return cells(resolution) / cells(REFERENCE)


def read_rules(path=RULES):
    """Rule -> {seconds, megabytes, grows, months} as measured at 1.5 degrees; the last two tell what it grows with."""
    return {
        row["rule"]: {
            "seconds": float(row["seconds"]),
            "megabytes": float(row["megabytes"]),
            "grows": row["grows"] == "yes",
            "months": row["months"] == "yes",
        }
        for row in read_rows(path)
    }


def beyond(resolution, rule):
    """By how many times its measured cost a ``rule`` (of read_rules) costs more on a finer grid."""
    return max(0, growth(resolution) - 1) if rule["grows"] else 0


def lengthening(periods):
    """Months of training, or of it with validation, over those that were measured: the larger, and at least 1.

    ``periods``: of the config, {name: (first month, last month)}.
    """
    trained, watched = (len(month_range(*periods[name])) for name in ("training", "validation"))
    return max(1, trained / TRAINED, (trained + watched) / (TRAINED + WATCHED))


def memory_at(resolution, first, rule, longer=1):
    """MB to ask for: ``first`` up to 1.5 degrees and the months that were measured.

    Beyond these what was measured grows with the cells, and with the months (``longer``, of lengthening) where the rule
    holds all of them.
    """
    times = (1 + beyond(resolution, rule)) * (longer if rule["months"] else 1)
    return math.ceil(first + rule["megabytes"] * (times - 1))


def minutes_at(resolution, first, rule):
    """Minutes to ask for: ``first`` up to 1.5 degrees, on finer grids as many times that as there are more cells."""
    return math.ceil(first * (1 + beyond(resolution, rule)))
