"""Processes of this host as ``ps`` shows them: read from ``/proc``, some or all of them. Blocks: for threads."""

import contextlib
import os
import pathlib
from collections.abc import Collection, Iterable, Iterator

from agent.kit import frozen

_PROC = pathlib.Path("/proc")
_LONGEST = 4096
"""Bytes of a command line that are read: a program may make its own as long as it likes."""
_USER, _SYSTEM = 11, 12
"""Fields of ``/proc/PID/stat`` behind the program's name, as of proc(5): times in clock ticks."""
_KIBI = 1024
_HIDDEN = (FileNotFoundError, ProcessLookupError, PermissionError)
"""What ``/proc`` answers for a process that has ended, or that somebody else may not see (``hidepid``)."""
_EFFECTIVE = 1
"""Which of the four user ids of ``/proc/PID/status`` counts."""


@frozen.value
class Process:
    """A process."""

    pid: int
    parent: int
    uid: int
    """The effective user."""
    cpu_seconds: float
    """User and system time so far."""
    rss: int
    """Bytes."""
    command: str
    """Its words with blanks between them; ``[NAME]`` where it has none: it has ended, or is the kernel's own."""


def read(pids: Iterable[int]) -> tuple[Process, ...]:
    """Return the processes with these pids, sorted, without those that are not there."""
    return tuple(process for pid in sorted(set(pids)) if (process := _read(pid)) is not None)


def in_cgroups(names: Collection[str]) -> Iterator[int]:
    """Yield the pids of processes that are, in any hierarchy, in a cgroup of one of these names, or below one."""
    for entry in _PROC.iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(*_HIDDEN):
                lines = (entry / "cgroup").read_text(errors="replace").splitlines()
                if any(not set(line.split("/")).isdisjoint(names) for line in lines):
                    yield int(entry.name)


def _read(pid: int) -> Process | None:
    folder = _PROC / str(pid)
    try:
        status = _fields((folder / "status").read_text(errors="replace"))
        times = (folder / "stat").read_bytes().rpartition(b")")[2].split()
        words = _command(folder)
    except _HIDDEN:
        return None
    ticks = int(times[_USER]) + int(times[_SYSTEM])
    return Process(
        pid=pid,
        parent=int(status["PPid"]),
        uid=int(status["Uid"].split()[_EFFECTIVE]),
        cpu_seconds=ticks / os.sysconf("SC_CLK_TCK"),
        rss=int(status.get("VmRSS", "0").split()[0]) * _KIBI,
        command=words or f"[{status['Name']}]",
    )


def _fields(text: str) -> dict[str, str]:
    """Return the lines of ``/proc/PID/status``: what would break one is escaped in a name."""
    pairs = (line.partition(":") for line in text.split("\n"))
    return {name: value.strip() for name, _, value in pairs}


def _command(folder: pathlib.Path) -> str:
    descriptor = os.open(folder / "cmdline", os.O_RDONLY | os.O_CLOEXEC)
    try:
        words = os.read(descriptor, _LONGEST)
    finally:
        os.close(descriptor)
    return words.rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")
