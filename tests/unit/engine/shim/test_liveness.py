"""A process is known by its pid and when it was started: a pid alone is given out again."""

import asyncio
import os
import pathlib
import select
import signal
import subprocess
from collections.abc import Iterator

import pytest

from agent.engine.shim import liveness, watch

NO_PROCESS = 2**22 + 1
"""Above the kernel's largest pid."""


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    """Return a process that runs."""
    with subprocess.Popen(["sleep", "1000"]) as process:
        yield process
        process.kill()


def ended(process: "subprocess.Popen[bytes]") -> None:
    """Kill a process and leave it a zombie."""
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)


def test_start_time__is_the_kernels_and_does_not_change(sleeper) -> None:
    first = liveness.start_time(sleeper.pid)
    assert first is not None
    assert first >= (liveness.start_time(os.getpid()) or 0) > 0
    assert liveness.start_time(sleeper.pid) == first


def test_start_time__name_with_blanks_and_brackets__is_read_past(tmp_path) -> None:
    program: pathlib.Path = tmp_path / "a) R 1 (b"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([program, "1000"]) as process:
        try:
            others = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rpartition(") ")[2].split()
            assert liveness.start_time(process.pid) == int(others[19])
        finally:
            process.kill()


def test_start_time__zombie_or_nobody__is_none(sleeper) -> None:
    ended(sleeper)
    assert liveness.start_time(sleeper.pid) is None
    assert liveness.start_time(NO_PROCESS) is None


def test_alive__only_the_one_that_was_started_then(sleeper) -> None:
    started = liveness.start_time(sleeper.pid)
    assert started is not None
    assert liveness.alive(sleeper.pid, started)
    assert not liveness.alive(sleeper.pid, started - 1)
    assert not liveness.alive(sleeper.pid, None)
    assert not liveness.alive(None, started)
    ended(sleeper)
    assert not liveness.alive(sleeper.pid, started)


def test_open_alive__gives_a_descriptor_of_that_very_process(sleeper) -> None:
    descriptor = liveness.open_alive(sleeper.pid, liveness.start_time(sleeper.pid))
    assert descriptor is not None
    try:
        assert select.select([descriptor], [], [], 0)[0] == []
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        assert select.select([descriptor], [], [], 5)[0] == [descriptor]
    finally:
        os.close(descriptor)


def test_open_alive__another_process_or_none__gives_nothing_and_keeps_nothing_open(sleeper) -> None:
    before = sum(1 for _ in pathlib.Path("/proc/self/fd").iterdir())
    assert liveness.open_alive(sleeper.pid, 1) is None
    assert liveness.open_alive(sleeper.pid, None) is None
    assert liveness.open_alive(NO_PROCESS, 1) is None
    assert sum(1 for _ in pathlib.Path("/proc/self/fd").iterdir()) == before


class Heard:
    """Ends that a watch has told."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self._news = asyncio.Event()

    def note(self, container_id: str) -> None:
        """Hear of an end."""
        self.ids.append(container_id)
        self._news.set()

    async def next(self) -> None:
        """Wait for the next one."""
        async with asyncio.timeout(5):
            await self._news.wait()
        self._news.clear()


async def test_watch__monitor_ends__is_told_once(sleeper) -> None:
    heard = Heard()
    watched = watch.MonitorWatch(heard.note)
    watched.add("web", sleeper.pid, liveness.start_time(sleeper.pid))
    sleeper.kill()
    await heard.next()
    for _ in range(3):
        await asyncio.sleep(0)
    assert heard.ids == ["web"]


async def test_watch__monitor_has_ended_already__is_told_in_the_next_round(sleeper) -> None:
    heard = Heard()
    watched = watch.MonitorWatch(heard.note)
    watched.add("web", sleeper.pid, 1)
    assert heard.ids == []
    await heard.next()
    assert heard.ids == ["web"]


async def test_watch__closed__tells_nobody_and_keeps_nothing_open(sleeper) -> None:
    before = sum(1 for _ in pathlib.Path("/proc/self/fd").iterdir())
    heard = Heard()
    watched = watch.MonitorWatch(heard.note)
    watched.add("web", sleeper.pid, liveness.start_time(sleeper.pid))
    watched.close()
    ended(sleeper)
    for _ in range(3):
        await asyncio.sleep(0)
    assert heard.ids == []
    assert sum(1 for _ in pathlib.Path("/proc/self/fd").iterdir()) == before


def test_open_network__of_exactly_that_process__or_of_none(sleeper) -> None:
    started = liveness.start_time(sleeper.pid)
    assert started is not None
    descriptor = liveness.open_network(sleeper.pid, started)
    try:
        assert os.fstat(descriptor).st_ino == pathlib.Path("/proc/self/ns/net").stat().st_ino
    finally:
        os.close(descriptor)
    for pid, moment in ((sleeper.pid, started + 1), (sleeper.pid, None), (NO_PROCESS, started)):
        with pytest.raises(ProcessLookupError):
            liveness.open_network(pid, moment)
    ended(sleeper)
    with pytest.raises(ProcessLookupError):
        liveness.open_network(sleeper.pid, started)
