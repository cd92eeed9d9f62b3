"""Another model's submission from the public archive of AIMIP: the monthly files that the evaluation reads.

The archive is a bucket of an S3 object store that everyone may read, or its mirror on Hugging Face (listing.py): each
lists its files with sizes and, of most, an MD5 or SHA-256 sum. A manifest ("sha256  path" on each line, as AIMIP
publishes one) can be given besides; it must then know every file that is wanted. Files that are there already and have
the stated size and sums stay, so that an interrupted download goes on.
"""

import logging
import re
import sys
from pathlib import Path

from workflow.scripts.common import program
from workflow.scripts.common.atomic import atomic_path
from workflow.scripts.common.variables import read_variables
from workflow.scripts.download.backoff import add_limits, limits_of
from workflow.scripts.download.listing import list_files
from workflow.scripts.download.records import now, save_record
from workflow.scripts.download.transfer import difference, fetch
from workflow.scripts.submission.tree import sort_simulations


def read_manifest(path):
    """{path: sha256} of a manifest; raises ValueError for a line that is not one."""
    found = {}
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), 1):
        match = re.fullmatch(r"([0-9a-f]{64}) [ *](.+)", line)
        if match is None:
            raise ValueError(f"{path}, line {number}: '{line[:80]}' is not a sha256 and a path; check the manifest")
        found[match[2].removeprefix("./")] = match[1]
    return found


def known_sums(listed, keys, manifest, url):
    """{key: sha256 or None} of ``keys``, as the archive at ``url`` states it and, where one is given, a manifest.

    listed: of ``list_files``; manifest: path or None. Raises ValueError where the manifest lacks a key or contradicts
    the archive: such a file would come unverified, or of another version than was published.
    """
    stated = {key: listed[key].sha256 for key in keys}
    if manifest is None:
        return stated
    known = read_manifest(manifest)
    lacking = [key for key in keys if key not in known]
    if len(lacking) == len(keys):
        first = f"the first of its lines is for {next(iter(known))}" if known else "it is empty"
        raise ValueError(
            f"{manifest} has none of the {len(keys)} files that are wanted, such as {lacking[0]}; {first}: give the "
            f"manifest of this archive, or set evaluation.archive.manifest to null"
        )
    if lacking:
        raise ValueError(
            f"{manifest} lacks {len(lacking)} of the {len(keys)} files that are wanted, the first {lacking[0]}, which "
            f"nothing would verify; give a newer manifest, or set evaluation.archive.manifest to null"
        )
    for key in keys:
        if stated[key] not in (None, known[key]):
            raise ValueError(
                f"{manifest} has the sha256 {known[key]} for {key}, but {url} states {stated[key]}: they are of "
                f"different versions; give the manifest and the revision that belong together in evaluation.archive"
            )
    return {key: known[key] for key in keys}


def download_archive(record, folder, url, prefix, variables, experiments, limits, manifest=None):
    """Download one submission into ``folder``, and write ``record`` (JSON) when it is whole.

    url: of the bucket or the dataset repository; prefix: of the submission in it, such as UMD-PARETO/MD-1p5; variables:
    the variables table (CSV); experiments: names of those wanted; limits: dict with ``first_wait`` (s) and ``outage``
    (hours); manifest: path or None. Raises RuntimeError or ValueError with one sentence.
    """
    url, prefix = url.rstrip("/"), prefix.strip("/") + "/"
    wanted = {name for row in read_variables(variables, role="field") for name in row.cmor_name}
    listed = list_files(url, prefix, limits)
    simulations = sort_simulations(Path(key) for key in listed)
    keys = [
        str(path)
        for (experiment, _), files in sorted(simulations.items())
        for name, paths in sorted(files.items())
        for path in paths
        if experiment in experiments and name in wanted
    ]
    if not keys:
        raise RuntimeError(
            f"{url} has no monthly file of {', '.join(experiments)} below {prefix}; check its name there"
        )
    sums = known_sums(listed, keys, manifest, url)
    logging.info("%d files, %.1f GB", len(keys), sum(listed[key].size for key in keys) / 1e9)
    facts = []
    for key in keys:
        file, target = listed[key], Path(folder, key[len(prefix) :])
        checksum = f"md5:{file.md5}" if file.md5 else None
        about = None
        if target.is_file() and target.stat().st_size == file.size:
            problem, about = difference(target, file.size, checksum, sums[key])
            about = None if problem else about
        if about is None:
            entry = (file.address, file.size, checksum)
            with atomic_path(target) as temporary:
                cure = "check evaluation.archive, and its manifest where one is given"
                about = fetch(lambda entry=entry: entry, url, key, temporary, limits, cure, sums[key])
        facts.append({"key": key, "size": about["size"], "md5": file.md5, "sha256": about["sha256"]})
    content = {
        "archive": url,
        "prefix": prefix,
        "time": now(),
        "files": facts,
    }
    save_record(record, content)


def main(arguments=None):
    """Command line."""
    parser = program.command_line(__doc__)
    parser.add_argument("--url", required=True, help="address of the bucket or the dataset repository")
    parser.add_argument("--prefix", required=True, help="of the submission in it, such as UMD-PARETO/MD-1p5")
    parser.add_argument("--manifest", help="file with lines of 'sha256  path'")
    parser.add_argument("--variables", required=True, help="config/variables.csv")
    parser.add_argument("--experiments", nargs="+", required=True, help="names of those wanted")
    parser.add_argument("--folder", required=True, help="where the files go")
    parser.add_argument("--record", required=True, help="record to write when all are there, JSON")
    add_limits(parser)

    def work(given):
        bucket = given.url, given.prefix, given.variables, given.experiments
        download_archive(given.record, given.folder, *bucket, limits_of(given), given.manifest)

    return program.run(parser, work, arguments)


if __name__ == "__main__":
    sys.exit(main())
