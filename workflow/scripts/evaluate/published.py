"""Scores of AIMIP's published submissions, to stand beside ours without their files.

They are AIMIP's own evaluation against ERA5, read off its figures (data/aimip_published_scores.csv) or, where the
config names its authors' results, as they computed it (published_results.py). Where our reference is ERA5 over the same
periods they are comparable with our scores on 1 degree, elsewhere they tell the size that scores have. Where a model's
files are evaluated the files count, and for ERA5 the reference does.
"""

from pathlib import Path

from cf_units import Unit

from workflow.scripts.common.experiments import has_own_forcing
from workflow.scripts.common.field_names import split_field
from workflow.scripts.common.periods import PROTOCOL_TEST, PROTOCOL_TRAINING
from workflow.scripts.common.reference import ERA5, LOCAL_ERA5
from workflow.scripts.common.tables import read_rows
from workflow.scripts.evaluate.display import scale_of

SCORES = Path(__file__).parent / "data/aimip_published_scores.csv"
COLUMNS = ("metric", "grid_or_region", "period", "model", "field", "value", "units")
PERIODS = {"training": PROTOCOL_TRAINING, "test": PROTOCOL_TEST}  # theirs
DECADE = "about the first decade"  # of the responses
PLACES = {"E5_response": "global", "E5_response_land": "land"}  # their sea ends at 60 degrees
# Their names where those of the table differ: folders of the archive, and labels that AIMIP's notebooks have had.
NAMES = {
    **dict.fromkeys(("ACE2-1-ERA5", "ACE2.1-ERA5"), "ACE2.1"),
    **dict.fromkeys(("ACE2-2-ERA5", "ACE2.2-ERA5"), "ACE2.2"),
    "ArchesWeather-V2": "ArchesWeather",
    "ArchesWeatherGen-V2": "ArchesWeatherGen",
    **dict.fromkeys(("cBottle-1-3", "cBottle1.3"), "cBottle"),
    **dict.fromkeys(("MD-1.5 v0.9", "MD1.5"), "MD-1p5"),
}
FILE_UNITS = {
    **dict.fromkeys(("tas", "ts", "ta"), "K"),
    **dict.fromkeys(("ps", "psl"), "Pa"),
    **dict.fromkeys(("uas", "vas", "ua", "va"), "m s-1"),
    **dict.fromkeys(("huss", "hus"), "1"),
    "pr": "kg m-2 s-1",
    "zg": "m",
}


def read_scores(settings, path=SCORES):
    """Rows of the tables as dicts with the value as a float, and ``computed``: whether it is their authors' own number.

    A computed row takes the place of the one read off for the same score. Left out are models whose files the config
    names; a tree ends in the name of its model (``NAMES``): ``UMD-PARETO/MD-1p5``. settings: the config's
    ``evaluation``, and ``published``, the table of published_results.py, or None.
    """
    trees = settings.get("models", {}) | settings.get("archive", {}).get("models", {})
    folders = [Path(tree).name for tree in trees.values()]
    without = {ERA5, *trees, *(NAMES.get(name, name) for name in folders)}
    tables = [(path, False), *([(settings["published"], True)] if settings.get("published") else [])]
    found = {}
    for table, computed in tables:
        for row in read_rows(table):
            if row["model"] not in without:
                key = tuple(row[name] for name in COLUMNS[:5])
                found[key] = {**row, "value": float(row["value"]), "computed": computed}
    return list(found.values())


def comparable(periods, reference_name):
    """Whether our scores and theirs are of one reference over the same periods, those of ``evaluation_periods``."""
    return reference_name in (ERA5, LOCAL_ERA5) and all(tuple(periods[name]) == span for name, span in PERIODS.items())


def scores_in(rows, metric, place, field, period, units):
    """{model: value in ``units``} of a metric on a grid or in a region, of rows of ``read_scores``."""
    wanted = {"metric": metric, "grid_or_region": place, "field": field, "period": period}
    found = [row for row in rows if wanted.items() <= row.items()]
    return {row["model"]: float(_unit(row["units"]).convert(row["value"], _unit(units))) for row in found}


def _unit(text):
    """The unit that ``text`` names, decades aside, which udunits does not know and which are the same on both sides.

    Precipitation is in kg m-2 s-1 or in mm/day: a millimetre of water weighs a kilogram per square metre.
    """
    return Unit(text.removesuffix(" decade-1").removesuffix("/decade").replace("kg m-2", "mm"))


def scores_of(rows, metric, place, field, period):
    """``scores_in`` the field's display units."""
    variable, _ = split_field(field)
    return scores_in(rows, metric, place, field, period, scale_of(field, FILE_UNITS[variable])[1])


def responses_of(rows, metric, sea, field):
    """As ``scores_of``, of E5 for our ``metric`` and an experiment's entry of the config; empty if unpublished."""
    if metric not in PLACES or has_own_forcing(sea):
        return {}
    return scores_of(rows, f"E5_response_{sea['sst_offset']:g}K", PLACES[metric], field, DECADE)
