"""What runs in a real container: as whom, where, with what around it, how it is stopped, and what runs beside it."""

import asyncio
import dataclasses
import os
import pathlib
import subprocess
from collections.abc import AsyncIterator

import pytest

from agent.engine.containers import exec as execs
from agent.model import container
from agent.runtime import api, errors
from tests.integration import native

pytestmark = pytest.mark.root

OBEYS = """
trap 'echo got TERM; exit 4' TERM; trap 'echo got INT; exit 3' INT; trap 'echo got USR1; exit 5' USR1
trap 'echo got RTMIN+3; exit 6' 37; echo ready; while :; do sleep 0.02; done
"""
DEAF = "trap 'echo ignored' TERM; echo ready; while :; do sleep 0.02; done"


@pytest.fixture
async def host(tmp_path: pathlib.Path) -> AsyncIterator[native.Host]:
    """Give a native runtime."""
    async with native.opened(tmp_path) as opened:
        yield opened


def user(name: str) -> container.Security:
    """Give the default security with a user."""
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
    found, at = ended.output.splitlines()
    assert (_sorted(found), at) == (is_, home)


def _sorted(line: str) -> str:
    """Sort the groups of id(1): their order means nothing, and runtimes differ in whether the first is among them."""
    head, _, groups = line.partition(" groups=")
    own = head.rpartition("gid=")[2]
    found = {own, *groups.split(",")} - {""}
    return f"{head} groups={','.join(sorted(found, key=lambda one: int(one.partition('(')[0])))}"


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
    ("own", "sent", "said", "code"),
    [
        ("SIGINT", "", "got INT", 3),
        ("", "", "got TERM", 4),
        ("SIGINT", "SIGUSR1", "got USR1", 5),
        ("SIGRTMIN+3", "", "got RTMIN+3", 6),
    ],
)
async def test_stop__the_signal_that_was_asked_for_arrives(host, own: str, sent: str, said: str, code: int) -> None:
    identity = await host.started(OBEYS, stop=container.StopConfig(own, 15.0))
    await host.said(identity, "ready")
    await host.runtime.containers.stop(identity, container.StopConfig(sent, 15.0))
    assert await host.ended(identity) == native.Ended(f"ready\n{said}\n", code, oom_killed=False)


async def test_stop__deaf__is_killed_after_the_grace_period(host) -> None:
    identity = await host.started(DEAF)
    await host.said(identity, "ready")
    await host.runtime.containers.stop(identity, container.StopConfig("SIGTERM", 0.3))
    assert await host.ended(identity) == native.Ended("ready\nignored\n", 137, oom_killed=False)
    assert (await host.seen(identity)).stop_requested


async def test_stop__cancelled_while_it_waits__can_be_asked_again(host) -> None:
    identity = await host.started(DEAF)
    await host.said(identity, "ready")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(host.runtime.containers.stop(identity, container.StopConfig("SIGTERM", 60.0)), 0.1)
    assert (await host.seen(identity)).state is container.ContainerState.RUNNING
    await host.runtime.containers.stop(identity, container.StopConfig("SIGKILL", 15.0))
    assert (await host.ended(identity)).code == 137


@pytest.mark.parametrize(
    ("script", "code"), [("exit 0", 0), ("exit 3", 3), ("no-such-program", 127), ("kill -9 $$", 137), ("kill $$", 143)]
)
async def test_exec__gives_the_exit_code(host, script: str, code: int) -> None:
    identity = await host.started("sleep 1000")
    assert (await host.exec(identity, "/bin/sh", "-c", script))[1] == code


@pytest.mark.parametrize(
    ("program", "said"), [("/no/such", "No such file or directory"), ("/etc/passwd", "Permission denied")]
)
async def test_exec__cannot_be_run_at_all__is_refused_with_the_reason(host, program: str, said: str) -> None:
    identity = await host.started("sleep 1000")
    with pytest.raises(errors.InvalidArgument) as caught:
        await host.exec(identity, program)
    assert caught.value.reason == "ExecFailed"
    assert said.lower() in caught.value.message.lower()


async def test_exec__is_in_the_container__as_it_is(host) -> None:
    identity = await host.started(
        "echo mine > /srv/file && echo done; sleep 1000",
        env=(("A", "container"), ("B", "container")),
        working_dir="/srv",
        security=user("0:0"),
    )
    await host.said(identity, "done")
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
    request = api.ExecRequest(("/bin/sh", "-c", "cat; echo error >&2"), stdin=True)
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
    request = api.ExecRequest(("/bin/sh", "-c", script), tty=True, stdin=True, rows=30, columns=100)
    async with asyncio.timeout(15), host.runtime.containers.exec(identity, request) as session:
        output, seen = session.output(), b""
        while b"30 100" not in seen:
            seen += (await anext(output))[1]
        await session.resize(40, 120)
        while b"40 120" not in seen:
            seen += (await anext(output))[1]
        await session.close_stdin()
        seen += b"".join([chunk async for _, chunk in output])
        assert await session.wait() == 0
    assert seen.decode().splitlines() == ["xterm", "30 100", "40 120", "end"]


async def test_exec__left_early__is_ended_with_all_its_files(host) -> None:
    identity = await host.started("sleep 1000")
    request = api.ExecRequest(("/bin/sh", "-c", "echo ready; exec sleep 1000"))
    async with host.runtime.containers.exec(identity, request) as session:
        assert await anext(session.output()) == ("stdout", b"ready\n")
    run = host.runtime.engine.where.run
    assert [path.name for path in run.iterdir() if path.name.startswith("exec-")] == []
    async with asyncio.timeout(15):
        while host.cgroup_file(identity, "pids", "pids.current") != "1":  # noqa: ASYNC110 - the kernel's own count
            await asyncio.sleep(0.01)


async def test_exec__left_before_the_oci_runtime_has_told_the_pid__ends_the_program_all_the_same(tmp_path) -> None:
    told, pid_file = tmp_path / "told", tmp_path / "pid"
    script = f"sleep 1000 & echo $! > {told}; echo ready; sleep 0.2; cp {told} {pid_file}; wait"
    process = subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE)  # noqa: ASYNC220 - as the engine does
    session = execs.Session(process, pid_file, {})
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    await session.close()
    process.stdout.close()
    with pytest.raises(ProcessLookupError):
        os.kill(int(told.read_text()), 0)


async def test_logs__container_removed_while_it_is_followed__end(host) -> None:
    identity = await host.started("echo ready; sleep 1000")
    lines = host.runtime.containers.logs(identity, api.LogRequest(follow=True))
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
        assert (await host.seen(second)).name == "web"
    finally:
        os.system(f"umount {stubborn}")  # noqa: S605 - likewise
    await host.runtime.containers.remove(identity)
