"""Logs of containers: in the engine, or beside it without opening it."""

import contextlib
import pathlib
from collections.abc import AsyncIterator, Callable

from agent.drivers.native import failures
from agent.engine import layout, records, stamps
from agent.engine.containers import logs, names
from agent.runtime import streams


async def lines(
    path: pathlib.Path, request: streams.LogRequest, running: Callable[[], bool]
) -> AsyncIterator[streams.LogLine]:
    """Return the lines of a container's log; ``running``: it runs still, so that more may come."""
    query = logs.Query(request.follow, request.tail, request.since)
    with failures.translated():
        async for entry in logs.read(path, query, running):
            yield streams.LogLine(entry.time, entry.stream, entry.data)


async def recorded(
    root: pathlib.Path, run_dir: pathlib.Path, ref: str, request: streams.LogRequest
) -> AsyncIterator[streams.LogLine]:
    """Return what a container has written so far, beside the process that changes the instance.

    No more than its id is read, as everything that is imported for more takes longer than the answer. Raises
    ``NotFound``, ``stamps.ForeignDirectory`` and ``kit.state_format.NewerState``.
    """
    where = layout.of(root, run_dir)
    stamps.check(where)
    with failures.translated():
        database = records.Database(where.records, (names.SCHEMA,), read_only=True, second_log=where.second_log)
        with contextlib.closing(database):
            path = where.log(names.id_of(database, ref))
    async for line in lines(path, request, lambda: False):
        yield line
