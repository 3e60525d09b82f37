"""What runs in a real container: as whom, where, with what around it, how it is stopped, and what runs beside it."""

import asyncio
import dataclasses
import os
import pathlib
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator

import pytest

from agent import errors
from agent.engine.containers import sessions
from agent.engine.shim import oci_runtime
from agent.kit import processes
from agent.model import container
from agent.runtime import streams
from tests.integration import native

pytestmark = pytest.mark.root

OBEYS = """
trap 'echo got TERM; exit 4' TERM; trap 'echo got INT; exit 3' INT; trap 'echo got USR1; exit 5' USR1
trap 'echo got RTMIN+3; exit 6' 37; echo ready; while :; do sleep 0.02; done
"""
DEAF = "trap 'echo ignored' TERM; echo ready; while :; do sleep 0.02; done"


@pytest.fixture
async def host(tmp_path: pathlib.Path) -> AsyncIterator[native.Host]:
    """Start a native runtime."""
    async with native.opened(tmp_path) as opened:
        yield opened


def user(name: str) -> container.Security:
    """Return the default security with a user."""
    return dataclasses.replace(native.SECURITY, user=name)


@pytest.mark.parametrize(
    ("name", "is_", "home"),
    [
        ("", "uid=0(root) gid=0(root) groups=0(root)", "/root"),
        ("web", "uid=101(web) gid=102(web) groups=44(media),102(web)", "/srv"),
        ("101", "uid=101(web) gid=102(web) groups=44(media),102(web)", "/srv"),
        ("web:media", "uid=101(web) gid=44(media) groups=44(media)", "/srv"),
        ("4711:4712", "uid=4711 gid=4712 groups=4712", "/"),
    ],
)
async def test_user__by_name_or_number__is_who_runs(host, name: str, is_: str, home: str) -> None:
    ended = await host.run("id; echo $HOME", security=user(name))
    ids, at = ended.output.splitlines()
    assert (_sorted(ids), at) == (is_, home)


def _sorted(line: str) -> str:
    """Sort the groups of id(1): their order means nothing, and runtimes differ in whether the first is among them."""
    head, _, groups = line.partition(" groups=")
    own = head.rpartition("gid=")[2]
    names = {own, *groups.split(",")} - {""}
    return f"{head} groups={','.join(sorted(names, key=lambda group: int(group.partition('(')[0])))}"


async def test_user__unknown__is_refused_before_anything_runs(host) -> None:
    with pytest.raises(errors.InvalidArgument, match="no user 'nobody' in the image"):
        await host.started("true", security=user("nobody"))


async def test_surroundings__are_those_asked_for(host) -> None:
    ended = await host.run(
        "pwd; busybox hostname; cat /etc/hostname; echo $A-$B; echo $PATH; echo $HOSTNAME",
        working_dir="/srv/deep/er",
        hostname="shop",
        env=(("A", "one two"), ("B", "$A")),
    )
    assert ended.output.splitlines() == ["/srv/deep/er", "shop", "shop", "one two-$A", "/bin", "shop"]


async def test_bind_mount__read_only_or_not__is_the_hosts_folder(host, tmp_path) -> None:
    (tmp_path / "ro").mkdir()
    (tmp_path / "ro/there").write_text("from the host\n")
    (tmp_path / "rw").mkdir()
    ended = await host.run(
        "cat /ro/there; echo x > /ro/new; echo from the container > /rw/new",
        mounts=(
            container.BindMount(str(tmp_path / "ro"), "/ro", read_only=True),
            container.BindMount(str(tmp_path / "rw"), "/rw", read_only=False),
        ),
    )
    assert ended.output == "from the host\n/bin/sh: can't create /ro/new: Read-only file system\n"
    assert (tmp_path / "rw/new").read_text() == "from the container\n"
    assert [path.name for path in (tmp_path / "ro").iterdir()] == ["there"]


async def test_bind_mount__of_a_file_below_a_volume__is_seen_in_it(host, tmp_path) -> None:
    (tmp_path / "file").write_text("inner\n")
    ended = await host.run(
        "cat /a/b/file; busybox df /a | busybox tail -n 1",
        mounts=(
            container.BindMount(str(tmp_path / "file"), "/a/b/file", read_only=True),
            container.TmpfsMount("/a", 1 << 20),
        ),
    )
    first, memory = ended.output.splitlines()
    assert (first, memory.split()[0]) == ("inner", "tmpfs")


