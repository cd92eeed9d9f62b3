"""Start Snakemake so that a run that was killed at any moment just goes on.

    python workflow/launch.py --directory DIR SNAKEMAKE_OPTIONS..

Holds a lock of its own for as long as Snakemake lives. Whoever gets that lock knows that the launched run that left
Snakemake's lock behind is dead, so it clears that; whoever does not, says in one sentence that a run is going on. So it
says where Slurm still has jobs of a dead run, and where Slurm cannot be asked. On a file system without locks a file
names the process that holds the folder. A Snakemake started without the launcher holds no such lock: start all runs of
a folder with the launcher. It gives Snakemake the options in SNAKEMAKE_DEPLOYMENT, by which envs/activate.sh says where
rules have their software, since for Snakemake a job whose software is elsewhere has to be done again.
"""

import argparse
import errno
import fcntl
import os
import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path

WITHOUT_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)  # what flock says on such a file system
ANSWER = 60  # seconds for Slurm to answer
# What squeue says where Slurm was never set up.
NO_CLUSTER = (
    r"could not establish a configuration source|unable to (process|stat\w*) .*(configuration file|slurm\.conf)"
)
# Snakemake as `python -m snakemake` starts it, after which the file that names the holder goes.
HOLDING = (
    "import atexit, pathlib, runpy, sys; atexit.register(pathlib.Path(sys.argv.pop(1)).unlink, missing_ok=True); "
    "runpy.run_module('snakemake', run_name='__main__', alter_sys=True)"
)


class Refused(Exception):
    """Why no run may start: one sentence."""


def hold_lock(directory):
    """Lock ``directory`` for this process and what it becomes; raises Refused while another run lives.

    Returns the open lock, or the path of the file that names this process where the file system has no locks.
    """
    folder = Path(directory, ".snakemake")
    folder.mkdir(parents=True, exist_ok=True)
    lock = open(folder / "launch.lock", "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise another_run(directory) from None
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            raise
        return name_holder(directory, folder / "launch.holder")
    os.set_inheritable(lock.fileno(), True)
    return lock


def another_run(directory, more=""):
    """The refusal that says that a run is going on."""
    return Refused(f"another run is going on in '{directory}'{more}; wait for it to end, or stop it, and start again")


def name_holder(directory, path):
    """Write host, process and its time of start to ``path``, unless a process that lives, or may live, did so."""
    host, process = socket.gethostname(), os.getpid()
    while True:
        try:
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        except FileExistsError:
            clear_holder(directory, path, host)
        else:
            with open(file, "w", encoding="utf-8") as opened:
                opened.write(f"{host} {process} {time_of_start(process)}\n")
            return path


def clear_holder(directory, path, host):
    """Remove ``path`` if the process that it names is dead; raises Refused if it lives or nobody can tell."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:  # that run has just ended
        return
    where, process, start = (text.split() + [""] * 3)[:3]
    if where != host or time_of_start(os.getpid()) is None:
        raise Refused(
            f"'{path}' says that a run is going on in '{directory}', process {process or '?'} on {where or '?'}; from "
            f"{host} it cannot be seen whether it lives, so if it does not, remove that file and start again"
        )
    if time_of_start(process) == start:
        raise another_run(directory, f", process {process}")
    # Another launcher may have come first: what is moved away must be what was read.
    aside = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        os.rename(path, aside)
    except FileNotFoundError:
        return
    if aside.read_text(encoding="utf-8") != text:
        os.rename(aside, path)
        raise another_run(directory)
    aside.unlink()


def time_of_start(process):
    """When a process that lives on this machine started, text; None if there is none, or no /proc to tell."""
    try:
        told = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # What follows the name, which is in brackets and may hold anything: the state, and in the twentieth place the time.
    words = told.rpartition(")")[2].split()
    return None if words[0] in "ZX" else words[19]  # a dead process is listed until its parent takes notice


def left_jobs(directory):
    """Ids of the Slurm jobs in the queue that a run in ``directory`` submitted; none where there is no Slurm.

    Raises Refused if Slurm gives no answer: that there are none is then not known.
    """
    command = ["squeue", "--me", "--noheader", "--format=%A|%k|%Z"]
    never = False  # whether this machine looks as if it had no Slurm at all
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, errors="replace", timeout=ANSWER)
        said = " ".join(done.stderr.split())
        problem = done.returncode and f"it ended with status {done.returncode}: {said or 'no message'}"
        never = problem and re.search(NO_CLUSTER, said, re.IGNORECASE)
    except FileNotFoundError:
        never, problem = True, "there is no such program in PATH"
    except (OSError, subprocess.TimeoutExpired) as error:
        problem = f"{error}"
    if problem:
        # The logs of jobs would show that there was a cluster, and this shell or machine merely does not see it.
        if never and not Path(directory, ".snakemake", "slurm_logs").exists():
            return []
        raise Refused(
            f"Slurm cannot be asked whether jobs of a dead run are left that would write the same files "
            f"('{' '.join(command)}': {problem}); start again when it answers, or with --no-squeue if there are none"
        )
    jobs = [line.split("|", 2) for line in done.stdout.splitlines() if line.count("|") >= 2]
    # Snakemake's comment of a job starts with the rule; the run itself may be in a job of this folder too.
    return [number for number, comment, folder in jobs if comment.startswith("rule_") and same(folder, directory)]


def same(folder, directory):
    """Whether two paths are one folder, under whatever names."""
    try:
        return os.path.samefile(folder, directory)
    except OSError:
        return Path(folder) == directory


def start(directory, options, ask_slurm):
    """Take the lock, clear what a dead run left, become Snakemake."""
    lock = hold_lock(directory)
    try:
        if ask_slurm and (left := left_jobs(Path(directory).resolve())):
            raise Refused(
                f"jobs of a run that is dead are still in Slurm's queue and would write the same files; wait for them "
                f"to end, or 'scancel {' '.join(left)}', and start again"
            )
        deployment = shlex.split(os.environ.get("SNAKEMAKE_DEPLOYMENT", ""))
        command = [sys.executable, "-m", "snakemake", "--directory", directory, *deployment, *options]
        if any(Path(directory, ".snakemake", "locks").glob("*")):
            # If this fails, as with a wrong config, the run itself says why.
            subprocess.run([*command, "--unlock"], check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if isinstance(lock, Path):
            # HDF5 would ask this file system for locks too, and open nothing.
            os.environ.setdefault("HDF5_USE_FILE_LOCKING", "FALSE")
            command[1:3] = ["-c", HOLDING, str(lock.resolve())]
        os.execv(sys.executable, command)
    finally:  # not reached by who becomes Snakemake
        if isinstance(lock, Path):
            lock.unlink(missing_ok=True)


def main():
    """Read the command line and start; what stands in the way is said in one sentence."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-d", "--directory", default=".", help="where Snakemake works")
    parser.add_argument("--no-squeue", action="store_true", help="do not ask Slurm for jobs of a dead run")
    known, options = parser.parse_known_args()
    try:
        start(known.directory, options, not known.no_squeue)
    except Refused as refusal:
        sys.exit(f"launch: {refusal}")
    except OSError as error:
        sys.exit(f"launch: no run can start in '{known.directory}' ({error}); mend that, or choose another --directory")


if __name__ == "__main__":
    main()
