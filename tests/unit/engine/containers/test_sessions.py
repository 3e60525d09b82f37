"""A program that was started in a container: its session lets go of everything, whatever its process does."""

import asyncio
import os
import pathlib

from agent.engine.containers import sessions
from agent.kit import processes
from tests import hanging


async def test_close__the_runtimes_process_hangs__is_over_and_lets_go(tmp_path: pathlib.Path, monkeypatch) -> None:
    reported: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(str(context["exception"])))
    monkeypatch.setattr(sessions, "_REAPING", 0.1)
    with hanging.children(monkeypatch) as tracer:
        ours, theirs = os.pipe()
        process = processes.spawn(["sleep", "60"])
        session = sessions.Session(process, tmp_path / "pid", {"stdout": ours})
        async with asyncio.timeout(15):
            await session.close()
        assert [f"process {process.pid} " in report for report in reported] == [True]
        os.set_blocking(theirs, False)
        with os.fdopen(theirs, "wb", buffering=0) as stream:
            assert is_broken(stream.fileno()), "its end of the pipe is closed"
        assert tracer.release() == [-9]


def is_broken(descriptor: int) -> bool:
    try:
        os.write(descriptor, b"x")
    except BrokenPipeError:
        return True
    return False
