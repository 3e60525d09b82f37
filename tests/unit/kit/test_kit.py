"""The helpers that everything stands on."""

import asyncio
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from agent.kit import atomicfile, backoff, clock, failpoint, graph, locks, processes, sdnotify, tasks


@pytest.mark.parametrize(("failures", "seconds"), [(-1, 0), (0, 0), (1, 2), (2, 4), (3, 8), (9, 60), (5000, 60)])
def test_backoff__doubles_up_to_its_maximum(failures: int, seconds: float) -> None:
    assert backoff.delay(failures, initial=2, maximum=60) == seconds


def test_clock__tells_the_hosts_time() -> None:
    system = clock.SystemClock()
    assert abs(system.now() - time.time()) < 5
    assert system.monotonic() <= system.monotonic()


@pytest.mark.parametrize("durable", [True, False])
def test_atomic_file__replaces_whole_and_leaves_nothing(tmp_path: pathlib.Path, durable: bool) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    atomicfile.write(path, b"new", mode=0o640, durable=durable)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"new", 0o640)
    assert os.listdir(tmp_path) == ["file"]  # noqa: PTH208


def test_atomic_file__failing__keeps_the_old_one(tmp_path: pathlib.Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError):  # noqa: PT011 - whichever the kernel says
        atomicfile.write(tmp_path / "folder", b"new")
    assert os.listdir(tmp_path) == ["folder"]  # noqa: PTH208


def test_failpoint__armed__fails_at_its_turn_and_once() -> None:
    point = failpoint.register("test.point")
    assert failpoint.register("test.point") is point
    assert "test.point" in failpoint.registered()
    point.hit()
    failpoint.arm("test.point", "error", hit=2)
    point.hit()
    with pytest.raises(failpoint.FailpointError, match=r"injected failure at test\.point"):
        point.hit()
    point.hit()
    with pytest.raises(KeyError):
        failpoint.arm("nobody", "error")


def run_with_failpoints(armed: str) -> "subprocess.CompletedProcess[str]":
    """Hit a point in another process."""
    code = (
        "from agent.kit import failpoint; failpoint.register('a').hit(); failpoint.register('a').hit(); print('alive')"
    )
    environment = {**os.environ, failpoint.VARIABLE: armed, "PYTHONPATH": str(pathlib.Path(__file__).parents[3])}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)


def test_failpoint__armed_by_the_environment__kills() -> None:
    assert run_with_failpoints("b=kill, a=kill").returncode == -signal.SIGKILL
    assert run_with_failpoints("").stdout == "alive\n"
    assert "the action is kill or error" in run_with_failpoints("a=explode").stderr


def test_graph__order_respects_edges_and_is_one() -> None:
    edges = {"c": ["b", "elsewhere"], "b": ["a"], "a": [], "d": []}
    assert graph.order(edges, key=str) == ["a", "b", "c", "d"]
    with pytest.raises(ValueError, match="cycle"):
        graph.order({"a": ["b"], "b": ["a"]}, key=str)


def test_graph__cycle_is_named() -> None:
    assert graph.cycle({"a": ["b"], "b": ["c", "x"], "c": ["b"]}) == ["b", "c", "b"]
    assert graph.cycle({"a": ["b", "c"], "b": ["c"], "c": []}) is None


async def test_keyed_locks__one_at_a_time_for_a_key_and_none_kept() -> None:
    keyed, steps = locks.KeyedLocks(), []

    async def work(key: str, number: int) -> None:
        async with keyed.hold(key):
            steps.append((key, number, "in"))
            await asyncio.sleep(0)
            steps.append((key, number, "out"))

    await asyncio.gather(work("a", 1), work("a", 2), work("b", 3))
    assert [step for step in steps if step[0] == "a"] == [
        ("a", 1, "in"),
        ("a", 1, "out"),
        ("a", 2, "in"),
        ("a", 2, "out"),
    ]
    assert steps.index(("b", 3, "in")) < steps.index(("a", 1, "out"))
    assert keyed._locks == {}


def test_file_lock__held__keeps_others_out_and_tells_by_whom(tmp_path: pathlib.Path) -> None:
    first = locks.FileLock(tmp_path / "lock").acquire()
    with pytest.raises(locks.LockedElsewhere, match=f"locked by process {os.getpid()}"):
        locks.FileLock(tmp_path / "lock").acquire()
    first.release()
    first.release()
    locks.FileLock(tmp_path / "lock").acquire().release()


async def test_crew__runs_cancels_and_tells_failures() -> None:
    messages: list[tuple[str, str]] = []
    ended = asyncio.Event()

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def broken() -> None:
        raise ValueError("no")

    async with tasks.Crew(lambda name, error: messages.append((name, str(error)))) as crew:
        crew.start(forever(), name="one")
        with pytest.raises(ValueError, match="runs already"):
            crew.start(forever(), name="one")
        crew.start(broken(), name="two")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert ("one" in crew, "two" in crew) == (True, False)
        crew.cancel("one")
        crew.cancel("nobody")
        await ended.wait()
        crew.start(forever(), name="three")
        await asyncio.sleep(0)
    assert messages == [("two", "no")]
    assert "three" not in crew


