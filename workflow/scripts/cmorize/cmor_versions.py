"""What CMOR's versions differ in, for those who write with it.

Chunks are set by ``set_chunking`` since 3.14, before by ``chunk_dimensions`` in a variable's entry of the MIP table.
"""

import logging
import sys

from workflow.scripts.submission.cmor_python import mend_interpreter


def import_cmor():
    """The cmor module, or OSError that says what to set where there is none."""
    mend_interpreter()
    try:
        import cmor
    except ImportError as error:
        raise OSError(f"{sys.executable} cannot import cmor ({error}): set CMOR_PYTHON to a Python that can") from error
    if not hasattr(cmor, "set_chunking"):
        logging.info("CMOR %s has no set_chunking: chunks are the tables' chunk_dimensions", cmor_version(cmor))
    return cmor


def cmor_version(cmor):
    """Version of the cmor module, such as 3.7.1."""
    return f"{cmor.CMOR_VERSION_MAJOR}.{cmor.CMOR_VERSION_MINOR}.{cmor.CMOR_VERSION_PATCH}"


def time_axis(cmor, units, months):
    """CMOR's id of a time axis whose values come with the data; ``months``: how many there will be.

    Without set_chunking no chunk is longer than the axis says it is, one month where it says nothing.
    """
    return cmor.axis("time", units=units, **({} if hasattr(cmor, "set_chunking") else {"length": months}))


def set_chunks(cmor, variable, sizes):
    """Chunk the dimensions of CMOR's variable by ``sizes`` where CMOR is not told by the table."""
    if hasattr(cmor, "set_chunking"):
        cmor.set_chunking(variable, sizes)
