"""Sixty containers of the native runtime in real time: the engine's own work does not hold the event loop up either.

Fewer than over memory, since each is real. CPU time of the loop's thread counts, so that a busy machine changes little.
"""

import asyncio
import contextlib
import io
import os
import pathlib
import signal
from collections.abc import AsyncIterator

import pytest

from agent.converge import journal, loop, once, reconcile, signals
from agent.drivers.native import driver
from agent.engine import recover
from agent.kit import clock, lean, tasks
from agent.model import container
from agent.telemetry import exporter, log_sink, logging, metrics_sink
from tests import builders, loop_watch
from tests.unit.converge import conftest as stages

pytestmark = pytest.mark.root
CONTAINERS = 60
LIMIT = 0.05
"""Seconds of CPU time."""
IMAGE = "apiVersion: trimtab.dev/v1\nkind: Image\nmetadata: {name: box}\nspec: {archive: {path: %s}}\n---\n"
NETWORK = "apiVersion: trimtab.dev/v1\nkind: Network\nmetadata: {name: n%d}\nspec: {}\n---\n"
CONTAINER = """
apiVersion: trimtab.dev/v1
kind: Container
metadata: {name: c%d}
spec:
  image: {name: box}
  command: [sleep, '600']
  env: {VALUE: '%d'}
  networks: [n%d]
  stop: {gracePeriod: 0s}
  health: {liveness: {tcp: {port: 1}, period: 60s, initialDelay: 60s}}
---
"""


def manifests(numbers: range, value: int = 0) -> str:
    return "".join(CONTAINER % (number, value, number % 2) for number in numbers)


@contextlib.asynccontextmanager
async def agent_parts(folder: pathlib.Path) -> AsyncIterator[tuple[reconcile.Parts, exporter.Exporter]]:
    """Return the parts of an agent that logs and counts as a real one, over its own runtime; nothing is left of it."""
    folder.mkdir()
    logging.configure("json", "info", io.StringIO())
    metrics, log_lines = metrics_sink.MetricsSink(), log_sink.LogSink("trimtab delete", str)

    def sink(signal: signals.Signal) -> None:
        metrics.take(signal)
        log_lines.take(signal)

    async with driver.open_runtime(folder / "root", folder / "run") as runtime:
        with journal.Journal(folder / "agent.sqlite", pytest.fail) as book:
            parts = reconcile.Parts(runtime, book, sink, clock.SystemClock(), builders.OWNER, relist=3.0)
            yield parts, exporter.Exporter(metrics, runtime, clock.SystemClock())
        assert await recover.leftovers(runtime.engine.recovery) == []


class Agent:
    """The loop over its parts, and what the tests wait for."""

    def __init__(self, parts: reconcile.Parts, source: stages.Script) -> None:
        self._parts = parts
        self._source = source

    async def run_with(self, numbers: range, value: int = 0) -> None:
        """Declare containers, and wait until exactly they run so."""
        self._source.write("containers.yaml", manifests(numbers, value))
        await self.runs(len(numbers), value)

    async def runs(self, count: int, value: int) -> None:
        """Wait until so many run, and nothing else is there."""
        async with asyncio.timeout(60):
            running = [container.ContainerState.RUNNING] * count
            while await self._states(value) != running or self._recorded() != count:  # noqa: ASYNC110 - from outside
                await asyncio.sleep(0.2)

    async def kill(self, count: int) -> None:
        """Kill some programs."""
        for observed in (await self._parts.runtime.containers.list())[:count]:
            assert observed.pid is not None
            os.kill(observed.pid, signal.SIGKILL)

    def _recorded(self) -> int:
        """Return how many there are, also of those that are being removed: a list leaves them out."""
        runtime = self._parts.runtime
        assert isinstance(runtime, driver.NativeRuntime)
        return len(runtime.engine.table.ids())

    async def _states(self, value: int) -> list[container.ContainerState]:
        observed = await self._parts.runtime.containers.list()
        return [
            observed_container.state
            for observed_container in observed
            if ("VALUE", str(value)) in observed_container.config.env
        ]


async def test_event_loop__containers_come_change_die_and_go__is_never_held_up(
    tmp_path: pathlib.Path, busybox_archive: pathlib.Path
) -> None:
    async def attempt(name: str) -> list[loop_watch.SlowCallback]:
        async with agent_parts(tmp_path / name) as parts:
            return await slow_callbacks(*parts, busybox_archive)

    slow = await loop_watch.slow_each_time(attempt)
    assert not slow, "\n".join(map(str, slow))


async def slow_callbacks(
    parts: reconcile.Parts, scrapes: exporter.Exporter, archive: pathlib.Path
) -> list[loop_watch.SlowCallback]:
    """Run the agent through its containers' lives, remove everything, and return what has held it up."""
    source, broken = stages.Script(), list[str]()
    source.write("others.yaml", IMAGE % archive + NETWORK % 0 + NETWORK % 1)
    agent = Agent(parts, source)
    lean.settle()
    with loop_watch.watching(LIMIT) as slow:
        async with tasks.Crew(lambda name, error: broken.append(f"{name}: {error!r}")) as crew:
            crew.start(loop.Loop(parts, source).run(), name="loop")
            await agent.run_with(range(CONTAINERS))
            await scrapes.render("", "gzip")
            await agent.kill(CONTAINERS // 3)
            await agent.runs(CONTAINERS, 0)
            await agent.run_with(range(CONTAINERS), 1)
            await agent.run_with(range(5), 1)
            good = parts.book.good()
        assert good is not None
        assert (await once.delete(parts, good.desired)).outcome is once.Outcome.APPLIED
    assert broken == []
    return slow