@pytest.mark.looptime
async def test_crew__left_while_a_task_takes_its_cancellation_for_a_failure__ends() -> None:
    heard: list[str] = []

    async def deaf() -> None:
        while True:
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                heard.append("cancelled")
                if len(heard) > 1:
                    raise

    async with tasks.Crew(lambda *_: None) as crew:
        crew.start(deaf(), name="deaf")
        await asyncio.sleep(1)
    assert heard == ["cancelled"] * 2


@pytest.mark.parametrize("times", [1, 3])
async def test_in_thread__cancelled__has_let_go_when_it_ends(times: int) -> None:
    begun, go_on, done = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        go_on.wait(10)
        done.set()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(tasks.in_thread(work, give_up=lambda: None))
        await asyncio.to_thread(begun.wait)
        for _ in range(times):
            task.cancel()
            await asyncio.sleep(0.01)
        assert not task.done()
        go_on.set()
    assert task.cancelled()
    assert done.is_set()


async def test_spawn__a_failure_ends_the_group() -> None:
    async def broken() -> None:
        raise ValueError("no")

    with pytest.raises(ExceptionGroup):
        async with asyncio.TaskGroup() as group:
            assert tasks.spawn(group, broken(), name="x").get_name() == "x"


async def test_process__output_code_and_input() -> None:
    completed = await processes.run(["cat"], processes.Options(stdin=b"x" * 200_000))
    assert (completed.returncode, len(completed.check().stdout)) == (0, 200_000)
    failed = await processes.run(["sh", "-c", "echo no >&2; exit 3"])
    with pytest.raises(processes.ProcessFailed, match="sh failed with 3: no"):
        failed.check()
    quiet = await processes.run(["sh", "-c", "exit 1"])
    with pytest.raises(processes.ProcessFailed, match="it said nothing"):
        quiet.check()


async def test_process__too_slow_or_cancelled__is_killed_with_its_children() -> None:
    ours = f"sleep 60.{os.getpid()}"  # known from all other sleepers by its length
    with pytest.raises(processes.ProcessTimeout, match=r"did not end within 0\.1 s"):
        await processes.run(["sh", "-c", f"{ours}; true"], processes.Options(timeout=0.1))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await processes.run(ours.split())
    assert subprocess.run(["pgrep", "-f", ours], check=False, capture_output=True).stdout == b""


async def test_process__missing__says_so() -> None:
    with pytest.raises(FileNotFoundError):
        await processes.run(["no-such-program-anywhere"])


async def test_wait__for_a_process_that_is_no_child() -> None:
    child = subprocess.Popen(["sleep", "0.05"])  # noqa: ASYNC220
    await processes.wait(child.pid)
    assert child.wait() == 0
    with pytest.raises(ProcessLookupError):
        await processes.wait(child.pid)


def test_which__finds_by_path_and_extra_folders(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "tool"
    program.write_text("#!/bin/sh\n")
    assert processes.which("tool", [str(tmp_path)]) is None
    program.chmod(0o755)
    assert processes.which("tool", [str(tmp_path)]) == program
    monkeypatch.setenv("PATH", str(tmp_path))
    assert processes.which("tool") == program


def test_sdnotify__tells_the_socket_that_systemd_names(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert sdnotify.notify("READY=1") is False
    for address, name in (
        (str(tmp_path / "s"), str(tmp_path / "s")),
        (f"\0trimtab-{os.getpid()}", f"@trimtab-{os.getpid()}"),
    ):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            listener.bind(address)
            monkeypatch.setenv("NOTIFY_SOCKET", name)
            assert sdnotify.notify("READY=1") is True
            assert listener.recv(100) == b"READY=1"
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    assert sdnotify.notify("READY=1") is False


@pytest.mark.parametrize(
    ("microseconds", "pid", "seconds"), [("2000000", "", 1.0), ("2000000", "1", None), ("", "", None), ("0", "", None)]
)
def test_sdnotify__watchdog_is_half_of_systemds_patience(
    monkeypatch: pytest.MonkeyPatch, microseconds: str, pid: str, seconds: float | None
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", microseconds)
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    if pid:
        monkeypatch.setenv("WATCHDOG_PID", pid)
    assert sdnotify.watchdog_interval() == seconds


async def test_together__several_fail__the_first_is_raised_and_knows_of_the_others() -> None:
    async def fail(text: str) -> None:
        raise ValueError(text)

    with pytest.raises(ValueError, match="first") as caught:
        await tasks.together("work", fail("first"), fail("second"))
    assert caught.value.__notes__ == ["and beside it: ValueError: second"]
