"""Lines that wait to be sent are bounded."""

import asyncio
import json
from typing import Any

from agent.agent_api import line_queue


async def read(queue: line_queue.LineQueue) -> list[Any]:
    data = b"".join([chunk async for chunk in queue])
    return [json.loads(line) for line in data.splitlines()]


async def test_put__before_and_while_they_are_read__all_come_in_their_order() -> None:
    queue = line_queue.LineQueue()
    queue.put({"event": "begun", "step": 1})
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(read(queue))
        for number in range(3):
            await asyncio.sleep(0)
            queue.put({"event": "output", "text": f"{number}"})
        queue.close()
    expected = [{"event": "begun", "step": 1}, *({"event": "output", "text": f"{number}"} for number in range(3))]
    assert reading.result() == expected


async def test_close__nothing_waits__reading_ends() -> None:
    queue = line_queue.LineQueue()
    queue.close()
    assert await read(queue) == []


async def test_put__output_comes_faster_than_it_is_read__it_is_left_out_and_counted_and_nothing_else_is() -> None:
    queue = line_queue.LineQueue()
    half = "x" * (line_queue.MOST // 2)
    for text in (half, half, half, "small"):
        queue.put({"event": "output", "step": 1, "text": text})
    queue.put({"event": "ended", "step": 1, "error": half})
    queue.put({"event": "output", "step": 2, "text": half})
    queue.close()
    lines = await read(queue)
    assert [line["event"] for line in lines] == ["output", "output", "output", "ended"]
    assert lines[1]["text"] == "\n[2 parts of the output were left out: they came faster than they were read]\n"
    assert lines[2]["text"] == "small"