@pytest.mark.parametrize(
    ("own", "sent", "expected", "code"),
    [
        ("SIGINT", "", "got INT", 3),
        ("", "", "got TERM", 4),
        ("SIGINT", "SIGUSR1", "got USR1", 5),
        ("SIGRTMIN+3", "", "got RTMIN+3", 6),
    ],
)
async def test_stop__the_signal_that_was_asked_for_arrives(host, own: str, sent: str, expected: str, code: int) -> None:
    identity = await host.started(OBEYS, stop=container.StopConfig(own, 15.0))
    await host.wait_for_line(identity, "ready")
    await host.runtime.containers.stop(identity, container.StopConfig(sent, 15.0))
    assert await host.ended(identity) == native.Ended(f"ready\n{expected}\n", code, oom_killed=False)


async def test_stop__deaf__is_killed_after_the_grace_period(host) -> None:
    identity = await host.started(DEAF)
    await host.wait_for_line(identity, "ready")
    await host.runtime.containers.stop(identity, container.StopConfig("SIGTERM", 0.3))
    assert await host.ended(identity) == native.Ended("ready\nignored\n", 137, oom_killed=False)
    assert (await host.observe(identity)).stop_requested


async def test_stop__cancelled_while_it_waits__can_be_asked_again(host) -> None:
    identity = await host.started(DEAF)
    await host.wait_for_line(identity, "ready")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(host.runtime.containers.stop(identity, container.StopConfig("SIGTERM", 60.0)), 0.1)
    assert (await host.observe(identity)).state is container.ContainerState.RUNNING
    await host.runtime.containers.stop(identity, container.StopConfig("SIGKILL", 15.0))
    assert (await host.ended(identity)).code == 137


@pytest.mark.parametrize(
    ("script", "code"), [("exit 0", 0), ("exit 3", 3), ("no-such-program", 127), ("kill -9 $$", 137), ("kill $$", 143)]
)
async def test_exec__gives_the_exit_code(host, script: str, code: int) -> None:
    identity = await host.started("sleep 1000")
    assert (await host.exec(identity, "/bin/sh", "-c", script))[1] == code


@pytest.fixture(params=["chosen", "runc"])
async def either(tmp_path: pathlib.Path, request: pytest.FixtureRequest) -> AsyncIterator[native.Host]:
    """Start a native runtime with the OCI runtime that would be chosen, and with runc."""
    path = processes.which("runc")
    assert path is not None
    async with native.opened(tmp_path, oci_runtime.Program(path) if request.param == "runc" else None) as opened:
        yield opened


@pytest.mark.parametrize("tty", [False, True])
@pytest.mark.parametrize(
    ("program", "message", "reason"),
    [
        ("/no/such", "no such file or directory", "CommandNotFound"),
        ("no-such", "not found", "CommandNotFound"),
        ("/etc/passwd", "permission denied", "ExecFailed"),
    ],
)
async def test_exec__cannot_be_run_at_all__is_refused_with_the_reason_and_nothing_else(
    either, program: str, message: str, reason: str, tty: bool
) -> None:
    identity = await either.started("sleep 1000")
    async with either.runtime.containers.exec(identity, streams.ExecRequest((program,), tty=tty)) as session:
        assert [chunk async for _, chunk in session.output()] == []
        with pytest.raises(errors.InvalidArgument) as caught:
            await session.wait()
    assert caught.value.reason == reason
    assert message in caught.value.message.lower()


async def test_exec__leaves_something_running_with_its_streams__is_over_when_it_ends_itself(either) -> None:
    identity = await either.started("sleep 1000")
    before = time.monotonic()
    answer = await either.exec(identity, "/bin/sh", "-c", "sleep 1000 & busybox yes x | busybox head -c 60000; exit 3")
    assert (len(answer[0]), answer[1]) == (60_000, 3)
    assert time.monotonic() - before < 10
    answer = await either.exec(identity, "/bin/sh", "-c", "busybox yes & echo begun")
    assert ("begun" in answer[0], answer[1]) == (True, 0)


@pytest.mark.parametrize("script", ["echo out; echo err >&2; exit 5", "kill -9 $$", "cat; exit 7"])
async def test_exec__codes_and_streams__are_the_same_over_every_oci_runtime(either, script: str) -> None:
    identity = await either.started("sleep 1000")
    output, code = await either.exec(identity, "/bin/sh", "-c", script)
    assert code == {"echo": 5, "kill": 137, "cat;": 7}[script.split(maxsplit=1)[0]]
    assert sorted(output.split()) == (["err", "out"] if code == 5 else [])


async def test_exec__is_in_the_container__as_it_is(host) -> None:
    identity = await host.started(
        "echo mine > /srv/file && echo done; sleep 1000",
        env=(("A", "container"), ("B", "container")),
        working_dir="/srv",
        security=user("0:0"),
    )
    await host.wait_for_line(identity, "done")
    assert await host.exec(identity, "/bin/sh", "-c", "cat file; echo $A $B $HOME", env=(("B", "exec"),)) == (
        "mine\ncontainer exec /root\n",
        0,
    )


