"""One call for many: never one that began before somebody asked, and never more than it takes."""

import asyncio

import pytest

from agent.kit import batching


class Call:
    """A call that ends when it is told to."""

    def __init__(self) -> None:
        """Start without any call."""
        self.begun = 0
        self.go = asyncio.Semaphore(0)
        self.failure: Exception | None = None

    async def __call__(self) -> None:
        """Begin, and end with what it is told."""
        self.begun += 1
        await self.go.acquire()
        if self.failure is not None:
            raise self.failure

    async def reached(self, count: int) -> None:
        """Wait until so many have begun."""
        async with asyncio.timeout(5):
            while self.begun < count:  # noqa: ASYNC110 - seen from outside
                await asyncio.sleep(0)


async def _settled() -> None:
    """Run everything that can proceed without the call."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_done__asked_by_many_while_one_runs__is_one_call_for_them_all() -> None:
    call = Call()
    batch = batching.Batch(call)
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        asking = [group.create_task(batch.done()) for _ in range(20)]
        await call.reached(1)
        await _settled()
        call.go.release()
        call.go.release()
    assert call.begun == 2
    assert all(asked_call.done() for asked_call in asking)


async def test_done__asked_while_a_call_runs__waits_for_one_that_begins_afterwards() -> None:
    call = Call()
    batch = batching.Batch(call)
    async with asyncio.TaskGroup() as group:
        first = group.create_task(batch.done())
        await call.reached(1)
        later = [group.create_task(batch.done()) for _ in range(3)]
        await _settled()
        call.go.release()
        await first
        await call.reached(2)
        assert not any(later_call.done() for later_call in later)
        call.go.release()
    assert call.begun == 2


async def test_done__one_after_the_other__is_a_call_each() -> None:
    call = Call()
    batch = batching.Batch(call)
    for _ in range(3):
        call.go.release()
        await batch.done()
    assert call.begun == 3


async def test_done__the_call_fails__is_told_and_serves_nobody_else() -> None:
    call = Call()
    batch = batching.Batch(call)
    call.failure = ZeroDivisionError()
    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(_outcome(batch)) for _ in range(2)]
        await call.reached(1)
        call.go.release()
        await call.reached(2)
        call.failure = None
        call.go.release()
    assert [asked_call.result() for asked_call in asking] == ["failed", "done"]


async def test_done__cancelled_while_the_call_runs__leaves_the_others_served() -> None:
    call = Call()
    batch = batching.Batch(call)
    async with asyncio.TaskGroup() as group:
        leaving = group.create_task(batch.done())
        await call.reached(1)
        staying = group.create_task(batch.done())
        leaving.cancel()
        await call.reached(2)
        call.go.release()
    assert (leaving.cancelled(), staying.done()) == (True, True)


async def test_done__cancelled_while_it_waits_for_its_turn__asks_for_no_call() -> None:
    call = Call()
    batch = batching.Batch(call)
    async with asyncio.TaskGroup() as group:
        group.create_task(batch.done())
        await call.reached(1)
        leaving = group.create_task(batch.done())
        await _settled()
        leaving.cancel()
        await _settled()
        call.go.release()
    assert call.begun == 1


async def _outcome(batch: batching.Batch) -> str:
    try:
        await batch.done()
    except ZeroDivisionError:
        return "failed"
    return "done"


async def test_done__the_call_fails_for_all__raises_what_it_raised() -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await batching.Batch(fail).done()
