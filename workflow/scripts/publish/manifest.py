"""The manifest of a submission: path, size and SHA-256 of every file, and its verification.

    python -m workflow.scripts.publish.manifest FOLDER...

verifies each folder that holds a ``manifest.csv``: every file is there with the stated size and SHA-256, and no other.
"""

import argparse
import csv
import sys
from pathlib import Path

from workflow.scripts.common.atomic import atomic_path
from workflow.scripts.common.checksums import digests

NAME = "manifest.csv"
COLUMNS = ("path", "size", "sha256")


def write_manifest(folder, known=()):
    """Write ``manifest.csv`` of all files below ``folder``. Returns its path.

    ``known``: dicts with path (below ``folder``), size and sha256 of files that were read already, so that 17 GB are
    not read again; a file whose size differs from what is known of it raises RuntimeError.
    """
    folder, known = Path(folder), {file["path"]: file for file in known}
    rows = []
    for path in files_below(folder):
        row = known.get(path, None) or {"path": path, **digests(folder / path)}
        if row["size"] != (folder / path).stat().st_size:
            size = (folder / path).stat().st_size
            raise RuntimeError(
                f"{folder / path} has {size} bytes, but {row['size']} when it was checked: run the checks"
            )
        rows.append({key: row[key] for key in COLUMNS})
    with atomic_path(folder / NAME) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return folder / NAME


def verify(folder):
    """Compare the files below ``folder`` with its manifest.

    Returns how many files the manifest names and one sentence for each that does not agree. Raises ValueError if
    there is no manifest.
    """
    folder = Path(folder)
    if not (folder / NAME).is_file():
        raise ValueError(f"{folder} has no {NAME}: it is not the folder of a submission")
    with open(folder / NAME, newline="", encoding="utf-8") as file:
        rows = {row["path"]: row for row in csv.DictReader(file)}
    there, faults = set(files_below(folder)), []
    for path in sorted(there - set(rows)):
        faults.append(f"{path} is not in the manifest")
    for path, row in sorted(rows.items()):
        if path not in there:
            faults.append(f"{path} is absent")
            continue
        size = (folder / path).stat().st_size
        if size != int(row["size"]):
            faults.append(f"{path} has {size} bytes, the manifest says {row['size']}")
        elif (found := digests(folder / path)["sha256"]) != row["sha256"]:
            faults.append(f"{path} has the sha256 {found}, the manifest says {row['sha256']}")
    return len(rows), faults


def files_below(folder):
    """Paths below ``folder``, as text and sorted, of all files in it but the manifest."""
    paths = (path for path in folder.rglob("*") if path.is_file() and path != folder / NAME)
    return sorted(str(path.relative_to(folder)) for path in paths)


def main(arguments=None):
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="+", help=f"folder that holds {NAME}")
    status = 0
    for folder in parser.parse_args(arguments).folder:
        try:
            count, faults = verify(folder)
        except ValueError as error:
            print(f"manifest: {error}", file=sys.stderr)
            return 2
        for fault in faults:
            print(f"FAILED {folder}: {fault}")
        print(f"{folder}: {count} files in the manifest, {len(faults)} findings")
        status = status or int(bool(faults))
    return status


if __name__ == "__main__":
    sys.exit(main())