@pytest.mark.parametrize(
    ("who", "is_"),
    [
        ("", "101 102 0000000000000000 /srv"),
        ("web:media", "101 44 0000000000000000 /srv"),
        ("0", "0 0 00000000a80425fb /root"),
        ("5:6", "5 6 0000000000000000 /"),
    ],
)
async def test_exec__as_another_user__has_that_ones_ids_capabilities_and_home(host, who: str, is_: str) -> None:
    identity = await host.started("sleep 1000", security=user("web"))
    shows = "echo $(id -u) $(id -g) $(busybox awk '/CapEff/ {print $2}' /proc/self/status) $HOME"
    assert await host.exec(identity, "/bin/sh", "-c", shows, user=who) == (f"{is_}\n", 0)


async def test_exec__unknown_user__is_refused(host) -> None:
    identity = await host.started("sleep 1000")
    with pytest.raises(errors.InvalidArgument, match="no user 'nobody' in the image"):
        await host.exec(identity, "/bin/sh", user="nobody")


async def test_exec__in_a_working_directory(host) -> None:
    identity = await host.started("sleep 1000")
    assert await host.exec(identity, "/bin/sh", "-c", "pwd", working_dir="/www") == ("/www\n", 0)


async def test_exec__streams__are_told_apart_and_fed(host) -> None:
    identity = await host.started("sleep 1000")
    request = streams.ExecRequest(("/bin/sh", "-c", "cat; echo error >&2"), stdin=True)
    collected = {"stdout": b"", "stderr": b""}
    async with asyncio.timeout(15), host.runtime.containers.exec(identity, request) as session:

        async def collect() -> None:
            async for stream, chunk in session.output():
                collected[stream] += chunk

        async with asyncio.TaskGroup() as group:
            group.create_task(collect())
            await session.write(b"x" * 300_000)
            await session.close_stdin()
        assert await session.wait() == 0
    assert collected == {"stdout": b"x" * 300_000, "stderr": b"error\n"}


async def test_exec__terminal__has_a_size_that_changes_and_ends_by_ctrl_d(host) -> None:
    # crun gives the size beside the start of the program: it is waited for.
    script = """test -t 0 && echo $TERM; until busybox stty size 2>/dev/null; do :; done
    while test "$(busybox stty size)" = "30 100"; do sleep 0.02; done; busybox stty size; cat; echo end"""
    identity = await host.started("sleep 1000")
    request = streams.ExecRequest(("/bin/sh", "-c", script), tty=True, stdin=True, rows=30, columns=100)
    async with asyncio.timeout(15), host.runtime.containers.exec(identity, request) as session:
        output, text = session.output(), b""
        while b"30 100" not in text:
            text += (await anext(output))[1]
        await session.resize(40, 120)
        while b"40 120" not in text:
            text += (await anext(output))[1]
        await session.close_stdin()
        text += b"".join([chunk async for _, chunk in output])
        assert await session.wait() == 0
    assert text.decode().splitlines() == ["xterm", "30 100", "40 120", "end"]


async def test_exec__left_early__is_ended_with_all_its_files(host) -> None:
    identity = await host.started("sleep 1000")
    request = streams.ExecRequest(("/bin/sh", "-c", "echo ready; exec sleep 1000"))
    async with host.runtime.containers.exec(identity, request) as session:
        assert await anext(session.output()) == ("stdout", b"ready\n")
    run = host.runtime.engine.where.run
    assert [path.name for path in run.iterdir() if path.name.startswith("exec-")] == []
    async with asyncio.timeout(15):
        while host.cgroup_file(identity, "pids", "pids.current") != "1":  # noqa: ASYNC110 - the kernel's own count
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "script",
    [
        "sleep 1000 & sleep 1000 & echo ready; wait",
        "(sleep 1000 & ); echo ready; exec sleep 1000",
        "setsid sleep 1000 & echo ready; sleep 1000 | cat",
        "trap '' TERM INT HUP; sh -c 'sleep 1000; true' & sleep 0.1; echo ready; wait",
        "i=0; while [ $i -lt 100 ]; do sleep 1000 & i=$((i+1)); done; echo ready; wait",
    ],
)
async def test_exec__left_early__ends_all_that_it_has_started(host, script: str) -> None:
    identity = await host.started("while :; do sleep 0.1; done")
    request = streams.ExecRequest(("/bin/sh", "-c", script))
    async with host.runtime.containers.exec(identity, request) as session:
        assert await anext(session.output()) == ("stdout", b"ready\n")
    async with asyncio.timeout(10):
        while int(host.cgroup_file(identity, "pids", "pids.current")) > 2:  # noqa: ASYNC110 - the kernel's own count
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("sleep 1000 & echo hi", "hi\n"),
        ("(while :; do sleep 0.3; done) & printf unended", "unended"),
        ("yes > /dev/stderr & echo hi", "hi\n"),
        ("sleep 1000 & seq 1000000 1040000", "".join(f"{number}\n" for number in range(1_000_000, 1_040_001))),
    ],
)
async def test_exec__a_child_keeps_its_streams_open__ends_with_its_program(host, script: str, expected: str) -> None:
    identity = await host.started("sleep 1000")
    request = streams.ExecRequest(("/bin/sh", "-c", f"{script}; exit 3"))
    async with asyncio.timeout(10), host.runtime.containers.exec(identity, request) as session:
        output = [chunk async for stream, chunk in session.output() if stream == "stdout"]
        assert (b"".join(output).decode(), await session.wait()) == (expected, 3)


