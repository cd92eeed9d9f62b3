"""Another model's submission from the public archive of AIMIP: the monthly files that the evaluation reads.

The archive is a bucket of an S3 object store that everyone may read. Its list of objects states the size of each file
and an ETag, which is the MD5 sum of a file that was uploaded in one piece. A manifest ("sha256  path" on each line, as
AIMIP publishes one) can be given for the others. Files that are there already and have the stated size and sums stay,
so that an interrupted download goes on.
"""

import json
import logging
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree

import requests

from workflow.scripts.common import program
from workflow.scripts.common.atomic import atomic_path
from workflow.scripts.common.variables import read_variables
from workflow.scripts.download.patience import add_limits, limits_of
from workflow.scripts.download.transfer import TIMEOUT, asked, difference, fetch
from workflow.scripts.submission.tree import sort_simulations


def list_objects(url, prefix, limits):
    """Objects of the bucket at ``url`` whose key begins with ``prefix``: {key: (size in bytes, MD5 or None)}."""
    objects, query = {}, {"list-type": "2", "prefix": prefix}

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
        root = asked(question, url, limits, "check evaluation.archive")
        for item in root.iterfind("{*}Contents"):
            tag = item.findtext("{*}ETag", "").strip('"')
            md5 = tag if re.fullmatch("[0-9a-f]{32}", tag) else None
            objects[item.findtext("{*}Key")] = int(item.findtext("{*}Size")), md5
        token = root.findtext("{*}NextContinuationToken")
        if not token:
            return objects
        query["continuation-token"] = token


def read_manifest(path):
    """{path: sha256} of a manifest; raises ValueError for a line that is not one."""
    found = {}
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), 1):
        match = re.fullmatch(r"([0-9a-f]{64}) [ *](.+)", line)
        if match is None:
            raise ValueError(f"{path}, line {number}: '{line[:80]}' is not a sha256 and a path; check the manifest")
        found[match[2]] = match[1]
    return found


def download_archive(record, folder, url, prefix, variables, experiments, limits, manifest=None):
    """Download one submission into ``folder``, and write ``record`` (JSON) when it is whole.

    url: of the bucket; prefix: of the submission in it, such as UMD-PARETO/MD-1p5; variables: the variables table
    (CSV); experiments: names of those wanted; limits: dict with ``first_wait`` (s) and ``outage`` (hours); manifest:
    path or None. Raises RuntimeError or ValueError with one sentence.
    """
    url, prefix = url.rstrip("/"), prefix.strip("/") + "/"
    wanted = {name for row in read_variables(variables, role="field") for name in row.cmor_name}
    known = read_manifest(manifest) if manifest else {}
    objects = list_objects(url, prefix, limits)
    simulations = sort_simulations(Path(key) for key in objects)
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
    logging.info("%d files, %.1f GB", len(keys), sum(objects[key][0] for key in keys) / 1e9)
    facts = []
    for key in keys:
        (size, md5), target = objects[key], Path(folder, key[len(prefix) :])
        checksum = f"md5:{md5}" if md5 else None
        about = None
        if target.is_file() and target.stat().st_size == size:
            problem, about = difference(target, size, checksum, known.get(key))
            about = None if problem else about
        if about is None:
            entry = (f"{url}/{quote(key)}", size, checksum)
            with atomic_path(target) as temporary:
                cure = "check evaluation.archive, and its manifest where one is given"
                about = fetch(lambda entry=entry: entry, url, key, temporary, limits, cure, known.get(key))
        facts.append({"key": key, "size": about["size"], "md5": md5, "sha256": about["sha256"]})
    content = {
        "archive": url,
        "prefix": prefix,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "files": facts,
    }
    with atomic_path(record) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def main(arguments=None):
    """Command line."""
    parser = program.command_line(__doc__)
    parser.add_argument("--url", required=True, help="address of the bucket")
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
