"""Write envs/lock.txt: every package that envs/requirements.txt brings, with the hash of the file that pip installs.

    python envs/lock.py

Asks pip, which installs nothing. Hashes are those that the package index states, of files for one kind of machine and
one Python, which the lock names in its first line: this runs there only.
"""

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
PLATFORM = {"sys_platform": "linux", "platform_machine": "x86_64", "python_version": "3.11"}
HEAD = """\
# Made by envs/lock.py for {sys_platform} {platform_machine}, Python {python_version}; not to be edited.
# pip install --require-hashes -r envs/lock.txt
"""


def resolve():
    """What pip would install into an empty environment: its report."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet", "--report", "-"]
    command += ["-r", HERE / "requirements.txt", "-c", HERE / "constraints.txt"]
    return json.loads(subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True).stdout)


def lock(report):
    """Text of the lock for a report of pip's."""
    lines = []
    for package in report["install"]:
        name = re.sub(r"[-_.]+", "-", package["metadata"]["name"]).lower()
        digest = package["download_info"].get("archive_info", {}).get("hashes", {}).get("sha256")
        if digest is None:
            raise ValueError(f"the index states no sha256 for '{name}': use one that does, such as PyPI")
        lines.append(f"{name}=={package['metadata']['version']} \\\n    --hash=sha256:{digest}\n")
    return HEAD.format(**PLATFORM) + "".join(sorted(lines))


def main():
    """Write the lock, or say in one sentence why not."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    report = resolve()
    here = {key: report["environment"][key] for key in PLATFORM}
    if here != PLATFORM:
        sys.exit(f"lock: the lock is for {PLATFORM}, and this is {here}; run it there, for example in a container")
    (HERE / "lock.txt").write_text(lock(report), encoding="utf-8")


if __name__ == "__main__":
    main()