async def test_exec__with_a_terminal__ends_with_its_program_and_all_its_words(host) -> None:
    identity = await host.started("sleep 1000")
    output, code = await host.exec(identity, "/bin/sh", "-c", "trap '' HUP; sleep 1000 & seq 5000; exit 4", tty=True)
    words = re.sub(r"\x1b\[\d*m", "", output).split()  # crun 1.8 colours what it says itself
    assert (words, code) == ([str(number) for number in range(1, 5001)], 4)


async def test_exec__left_before_the_oci_runtime_has_told_the_pid__ends_the_program_all_the_same(tmp_path) -> None:
    pid_copy, pid_file = tmp_path / "told", tmp_path / "pid"
    script = f"sleep 1000 & echo $! > {pid_copy}; echo ready; sleep 0.2; cp {pid_copy} {pid_file}; wait"
    process = subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE)  # noqa: ASYNC220 - as the engine does
    session = sessions.Session(process, pid_file, {})
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    await session.close()
    process.stdout.close()
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_copy.read_text()), 0)


async def test_logs__crash_message_without_an_end__is_kept_apart_from_the_next_runs_first_line(host) -> None:
    identity = await host.started("printf 'panic: größe'; exit 3")
    assert (await host.ended(identity)).output == "panic: größe\n"
    await host.runtime.containers.start(identity)
    assert (await host.ended(identity)).output == "panic: größe\npanic: größe\n"
    await host.runtime.containers.remove(identity)


async def test_logs__container_removed_while_it_is_followed__end(host) -> None:
    identity = await host.started("echo ready; sleep 1000")
    lines = host.runtime.containers.logs(identity, streams.LogRequest(follow=True))
    assert (await anext(lines)).text == "ready"
    await host.runtime.containers.remove(identity)
    async with asyncio.timeout(15):
        assert [line async for line in lines] == []


async def test_remove__what_is_its_own_cannot_be_deleted__its_name_is_free_all_the_same(host) -> None:
    identity = await host.started("echo ready; sleep 1000")
    stubborn = host.runtime.engine.where.containers / identity / "mount"
    stubborn.mkdir()
    os.system(f"mount -t tmpfs none {stubborn}")  # noqa: S605 - a mount is what nobody deletes
    try:
        with pytest.raises(errors.Unavailable):
            await host.runtime.containers.remove(identity)
        assert await host.runtime.containers.list() == ()
        second = await host.started("sleep 1000")
        assert (await host.observe(second)).name == "web"
    finally:
        os.system(f"umount {stubborn}")  # noqa: S605 - likewise
    await host.runtime.containers.remove(identity)


async def test_processes_of_a_container__know_nothing_of_the_agents_surroundings(host, monkeypatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_AGENT", "x")
    reader, writer = os.pipe()
    try:
        os.set_inheritable(writer, True)
        identity = await host.started("sleep 1000")
        monitor = pathlib.Path((host.runtime.engine.where.bundles / identity / "conmon.pid").read_text())
        pids = [monitor.name, *host.cgroup_file(identity, "pids", "cgroup.procs").split()]
        for process in (pathlib.Path("/proc", pid) for pid in pids):
            assert b"SECRET_OF_THE_AGENT" not in (process / "environ").read_bytes()
            links = [entry.readlink() for entry in (process / "fd").iterdir()]
            assert pathlib.Path(f"/proc/self/fd/{writer}").readlink() not in links
            assert (process / "cwd").readlink() == pathlib.Path("/")
    finally:
        os.close(reader)
        os.close(writer)


def test_which__folder_of_somebody_else_on_the_path__is_passed_over(tmp_path: pathlib.Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    script = (
        "import os, sys; sys.path.insert(0, sys.argv[1]); from agent.kit import processes; os.setgid(65534);"
        " os.setuid(65534); print(processes.which('nowhere-to-be-found'), processes.which('sh') is not None)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(pathlib.Path(__file__).parents[2])],
        env={"PATH": f"{closed}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=15,
    )
    assert (done.stdout, done.stderr) == ("None True\n", "")
