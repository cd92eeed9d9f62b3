"""How long, and how often, a server is waited for."""

import pytest

from workflow.scripts.download.backoff import Backoff


def test_waits_grow_end_at_the_limit_and_start_anew_after_a_success(monkeypatch):
    clock = {"now": 0.0}
    waits = []

    def sleep(seconds):
        waits.append(seconds)
        clock["now"] += seconds

    monkeypatch.setattr("workflow.scripts.download.backoff.time.monotonic", lambda: clock["now"])
    monkeypatch.setattr("workflow.scripts.download.backoff.time.sleep", sleep)
    backoff = Backoff(60, {"broken": 2})
    for _ in range(6):
        backoff.wait("broken", "no answer")
    assert waits == [60, 120, 240, 480, 960, 1800]
    backoff.success("broken")
    backoff.wait("broken", "no answer")
    assert waits[-1] == 60
    with pytest.raises(RuntimeError, match="no answer; gave up after .* tries in 2 hours, run it again later"):
        for _ in range(100):
            backoff.wait("broken", "no answer")
    assert sum(waits[6:]) == 2 * 3600, "it waits for the whole limit and not longer"
