"""One file of a Zenodo record."""

import requests

from workflow.scripts.download.transfer import TIMEOUT, fetch


def fetch_from_record(record_url, name, target, limits, sha256=None):
    """Download the file ``name`` of the record at ``record_url`` (its API address) to ``target``.

    The checksum of the record is compared, and ``sha256`` if given; limits, return value and errors: see
    ``transfer.fetch``, with the checksum as "record_checksum".
    """
    cure = "check download.forcing_record, and download.forcing_sha256 where one is pinned"
    facts = fetch(lambda: _entry(record_url, name), record_url, name, target, limits, cure, sha256)
    return {("record_checksum" if key == "checksum" else key): value for key, value in facts.items()}


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
