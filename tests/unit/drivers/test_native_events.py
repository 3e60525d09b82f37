"""The engine's notices, to whoever subscribes: all of them, from then on, and never more than fit."""

import asyncio

import pytest

from agent.drivers.native import events as broadcast
from agent.engine.containers import supervise
from agent.model.key import Kind
from agent.runtime import events


def notice(identity: str = "1", action: str = "exited", code: int | None = None) -> supervise.Event:
    """Return an engine's notice."""
    return supervise.Event(identity, "web", action, 5.0, code)


async def heard(stream, count: int) -> list[str]:
    """Return the ids of the next events."""
    async with asyncio.timeout(5):
        return [(await anext(stream)).id for _ in range(count)]


@pytest.mark.parametrize("action", ["created", "started", "exited", "oom_killed", "changed", "removed"])
async def test_notify__is_an_event_of_a_container(action: str) -> None:
    broadcaster = broadcast.Broadcast()
    stream = broadcaster.subscribe()
    broadcaster.notify(notice(action=action, code=3))
    assert await anext(stream) == events.RuntimeEvent(
        Kind.CONTAINER, "1", "web", events.EventAction(action), 5.0, exit_code=3
    )


async def test_subscribers__each_gets_everything_from_then_on() -> None:
    events = broadcast.Broadcast()
    events.notify(notice("before"))
    first = events.subscribe()
    events.notify(notice("1"))
    second = events.subscribe()
    events.notify(notice("2"))
    assert await heard(first, 2) == ["1", "2"]
    assert await heard(second, 1) == ["2"]


async def test_subscriber__does_not_keep_up__misses_the_oldest() -> None:
    events = broadcast.Broadcast()
    stream = events.subscribe()
    for number in range(1003):
        events.notify(notice(str(number)))
    assert await heard(stream, 1000) == [str(number) for number in range(3, 1003)]


async def test_close__ends_every_subscription_after_what_was_told() -> None:
    events = broadcast.Broadcast()
    streams = [events.subscribe(), events.subscribe()]
    events.notify(notice())
    events.close()
    assert [[event.id async for event in stream] for stream in streams] == [["1"], ["1"]]


async def test_close__subscriber_that_does_not_keep_up__ends_all_the_same() -> None:
    events = broadcast.Broadcast()
    stream = events.subscribe()
    for number in range(1000):
        events.notify(notice(str(number)))
    events.close()
    async with asyncio.timeout(5):
        assert [event.id async for event in stream] == [str(number) for number in range(1, 1000)]


async def test_subscriber__leaves__is_forgotten() -> None:
    events = broadcast.Broadcast()
    stream = events.subscribe()
    events.notify(notice())
    assert await heard(stream, 1) == ["1"]
    assert len(events._events._queues) == 1
    await stream.aclose()
    assert events._events._queues == set()
