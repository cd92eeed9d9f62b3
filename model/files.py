"""Text files: such as are there whole or not at all, and tables of facts."""

import contextlib
import csv
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO


@contextlib.contextmanager
def whole(path: str) -> Iterator[TextIO]:
    """Open a text file beside `path`, in a folder that is made if need be, which takes its place once it is written."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    partial = Path(path + ".partial")
    with open(partial, "w", newline="", encoding="utf-8") as file:
        yield file
    os.replace(partial, path)


def read_rows(path: str | Path) -> list[dict[str, str]]:
    """Return the rows of a table (CSV) whose lines of comment begin with #."""
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))
