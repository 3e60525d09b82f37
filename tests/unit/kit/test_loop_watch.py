"""The watch that the tests of the event loop stand on: it sees what computes, and not what waits."""

import asyncio
import gc
import itertools
import time

import pytest

from tests import loop_watch


def busy(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


async def step(seconds: float) -> None:
    busy(seconds)


async def collection() -> None:
    gc.collect()


async def test_watching__callback_computes__it_is_told_with_where_it_was() -> None:
    with loop_watch.watching(0.05) as slow:
        async with asyncio.TaskGroup() as group:
            group.create_task(step(0.1), name="probe 12 of 3038bfb575bee6a0e61945eff8784835")
            group.create_task(step(0.001), name="short")
        time.sleep(0.1)  # noqa: ASYNC251 - waiting is not computing
    (callback,) = slow
    assert callback.kind == "probe … of …"
    assert callback.seconds >= 0.1
    assert str(callback).splitlines()[0].endswith("ms in probe 12 of 3038bfb575bee6a0e61945eff8784835")
    assert callback.samples


async def test_watching__garbage_is_collected__is_not_the_callbacks() -> None:
    kept = [[number] for number in range(600_000)]
    begun = time.thread_time()
    with loop_watch.watching(0.02) as slow:
        async with asyncio.TaskGroup() as group:
            group.create_task(collection(), name="collects")
    assert time.thread_time() - begun > 0.02, "or it shows nothing"
    assert [callback for callback in slow if callback.name == "collects"] == []
    assert len(kept) == 600_000


@pytest.mark.parametrize(
    ("attempts", "expected"),
    [
        ((["a 1"],), []),
        (([], ["a 1"]), []),
        ((["a 1"], ["b 1"]), []),
        ((["a 1", "c"], ["b 1", "a 22"]), ["a 22"]),
    ],
)
async def test_slow_each_time__attempts__what_is_slow_again_counts(
    attempts: tuple[list[str], ...], expected: list[str]
) -> None:
    answers = itertools.chain(attempts, itertools.repeat(list[str]()))

    async def attempt(_: str) -> list[loop_watch.SlowCallback]:
        return [loop_watch.SlowCallback(name, 0.1, ()) for name in next(answers)]

    slow = await loop_watch.slow_each_time(attempt)
    assert [callback.name for callback in slow] == expected
