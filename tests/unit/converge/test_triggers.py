"""Reasons to look again, gathered."""

import asyncio

import pytest

from agent.converge import signals, triggers

pytestmark = pytest.mark.looptime
Trigger = signals.Trigger


async def test_wait__pulled_several_times__gives_one_answer() -> None:
    queue = triggers.Triggers()
    for trigger in (Trigger.RUNTIME, Trigger.ACTION, Trigger.RUNTIME):
        queue.request(trigger)
    assert await queue.wait(not_before=0.0) == (Trigger.ACTION, Trigger.RUNTIME)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(queue.wait(not_before=0.0), 5)


async def test_wait__it_can_wait_a_little__shares_the_pass_of_what_cannot() -> None:
    queue = triggers.Triggers()
    loop = asyncio.get_running_loop()
    begun = loop.time()
    queue.request(Trigger.ACTION, within=5.0)
    loop.call_later(1.0, lambda: queue.request(Trigger.SOURCE))
    assert await queue.wait(not_before=0.0) == (Trigger.SOURCE,)
    assert loop.time() - begun == pytest.approx(1.0, abs=0.01)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(queue.wait(not_before=0.0), 50)


async def test_wait__nothing_else_comes__the_lazy_one_gets_its_pass() -> None:
    queue = triggers.Triggers()
    begun = asyncio.get_running_loop().time()
    queue.request(Trigger.ACTION, within=5.0)
    queue.request(Trigger.ACTION, within=50.0)
    assert await queue.wait(not_before=0.0) == (Trigger.ACTION,)
    assert asyncio.get_running_loop().time() - begun == pytest.approx(5.0, abs=0.01)


async def test_wait__rest_is_prescribed__is_kept_even_by_what_is_urgent() -> None:
    queue = triggers.Triggers()
    begun = asyncio.get_running_loop().time()
    queue.request(Trigger.SOURCE)
    await queue.wait(not_before=begun + 3)
    assert asyncio.get_running_loop().time() - begun == pytest.approx(3.0, abs=0.01)


@pytest.mark.parametrize("within", [0.25, 1.0])
async def test_wait__it_can_wait_a_little__gets_its_pass_no_sooner(within: float) -> None:
    queue = triggers.Triggers()
    begun = asyncio.get_running_loop().time()
    queue.request(Trigger.ACTION, within=within)
    assert await queue.wait(not_before=0.0) == (Trigger.ACTION,)
    assert asyncio.get_running_loop().time() - begun == pytest.approx(within, abs=0.01)


async def test_wait__so_little_is_left_as_a_timer_may_fire_early__is_due_at_once() -> None:
    queue = triggers.Triggers()
    begun = asyncio.get_running_loop().time()
    queue.request(Trigger.ACTION, within=triggers._EARLY)
    assert await queue.wait(not_before=0.0) == (Trigger.ACTION,)
    assert asyncio.get_running_loop().time() == begun


async def test_wait__asked_for_sooner_by_the_same_reason__comes_sooner() -> None:
    queue = triggers.Triggers()
    loop = asyncio.get_running_loop()
    begun = loop.time()
    queue.request(Trigger.ACTION, within=50.0)
    loop.call_later(1.0, lambda: queue.request(Trigger.ACTION, within=1.0))
    assert await queue.wait(not_before=0.0) == (Trigger.ACTION,)
    assert loop.time() - begun == pytest.approx(2.0, abs=0.01)
