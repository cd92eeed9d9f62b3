"""Checksums of files, read once and in blocks."""

import hashlib


def digests(path, *kinds):
    """{"size", "sha256", and each further hash of ``kinds``} of a file, read once."""
    hashes = {kind: hashlib.new(kind) for kind in {"sha256", *filter(None, kinds)}}
    size = 0
    with open(path, "rb") as file:
        while block := file.read(1 << 22):
            size += len(block)
            for one in hashes.values():
                one.update(block)
    return {"size": size} | {kind: one.hexdigest() for kind, one in hashes.items()}
