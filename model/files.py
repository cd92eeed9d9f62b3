"""Files that are there whole or not at all, and tables of facts."""

import contextlib
import csv
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, TextIO


@contextlib.contextmanager
def whole(path: str | Path) -> Iterator[TextIO]:
    """Open a text file beside `path`, in a folder that is made if need be, which takes its place once it is written."""
    with whole_bytes(path) as file:
        text = io.TextIOWrapper(file, "utf-8", newline="")
        yield text
        text.detach()  # flushed; the file is the other's to close


@contextlib.contextmanager
def whole_bytes(path: str | Path) -> Iterator[BinaryIO]:
    """As `whole`, of bytes; what takes the place is on the disk."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    with open(partial, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def read_rows(path: str | Path) -> list[dict[str, str]]:
    """Return the rows of a table (CSV) whose lines of comment begin with #."""
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))
