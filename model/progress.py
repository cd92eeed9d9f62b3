"""Progress of a long step: a bar on a terminal, plain lines in a log."""

import contextlib
import logging
import sys
import time
from collections.abc import Iterator

LINE_SECONDS = 30
LOG = logging.getLogger(__name__)  # silent until open_log
LOG.propagate = False


def open_log(path: str | None) -> None:
    """Write every line of status and of failure to the file `path` too; None writes none."""
    if path:
        LOG.addHandler(logging.FileHandler(path, "w", encoding="utf-8"))
        LOG.setLevel(logging.INFO)


@contextlib.contextmanager
def running(program: str, log: str | None = None) -> Iterator[None]:
    """Do a program's work with the log that it was given; what it refuses ends it with one sentence, in the log too."""
    open_log(log)
    try:
        yield
    except (ValueError, RuntimeError, OSError) as error:
        text = f"{program}: {error}"
        LOG.info(text)
        sys.exit(text)


def note(text: str) -> None:
    """Print one line on standard error without breaking a bar, in the log too."""
    if sys.stderr.isatty():
        from tqdm import tqdm  # imported here: a log needs no bar

        tqdm.write(text, file=sys.stderr)
    else:
        print(text, file=sys.stderr, flush=True)
    LOG.info(text)


class Progress:
    """Shows how many of `total` parts are done, on standard error."""

    def __init__(self, label: str, total: int, start: int = 0):
        self.label, self.total = label, total
        self.begun = self.shown = time.monotonic()
        self.start = start
        self.bar = None
        if sys.stderr.isatty():
            from tqdm import tqdm  # imported here: a log needs no bar

            self.bar = tqdm(total=total, initial=start, desc=label, leave=False, dynamic_ncols=True)

    def update(self, done: int) -> None:
        """Tell that `done` parts are done."""
        if self.bar is not None:
            self.bar.update(done - self.bar.n)
        if time.monotonic() - self.shown > LINE_SECONDS:
            self.shown = time.monotonic()
            seconds = self.shown - self.begun
            left = seconds / max(1, done - self.start) * (self.total - done)
            text = f"{self.label} {done:6d}/{self.total}  {seconds:7.0f} s  about {left:.0f} s left"
            if self.bar is None:
                note(text)
            else:
                LOG.info(text)

    def close(self) -> None:
        """Take the bar away."""
        if self.bar is not None:
            self.bar.close()
