"""Scores of AIMIP's published submissions (data/aimip_published_scores.csv), to stand beside ours without their files.

They are AIMIP's own evaluation against ERA5: where our reference is ERA5 over the same periods they are comparable with
our scores on 1 degree, elsewhere they tell the size that scores have. Where a model's files are evaluated the files
count, and for ERA5 the reference does.
"""

import csv
from pathlib import Path

from cf_units import Unit

from workflow.scripts.common.experiments import has_own_forcing
from workflow.scripts.evaluate.display import scale_of, split_field

SCORES = Path(__file__).parent / "data/aimip_published_scores.csv"
TRUTH = "ERA5"
LOCAL_TRUTH = "ERA5 (local files)"  # of common/reference.py
PERIODS = {"training": ("1979-01", "2014-12"), "test": ("2015-01", "2024-12")}  # theirs
DECADE = "about the first decade"  # of the responses
PLACES = {"E5_response": "global", "E5_response_land": "land"}  # their sea ends at 60 degrees
FILE_UNITS = {"tas": "K", "ta": "K", "pr": "kg m-2 s-1", "psl": "Pa", "zg": "m", "ua": "m s-1", "hus": "1", "huss": "1"}


def read_scores(settings, path=SCORES):
    """The rows of the table as dicts with the value as a float, but for models whose files the config names.

    settings: the config's ``evaluation``. A tree ends in the name of its model: ``UMD-PARETO/MD-1p5``.
    """
    trees = settings.get("models", {}) | settings.get("archive", {}).get("models", {})
    without = {TRUTH, *trees, *(Path(tree).name for tree in trees.values())}
    with open(path, newline="", encoding="utf-8") as file:
        rows = csv.DictReader(line for line in file if not line.startswith("#"))
        return [{**row, "value": float(row["value"])} for row in rows if row["model"] not in without]


def comparable(periods, reference_name):
    """Whether our scores and theirs are of one reference over the same periods, those of ``evaluation_periods``."""
    return reference_name in (TRUTH, LOCAL_TRUTH) and all(
        tuple(periods[name]) == span for name, span in PERIODS.items()
    )


def scores_of(rows, metric, place, field, period):
    """{model: value in the field's display units} of a metric on a grid or in a region, of rows of ``read_scores``."""
    wanted = {"metric": metric, "grid_or_region": place, "field": field, "period": period}
    variable, _ = split_field(field)
    # Decades, which udunits does not know, are the same on both sides.
    shown = Unit(scale_of(field, FILE_UNITS[variable])[1].removesuffix("/decade"))
    found = [row for row in rows if wanted.items() <= row.items()]
    return {
        row["model"]: float(Unit(row["units"].removesuffix(" decade-1")).convert(row["value"], shown)) for row in found
    }


def responses_of(rows, metric, sea, field):
    """As ``scores_of``, of E5 for our ``metric`` and an experiment's entry of the config; empty if unpublished."""
    if metric not in PLACES or has_own_forcing(sea):
        return {}
    return scores_of(rows, f"E5_response_{sea['sst_offset']:g}K", PLACES[metric], field, DECADE)
