"""Events for any number of subscribers: all of them, from then on, and never more than fit."""

import asyncio

from agent.kit import broadcast


async def test_send__each_subscriber_gets_all_from_then_on() -> None:
    events = broadcast.Broadcast[int]()
    events.send(0)
    first = events.subscribe()
    events.send(1)
    second = events.subscribe()
    events.send(2)
    events.close()
    assert [[event async for event in stream] for stream in (first, second)] == [[1, 2], [2]]


async def test_send__a_subscriber_that_does_not_keep_up__misses_the_oldest() -> None:
    events = broadcast.Broadcast[int]()
    stream = events.subscribe()
    for number in range(1003):
        events.send(number)
    async with asyncio.timeout(5):
        assert [await anext(stream) for _ in range(1000)] == list(range(3, 1003))


async def test_subscription__that_is_left__is_not_filled_any_more() -> None:
    events = broadcast.Broadcast[int]()
    stream = events.subscribe()
    events.send(1)
    assert await anext(stream) == 1
    await stream.aclose()  # type: ignore[attr-defined]
    assert events._queues == set()
