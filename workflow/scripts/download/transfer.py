"""One file from a web server, fetched whole and compared with the size and checksum that its owner states."""

import logging
from pathlib import Path

import multiurl
import requests
from multiurl.base import NoBar

from workflow.scripts.common.checksums import digests
from workflow.scripts.download.lasting import lasting
from workflow.scripts.download.patience import Patience

TIMEOUT = 60  # seconds without a byte


def refused(error):
    """Whether an HTTP error is the server's last word; other failures pass, with patience."""
    code = error.response.status_code if error.response is not None else 0
    return code not in (0, 408, 429) and code < 500


def stop_if_lasting(error, where, cure):
    """Raise RuntimeError with one sentence if no waiting mends ``error``, and ``error`` if it is not the transfer's."""
    sentence = lasting(error, where, cure)
    if sentence is not None:
        raise RuntimeError(sentence) from error
    if not isinstance(error, requests.RequestException | AssertionError):
        raise error


def asked(question, where, limits, cure):
    """What ``question()`` returns: a request to the server ``where`` that is repeated after growing waits.

    ``limits``: dict with ``first_wait`` (s) and ``outage`` (hours); ``cure``: what to check where the server refuses.
    Raises RuntimeError with one sentence.
    """
    patience = Patience(limits["first_wait"], {"server": limits["outage"]})
    while True:
        try:
            return question()
        except requests.HTTPError as error:
            stop_if_lasting(error, where, cure)
            if refused(error):
                raise RuntimeError(f"{where} answers with status {error.response.status_code}; {cure}") from error
            patience.wait("server", f"{where} answers with status {error.response.status_code}")
        except (OSError, ValueError) as error:
            stop_if_lasting(error, where, cure)
            patience.wait("server", f"no answer from {where} ({type(error).__name__}: {str(error)[:200]})")


def fetch(entry, where, name, target, limits, cure, sha256=None):
    """Download the file ``name`` to ``target``.

    entry: function that asks the server for (address, size in bytes, checksum such as "md5:..." or None); where: its
    address, for sentences; limits, cure: as in ``asked``; sha256: a checksum known beforehand, or None. Returns {"url",
    "checksum", "sha256", "size"}. Raises RuntimeError with one sentence.
    """
    patience = Patience(limits["first_wait"], {"record": limits["outage"], "file": limits["outage"]})
    damaged = 0
    while True:
        kind = "record"
        try:
            url, size, checksum = entry()
            kind = "file"
            # A part left by a failed try is kept: the transfer goes on where it stopped, if the server can do that.
            multiurl.download(
                url, str(target), maximum_retries=0, resume_transfers=True, timeout=TIMEOUT, progress_bar=NoBar
            )
        except requests.HTTPError as error:
            stop_if_lasting(error, where, cure)
            code = error.response.status_code if error.response is not None else 0
            if refused(error):
                raise RuntimeError(f"{where} answers with status {code} for {name}; {cure}") from error
            patience.wait(kind, f"{where} answers with status {code}")
            continue
        except (OSError, ValueError, AssertionError) as error:
            stop_if_lasting(error, where, cure)
            if isinstance(error, AssertionError):  # longer or shorter than announced: no part to go on from
                Path(target).unlink(missing_ok=True)
            patience.wait(kind, f"no {name} from {where} ({type(error).__name__}: {str(error)[:200]})")
            continue
        problem, found = difference(target, size, checksum, sha256)
        if problem is None:
            return {"url": url, "checksum": checksum} | found
        damaged += 1
        if damaged > 1:
            raise RuntimeError(f"{url} arrived wrong twice: {problem}; {cure}")
        logging.warning("%s: %s; fetching it again", url, problem)
        Path(target).unlink()


def difference(path, size, checksum=None, sha256=None):
    """(what is wrong with a file, or None; its {"size", "sha256"}), given what its owner states of it."""
    kind, _, wanted = (checksum or "").partition(":")
    found = digests(path, kind or None)
    for what, want in (("size", size), (kind, wanted), ("sha256", sha256)):
        if want and found[what] != want:
            return f"its {what} is {found[what]}, not {want}", found
    return None, {"size": found["size"], "sha256": found["sha256"]}
