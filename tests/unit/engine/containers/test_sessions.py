"""A program that was started in a container: its session lets go of everything, whatever its process does."""

import asyncio
import os
import pathlib
import pty
import termios

from agent.engine.containers import sessions
from agent.kit import processes, tasks
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


async def test_resize__before_the_program_is_told__reaches_its_terminal_then(tmp_path: pathlib.Path) -> None:
    ours, theirs = pty.openpty()  # the session's own, and beside it the program's, as crun makes one of its own
    outer, inner = pty.openpty()
    process = processes.spawn(["sleep", "60"])
    program = processes.spawn(["sleep", "60"], processes.Streams(inner))
    session = sessions.Session(process, tmp_path / "pid", {"stdin": ours, "stdout": ours})
    async with asyncio.timeout(15), tasks.Crew() as crew:
        crew.start(session.resize(40, 120), name="resize")
        await asyncio.sleep(0.05)
        assert ("resize" in crew, termios.tcgetwinsize(ours)) == (True, (40, 120))
        (tmp_path / "pid").write_text(f"{program.pid}")
        while "resize" in crew:  # noqa: ASYNC110 - a task's end
            await asyncio.sleep(0.01)
        assert termios.tcgetwinsize(inner) == (40, 120)
        await session.close()
        await processes.end(program)
    for descriptor in (theirs, outer, inner):
        os.close(descriptor)


def is_broken(descriptor: int) -> bool:
    try:
        os.write(descriptor, b"x")
    except BrokenPipeError:
        return True
    return False
