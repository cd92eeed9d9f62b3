"""The interpreter that has CMOR, which may be another than the workflow's own, and what CMOR 3.7 needs of it.

Needs numpy only, so CMOR's interpreter can import it.
"""

import ctypes
import logging
import os
import sys

import numpy as np


def cmor_python():
    """Path of the interpreter that has CMOR: CMOR_PYTHON, else this one."""
    return os.environ.get("CMOR_PYTHON") or sys.executable


def mend_interpreter():
    """Load libuuid and give numpy two aliases that it has dropped: CMOR 3.7.1 and PrePARE need them, newer ones not."""
    try:
        ctypes.CDLL("libuuid.so.1", mode=ctypes.RTLD_GLOBAL)
    except OSError:
        logging.info("libuuid.so.1 is not found: only CMOR 3.7 needs it")
    for name, kind in (("float", float), ("int", int)):
        if name not in np.__dict__:
            setattr(np, name, kind)
