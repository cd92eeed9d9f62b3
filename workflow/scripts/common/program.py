"""The frame of every program: a command line whose ``--help`` is the module's text, a log, faults in one sentence.

Needs the standard library only, so CMOR's interpreter can import it.
"""

import argparse
import contextlib
import json
import logging
import sys
import traceback
from pathlib import Path

from workflow.scripts.common.faults import explained

# What a program says in one sentence: bad input, a file or server that fails, a check that found something.
FAULTS = (ValueError, OSError, RuntimeError)


def command_line(text):
    """A parser that tells ``text``, the module's docstring, for --help; all programs have --log."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log", help="file for all messages; of a fault, the sentence goes to the terminal too")
    return parser


def from_json(text):
    """A value given as JSON on the command line, such as a section of the config."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise argparse.ArgumentTypeError(f"'{text}' is not JSON ({error})") from None


def run(parser, work, arguments=None):
    """Parse ``arguments`` (default: the process's own) and call ``work`` with the result. Returns the exit status.

    A fault leaves one sentence on the terminal, and its traceback in the log if there is one; anything else that is
    raised is a mistake in the program, which without a log ends with its traceback.
    """
    given = parser.parse_args(arguments)
    terminal = sys.stderr
    try:
        with _messages_in(given.log):
            _call(work, given)
    except Exception as error:
        if given.log is None and not isinstance(error, FAULTS):
            raise
        # A full disk takes no log either.
        shown = explained(error, given.log) or error
        print(f"{type(shown).__name__}: {shown}", file=terminal)
        return 1
    return 0


def _call(work, given):
    """Call ``work``; of what it raises the log keeps the traceback, and a fault of the machine is told as that."""
    try:
        try:
            work(given)
        except FAULTS as error:
            known = explained(error, getattr(given, "out", None))
            if known is None:
                raise
            raise known from error
    except Exception:
        if given.log is not None:
            traceback.print_exc()
        raise


@contextlib.contextmanager
def _messages_in(path):
    """Logging, warnings and prints of this process go to the file ``path``; to the terminal if it is None."""
    with contextlib.ExitStack() as stack:
        if path is not None:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context(open(path, "w", buffering=1, encoding="utf-8"))
            stack.enter_context(contextlib.redirect_stdout(file))
            stack.enter_context(contextlib.redirect_stderr(file))
        logging.basicConfig(
            stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(name)s: %(message)s", force=True
        )
        logging.captureWarnings(True)
        yield
