"""Requests for a pass: one that began before does not count, and each that ends is noted."""

import asyncio
import types
from typing import Any

from agent.converge import requests


def result(steps: int) -> Any:
    return types.SimpleNamespace(plan=types.SimpleNamespace(steps=(None,) * steps))


async def test_request__a_pass_that_began_before_ends__waits_for_the_next_one() -> None:
    waiting = requests.Requests()
    with waiting.opened() as request:
        waiting.note(4, None)
        async with asyncio.timeout(1), asyncio.TaskGroup() as group:
            ended = group.create_task(request.ended_after(4))
            await asyncio.sleep(0)
            waiting.note(4, None)
            await asyncio.sleep(0)
            assert not ended.done()
            waiting.note(5, None)
        assert request.passes == [None]
    waiting.note(6, result(1))
    assert request.passes == [None]


async def test_request__passes_that_did_nothing__are_let_go_of_but_for_the_last() -> None:
    waiting = requests.Requests()
    busy, idle = result(2), result(0)
    with waiting.opened() as request:
        for number, ended in enumerate((idle, None, busy, idle, busy, idle, idle)):
            waiting.note(number, ended)
    assert request.passes == [busy, busy, idle]


async def test_request__before_any_pass__waits_for_the_first_one() -> None:
    waiting = requests.Requests()
    with waiting.opened() as request:
        async with asyncio.timeout(1), asyncio.TaskGroup() as group:
            ended = group.create_task(request.ended_after(0))
            await asyncio.sleep(0)
            assert not ended.done()
            waiting.note(1, None)


async def test_watched__every_pass_that_ends_meanwhile__is_in_the_queue_with_its_number() -> None:
    waiting = requests.Requests()
    first = result(0)
    waiting.note(1, None)
    with waiting.watched() as passes:
        waiting.note(2, first)
        waiting.note(3, None)
    waiting.note(4, None)
    assert [passes.get_nowait() for _ in range(passes.qsize())] == [(2, first), (3, None)]
