"""Hints of change and their quiet period, in virtual time."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from agent.sources import change_hints

PERIOD = change_hints.QuietPeriod(quiet=0.03, maximum=0.25)


def test_debounce__no_hint__nothing_is_due() -> None:
    assert change_hints.Debounce(PERIOD).due() is None


def test_debounce__one_hint__is_due_after_the_quiet_time() -> None:
    burst = change_hints.Debounce(PERIOD)
    burst.note(10.0)
    assert burst.due() == pytest.approx(10.03)


def test_debounce__hints_that_go_on__are_due_at_the_maximum() -> None:
    burst = change_hints.Debounce(PERIOD)
    for step in range(100):
        burst.note(10.0 + step * 0.02)
    assert burst.due() == pytest.approx(10.25)


def test_debounce__settled__starts_afresh() -> None:
    burst = change_hints.Debounce(PERIOD)
    burst.note(10.0)
    burst.settle()
    assert burst.due() is None
    burst.note(20.0)
    assert burst.due() == pytest.approx(20.03)


async def _times(hints: AsyncIterator[None], count: int) -> list[float]:
    loop = asyncio.get_running_loop()
    times: list[float] = []
    async for _ in hints:
        times.append(loop.time())
        if len(times) == count:
            break
    return times


@pytest.mark.looptime
async def test_hints__a_burst__is_told_once_after_it_was_quiet() -> None:
    hints = change_hints.ChangeHints(PERIOD, idle=30.0)
    loop = asyncio.get_running_loop()
    for moment in (1.0, 1.01, 1.02):
        loop.call_at(moment, hints.note)
    assert await _times(hints.settled(), 1) == pytest.approx([1.05])


@pytest.mark.looptime
async def test_hints__that_never_rest__are_told_at_the_maximum_again_and_again() -> None:
    hints = change_hints.ChangeHints(PERIOD, idle=30.0)
    loop = asyncio.get_running_loop()
    for step in range(60):
        loop.call_at(1.0 + step * 0.01, hints.note)
    first, second = await _times(hints.settled(), 2)
    assert first == pytest.approx(1.25)
    assert second <= first + 0.01 + PERIOD.maximum + 0.001


@pytest.mark.looptime
async def test_hints__nothing_happens__one_without_a_cause_after_the_idle_time() -> None:
    hints = change_hints.ChangeHints(PERIOD, idle=30.0)
    assert await _times(hints.settled(), 2) == pytest.approx([30.0, 60.0])


@pytest.mark.looptime
async def test_hints__noted_before_anybody_listens__are_not_lost() -> None:
    hints = change_hints.ChangeHints(PERIOD, idle=30.0)
    hints.note()
    assert await _times(hints.settled(), 1) == pytest.approx([0.03])


@pytest.mark.looptime
async def test_hints__noted_while_the_listener_works__are_told_next() -> None:
    hints = change_hints.ChangeHints(PERIOD, idle=30.0)
    loop = asyncio.get_running_loop()
    hints.note()
    settled = hints.settled()
    await anext(settled)
    hints.note()
    await asyncio.sleep(5)
    await anext(settled)
    assert loop.time() == pytest.approx(5.03)


@pytest.mark.looptime
async def test_hints__at_any_moment__settle_within_the_clocks_resolution() -> None:
    hints = change_hints.ChangeHints(PERIOD, 9.0)
    settled = hints.settled()
    for step in range(300):
        await asyncio.sleep(0.01 + 0.0001 * step)
        hints.note()
        before = asyncio.get_running_loop().time()
        await anext(settled)
        assert asyncio.get_running_loop().time() - before == pytest.approx(PERIOD.quiet)
