"""A log that is followed goes on where its container runs again, and ends where that is not to be expected."""

import asyncio
import contextlib

import pytest

from agent.cli import log_following
from agent.drivers.memory import driver, world
from agent.kit import clock
from agent.model import container
from agent.runtime import api, streams
from tests import builders

pytestmark = pytest.mark.looptime

FOLLOW = streams.LogRequest(follow=True)


class Clock(clock.SystemClock):
    """A clock that stands still: all lines have the same time."""

    def now(self) -> float:
        """Return the time."""
        return 1000.0


async def a_world(policy: container.RestartPolicy) -> world.World:
    """Start ``web``, which has written a line."""
    memory_world = world.World(Clock())
    runtime = driver.runtime_in(memory_world)
    await runtime.images.ensure(builders.image_config(), (), lambda _: None)
    restart = container.RestartConfig(policy, builders.config().restart.backoff)
    await runtime.containers.create(builders.config(restart=restart), "web", ())
    await runtime.containers.start("web")
    memory_world.write("web", "first run")
    return memory_world


def following(memory_world: world.World, *, kept: bool = True) -> tuple["asyncio.Task[None]", list[str]]:
    """Follow ``web``; returns the task, and the lines that it has."""
    texts: list[str] = []

    async def follow() -> None:
        def open_runtime() -> contextlib.AbstractAsyncContextManager[api.Runtime]:
            return contextlib.nullcontext(driver.runtime_in(memory_world))

        async for line in log_following.lines(open_runtime, "web", FOLLOW, lambda: kept):
            texts.append(line.text)  # noqa: PERF401 - each at once

    return asyncio.get_running_loop().create_task(follow()), texts


async def test_follow__started_again__has_each_line_once() -> None:
    memory_world = await a_world(container.RestartPolicy.ALWAYS)
    task, texts = following(memory_world)
    await asyncio.sleep(5)
    memory_world.end("web", 1)
    await asyncio.sleep(60)
    await driver.runtime_in(memory_world).containers.start("web")
    memory_world.write("web", "second run")
    await asyncio.sleep(5)
    assert texts == ["first run", "second run"]
    await driver.runtime_in(memory_world).containers.remove("web")
    await task


@pytest.mark.parametrize(
    ("policy", "code", "kept"),
    [
        (container.RestartPolicy.NEVER, 1, True),
        (container.RestartPolicy.ON_FAILURE, 0, True),
        (container.RestartPolicy.ALWAYS, 1, False),
    ],
)
async def test_follow__nobody_starts_it_again__ends(policy: container.RestartPolicy, code: int, *, kept: bool) -> None:
    memory_world = await a_world(policy)
    task, texts = following(memory_world, kept=kept)
    memory_world.end("web", code)
    await asyncio.wait_for(task, 5)
    assert texts == ["first run"]
