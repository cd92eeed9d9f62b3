"""Faults of the machine that libraries tell badly: a full disk, and a file system without locks.

HDF5 locks every file that it opens, and fails where the file system has no locks; of that, as of a full disk, netCDF
says "HDF error" when it reads or writes a file and "Permission denied" when it makes one, which it also says of other
faults. So the file system itself is asked. Needs the standard library only, so CMOR's interpreter can import it.
"""

import errno
import fcntl
import os
import re
import tempfile
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT)
UNLOCKED = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
LITTLE = 2**20  # bytes; a disk with less is full
HOMELESS = "No usable temporary directory found in"  # in the words of Python's tempfile
# In the words of netCDF and of CMOR, whatever the reason.
VAGUE = r"HDF error|NetCDF: Can't (write|create)|Problem with 'cmor\."
CURE = "set HDF5_USE_FILE_LOCKING=FALSE in the environment and start again"


class MachineFault(OSError):
    """What the machine lacks and what to do, in one sentence."""


def explained(error, path=None):
    """The MachineFault that is behind ``error``, or None if the machine is not at fault or ``error`` says so itself.

    ``path``: the file that was read or written when ``error`` was raised; one that the error itself names goes before.
    """
    if isinstance(error, MachineFault):
        return None
    named = _path_of(error)
    path = named or path
    number, text = _number_of(error), str(error)
    if HOMELESS in text:
        places = text.split(HOMELESS)[1].strip()
        return MachineFault(f"no temporary file can be written in any of {places}; make room there, or set TMPDIR")
    if number in FULL:
        return _full(number, path)
    if number in (*UNLOCKED, errno.EAGAIN) and (named or "file" in text):
        return _unlocked(number, path)
    vague = number in (errno.EACCES, *UNLOCKED, errno.EAGAIN) or re.search(VAGUE, text)
    if path is None or not vague:
        return None
    lacking = _space_fault(Path(path))
    if lacking is not None:
        return _full(lacking, path)
    lacking = _lock_fault(Path(path))
    return None if lacking is None else _unlocked(lacking, path)


def _path_of(error):
    name = getattr(error, "filename", None)
    return name if isinstance(name, str | os.PathLike) else None


def _number_of(error):
    """The number of the system's error; HDF5 writes that, or its words, into a text of its own."""
    text = str(error)
    told = re.search(r"errno = (\d+)", text)
    if told:
        return int(told[1])
    if re.search("unable to (lock|.*open) file", text, re.IGNORECASE):
        other = errno.ENOLCK if "lock file" in text.lower() else None
        return next((number for number in (*UNLOCKED, errno.EAGAIN, *FULL) if os.strerror(number) in text), other)
    return getattr(error, "errno", None)


def _final(path):
    """The file that the temporary one of ``atomic_path`` is to become."""
    path = Path(path)
    return path.with_name(re.sub(r"^\.(.+)\.\d+\.part$", r"\1", path.name))


def _full(number, path):
    where = "the disk" if path is None else f"the disk of {_final(path)}"
    what = f"your quota on {where} is used up" if number == errno.EDQUOT else f"{where} is full"
    return MachineFault(f"{what}; make room, or have the run in another folder, and start again")


def _unlocked(number, path):
    where = "a file" if path is None else _final(path)
    if number == errno.EAGAIN:
        return MachineFault(
            f"{where} is locked by another program ({os.strerror(number)}); wait for that to end, or if there is none, "
            f"{CURE}"
        )
    return MachineFault(
        f"{where} is on a file system without locks ({os.strerror(number)}), which HDF5 asks for; {CURE}"
    )


def _free(path):
    """Bytes that this user can still write beside ``path``."""
    state = os.statvfs(path.parent)
    return state.f_bavail * state.f_frsize


def _space_fault(path):
    """The system's error number where nothing more can be written to ``path``, or None.

    A file that this user must not write was read, so that its disk, which may well be full, is not the reason.
    """
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        return None
    try:
        if _free(path) < LITTLE:
            return errno.ENOSPC
        # A quota shows only when something is written.
        with tempfile.TemporaryFile(dir=path.parent) as file:
            file.write(bytes(LITTLE))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error.errno if error.errno in FULL else None
    return None


def _lock_fault(path):
    """The system's error number where ``path`` cannot be locked as HDF5 does it, or None."""
    if os.environ.get("HDF5_USE_FILE_LOCKING", "").upper() in ("FALSE", "0"):
        return None
    try:
        with open(path, "rb") if path.exists() else tempfile.TemporaryFile(dir=path.parent) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno if error.errno in (*UNLOCKED, errno.EAGAIN) else None
    return None
