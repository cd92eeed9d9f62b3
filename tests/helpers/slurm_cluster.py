"""A real Slurm of one node on loopback for the tests: its daemons are children of the tests and end with them.

Works as root and as an ordinary user. No accounting database, as at many sites: the profile asks squeue. The GPUs are
device files that nobody computes on: Slurm schedules them and names them to the jobs.
"""

import ctypes
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from getpass import getuser
from pathlib import Path

DAEMONS = ("munged", "slurmctld", "slurmd")
CONTROLLER = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={base}/munge.socket
CredType=cred/munge
SlurmctldPidFile={base}/slurmctld.pid
SlurmdPidFile={base}/slurmd.pid
StateSaveLocation={base}/state
SlurmdSpoolDir={base}/spool
# No cgroups: they need root, and a machine that lets its containers have them.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
# The node may have more cores, memory and GPUs on paper than the machine has: jobs then run side by side.
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=bf_interval=5,sched_interval=5
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
# squeue tells how a job ended for as long.
MinJobAge=3600
KillWait=10
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=64 RealMemory=400000 Gres=gpu:common:6,gpu:scarce:1 State=UNKNOWN
PartitionName=cpu Nodes={host} Default=YES State=UP MaxTime=INFINITE PriorityTier=10 PreemptMode=OFF
PartitionName=gpu Nodes={host} State=UP MaxTime=INFINITE PriorityTier=10 PreemptMode=OFF
PartitionName=preemptable Nodes={host} State=UP MaxTime=INFINITE PriorityTier=10
PartitionName=urgent Nodes={host} State=UP MaxTime=INFINITE PriorityTier=100 PreemptMode=OFF
"""
DEVICES = {"common": ("null", "zero", "full", "random", "urandom", "tty"), "scarce": ("ptmx",)}


def find(daemon):
    """Path of a daemon, which may be in a folder that only root has in PATH; None where it is not installed."""
    return shutil.which(daemon, path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")


def free_ports(count):
    """Ports that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def end_with_parent():
    """Ask the kernel to end this process when the tests end, however they do."""
    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)


class Cluster:
    """The cluster, from start to stop; ``environment`` holds what its clients need."""

    def __init__(self):
        # A short path: the name of a socket has at most 107 characters.
        self.base = Path(tempfile.mkdtemp(prefix="slurm-"))
        self.base.chmod(0o755)
        for folder in ("state", "spool", "bin"):
            (self.base / folder).mkdir()
        self.processes = []
        host = socket.gethostname().split(".")[0]
        facts = {"host": host, "ports": free_ports(2), "user": getuser(), "base": self.base}
        (self.base / "slurm.conf").write_text(CONTROLLER.format(**facts))
        lines = [f"NodeName={host} Name=gpu Type={kind} File=/dev/{name}" for kind in DEVICES for name in DEVICES[kind]]
        (self.base / "gres.conf").write_text("\n".join(lines) + "\n")
        key = self.base / "munge.key"
        key.touch(0o600)
        key.write_bytes(secrets.token_bytes(1024))
        # Snakemake drops SLURM_CONF before it calls srun inside a job; a site has its file where srun looks by itself.
        shim = self.base / "bin/srun"
        shim.write_text(f'#!/bin/sh\nSLURM_CONF={self.base}/slurm.conf exec {shutil.which("srun")} "$@"\n')
        shim.chmod(0o755)
        path = f"{self.base}/bin{os.pathsep}{os.environ['PATH']}"
        self.environment = os.environ | {"SLURM_CONF": f"{self.base}/slurm.conf", "PATH": path}

    def start(self):
        """Start the daemons and wait for the node; RuntimeError with their logs if it does not come up."""
        files = [f"--{name}-file={self.base}/munge.{name}" for name in ("key", "pid", "log", "seed")]
        self._daemon("munged", "--foreground", f"--socket={self.base}/munge.socket", *files)
        self._wait(lambda: (self.base / "munge.socket").exists())
        self._daemon("slurmctld", "-D", "-c")
        self._daemon("slurmd", "-D", "-c")
        self._wait(lambda: self.call("sinfo", "-h", "-p", "cpu", "-o", "%T", check=False) == "idle")

    def _daemon(self, name, *options):
        with open(self.base / f"{name}.log", "w") as log:
            self.processes.append(
                subprocess.Popen(
                    [find(name), *options],
                    env=self.environment,
                    stdout=log,
                    stderr=log,
                    preexec_fn=end_with_parent,
                    start_new_session=True,
                )
            )

    def _wait(self, ready, seconds=60):
        end = time.monotonic() + seconds
        while not ready():
            if time.monotonic() > end or any(process.poll() is not None for process in self.processes):
                logs = "\n".join(f"{path}:\n{path.read_text()[-2000:]}" for path in self.base.glob("*.log"))
                self.stop()
                raise RuntimeError(f"Slurm did not start:\n{logs}")
            time.sleep(0.1)

    def stop(self):
        """Cancel all jobs, end the daemons, remove their files."""
        if len(self.processes) == len(DAEMONS):
            self.call("scancel", "--user", getuser(), check=False)
            end = time.monotonic() + 20
            while self.call("squeue", "-h", check=False) and time.monotonic() < end:
                time.sleep(0.2)
        for process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.base, ignore_errors=True)

    def call(self, *command, check=True):
        """Standard output of a command of Slurm, stripped."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr}")
        return done.stdout.strip()

    def jobs(self, directory, rule=""):
        """Jobs of a rule that were submitted from a directory, oldest first: (id, state)."""
        found = []
        for line in self.call("squeue", "-h", "--states=all", "-o", "%i|%T|%k|%Z").splitlines():
            number, state, comment, folder = line.split("|")
            if Path(folder) == Path(directory) and comment.startswith(f"rule_{rule}"):
                found.append((number, state))
        return sorted(found, key=lambda job: int(job[0]))
