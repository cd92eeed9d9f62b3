"""What an archive of files on the web states of them: an S3 bucket, or a dataset repository on Hugging Face.

Both are asked for the files below a folder, and both tell of each file its size and, of most, a checksum. Which of the
two an address is of, its path tells: that of a dataset repository is /datasets/OWNER/NAME, with /tree/REVISION behind
it where not the branch main is wanted.
"""

import re
from typing import NamedTuple
from urllib.parse import quote, unquote
from xml.etree import ElementTree

import requests

from workflow.scripts.download.transfer import TIMEOUT, server_backoff, with_retries

DATASET = re.compile(r"(https?://[^/]+)/datasets/([^/]+/[^/]+)(?:/tree/(.+?))?/*")


class Listed(NamedTuple):
    """A file of an archive: where it can be had, its size in bytes, and the checksums that are stated of it, or None.

    md5, sha256: hexadecimal.
    """

    address: str
    size: int
    md5: str | None = None
    sha256: str | None = None


def list_files(url, prefix, limits):
    """{key: ``Listed``} of the files of the archive at ``url`` whose key begins with ``prefix``, which ends in "/".

    limits: dict with ``first_wait`` (s) and ``outage`` (hours). Raises RuntimeError with one sentence.
    """
    dataset = DATASET.fullmatch(url)
    if dataset is None:
        return list_bucket(url, prefix, limits)
    host, repository, revision = dataset.groups()
    return list_dataset(host, repository, revision or "main", prefix, limits)


def list_bucket(url, prefix, limits):
    """As ``list_files``, of an S3 bucket; its ETag is the MD5 sum of a file that was uploaded in one piece."""
    found, query = {}, {"list-type": "2", "prefix": prefix}

    def question():
        reply = requests.get(url, params=query, timeout=TIMEOUT)
        reply.raise_for_status()
        try:
            root = ElementTree.fromstring(reply.content)
        except ElementTree.ParseError:
            root = None
        if root is None or not root.tag.endswith("ListBucketResult"):
            raise RuntimeError(f"{url} does not list its objects as S3 does; check evaluation.archive.url")
        return root

    while True:
        root = with_retries(question, url, server_backoff(limits), "check evaluation.archive")
        for item in root.iterfind("{*}Contents"):
            tag = item.findtext("{*}ETag", "").strip('"')
            key, size = item.findtext("{*}Key"), int(item.findtext("{*}Size"))
            found[key] = Listed(f"{url}/{quote(key)}", size, md5=tag if re.fullmatch("[0-9a-f]{32}", tag) else None)
        token = root.findtext("{*}NextContinuationToken")
        if not token:
            return found
        query["continuation-token"] = token


def list_dataset(host, repository, revision, prefix, limits):
    """As ``list_files``, of a dataset repository (OWNER/NAME) at a branch, tag or commit ``revision``.

    The Hub keeps large files apart and calls them by their SHA-256 sum; of small ones it states the size alone.
    https://huggingface.co/docs/hub/api
    """
    # A revision may come as it is or as in an address: refs/pr/1 or refs%2Fpr%2F1.
    revision = quote(unquote(revision), safe="")
    page = f"{host}/api/datasets/{repository}/tree/{revision}/{quote(prefix.strip('/'))}?recursive=true"
    files = f"{host}/datasets/{repository}/resolve/{revision}"
    cure = (
        f"check in evaluation.archive whether the dataset {repository} has the folder {prefix} at {unquote(revision)}"
    )
    found = {}

    def question():
        reply = requests.get(page, timeout=TIMEOUT)
        reply.raise_for_status()
        try:
            entries = [entry for entry in reply.json() if entry["type"] == "file"]
            listed = {entry["path"]: _of_dataset(files, entry) for entry in entries}
        except (KeyError, TypeError, ValueError) as error:
            raise RuntimeError(
                f"{page} does not list its files as Hugging Face does; check evaluation.archive.url"
            ) from error
        return listed, reply.links.get("next", {}).get("url")

    while page:
        listed, page = with_retries(question, page, server_backoff(limits), cure)
        found |= listed
    return found


def _of_dataset(files, entry):
    """``Listed`` of one entry of the Hub's list; ``files``: address that a path stands behind."""
    large = entry.get("lfs") or {}
    return Listed(f"{files}/{quote(entry['path'])}", int(large.get("size", entry["size"])), sha256=large.get("oid"))
