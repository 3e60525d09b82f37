"""Coroutines that wait for nothing but their turn."""

import asyncio

import pytest

from agent.kit import turns


async def counted(steps: int) -> int:
    """Give way so many times, and return how often it was."""
    for _ in range(steps):
        await turns.checkpoint()
    return steps


def test_run__gives_way__returns_its_result() -> None:
    assert turns.run(counted(3)) == 3


def test_run__fails__failure_is_raised() -> None:
    async def fail() -> None:
        await turns.checkpoint()
        raise LookupError("gone")

    with pytest.raises(LookupError, match="gone"):
        turns.run(fail())


def test_run__waits_for_something__is_refused_and_closed() -> None:
    ends: list[str] = []

    async def wait() -> None:
        loop = asyncio.new_event_loop()
        try:
            await loop.create_future()
        finally:
            loop.close()
            ends.append("closed")

    with pytest.raises(RuntimeError, match="event loop"):
        turns.run(wait())
    assert ends == ["closed"]


async def test_checkpoint__on_an_event_loop__others_have_their_turn() -> None:
    order: list[int] = []

    async def step(number: int) -> None:
        order.append(number)
        await turns.checkpoint()
        order.append(number)

    await asyncio.gather(step(1), step(2))
    assert order == [1, 2, 1, 2]
