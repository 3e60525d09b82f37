"""A child that does not end by SIGKILL holds up nobody, is told, and is reaped once it ends."""

import asyncio
import os
import re
import signal

import pytest

from agent.kit import processes, tasks
from tests import hanging

KILLED = -signal.SIGKILL


def reports() -> list[str]:
    """Collect what the event loop's exception handler is told."""
    collected: list[str] = []
    handler = lambda _, context: collected.append(str(context["exception"]))  # noqa: E731 - a line
    asyncio.get_running_loop().set_exception_handler(handler)
    return collected


async def ticks_during(work: "asyncio.Task[object]") -> int:
    """Return how often others had their turn while something went on."""
    ticks = 0
    while not work.done():
        await asyncio.wait([work], timeout=0.01)
        ticks += 1
    return ticks


async def test_run__its_child_hangs__the_timeout_says_so_and_the_loop_goes_on(monkeypatch) -> None:
    reported = reports()
    with hanging.children(monkeypatch) as tracer:
        options = processes.Options(timeout=0.05)
        async with asyncio.TaskGroup() as group:
            work = group.create_task(caught(processes.run(["sleep", "60"], options)))
            assert await ticks_during(work) > 5
        pid = tracer.traced[0].pid
        hint = f"cat /proc/{pid}/stack says in what; a disk or network file system that does not answer?"
        hangs = f"process {pid} ({processes.which('sleep')}) does not end, not even by SIGKILL: it hangs in the kernel"
        assert work.result() == f"sleep did not end within 0.05 s and was killed; {hangs} ({hint})"
        assert reported == [f"{hangs} ({hint})"]
        assert tracer.traced[0].returncode is None
        assert tracer.release() == [KILLED]


async def caught(work) -> str:
    with pytest.raises(processes.ProcessTimeout) as failure:
        await work
    return str(failure.value)


async def test_run__cancelled_while_its_child_hangs__is_cancelled_and_it_is_reported(monkeypatch) -> None:
    reported = reports()
    with hanging.children(monkeypatch) as tracer:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await processes.run(["sleep", "60"])
        assert [bool(re.match(r"process \d+ \(\S+/sleep\) does not end", report)) for report in reported] == [True]
        assert tracer.release() == [KILLED]


async def test_run__the_dead_child_is_traced_for_a_moment__is_waited_for_without_blocking(monkeypatch) -> None:
    with hanging.children(monkeypatch) as tracer:
        async with asyncio.TaskGroup() as group:
            work = group.create_task(processes.run(["sleep", "60"]))
            while not tracer.traced:  # noqa: ASYNC110 - observed from outside on purpose
                await asyncio.sleep(0)
            os.kill(tracer.traced[0].pid, signal.SIGKILL)  # any other would be its tracer's to pass on
            await processes.wait(tracer.traced[0].pid)
            assert not work.done()
            await tasks.in_thread(tracer.release)
        assert work.result().returncode == KILLED


def test_run_blocking__its_child_hangs__the_timeout_says_so(monkeypatch) -> None:
    with hanging.children(monkeypatch) as tracer:
        with pytest.raises(processes.ProcessTimeout, match=r"was killed; process \d+ \(\S+/sleep\) does not end"):
            processes.run_blocking(["sleep", "60"], processes.Options(timeout=0.05))
        assert tracer.release() == [KILLED]


async def test_end__of_a_child_that_has_been_reaped__kills_nobody(monkeypatch) -> None:
    process = processes.spawn(["true"])
    assert await processes.reaped(process) == 0
    killed: list[int] = []
    monkeypatch.setattr("os.killpg", lambda pid, _: killed.append(pid))
    assert await processes.end(process) is None
    assert processes.end_blocking(process) is None
    assert killed == []
