"""Logging of a rule's script: everything to the rule's log file, the one sentence of an error to the terminal too.

Needs the standard library only, so CMOR's interpreter can import it.
"""

import logging
import sys
import traceback
from pathlib import Path


def start(path):
    """Send logging, warnings and stray prints of this process to the file ``path``.

    An uncaught exception leaves its traceback in the file and one line, its message, on the terminal.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    terminal = sys.stderr
    sys.stdout = sys.stderr = open(path, "w", buffering=1, encoding="utf-8")
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(name)s: %(message)s", force=True)
    logging.captureWarnings(True)

    def report(kind, error, trace):
        traceback.print_exception(kind, error, trace)
        print(f"{kind.__name__}: {error}", file=terminal)

    sys.excepthook = report
