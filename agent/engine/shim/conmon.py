"""conmon: one small process a container, its parent, which keeps log and exit code whether or not the agent lives.

It tells how the OCI runtime's ``create`` went over a pipe (``_OCI_SYNCPIPE``), detaches, and when the container ends
leaves a file named by the container's id with the exit code in its exit directory, and ends itself. So its own end,
seen through a pidfd, is the moment to look.
"""

import asyncio
import contextlib
import dataclasses
import itertools
import json
import os
import pathlib
import signal
import subprocess

from agent.engine import errors
from agent.engine.shim import oci_runtime
from agent.kit import processes

_LAST_WORDS = 5.0
"""Seconds that a monitor may take to say how its container has ended."""
_BY_SIGNAL = 128
"""Exit codes above it are those of a signal."""
_ANSWER_LIMIT = 65536
_ROUNDS = 5
"""Looks for processes that are to be killed; the second sees those that were forked during the first."""
_PATIENCE = 60.0
"""Seconds that a ``create`` may take on a machine that is busy starting everything at once."""


@dataclasses.dataclass(frozen=True, slots=True)
class Launch:
    """What conmon has to be told."""

    program: pathlib.Path
    runtime: oci_runtime.OciRuntime
    container_id: str
    name: str
    bundle: pathlib.Path
    log: pathlib.Path
    log_limit: int
    """Bytes after which conmon itself starts the log afresh: the bound that holds while no agent rotates it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Launched:
    """The two processes of a created container."""

    pid: int
    """The container's first process, seen from the host."""
    monitor: int
    """conmon."""


async def launch(request: Launch) -> Launched:
    """Create a container under a new conmon; its program does not run before ``OciRuntime.start``.

    Raises ``errors.Refused`` where the OCI runtime does not take it. After a failure nothing of conmon is left; the
    runtime's state may be, and is deleted by the caller.
    """
    reader, writer = os.pipe2(os.O_CLOEXEC)
    try:
        try:
            process = subprocess.Popen(  # noqa: ASYNC220 - vfork returns at once
                _command(request),
                env={**oci_runtime.environment(), "_OCI_SYNCPIPE": str(writer)},
                pass_fds=(writer,),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=request.bundle,
                start_new_session=True,
            )
        finally:
            os.close(writer)
        try:
            answer = await _answer(reader)
        except BaseException:
            process.kill()
            process.wait()
            _kill_all(request.bundle)
            raise
        process.wait()  # it detaches before it answers: this reaps the parent half, which has ended
    finally:
        os.close(reader)
    return Launched(_created(answer), int((request.bundle / "conmon.pid").read_text()))


@dataclasses.dataclass(frozen=True, slots=True)
class Ending:
    """What conmon has left of a container that ended."""

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
    async with asyncio.timeout(_PATIENCE):
        while not collected.endswith(b"\n") and len(collected) < _ANSWER_LIMIT:
            await processes.readable(reader)
            chunk = os.read(reader, _ANSWER_LIMIT)
            if not chunk:
                break
            collected += chunk
    return collected


def _created(answer: bytes) -> int:
    try:
        told = json.loads(answer)
        pid, message = int(told["data"]), str(told.get("message", ""))
    except (ValueError, KeyError, TypeError) as error:
        raise errors.Unavailable("conmon ended without an answer", reason="StartFailed") from error
    if pid <= 0:
        raise oci_runtime.start_failure(message)
    return pid


def _kill_all(bundle: pathlib.Path) -> None:
    """Kill every process that was started for a bundle: conmon's halves, and the ``create`` that it waits for."""
    for _ in range(_ROUNDS):
        found = [int(entry.name) for entry in pathlib.Path("/proc").iterdir() if entry.name.isdecimal()]
        if not [pid for pid in found if _kill(pid, bundle)]:
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
    """Tell whether a container that has ended was killed by a signal, as its monitor says when it ends as well."""
    with contextlib.suppress(ProcessLookupError, TimeoutError):
        async with asyncio.timeout(_LAST_WORDS):
            await processes.wait(monitor)
    return (ending(bundle, container_id).code or 0) > _BY_SIGNAL
