"""The interpreter that has CMOR, which may be another than the workflow's own, and what CMOR's versions differ in.

3.7 (Debian) needs its interpreter mended and has PrePARE, which 3.13 dropped. Chunks are set by ``set_chunking`` since
3.14, and before by ``chunk_dimensions`` in a variable's entry of the MIP table. Needs numpy only, so CMOR's interpreter
can import it.
"""

import ctypes
import logging
import os
import sys

import numpy as np


def cmor_python():
    """Path of the interpreter that has CMOR: CMOR_PYTHON, else this one."""
    return os.environ.get("CMOR_PYTHON") or sys.executable


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


def import_prepare():
    """PrePARE's module, or None where this CMOR has none."""
    mend_interpreter()
    try:
        from cmip6_cv.PrePARE import PrePARE
    except ImportError:
        return None
    PrePARE.BCOLORS = PrePARE.BColors()  # what its own main sets
    return PrePARE


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


def mend_interpreter():
    """Load libuuid and give numpy two aliases that it has dropped: CMOR 3.7.1 and PrePARE need them, newer ones not."""
    try:
        ctypes.CDLL("libuuid.so.1", mode=ctypes.RTLD_GLOBAL)
    except OSError:
        logging.info("libuuid.so.1 is not found: only CMOR 3.7 needs it")
    for name, kind in (("float", float), ("int", int)):
        if name not in np.__dict__:
            setattr(np, name, kind)
