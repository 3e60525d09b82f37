"""What runs in containers and how it ends: the roles ``Processes`` and ``Inspection``.

Apart from ``api``, for whoever asks for nothing else: it knows no config of any kind.
"""

from collections.abc import Iterable, Mapping
from typing import Protocol

from agent.kit import frozen, process_table


@frozen.value
class ContainerProcess:
    """A process of a container, as the host has it that the container runs on."""

    pid: int
    """In the host's numbers."""
    parent: int
    """The parent's pid; 0 where that is none of the container's processes."""
    uid: int
    """The effective user, in the host's numbers."""
    cpu_seconds: float
    """User and system time so far; Docker tells whole seconds."""
    rss: int
    """Bytes of memory that are present (resident set size)."""
    command: str
    """Its words with blanks between them, the end of a very long one left out; ``[NAME]`` where it has none."""


def of_host(running: Iterable[process_table.Process]) -> tuple[ContainerProcess, ...]:
    """Return the processes of a container that runs on this host; these are all of them."""
    listed = tuple(running)
    pids = {process.pid for process in listed}
    return tuple(
        ContainerProcess(
            pid=process.pid,
            parent=process.parent if process.parent in pids else 0,
            uid=process.uid,
            cpu_seconds=process.cpu_seconds,
            rss=process.rss,
            command=process.command,
        )
        for process in listed
    )


class Processes(Protocol):
    """Processes of containers."""

    async def top(self, ref: str) -> tuple[ContainerProcess, ...]:
        """Return what runs in it now, sorted by pid; what ends meanwhile may be there or not.

        Raises ``NotFound``, ``Conflict`` (``NotRunning``), and ``InvalidArgument`` where the runtime cannot tell
        (``Feature.PROCESSES``).
        """

    async def wait(self, ref: str) -> int | None:
        """Wait for the end of its present run and return the exit code: 128 + signal where it was killed by one.

        One that has ended answers at once. A start meanwhile changes nothing: the run that was there counts.
        ``None``: nobody saw the end, as in ``ObservedContainer.exit_code``.

        Raises ``NotFound``, also where it is removed before its code is known; ``Conflict`` (``NotRunning``) where it
        has never run; ``Unavailable`` where the runtime is lost, or the code is by the time that it is looked for.
        """


class Inspection(Protocol):
    """What the runtime itself keeps of containers."""

    async def inspect(self, ref: str) -> Mapping[str, object]:
        """Return the runtime's own document on it, a JSON object whose shape is the runtime's business.

        It is for people: nothing is decided by it. Values of Secrets are ``secret.HIDDEN`` in it. Raises ``NotFound``.
        """
