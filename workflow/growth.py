"""How jobs grow with the model's grid: workflow/rules.csv tells which do, and what they took at 1.5 degrees.

ERA5's own grid makes no job larger than measured: what reads it was measured at 0.25 degrees, the finest of a config.
"""

import math
from pathlib import Path

from workflow.scripts.common.tables import read_rows

RULES = Path(__file__).parent / "rules.csv"
REFERENCE = 1.5  # degrees: the grid of that table


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
    """Rule -> {seconds, megabytes, grows} as measured at 1.5 degrees."""
    return {
        row["rule"]: {
            "seconds": float(row["seconds"]),
            "megabytes": float(row["megabytes"]),
            "grows": row["grows"] == "yes",
        }
        for row in read_rows(path)
    }


def beyond(resolution, rule):
    """By how many times its measured cost a ``rule`` (of read_rules) costs more on a finer grid."""
    return max(0, growth(resolution) - 1) if rule["grows"] else 0


def memory_at(resolution, first, rule):
    """MB to ask for: ``first`` up to 1.5 degrees; on finer grids what was measured grows with the cells."""
    return math.ceil(first + rule["megabytes"] * beyond(resolution, rule))


def minutes_at(resolution, first, rule):
    """Minutes to ask for: ``first`` up to 1.5 degrees, on finer grids as many times that as there are more cells."""
    return math.ceil(first * (1 + beyond(resolution, rule)))
