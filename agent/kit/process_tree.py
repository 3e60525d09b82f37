"""A program and what it has started, found in ``/proc``: for killing it without leaving anything behind.

Counted as a program's are its descendants and, in a container, the processes of its session, as far as they are in its
PID namespace: one whose parent has ended has another parent, but is still in the session; one that has left the session
is still a descendant. A process that has done both, as daemons do, escapes.
"""

import contextlib
import os
import pathlib
import signal
from collections.abc import Iterator

_PROC = pathlib.Path("/proc")
_PARENT, _SESSION = 1, 3
"""Fields of ``/proc/PID/stat`` behind the program's name and the state, as of proc(5)."""
_ROUNDS = 5
"""Looks for what was forked while the others were being stopped."""


def kill(pid: int) -> None:
    """Kill a program with all that it has started; it reads all of ``/proc``, so call it in a thread.

    Raises ``ProcessLookupError`` where there is no such process, ``PermissionError`` where it is another user's.
    """
    family = _family(pid)
    if not family:
        raise ProcessLookupError(f"no process {pid}")
    stopped: set[int] = set()
    for _ in range(_ROUNDS):  # none may end before all are known: its children would be somebody else's
        _signal(set(family) - stopped, signal.SIGSTOP)
        stopped.update(family)
        family = _family(pid)
        if set(family) <= stopped:
            break
    _signal({*stopped, *family}, signal.SIGKILL)


def _signal(members: set[int], number: signal.Signals) -> None:
    for member in members:
        with contextlib.suppress(ProcessLookupError):
            os.kill(member, number)


def _family(pid: int) -> list[int]:
    """Return the living processes of a program, itself first."""
    running = dict(_running())
    namespace = _namespace(pid)
    if pid not in running or namespace is None:
        return []
    members = {pid}
    own_session = set()
    if namespace != _namespace(os.getpid()):  # outside of containers a session may be a whole login's
        own_session = {process for process, (_, session) in running.items() if session == running[pid][1]}
    growing = True
    while growing:
        children = {process for process, (parent, _) in running.items() if parent in members}
        growing = not (children | own_session) <= members
        members |= children | own_session
    return [pid, *(member for member in sorted(members - {pid}) if _namespace(member) == namespace)]


def _running() -> Iterator[tuple[int, tuple[int, int]]]:
    """Yield (pid, (parent, session)) of each process."""
    for entry in _PROC.iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                fields = (entry / "stat").read_bytes().rpartition(b")")[2].split()
                yield int(entry.name), (int(fields[_PARENT]), int(fields[_SESSION]))


def _namespace(pid: int) -> pathlib.Path | None:
    """Return which PID namespace a process is in; ``None`` where it has ended."""
    try:
        return (_PROC / str(pid) / "ns/pid").readlink()
    except (FileNotFoundError, ProcessLookupError):
        return None
