"""A thousand containers, over the memory runtime in real time: nothing that the agent computes holds its event loop up.

Waiting is not seen (``loop_watch``): calls that may block are tested where they are made.
"""

import asyncio
import contextlib
import io
import pathlib
from collections.abc import AsyncIterator, Callable

import pytest

from agent.converge import journal, loop, reconcile, signals
from agent.drivers.memory import driver, world
from agent.kit import clock, lean, tasks
from agent.model import container
from agent.telemetry import exporter, log_sink, logging, metrics_sink
from tests import builders, loop_watch
from tests.unit.converge import conftest as stages

CONTAINERS = 1000
LIMIT = 0.05
"""Seconds of CPU time."""
SPEC = """
apiVersion: trimtab.dev/v1
kind: Container
metadata: {name: c%d}
spec:
  image: app:1
  networks: [n%d]
  stop: {gracePeriod: 0s}
  health: {readiness: {exec: [check], period: 2s}, liveness: {exec: [check], period: 5s}}
---
"""
NETWORK = "apiVersion: trimtab.dev/v1\nkind: Network\nmetadata: {name: n%d}\nspec: {subnets: [10.9%d.0.0/16]}\n---\n"


def manifests(numbers: range, image: str = "app:1") -> str:
    return "".join(SPEC.replace("app:1", image) % (number, number % 3) for number in numbers)


@contextlib.asynccontextmanager
async def agent_parts(folder: pathlib.Path) -> AsyncIterator[tuple[world.World, reconcile.Parts, exporter.Exporter]]:
    """Return a world, and the parts of an agent that logs and counts as a real one."""
    folder.mkdir()
    logging.configure("json", "info", io.StringIO())
    around = world.World(clock.SystemClock())
    runtime = driver.runtime_in(around)
    metrics, log_lines = metrics_sink.MetricsSink(), log_sink.LogSink("trimtab delete", str)

    def sink(signal: signals.Signal) -> None:
        metrics.take(signal)
        log_lines.take(signal)

    with journal.Journal(folder / "agent.sqlite", pytest.fail) as book:
        parts = reconcile.Parts(runtime, book, sink, clock.SystemClock(), builders.OWNER, relist=3.0)
        yield around, parts, exporter.Exporter(metrics, runtime, clock.SystemClock())
    around.close()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - anything can be waited for
            await asyncio.sleep(0.05)


async def test_event_loop__a_thousand_containers_come_change_die_and_go__is_never_held_up(tmp_path) -> None:
    async def attempt(name: str) -> list[loop_watch.SlowCallback]:
        async with agent_parts(tmp_path / name) as parts:
            return await slow_callbacks(*parts)

    slow = await loop_watch.slow_each_time(attempt)
    assert not slow, "\n".join(map(str, slow))


async def slow_callbacks(
    around: world.World, parts: reconcile.Parts, scrapes: exporter.Exporter
) -> list[loop_watch.SlowCallback]:
    """Run the agent through its thousand containers' lives, and return what has held it up."""
    source = stages.Script()
    source.write("networks.yaml", "".join(NETWORK % (number, number) for number in range(3)))
    source.write("containers.yaml", manifests(range(CONTAINERS)))
    broken: list[str] = []
    lean.settle()

    def running() -> int:
        return sum(
            observed_container.state is container.ContainerState.RUNNING
            for observed_container in around.containers.values()
        )

    with loop_watch.watching(LIMIT) as slow:
        async with tasks.Crew(lambda name, error: broken.append(f"{name}: {error!r}")) as crew:
            crew.start(loop.Loop(parts, source).run(), name="loop")
            await until(lambda: running() == CONTAINERS)
            for _ in range(3):
                await scrapes.render("", "gzip")
                await asyncio.sleep(1)
            for observed_container in list(around.containers.values())[:300]:
                around.end(observed_container.id, 1)
            await until(lambda: running() == CONTAINERS)
            source.write("containers.yaml", manifests(range(500)) + manifests(range(500, CONTAINERS), "app:2"))
            await until(
                lambda: (
                    sum("app:2" in container.config.image for container in around.containers.values())
                    == CONTAINERS // 2
                )
            )
            await until(lambda: running() == CONTAINERS)
            source.write("containers.yaml", manifests(range(10)))
            await until(lambda: len(around.containers) == 10)
    assert broken == []
    return slow
