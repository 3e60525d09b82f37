"""Logs, programs, processes and ends of containers, for a command: beside a running agent, or without one.

Of the native runtime nothing else is opened: opening all of it takes several times as long as the answer.
"""

import contextlib
from collections.abc import AsyncIterator

from agent import settings
from agent.kit import permissions
from agent.runtime import processes, streams


async def logs(chosen: settings.Settings, name: str, request: streams.LogRequest) -> AsyncIterator[streams.LogLine]:
    """Return the lines that a container has written so far. Raises as ``app.open_runtime``, and ``NotFound``."""
    if has_records(chosen):
        from agent.drivers.native import logs as native

        async for line in native.recorded(chosen.root, chosen.run, name, request):
            yield line
        return
    from agent import app

    async with app.open_runtime(chosen, exclusive=False) as runtime:
        async for line in runtime.containers.logs(name, request):
            yield line


@contextlib.asynccontextmanager
async def program(
    chosen: settings.Settings, name: str, request: streams.ExecRequest
) -> AsyncIterator[streams.ExecSession]:
    """Run a program in a container; leaving ends it. Raises as ``app.open_runtime``, and the runtime's errors."""
    async with contextlib.AsyncExitStack() as stack:
        if has_records(chosen):
            from agent.drivers.native import programs, records_view

            view = stack.enter_context(records_view.opened(chosen.root, chosen.run))
            yield await stack.enter_async_context(programs.session(view, name, request))
            return
        from agent import app

        runtime = await stack.enter_async_context(app.open_runtime(chosen, exclusive=False))
        yield await stack.enter_async_context(runtime.containers.exec(name, request))


async def top(chosen: settings.Settings, name: str) -> tuple[processes.ContainerProcess, ...]:
    """Return what runs in a container. Raises as ``app.open_runtime``, and as ``processes.Processes``."""
    if has_records(chosen):
        from agent.drivers.native import processes as native
        from agent.drivers.native import records_view

        with records_view.opened(chosen.root, chosen.run) as view:
            return await native.top(view, name)
    from agent import app

    async with app.open_runtime(chosen, exclusive=False) as runtime:
        return await runtime.containers.top(name)


async def exit_code(chosen: settings.Settings, name: str) -> int | None:
    """Wait for a container's end. Raises as ``app.open_runtime``, and as ``processes.Processes``."""
    if has_records(chosen):
        from agent.drivers.native import processes as native
        from agent.drivers.native import records_view

        with records_view.opened(chosen.root, chosen.run) as view:
            return await native.wait(view, name)
    from agent import app

    async with app.open_runtime(chosen, exclusive=False) as runtime:
        return await runtime.containers.wait(name)


def has_records(chosen: settings.Settings) -> bool:
    """Return whether the runtime is the native one and its records can be read by themselves."""
    if chosen.runtime != "native" or permissions.is_withheld(chosen.root):
        return False
    from agent.engine import layout

    return layout.of(chosen.root, chosen.run).records.exists()
