"""The native runtime, put together: the engine behind ``runtime.api.Runtime``."""

import contextlib
import dataclasses
import pathlib
from collections.abc import AsyncIterator

from agent.drivers.native import containers, events, failures, stores
from agent.engine import engine as engines
from agent.engine import layout
from agent.model import policy
from agent.runtime import api

_USUAL = engines.Options()


@dataclasses.dataclass(frozen=True, slots=True)
class NativeRuntime:
    """``runtime.api.Runtime`` over an open engine."""

    features: api.Features
    images: stores.Images
    containers: containers.Containers
    networks: stores.Networks
    volumes: stores.Volumes
    disk: stores.Disk
    events: events.Broadcast
    engine: engines.Engine


@contextlib.asynccontextmanager
async def open_runtime(
    root: pathlib.Path, run_dir: pathlib.Path, *, options: engines.Options = _USUAL, exclusive: bool = True
) -> AsyncIterator[NativeRuntime]:
    """Open the instance at ``root``; not ``exclusive`` means only to look, beside a process that changes it.

    Raises the runtime's errors, and ``kit.locks.LockedElsewhere`` where another process has the instance.
    """
    where = layout.of(root, run_dir)
    broadcast = events.Broadcast()
    opening = engines.opened(where, options, broadcast.notify) if exclusive else engines.looking(where, options)
    async with contextlib.AsyncExitStack() as stack:
        with failures.translated():
            engine = await stack.enter_async_context(opening)
        stack.callback(broadcast.close)
        yield NativeRuntime(
            features=api.Features("native", frozenset(policy.InPlace)),
            images=stores.Images(engine),
            containers=containers.Containers(engine),
            networks=stores.Networks(engine),
            volumes=stores.Volumes(engine),
            disk=stores.Disk(engine),
            events=broadcast,
            engine=engine,
        )
