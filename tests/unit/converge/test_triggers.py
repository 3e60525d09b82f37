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
