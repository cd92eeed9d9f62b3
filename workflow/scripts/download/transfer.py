"""One file from a web server, fetched whole and compared with the size and checksum that its owner states."""

import logging
from pathlib import Path

import multiurl
import requests
from multiurl.base import NoBar

from workflow.scripts.common.checksums import digests
from workflow.scripts.download.backoff import Backoff
from workflow.scripts.download.failures import is_transient, permanent_failure, status_of

TIMEOUT = 60  # seconds without a byte
SERVER = "server"  # the kind of failure that a Backoff counts here


def server_backoff(limits):
    """A ``Backoff`` for ``with_retries``; limits: dict with ``first_wait`` (s) and ``outage`` (hours)."""
    return Backoff(limits["first_wait"], {SERVER: limits["outage"]})


def with_retries(call, where, backoff, cure, name=None):
    """What ``call()`` returns, which asks the server ``where`` and is repeated after growing waits while it fails.

    backoff: of ``server_backoff``; cure: what to check where the server refuses; name: of the file that is wanted, for
    sentences, or None. Raises RuntimeError with one sentence for a permanent failure or when the waits reach their
    limit, and any error that is not the transfer's as it is.
    """
    while True:
        try:
            return call()
        except (OSError, ValueError, AssertionError) as error:
            sentence = permanent_failure(error, where, cure)
            if sentence is not None:
                raise RuntimeError(sentence) from error
            if isinstance(error, requests.HTTPError):
                sentence = f"{where} answers with status {status_of(error)}"
                if not is_transient(status_of(error)):
                    raise RuntimeError(f"{sentence}{f' for {name}' if name else ''}; {cure}") from error
            elif isinstance(error, requests.RequestException | AssertionError):  # multiurl asserts sizes
                sentence = f"no {name or 'answer'} from {where} ({type(error).__name__}: {str(error)[:200]})"
            else:
                raise
            backoff.wait(SERVER, sentence)


def fetch(entry, where, name, target, limits, cure, sha256=None):
    """Download the file ``name`` to ``target``.

    entry: function that asks the server for (address, size in bytes, checksum such as "md5:..." or None); where: its
    address, for sentences; limits: as in ``server_backoff``; cure: as in ``with_retries``; sha256: a checksum known
    beforehand, or None. Returns {"url", "checksum", "sha256", "size"}. Raises RuntimeError with one sentence.
    """
    record, file = server_backoff(limits), server_backoff(limits)

    def transfer():
        # Asked again before each try: the address may be good for a while only.
        url, size, checksum = with_retries(entry, where, record, cure, name)
        try:
            # A part left by a failed try is kept: the transfer goes on where it stopped, if the server can do that.
            multiurl.download(
                url, str(target), maximum_retries=0, resume_transfers=True, timeout=TIMEOUT, progress_bar=NoBar
            )
        except AssertionError:  # longer or shorter than announced: no part to go on from
            Path(target).unlink(missing_ok=True)
            raise
        return url, size, checksum

    for attempt in (1, 2):
        url, size, checksum = with_retries(transfer, where, file, cure, name)
        problem, found = difference(target, size, checksum, sha256)
        if problem is None:
            return {"url": url, "checksum": checksum} | found
        if attempt == 1:
            logging.warning("%s: %s; fetching it again", url, problem)
            Path(target).unlink()
    raise RuntimeError(f"{url} arrived wrong twice: {problem}; {cure}")


def difference(path, size, checksum=None, sha256=None):
    """(what is wrong with a file, or None; its {"size", "sha256"}), given what its owner states of it."""
    kind, _, wanted = (checksum or "").partition(":")
    found = digests(path, kind or None)
    for what, want in (("size", size), (kind, wanted), ("sha256", sha256)):
        if want and found[what] != want:
            return f"its {what} is {found[what]}, not {want}", found
    return None, {"size": found["size"], "sha256": found["sha256"]}
