"""One more program in a running container: the OCI runtime's ``exec`` with pipes or a terminal of its own.

It is told by a whole ``process`` of the runtime specification: its options would leave out what keeps a container from
new privileges, and know users by number only.
"""

import contextlib
import dataclasses
import fcntl
import json
import os
import pathlib
import pty
import struct
import tempfile
import termios
from collections.abc import AsyncIterator
from typing import Any

from agent import errors
from agent.engine import layout
from agent.engine.bundle import config, users
from agent.engine.containers import sessions, table
from agent.engine.kernel import api as kernel_api
from agent.engine.shim import oci_runtime
from agent.kit import atomicfile, frozen, isolation, processes
from agent.reasons import Reason

_TERMINAL = (("TERM", "xterm"),)
"""What Docker tells a program of its terminal."""


@frozen.value
class ExecSpec:
    """What to run."""

    command: tuple[str, ...]
    tty: bool = False
    stdin: bool = False
    user: str = ""
    working_dir: str = ""
    env: tuple[tuple[str, str], ...] = ()
    rows: int = 24
    columns: int = 80


@frozen.value(kw_only=True)
class Deps:
    """Collaborators of a command."""

    where: layout.Layout
    kernel: kernel_api.Kernel
    runtime: oci_runtime.OciRuntime


@contextlib.asynccontextmanager
async def session(deps: Deps, record: table.ContainerRecord, spec: ExecSpec) -> AsyncIterator[sessions.Session]:
    """Run a program in a container; leaving ends it. Raises ``errors.InvalidArgument`` for an unknown user."""
    secrets = config.env_of(deps.where.bundles / record.id, record.spec.process.env_at_start)
    process_config = process(record, spec, users.resolve(deps.kernel, _root(record), _who(record, spec)), secrets)
    with tempfile.TemporaryDirectory(prefix="exec-", dir=deps.where.run) as folder:
        pid_file, process_file = pathlib.Path(folder, "pid"), pathlib.Path(folder, "process.json")
        atomicfile.write(process_file, json.dumps(process_config).encode(), durable=False)
        options = ["--pid-file", str(pid_file), "--process", str(process_file)]
        if spec.tty:
            opened = _with_terminal(deps.runtime.exec_command(record.id, options), spec, pid_file)
        else:
            opened = _with_pipes(_ending_with_it(deps.runtime, record.id, options, pid_file), spec, pid_file)
        try:
            yield opened
        finally:
            await opened.close()


def _ending_with_it(
    runtime: oci_runtime.OciRuntime, container_id: str, options: list[str], pid_file: pathlib.Path
) -> list[str]:
    """Return a command that runs a program and ends when it does, whoever still has its streams."""
    if runtime.program.hands_streams_on:
        return runtime.exec_command(container_id, options)
    detached = runtime.exec_command(container_id, ["--detach", *options])
    return isolation.python("agent.kit.reaper", str(pid_file), *detached)


def process(
    record: table.ContainerRecord, spec: ExecSpec, user: users.User, env_at_start: config.Variables = ()
) -> dict[str, Any]:
    """Return the ``process``: the container's own, with what is said here in place of it.

    ``env_at_start`` are the container's variables that are in no record.
    """
    own = dataclasses.replace(
        record.spec.process,
        command=spec.command,
        args=(),
        env=(*(_TERMINAL if spec.tty else ()), *record.spec.process.env, *env_at_start, *spec.env),
        working_dir=spec.working_dir or record.spec.process.working_dir,
    )
    values = config.process(dataclasses.replace(record.spec, process=own), record.image_config, user)
    size = {"consoleSize": {"height": spec.rows, "width": spec.columns}} if spec.tty else {}
    return {**values, "terminal": spec.tty, **size}


def _root(record: table.ContainerRecord) -> pathlib.Path:
    """Return the root of a container's first process. Raises ``errors.Conflict`` where it does not run."""
    if record.run is None:
        raise errors.Conflict(f"container {record.name} does not run", reason=Reason.NOT_RUNNING)
    return pathlib.Path(f"/proc/{record.run.pid}/root")


def _who(record: table.ContainerRecord, spec: ExecSpec) -> str:
    return spec.user or record.spec.process.user or record.image_config.user


def _with_terminal(argv: list[str], spec: ExecSpec, pid_file: pathlib.Path) -> sessions.Session:
    ours, theirs = pty.openpty()
    try:
        fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", spec.rows, spec.columns, 0, 0))
        terminal = processes.Streams(theirs, theirs, theirs)
        process = processes.spawn(argv, terminal, env=oci_runtime.environment())
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    return sessions.Session(process, pid_file, {"stdin": ours, "stdout": ours})


def _with_pipes(argv: list[str], spec: ExecSpec, pid_file: pathlib.Path) -> sessions.Session:
    stdin = processes.PIPE if spec.stdin else processes.DISCARD
    piped = processes.Streams(stdin, processes.PIPE, processes.PIPE)
    process = processes.spawn(argv, piped, env=oci_runtime.environment())
    pipes = {"stdin": process.stdin, "stdout": process.stdout, "stderr": process.stderr}
    streams = {name: os.dup(pipe.fileno()) for name, pipe in pipes.items() if pipe is not None}
    for pipe in filter(None, pipes.values()):
        pipe.close()
    return sessions.Session(process, pid_file, streams)
