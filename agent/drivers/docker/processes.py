"""Processes of an engine's containers, and their ends.

Docker runs ``ps`` on its own host. Podman's answers have the numbers of the container's own namespace, so that the
processes of one on this host are read from ``/proc``.
"""

import contextlib
import json
from collections.abc import Mapping
from typing import Any

import aiohttp

from agent import errors
from agent.drivers.docker import connection, events, inspections, translate
from agent.kit import process_table, tasks, timestamps
from agent.model import container
from agent.reasons import Reason
from agent.runtime import processes

_COLUMNS = {"PID": "pid", "PPID": "ppid", "UID": "uid", "TIME": "time", "RSS": "rss", "COMMAND": "args"}
"""Titles of ``ps``, and what it is asked for; what may have blanks in it comes last."""
_ARGUMENTS = f"-ww -eo {','.join(_COLUMNS.values())}"
_KIBI = 1024
_ENDS = frozenset({"die", "died"})
_REMOVALS = frozenset({"destroy", "remove"})


async def top(
    engine: connection.Connection, inspected: Mapping[str, Any], ref: str
) -> tuple[processes.ContainerProcess, ...]:
    """Return the processes of an inspected container. Raises as ``Processes.top``."""
    if translate.state_of(inspected) is not container.ContainerState.RUNNING:
        raise errors.Conflict(f"container {ref} does not run", reason=Reason.NOT_RUNNING)
    if engine.where.flavour == "podman":
        return await _of_podman(str(inspected["Id"]))
    return await _of_docker(engine, str(inspected["Id"]), f"container {ref}")


async def _of_docker(engine: connection.Connection, identity: str, what: str) -> tuple[processes.ContainerProcess, ...]:
    answer = await engine.ask(f"containers/{identity}/top", what, params={"ps_args": _ARGUMENTS})
    try:
        return of_table(answer)
    except (LookupError, TypeError, ValueError) as error:
        message = f"{what}: the engine's ps shows something else than {', '.join(_COLUMNS)}"
        raise errors.Unavailable(message, reason=Reason.ENGINE_FAILURE) from error


def of_table(answer: Mapping[str, Any]) -> tuple[processes.ContainerProcess, ...]:
    """Return the processes of an answer to ``top``. Raises ``LookupError``, ``TypeError`` and ``ValueError``."""
    titles = {str(title): index for index, title in enumerate(answer["Titles"])}
    rows = [{column: str(row[titles[column]]) for column in _COLUMNS} for row in answer["Processes"] or ()]
    pids = {row["PID"] for row in rows}
    listed = [
        processes.ContainerProcess(
            pid=int(row["PID"]),
            parent=int(row["PPID"]) if row["PPID"] in pids else 0,
            uid=int(row["UID"]),
            cpu_seconds=seconds(row["TIME"]),
            rss=int(row["RSS"]) * _KIBI,
            command=row["COMMAND"],
        )
        for row in rows
    ]
    return tuple(sorted(listed, key=lambda process: process.pid))


def seconds(text: str) -> float:
    """Return the seconds of ``[DAYS-]HH:MM:SS``. Raises ``ValueError``."""
    days, dash, clock = text.rpartition("-")
    hours, minutes, full = clock.split(":")
    return ((int(days) if dash else 0) * 24 + int(hours)) * 3600.0 + int(minutes) * 60 + int(full)


async def _of_podman(identity: str) -> tuple[processes.ContainerProcess, ...]:
    """Read the processes of a container on this host, by the names that Podman gives its cgroup."""
    names = frozenset({identity, f"libpod-{identity}", f"libpod-{identity}.scope"})
    running = await tasks.in_thread(lambda: process_table.read(process_table.in_cgroups(names)))
    return processes.of_host(running)


async def wait(engine: connection.Connection, cache: inspections.Inspections, ref: str) -> int | None:
    """Wait for a container's end by the engine's events. Raises as ``Processes.wait``.

    Its call to wait may miss an end that a start follows: Podman looks every quarter of a second. Events since a run
    has begun, by the engine's own clock, tell of the end of just that run.
    """
    inspected = await cache.inspect(ref)
    identity, what = str(inspected["Id"]), f"container {ref}"
    state, present = inspected.get("State") or {}, translate.state_of(inspected)
    if present is container.ContainerState.CREATED:
        raise errors.Conflict(f"{what} has never run", reason=Reason.NOT_RUNNING)
    if present is container.ContainerState.EXITED:
        code: int | None = state.get("ExitCode")
        return code
    since = timestamps.seconds(str(state.get("StartedAt"))) or 0.0
    filters = json.dumps({"type": ["container"], "container": [identity]})
    params = {"since": f"{since:.6f}", "filters": filters}
    async with engine.stream_response("events", what, params=params) as answer:
        return await _end_in(answer, what)


async def _end_in(answer: aiohttp.ClientResponse, what: str) -> int | None:
    """Return the exit code of the first end in a container's events. Raises ``NotFound`` and ``Unavailable``."""
    with contextlib.suppress(ValueError):
        async for line in events.lines(answer):
            message = events.parsed(line)
            action = str(message.get("Action"))
            if action in _ENDS:
                return events.exit_code(message)
            if action in _REMOVALS:
                raise errors.NotFound(f"{what} was removed", reason=Reason.CONTAINER_NOT_FOUND)
    raise errors.Unavailable("the engine has closed its stream of events", reason=Reason.ENGINE_DOWN)
