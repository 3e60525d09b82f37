"""Is a process that we once saw still the same one? A pid alone does not tell: it is given out again."""

import os
import pathlib

_START_TIME = 19
"""Index of ``starttime`` behind the command's name in /proc/PID/stat (proc_pid_stat(5), field 22)."""
_STATE = 0


def start_time(pid: int) -> int | None:
    """Give when a process was started, in clock ticks since boot; ``None`` where it has ended (zombies have)."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[_STATE] in {b"Z", b"X"} else int(fields[_START_TIME])


def alive(pid: int | None, started: int | None) -> bool:
    """Tell whether the process with this pid is the one that was started then."""
    return pid is not None and started is not None and start_time(pid) == started


def open_alive(pid: int, started: int | None) -> int | None:
    """Give a pidfd for exactly that process, or ``None`` where it has ended. The caller closes it."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    if alive(pid, started):
        return descriptor
    os.close(descriptor)
    return None
