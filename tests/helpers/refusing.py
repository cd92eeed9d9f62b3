"""Let the kernel refuse system calls, as a file system without locks or a full disk does, and run a command so.

    python tests/helpers/refusing.py flock=ENOLCK pwrite64=ENOSPC COMMAND ..

A filter (seccomp) in front of the real calls: what runs behind it, C libraries included, meets the real error. A call
of ``write`` is refused for files only, not for standard output and error.
"""

import ctypes
import errno
import os
import platform
import struct
import subprocess
import sys

CALLS = {"x86_64": {"flock": 73, "pwrite64": 18, "write": 1}, "aarch64": {"flock": 32, "pwrite64": 68, "write": 64}}
NUMBERS = CALLS.get(platform.machine(), {})
NO_NEW_PRIVILEGES, SET_SECCOMP, FILTER_MODE = 38, 22, 2  # of prctl
LOAD, GREATER, EQUAL, RETURN = 0x20, 0x25, 0x15, 0x06  # of BPF
NUMBER, FIRST_ARGUMENT = 0, 16  # where in what the filter sees
REFUSE, ALLOW = 0x00050000, 0x7FFF0000


class Program(ctypes.Structure):
    """A filter as the kernel takes it."""

    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_char_p)]


def refuse(**calls):
    """Have this process and its children meet an error (``flock="ENOLCK"``) at the named calls, for good."""
    code = []
    for name, error in calls.items():
        answer = (RETURN, 0, 0, REFUSE | getattr(errno, error))
        code += [(LOAD, 0, 0, NUMBER), (EQUAL, 0, 3 if name == "write" else 1, NUMBERS[name])]
        # Standard output and error are 1 and 2.
        code += [(LOAD, 0, 0, FIRST_ARGUMENT), (GREATER, 0, 1, 2), answer] if name == "write" else [answer]
    code.append((RETURN, 0, 0, ALLOW))
    packed = b"".join(struct.pack("HBBI", *step) for step in code)
    library = ctypes.CDLL(None, use_errno=True)
    program = Program(len(code), ctypes.cast(ctypes.create_string_buffer(packed, len(packed)), ctypes.c_char_p))
    if library.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0) or library.prctl(SET_SECCOMP, FILTER_MODE, ctypes.byref(program)):
        raise OSError(ctypes.get_errno(), "this kernel takes no filter")


def available():
    """Whether this machine lets a process refuse itself calls."""
    command = [sys.executable, __file__, "flock=ENOLCK", "true"]
    return bool(NUMBERS) and not subprocess.run(command, capture_output=True, check=False).returncode


if __name__ == "__main__":
    number = next(place for place, word in enumerate(sys.argv[1:], 1) if "=" not in word)
    refuse(**dict(word.split("=") for word in sys.argv[1:number]))
    os.execvp(sys.argv[number], sys.argv[number:])
