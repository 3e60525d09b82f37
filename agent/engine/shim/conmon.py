"""conmon: the monitor and parent process of a container, which keeps log and exit code without the agent.

It reports the result of the OCI runtime's ``create`` over a pipe (``_OCI_SYNCPIPE``), detaches, and when the container
ends writes the exit code to a file named by the container's id, and ends itself. So its own end, seen through a pidfd,
is the moment to look.
"""

import asyncio
import contextlib
import itertools
import json
import os
import pathlib
import signal

from agent import errors
from agent.engine.shim import oci_runtime
from agent.kit import frozen, processes, tasks
from agent.reasons import Reason

_EXIT_FILE_TIMEOUT = 5.0
"""Seconds that a monitor may take to write its container's exit code."""
_BY_SIGNAL = 128
"""Exit codes above it are 128 + signal."""
_ANSWER_LIMIT = 65536
_ROUNDS = 5
"""Rounds of killing; the second finds processes that were forked during the first."""
_PATIENCE = 60.0
"""Seconds that a ``create`` may take on a machine that is busy starting everything at once."""


@frozen.value
class Launch:
    """Arguments of a conmon."""

    program: pathlib.Path
    runtime: oci_runtime.OciRuntime
    container_id: str
    name: str
    bundle: pathlib.Path
    log: pathlib.Path
    log_limit: int
    """Bytes after which conmon itself starts the log afresh: the bound that holds while no agent rotates it."""


@frozen.value
class Launched:
    """The two processes of a created container."""

    pid: int
    """The container's first process, seen from the host."""
    monitor: int
    """The process id of conmon."""


async def launch(request: Launch) -> Launched:
    """Create a container under a new conmon; its program does not run before ``OciRuntime.start``.

    Raises ``errors.InvalidArgument`` where the OCI runtime refuses it. A failure leaves nothing of conmon; the
    runtime's state may remain, and is deleted by the caller.
    """
    reader, writer = os.pipe2(os.O_CLOEXEC)
    try:
        try:
            environment = {**oci_runtime.environment(), "_OCI_SYNCPIPE": str(writer)}
            process = processes.spawn(_command(request), env=environment, pass_fds=(writer,))
        finally:
            os.close(writer)
        try:
            async with asyncio.timeout(_PATIENCE):
                answer = await _answer(reader)
                await processes.reaped(process)  # it detaches before it answers: the parent half has ended by now
        except BaseException:
            try:
                await processes.end(process)
            finally:
                await tasks.in_thread(lambda: _kill_all(request.bundle))  # it looks at the host's processes
            raise
    finally:
        os.close(reader)
    return Launched(_created(answer), int((request.bundle / "conmon.pid").read_text()))


@frozen.value
class Ending:
    """Exit files that conmon wrote for a container that ended."""

    code: int | None
    """128 + signal for one that was killed; ``None`` where conmon left nothing: it was killed itself."""
    at: float | None


def ending(bundle: pathlib.Path, container_id: str) -> Ending:
    """Read what conmon left when its container ended."""
    path = bundle / container_id
    try:
        return Ending(int(path.read_text()), path.stat().st_mtime)
    except (FileNotFoundError, ValueError):
        return Ending(None, None)


def end(bundle: pathlib.Path) -> None:
    """Kill the conmon of a bundle where it still runs, also one that was cut short before it could say its pid."""
    if not bundle.exists():
        return
    try:
        _kill(int((bundle / "conmon.pid").read_text()), bundle)
    except (FileNotFoundError, ValueError):
        _kill_all(bundle)


def _command(request: Launch) -> list[str]:
    bundle, program = str(request.bundle), request.runtime.program
    words = [*program.prefix, str(program.path), "--root", str(request.runtime.state)]
    return [
        *(str(request.program), "--api-version", "1", "--cid", request.container_id, "--cuuid", request.container_id),
        *("--name", request.name, "--runtime", words[0], *(f"--runtime-arg={word}" for word in words[1:])),
        *("--bundle", bundle, "--container-pidfile", f"{bundle}/pid", "--conmon-pidfile", f"{bundle}/conmon.pid"),
        *("--exit-dir", bundle, "--persist-dir", bundle, "--full-attach", "--no-sync-log", "--log-level", "error"),
        *("--log-path", f"k8s-file:{request.log}", "--log-size-max", str(request.log_limit)),
    ]


async def _answer(reader: int) -> bytes:
    os.set_blocking(reader, False)
    collected = b""
    while not collected.endswith(b"\n") and len(collected) < _ANSWER_LIMIT:
        await processes.readable(reader)
        chunk = os.read(reader, _ANSWER_LIMIT)
        if not chunk:
            break
        collected += chunk
    return collected


def _created(answer: bytes) -> int:
    try:
        report = json.loads(answer)
        pid, message = int(report["data"]), str(report.get("message", ""))
    except (ValueError, KeyError, TypeError) as error:
        raise errors.Unavailable("conmon ended without an answer", reason=Reason.START_FAILED) from error
    if pid <= 0:
        raise oci_runtime.start_failure(message)
    return pid


def _kill_all(bundle: pathlib.Path) -> None:
    """Kill every process that was started for a bundle: conmon's halves, and the ``create`` that it waits for."""
    for _ in range(_ROUNDS):
        pids = [int(entry.name) for entry in pathlib.Path("/proc").iterdir() if entry.name.isdecimal()]
        if not [pid for pid in pids if _kill(pid, bundle)]:
            return


def _kill(pid: int, bundle: pathlib.Path) -> bool:
    """Kill a process if its command line says that it is the bundle's: pids are given out again."""
    with contextlib.suppress(OSError):
        words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if (b"--bundle", os.fsencode(bundle)) in itertools.pairwise(words):
            os.kill(pid, signal.SIGKILL)
            return True
    return False


async def killed(bundle: pathlib.Path, container_id: str, monitor: int) -> bool:
    """Return whether a signal has ended a container's main process, by its monitor's record."""
    with contextlib.suppress(ProcessLookupError, TimeoutError):
        async with asyncio.timeout(_EXIT_FILE_TIMEOUT):
            await processes.wait(monitor)
    return (ending(bundle, container_id).code or 0) > _BY_SIGNAL
