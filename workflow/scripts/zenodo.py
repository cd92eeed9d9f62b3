"""One file of a Zenodo record, fetched whole and compared with the checksum that the record states."""

import logging
from pathlib import Path

import multiurl
import requests
from checksums import digests
from multiurl.base import NoBar
from patience import Patience

TIMEOUT = 60  # seconds without a byte


def fetch(record_url, name, target, limits, sha256=None):
    """Download the file ``name`` of the record at ``record_url`` (its API address) to ``target``.

    The checksum of the record is compared, and ``sha256`` if given. ``limits``: dict with ``first_wait`` (s) and
    ``outage`` (hours). Returns {"url", "record_checksum", "sha256", "size"}. Raises RuntimeError with one sentence.
    """
    patience = Patience(limits["first_wait"], {"record": limits["outage"], "file": limits["outage"]})
    damaged = 0
    while True:
        kind = "record"
        try:
            url, size, checksum = _entry(record_url, name)
            kind = "file"
            # A part left by a failed try is kept: the transfer goes on where it stopped, if the server can do that.
            multiurl.download(
                url, str(target), maximum_retries=0, resume_transfers=True, timeout=TIMEOUT, progress_bar=NoBar
            )
        except requests.HTTPError as error:
            code = error.response.status_code if error.response is not None else 0
            if code not in (0, 408, 429) and code < 500:
                raise RuntimeError(
                    f"{record_url} answers with status {code} for {name}; check download.forcing_record"
                ) from error
            patience.wait(kind, f"{record_url} answers with status {code}")
            continue
        except (requests.RequestException, AssertionError) as error:
            if isinstance(error, AssertionError):  # longer or shorter than announced: no part to go on from
                Path(target).unlink(missing_ok=True)
            patience.wait(kind, f"no {name} from {record_url} ({type(error).__name__}: {str(error)[:200]})")
            continue
        found = digests(target, checksum.partition(":")[0])
        problem = _difference(found, size, checksum, sha256)
        if problem is None:
            return {"url": url, "record_checksum": checksum, "sha256": found["sha256"], "size": found["size"]}
        damaged += 1
        if damaged > 1:
            raise RuntimeError(
                f"{url} arrived wrong twice: {problem}; if the pinned download.forcing_sha256 is old, correct it"
            )
        logging.warning("%s: %s; fetching it again", url, problem)
        Path(target).unlink()


def _entry(record_url, name):
    """(address, size in bytes, "md5:...") of the file ``name`` as the record's API states them."""
    reply = requests.get(record_url, timeout=TIMEOUT)
    reply.raise_for_status()
    try:
        files = {entry["key"]: entry for entry in reply.json()["files"]}
    except (KeyError, TypeError) as error:
        raise RuntimeError(
            f"{record_url} is not the API address of a Zenodo record; check download.forcing_record"
        ) from error
    if name not in files:
        raise RuntimeError(f"the record {record_url} has no file {name}; it has {', '.join(files) or 'none'}")
    return files[name]["links"]["self"], int(files[name]["size"]), files[name]["checksum"]


def _difference(found, size, checksum, sha256):
    kind, _, wanted = checksum.partition(":")
    for what, have, want in (
        ("size", found["size"], size),
        (kind, found[kind], wanted),
        ("sha256", found["sha256"], sha256),
    ):
        if want is not None and have != want:
            return f"its {what} is {have}, not {want}"
    return None
