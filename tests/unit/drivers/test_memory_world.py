"""A world in RAM is as hard as the real one: what happens during a call that takes long is not undone by it."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from agent import errors
from agent.drivers.memory import driver, world
from agent.kit import clock
from agent.model import container
from agent.runtime import api
from tests import builders

EXITED = container.ContainerState.EXITED
FREE = container.Resources(None, None, None, None)
CALLS: dict[str, Callable[[api.Containers], Awaitable[None]]] = {
    "rename": lambda containers: containers.rename("web", "shop"),
    "update": lambda containers: containers.update("web", api.ContainerChange(FREE, ())),
    "disconnect": lambda containers: containers.disconnect("web", "shop"),
    "stop": lambda containers: containers.stop("web", container.StopConfig("", 1.0)),
}


@pytest.fixture
async def around() -> world.World:
    """Return a world in which ``web`` runs."""
    memory_world = world.World(clock.SystemClock())
    runtime = driver.runtime_in(memory_world)
    await runtime.images.ensure(builders.image_config(), (), lambda _: None)
    await runtime.containers.create(builders.config(), "web", ())
    await runtime.containers.start("web")
    return memory_world


@pytest.mark.parametrize("call", CALLS)
async def test_container__ends_during_a_call__stays_ended(around, call: str) -> None:
    identity = around.find("web").id
    around.delay(f"containers.{call}", 0.05)
    async with asyncio.TaskGroup() as group:
        group.create_task(CALLS[call](driver.runtime_in(around).containers))
        await asyncio.sleep(0.01)
        around.end(identity, 3)
    assert (around.find(identity).state, around.find(identity).exit_code) == (EXITED, 3)


@pytest.mark.parametrize("call", CALLS)
async def test_container__removed_during_a_call__stays_removed(around, call: str) -> None:
    containers = driver.runtime_in(around).containers
    around.delay(f"containers.{call}", 0.05)
    calling = asyncio.gather(CALLS[call](containers), return_exceptions=True)
    await asyncio.sleep(0.01)
    await containers.remove("web")
    (outcome,) = await calling
    assert isinstance(outcome, errors.NotFound)
    assert await containers.list() == ()


async def test_fault__happens_as_often_as_it_was_asked_for(around) -> None:
    containers = driver.runtime_in(around).containers
    around.fail("containers.update", errors.Conflict("busy"), times=2)
    for _ in range(2):
        with pytest.raises(errors.Conflict, match="busy"):
            await containers.update("web", api.ContainerChange(FREE))
    await containers.update("web", api.ContainerChange(FREE))
    assert [call for call in around.calls if call[0] == "containers.update"] == [("containers.update", "web")] * 3


async def test_events__ended_subscription__is_forgotten(around) -> None:
    stream = around.subscribe()
    around.end("web", 1)
    around.close()
    assert [event.exit_code async for event in stream] == [1]
    assert around._events._queues == set()
