"""The native runtime, put together: the engine behind ``runtime.api.Runtime``."""

import contextlib
import functools
import pathlib
from collections.abc import AsyncIterator

from agent.drivers.native import builds, containers, events, failures, stores, translate
from agent.engine import engine as engines
from agent.engine import layout
from agent.engine.containers import table
from agent.kit import canonical, frozen, machine, notices, state_format
from agent.model import hostaccess, policy
from agent.runtime import api

_USUAL = engines.Options()


@frozen.value
class NativeRuntime:
    """``runtime.api.Runtime`` over an open engine."""

    features: api.Features
    images: stores.Images
    builds: builds.Builds
    containers: containers.Containers
    networks: stores.Networks
    volumes: stores.Volumes
    disk: stores.Disk
    events: events.Broadcast
    engine: engines.Engine

    async def machine(self) -> machine.Machine | None:
        """Return the size of this machine."""
        return machine.of_host()

    def notices(self) -> tuple[notices.Notice, ...]:
        """Return what the engine could not clean up yet, and what it had to mend."""
        return self.engine.notices.all()

    def recheck(self) -> None:
        """Compare with the host itself at the next lists."""
        self.containers.recheck()
        self.engine.networks.request_thorough_check()


@contextlib.asynccontextmanager
async def open_runtime(
    root: pathlib.Path,
    run_dir: pathlib.Path,
    *,
    options: engines.Options = _USUAL,
    exclusive: bool = True,
    access: hostaccess.HostAccess = hostaccess.UNLIMITED,
) -> AsyncIterator[NativeRuntime]:
    """Open the instance at ``root``; not ``exclusive`` means only to look, beside a process that changes it.

    Raises the runtime's errors, ``kit.locks.LockedElsewhere`` where another process has the instance, and
    ``kit.state_format.NewerState``.
    """
    where = layout.of(root, run_dir)
    broadcast = events.Broadcast()
    examine = functools.partial(_check_records, where)
    changing = engines.opened(where, options, broadcast.notify, examine)
    opening = changing if exclusive else engines.looking(where, options)
    async with contextlib.AsyncExitStack() as stack:
        with failures.translated():
            engine = await stack.enter_async_context(opening)
        stack.callback(broadcast.close)
        yield NativeRuntime(
            features=api.Features("native", frozenset(policy.InPlace), secrets_at_start=True),
            images=stores.Images(engine, access),
            builds=builds.Builds(engine),
            containers=containers.Containers(engine, access),
            networks=stores.Networks(engine),
            volumes=stores.Volumes(engine),
            disk=stores.Disk(engine),
            events=broadcast,
            engine=engine,
        )


def _check_records(where: layout.Layout, records: table.Table) -> None:
    """Raise ``NewerState`` where a newer release has written what this one does not know."""
    try:
        for record in records.all():
            translate.observed_container(record)
    except canonical.Unknown as error:
        raise state_format.newer(where.records, str(error)) from error
