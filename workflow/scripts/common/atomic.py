"""Files that appear whole or not at all. Needs the standard library only, so CMOR's interpreter can import it."""

import os
import re
from contextlib import contextmanager
from pathlib import Path

from workflow.scripts.common.faults import explained


@contextmanager
def atomic_path(path):
    """A temporary path beside ``path`` to write to: synced and renamed to ``path`` on success, removed on failure.

    What a killed process left there is removed first: Snakemake never runs two jobs that write the same file. A full
    disk and a file system without locks are told as that, in a MachineFault.

    >>> with atomic_path("out.nc") as temporary:
    ...     dataset.to_netcdf(temporary)
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # What is written beside a temporary path has its name and an ending more.
    abandoned = re.compile(rf"\.{re.escape(path.name)}\.\d+\.part(\..+)?")
    for sibling in path.parent.glob(".*.part*"):
        if abandoned.fullmatch(sibling.name):
            sibling.unlink(missing_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:
        # While the file is there: without it the disk has room again.
        known = explained(error, temporary)
        if known is None:
            raise
        raise known from error
    finally:
        temporary.unlink(missing_ok=True)
