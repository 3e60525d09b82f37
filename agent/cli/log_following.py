"""A container's log over its restarts: the lines of each run, for as long as an agent starts it again."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Callable

from agent.model import container
from agent.runtime import api, streams

_INTERVAL = 0.5
"""Seconds between two looks whether a container that has ended runs again."""


Opening = Callable[[], contextlib.AbstractAsyncContextManager[api.Runtime]]
"""Opens the runtime. Beside an agent it has to be opened for each look: our engine reads its records only then."""


async def lines(
    open_runtime: Opening, name: str, request: streams.LogRequest, is_kept: Callable[[], bool]
) -> AsyncIterator[streams.LogLine]:
    """Return a container's lines; where they are followed, those of its later runs and replacements as well.

    ``is_kept``: an agent runs, so that what has ended is started again. Raises ``NotFound``.
    """
    position = _Position()
    async with open_runtime() as runtime:
        async for line in runtime.containers.logs(name, request):
            position.pass_by(line)
            yield line
    while request.follow and await _await_restart(open_runtime, name, is_kept):
        fresh = position.moved()
        async with open_runtime() as runtime:
            async for line in runtime.containers.logs(
                name, streams.LogRequest(follow=True, since=fresh.since(request))
            ):
                if fresh.is_new(line):
                    position.pass_by(line)
                    yield line


@dataclasses.dataclass(slots=True)
class _Position:
    """How far a log has been read: the latest time, and how many lines have it."""

    time: float = float("-inf")
    count: int = 0

    def pass_by(self, line: streams.LogLine) -> None:
        """Note that a line was read."""
        if line.time > self.time:
            self.time, self.count = line.time, 0
        self.count += line.time == self.time

    def moved(self) -> "_Position":
        """Return a copy, from which a log is read on."""
        return dataclasses.replace(self)

    def since(self, request: streams.LogRequest) -> float | None:
        """Return from when on lines can be new."""
        return request.since if self.count == 0 else self.time

    def is_new(self, line: streams.LogLine) -> bool:
        """Return whether a line comes behind those that were read, which are counted off."""
        if line.time == self.time and self.count > 0:
            self.count -= 1
            return False
        return line.time >= self.time


async def _await_restart(open_runtime: Opening, name: str, is_kept: Callable[[], bool]) -> bool:
    """Wait until a container that has ended runs again; return ``False`` where that is not to be expected.

    One that is missing at two looks in a row was removed, and not replaced.
    """
    absent = 0
    while absent <= 1 and is_kept():
        async with open_runtime() as runtime:
            observed = next((item for item in await runtime.containers.list() if item.name == name), None)
        if observed is not None and observed.state is container.ContainerState.RUNNING:
            return True
        if observed is not None and not _is_restarted(observed):
            return False
        absent = absent + 1 if observed is None else 0
        await asyncio.sleep(_INTERVAL)
    return False


def _is_restarted(observed: container.ObservedContainer) -> bool:
    """Return whether the agent starts a container again that has ended so; one that it stops is replaced."""
    match observed.config.restart.policy:
        case container.RestartPolicy.NEVER:
            return observed.stop_requested
        case container.RestartPolicy.ON_FAILURE:
            return observed.stop_requested or observed.exit_code != 0
        case _:
            return True
