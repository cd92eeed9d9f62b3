"""Waiting for a server: growing pauses after failures, and an end to them."""

import logging
import time
from dataclasses import dataclass, field

LONGEST_WAIT = 1800.0  # seconds


@dataclass
class Backoff:
    """Pauses that double from ``first_wait`` (s) to half an hour, for failures of several kinds.

    ``limits``: hours after the first failure of a kind, without a success of it in between, to give up at.
    """

    first_wait: float
    limits: dict
    _since: dict = field(default_factory=dict)
    _count: dict = field(default_factory=dict)

    def wait(self, kind, sentence):
        """Pause after a failure of ``kind``; raises RuntimeError with ``sentence`` when its limit is reached."""
        since = self._since.setdefault(kind, time.monotonic())
        count = self._count[kind] = self._count.get(kind, 0) + 1
        left = self.limits[kind] * 3600 - (time.monotonic() - since)
        if left <= 0:
            raise RuntimeError(
                f"{sentence}; gave up after {count} tries in {self.limits[kind]:g} hours, run it again later"
            )
        pause = min(self.first_wait * 2 ** min(count - 1, 20), LONGEST_WAIT, left)
        logging.warning("%s; try %d again in %.0f s", sentence, count, pause)
        time.sleep(pause)

    def success(self, kind):
        """Forget the failures of ``kind``: the next one starts with a short pause and the whole limit."""
        self._since.pop(kind, None)
        self._count.pop(kind, None)


def add_limits(parser):
    """Add the options that say how long a server is waited for."""
    parser.add_argument("--first-wait", type=float, default=60, help="seconds to wait after a first failure")
    parser.add_argument("--patience", type=float, default=72, help="hours to wait for a place in the CDS's queue")
    parser.add_argument("--outage", type=float, default=2, help="hours to wait for a server that does not answer")


def limits_of(given):
    """What the options of ``add_limits`` say, as the downloads take it."""
    return {"first_wait": given.first_wait, "patience": given.patience, "outage": given.outage}
