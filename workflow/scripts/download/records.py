"""The record beside each downloaded file: where it is from, when it came, its size, checksums and versions."""

import json
import logging
from datetime import UTC, datetime

from workflow.scripts.common.atomic import atomic_path
from workflow.scripts.common.checksums import digests


def now():
    """The time, UTC, as records write it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def save_record(record, content):
    """Write ``content`` to ``record``, JSON."""
    with atomic_path(record) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def write_record(record, path, versions, about):
    """Write ``about`` with size, checksum and ERA5 ``versions`` of the file ``path`` to ``record``."""
    facts = digests(path)
    content = about | {"size": facts["size"], "sha256": facts["sha256"]} | ({"expver": versions} if versions else {})
    save_record(record, content)
    logging.info("%s bytes, sha256 %s", facts["size"], facts["sha256"])
