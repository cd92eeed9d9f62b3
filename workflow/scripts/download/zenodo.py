"""One file of a Zenodo record."""

import requests

from workflow.scripts.download.transfer import TIMEOUT, fetch

FORCING = ("download.forcing_record", "download.forcing_sha256")
ARCHIVES = (".tar.gz", ".tgz", ".zip")


def fetch_from_record(record_url, name, target, limits, sha256=None, settings=FORCING):
    """Download the file ``name`` of the record at ``record_url`` (its API address) to ``target``.

    name: None takes the record's only file, or its only archive; settings: keys of the config that say so, that of
    the record and, where there is one, that of ``sha256``. The checksum of the record is compared, and ``sha256`` if
    given; limits, return value and errors: see ``transfer.fetch``, with the checksum as "record_checksum".
    """
    cure = f"check {', and '.join(settings)}" + (" where one is pinned" if len(settings) > 1 else "")
    what = name or "its archive"
    facts = fetch(lambda: _entry(record_url, name, settings[0]), record_url, what, target, limits, cure, sha256)
    return {("record_checksum" if key == "checksum" else key): value for key, value in facts.items()}


def _entry(record_url, name, setting):
    """(address, size in bytes, "md5:...") of the file ``name`` as the record's API states them."""
    reply = requests.get(record_url, timeout=TIMEOUT)
    reply.raise_for_status()
    try:
        files = {entry["key"]: entry for entry in reply.json()["files"]}
    except (KeyError, TypeError) as error:
        raise RuntimeError(f"{record_url} is not the API address of a Zenodo record; check {setting}") from error
    if name is None:
        name = _only(record_url, list(files), setting)
    if name not in files:
        raise RuntimeError(f"the record {record_url} has no file {name}; it has {', '.join(files) or 'none'}")
    return files[name]["links"]["self"], int(files[name]["size"]), files[name]["checksum"]


def _only(record_url, names, setting):
    """The only name, or that of the only archive; raises RuntimeError if there is no such one."""
    found = names if len(names) == 1 else [name for name in names if name.endswith(ARCHIVES)]
    if len(found) != 1:
        raise RuntimeError(
            f"the record {record_url} has {len(found)} archives ({', '.join(ARCHIVES)}) where one is wanted; its files "
            f"are {', '.join(names) or 'none'}: check {setting}"
        )
    return found[0]
