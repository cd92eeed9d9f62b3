"""Tables of facts: CSV in which lines of comment begin with #. Needs the standard library only."""

import csv


def read_rows(path):
    """The rows of a table as dicts of text, comments left out."""
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))
