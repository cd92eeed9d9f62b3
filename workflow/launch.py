"""Start Snakemake so that a run that was killed at any moment just goes on.

    python workflow/launch.py --directory DIR SNAKEMAKE_OPTIONS..

Holds a lock of its own for as long as Snakemake lives. Whoever gets that lock knows that the launched run that left
Snakemake's lock behind is dead, so it clears that; whoever does not, says in one sentence that a run is going on. So it
says where Slurm still has jobs of a dead run. A Snakemake started without the launcher holds no such lock: start all
runs of a folder with the launcher.
"""

import argparse
import fcntl
import os
import shutil
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


def left_jobs(directory):
    """Ids of the Slurm jobs in the queue that a run in ``directory`` submitted; none where there is no Slurm."""
    if shutil.which("squeue") is None:
        return []
    command = ["squeue", "--me", "--noheader", "--format=%A|%k|%Z"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    jobs = [line.split("|") for line in done.stdout.splitlines() if line.count("|") == 2]
    # Snakemake's comment of a job starts with the rule; the run itself may be in a job of this folder too.
    return [number for number, comment, folder in jobs if comment.startswith("rule_") and Path(folder) == directory]


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
    if left := left_jobs(Path(known.directory).resolve()):
        sys.exit(
            f"launch: jobs of a run that is dead are still in Slurm's queue and would write the same files; wait for "
            f"them to end, or 'scancel {' '.join(left)}', and start again"
        )
    command = [sys.executable, "-m", "snakemake", "--directory", known.directory, *options]
    if any(Path(known.directory, ".snakemake", "locks").glob("*")):
        # If this fails, as with a wrong config, the run itself says why.
        subprocess.run([*command, "--unlock"], check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert not lock.closed
    os.execv(sys.executable, command)


if __name__ == "__main__":
    main()
