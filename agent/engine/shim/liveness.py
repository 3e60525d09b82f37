"""The identity of processes: pid and start time, since a pid alone is given out again."""

import os
import pathlib

_START_TIME = 19
"""Index of ``starttime`` behind the command's name in /proc/PID/stat (proc_pid_stat(5), field 22)."""
_STATE = 0


def start_time(pid: int) -> int | None:
    """Return when a process was started, in clock ticks since boot; ``None`` where it has ended (zombies have)."""
    fields = _fields(pid)
    return None if not fields or fields[_STATE] in {b"Z", b"X"} else int(fields[_START_TIME])


def is_stopped(pid: int) -> bool:
    """Return whether a process was stopped by a signal (SIGSTOP)."""
    fields = _fields(pid)
    return bool(fields) and fields[_STATE] == b"T"


def alive(pid: int | None, started: int | None) -> bool:
    """Return whether the process with this pid is the one that was started then."""
    return pid is not None and started is not None and start_time(pid) == started


def open_alive(pid: int, started: int | None) -> int | None:
    """Return a pidfd for exactly that process, or ``None`` where it has ended. The caller closes it."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    if alive(pid, started):
        return descriptor
    os.close(descriptor)
    return None


def open_network(pid: int, started: int | None) -> int:
    """Return a descriptor of the network namespace of exactly that process; the caller closes it.

    Raises ``ProcessLookupError`` where it has ended, and other kinds of ``OSError``.
    """
    try:
        descriptor = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise ProcessLookupError(f"no process {pid}") from error
    if alive(pid, started):
        return descriptor
    os.close(descriptor)
    raise ProcessLookupError(f"no process {pid} any more")


def _fields(pid: int) -> list[bytes]:
    """Return the fields behind the command's name in /proc/PID/stat; none where there is no such process."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
