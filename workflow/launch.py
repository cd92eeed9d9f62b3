"""Start Snakemake so that a run that was killed at any moment just goes on.

    python workflow/launch.py --directory DIR SNAKEMAKE_OPTIONS..

Holds a lock of its own for as long as Snakemake lives. Whoever gets that lock knows that the launched run that left
Snakemake's lock behind is dead, so it clears that; whoever does not, says in one sentence that a run is going on. A
Snakemake started without the launcher holds no such lock: start all runs of a folder with the launcher.
"""

import argparse
import fcntl
import os
import subprocess
import sys
from pathlib import Path


def hold_lock(directory):
    """Lock ``directory`` for this process and what it becomes; raises BlockingIOError while another run lives."""
    folder = Path(directory, ".snakemake")
    folder.mkdir(parents=True, exist_ok=True)
    lock = open(folder / "launch.lock", "w")
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.set_inheritable(lock.fileno(), True)
    return lock


def main():
    """Take the lock, clear what a dead run left, become Snakemake."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--directory", default=".", help="where Snakemake works")
    known, options = parser.parse_known_args()
    try:
        lock = hold_lock(known.directory)
    except BlockingIOError:
        sys.exit(
            f"launch: another run is going on in '{known.directory}'; wait for it to end, or stop it, and start again"
        )
    command = [sys.executable, "-m", "snakemake", "--directory", known.directory, *options]
    if any(Path(known.directory, ".snakemake", "locks").glob("*")):
        # If this fails, as with a wrong config, the run itself says why.
        subprocess.run([*command, "--unlock"], check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert not lock.closed
    os.execv(sys.executable, command)


if __name__ == "__main__":
    main()
