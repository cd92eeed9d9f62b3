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
    with _messages_in(given.log):
        try:
            work(given)
        except Exception as error:
            if given.log is None and not isinstance(error, FAULTS):
                raise
            if given.log is not None:
                traceback.print_exc()
            print(f"{type(error).__name__}: {error}", file=terminal)
            return 1
    return 0


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
