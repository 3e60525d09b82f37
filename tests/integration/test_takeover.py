"""Attacks on the host from inside of a container or by an image: each is really tried, and has to fail."""

import asyncio
import contextlib
import dataclasses
import hashlib
import os
import pathlib
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from agent import errors
from agent.engine.bundle import confinement
from agent.engine.shim import oci_runtime
from agent.kit import processes
from agent.model import container
from agent.runtime import streams
from tests.integration import native

pytestmark = pytest.mark.root


@pytest.fixture
async def host(tmp_path: pathlib.Path) -> AsyncIterator[native.Host]:
    """Start a native runtime."""
    async with native.opened(tmp_path) as opened:
        yield opened


@pytest.fixture(params=["crun", "runc"])
async def either(tmp_path: pathlib.Path, request: pytest.FixtureRequest) -> AsyncIterator[native.Host]:
    """Start a native runtime with the OCI runtime that would be chosen, and with runc."""
    path = processes.which("runc")
    assert path is not None
    async with native.opened(tmp_path, oci_runtime.Program(path) if request.param == "runc" else None) as opened:
        yield opened


def security(**fields: object) -> container.Security:
    """Return the default security with changes."""
    return dataclasses.replace(native.SECURITY, **fields)


async def test_passwd__that_calls_root_by_a_number__gives_nobody_root(host) -> None:
    ended = await host.run("id -u; id -g", security=security(user="1000"))
    assert ended.output == "1000\n0\n"
    identity = await host.started("echo '1000:x:0:0::/root:/bin/sh' > /etc/passwd && echo done; sleep 1000")
    await host.wait_for_line(identity, "done")
    assert await host.exec(identity, "/bin/sh", "-c", "id -u", user="1000") == ("1000\n", 0)


async def test_primary_group__is_among_the_supplementary_ones(host) -> None:
    ended = await host.run("busybox grep Groups: /proc/self/status", security=security(user="4711:4712"))
    assert ended.output.split() == ["Groups:", "4712"]


HOSTS_NETWORK = {"network_mode": container.NetworkMode.HOST}


@pytest.fixture
def debugfs() -> Iterator[None]:
    """Mount the kernel's file systems below /sys, as on every real host."""
    mounted = []
    for kind, target in (("debugfs", "/sys/kernel/debug"), ("tracefs", "/sys/kernel/tracing"), ("bpf", "/sys/fs/bpf")):
        if pathlib.Path(target).is_dir():
            done = subprocess.run(["mount", "-t", kind, kind, target], check=False, capture_output=True)
            mounted += [target] if done.returncode == 0 else []
    assert mounted
    try:
        yield
    finally:
        for target in mounted:
            subprocess.run(["umount", target], check=True)


@pytest.mark.usefixtures("debugfs")
async def test_network_of_the_host__hands_over_no_debugfs_and_its_sys_is_read_only(either) -> None:
    ended = await either.run(
        "busybox mount | grep ' /sys' | grep -v /sys/fs/cgroup; ls /sys/kernel/debug /sys/kernel/tracing /sys/fs/bpf",
        **HOSTS_NETWORK,
    )
    mounts = [line for line in ended.output.splitlines() if " on " in line]
    assert [line.split()[2] for line in mounts] in (["/sys"], ["/sys", "/sys/firmware"])
    assert mounts[0].startswith("sysfs on /sys type sysfs (ro,nosuid,nodev,noexec")
    listed = {line for line in ended.output.splitlines() if line and not line.endswith(":") and " on " not in line}
    assert not {line for line in listed if not line.startswith("ls: ")}, listed


async def test_network_of_the_host__changes_no_sysctl_of_it(host) -> None:
    path = pathlib.Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
    before = path.read_text()
    assert (await host.run(f"cat {path}", **HOSTS_NETWORK)).output == before
    assert path.read_text() == before


@contextlib.contextmanager
def _with_submount(folder: pathlib.Path) -> Iterator[None]:
    (folder / "inner").mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder / "inner"], check=True)
    try:
        (folder / "inner" / "there").touch()
        yield
    finally:
        subprocess.run(["umount", folder / "inner"], check=True)


async def test_bind__read_only__is_so_below_a_mount_of_the_hosts_too(either, tmp_path) -> None:
    with _with_submount(tmp_path / "shared"):
        bind = container.BindMount(str(tmp_path / "shared"), "/shared", read_only=True)
        ended = await either.run("ls /shared/inner; echo x > /shared/new; echo x > /shared/inner/new", mounts=(bind,))
        assert ended.output.splitlines() == [
            "there",
            "/bin/sh: can't create /shared/new: Read-only file system",
            "/bin/sh: can't create /shared/inner/new: Read-only file system",
        ]
        assert [path.name for path in (tmp_path / "shared" / "inner").iterdir()] == ["there"]


async def test_low_ports_and_ping__are_for_every_user_in_a_network_of_its_own(either) -> None:
    names = "/proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/net/ipv4/ping_group_range"
    script = f"busybox httpd -p 80; echo $?; cat {names}"
    drops = security(user="1000:1000", cap_drop=("ALL",))
    ended = await either.run(script, security=drops)
    assert ended.output.split() == ["0", "0", "0", "2147483647"]


async def test_hosts_file__filled_without_end__fills_no_memory_of_the_host(host) -> None:
    identity = await host.started("busybox yes >> /etc/hosts & sleep 0.3; busybox kill $!; echo done; sleep 1000")
    await host.wait_for_line(identity, "done")
    source = pathlib.Path(host.runtime.engine.where.bundles)
    assert sum(path.stat().st_size for path in source.glob("*/*") if path.is_file()) < 1 << 20
    assert host.runtime.engine.where.identity(identity).joinpath("hosts").stat().st_size > 1000


async def test_identity_files__of_a_read_only_container__are_read_only(either) -> None:
    script = "for name in hosts hostname resolv.conf; do echo x >> /etc/$name; done; busybox hostname"
    ended = await either.run(script, security=security(read_only_rootfs=True), hostname="a.example")
    assert ended.output.splitlines() == [
        *(f"/bin/sh: can't create /etc/{name}: Read-only file system" for name in ("hosts", "hostname", "resolv.conf")),
        "a.example",
    ]


async def test_memory_at_another_name_of_a_folder__hides_no_mount_in_it(either, tmp_path) -> None:
    (tmp_path / "file").write_text("inner\n")
    mounts = (
        container.BindMount(str(tmp_path / "file"), "/run/file", read_only=True),
        container.TmpfsMount("/var/run", 1 << 20),
    )
    identity = await either.started("cat /run/file; busybox df /run/ | busybox tail -n 1", mounts=mounts)
    await either.ended(identity)
    folder = next((either.runtime.engine.where.containers / identity).glob("*/var/run"))
    folder.rmdir()
    folder.symlink_to("/run")  # as most images have it
    await either.runtime.containers.start(identity)
    first, memory = (await either.ended(identity)).output.splitlines()[2:]
    assert (first, memory.split()[0], memory.split()[-1]) == ("inner", "tmpfs", "/run")


PYTHON = tuple(
    container.BindMount(source, path, read_only=True)
    for source, path in (("/usr", "/usr"), ("/usr/lib", "/lib"), ("/usr/lib64", "/lib64"))
)
"""The host's own programs: to attack by system calls that busybox does not make."""


async def _python(host: native.Host, script: str, **fields: object) -> str:
    ended = await host.run(f"/usr/bin/python3 -c '{script}'", mounts=PYTHON, **fields)
    return ended.output


async def test_sockets_of_the_hypervisor_and_of_kernel_cryptography__are_closed(either) -> None:
    script = """import socket
for domain in (1, 2, 10, 16, 38, 40):
    kind = socket.SOCK_SEQPACKET if domain == 38 else socket.SOCK_DGRAM
    try: socket.socket(domain, kind).close(); print(domain, "open")
    except OSError as error: print(domain, error.errno)
"""
    for fields in ({}, {"security": security(cap_add=("ALL",))}):
        answers = dict(line.split() for line in (await _python(either, script, **fields)).splitlines())
        assert {number for number, answer in answers.items() if answer == "open"} == {"1", "2", "10", "16"}
        assert {answers[number] for number in ("38", "40")} <= {"1", "38"}, "refused by the filter, not by the kernel"


async def test_masked_paths__tell_nothing_of_the_host(either) -> None:
    masked = [path for path in confinement.masked_paths() if pathlib.Path(path).exists()]
    assert "/proc/interrupts" in masked
    script = "; ".join(f"{{ cat {path} || ls {path}; }} 2>/dev/null | busybox wc -c" for path in masked)
    assert set((await either.run(script)).output.split()) == {"0"}


@pytest.mark.parametrize(
    "command", ["mkfifo /tmp/x", "mknod /tmp/x c 1 11", "mknod /tmp/x b 254 0", "mknod /tmp/x c 136 0"]
)
async def test_exec__a_terminal_that_was_exchanged_for_a_device__is_not_opened_by_the_host(
    host, monkeypatch, command: str
) -> None:
    """Kernel log, disk, fifo: what the container may not open, its name at ``/proc/PID/fd/0`` must not open for it."""
    opened: list[tuple[str, int]] = []
    genuine = os.open

    def watched(path: str, flags: int, *more: int, **named: int) -> int:
        descriptor = genuine(path, flags, *more, **named)
        if str(path).startswith("/proc/") and not flags & os.O_PATH:
            opened.append((str(path), os.fstat(descriptor).st_rdev))
        return descriptor

    # A device that the container's cgroup refuses to open may still be held by O_PATH, and passed on by exec.
    script = f'import os,time\nos.system("busybox {command}")\nf=os.open("/tmp/x",os.O_PATH)\nos.dup2(f,0)\n'
    script += 'print("ready",flush=True)\ntime.sleep(1000)'
    identity = await host.started("sleep 1000", mounts=PYTHON)
    request = streams.ExecRequest(("/usr/bin/python3", "-c", script), tty=True)
    async with asyncio.timeout(15), host.runtime.containers.exec(identity, request) as session:
        text = b""
        async for _, chunk in session.output():
            text += chunk
            if b"ready" in text:
                break
        monkeypatch.setattr(os, "open", watched)
        await session.resize(50, 150)
    assert opened == [], opened


async def _refused_or_output(host: native.Host, script: str, **fields: Any) -> str:
    """Run a script and give what it says; where the start is refused, say so."""
    try:
        return (await host.run(script, **fields)).output
    except errors.InvalidArgument as error:
        await host.runtime.containers.remove("web")
        return f"refused: {error.message}"


async def test_working_directory__that_is_a_descriptor_of_the_runtime__leads_nowhere(either, tmp_path) -> None:
    """CVE-2024-21626: a directory of the host, open in the OCI runtime, as the container's working directory."""
    (tmp_path / "secret").write_text("secret of the host")
    reads = ("/bin/sh", "-c", f"cat {'../' * 12}{str(tmp_path)[1:]}/secret")
    identity = await either.started("sleep 1000", name="victim")
    for number in range(3, 13):
        folder = f"/proc/self/fd/{number}"
        assert "secret of" not in await _refused_or_output(either, reads[-1], working_dir=folder)
        with contextlib.suppress(errors.InvalidArgument):
            assert "secret of" not in (await either.exec(identity, *reads, working_dir=folder))[0]


async def test_runtimes_own_program__is_not_overwritten_from_a_container(either) -> None:
    """CVE-2019-5736: while somebody enters, ``/proc/PID/exe`` is the OCI runtime's file on the host."""
    program = either.runtime.engine.runtime.program.path
    before = hashlib.sha256(program.read_bytes()).hexdigest()
    attack = "while :; do for exe in /proc/[0-9]*/exe; do echo overwritten 2>/dev/null > $exe; done; done 2>/dev/null"
    identity = await either.started(f"{attack}")
    for _ in range(5):
        with contextlib.suppress(errors.InvalidArgument):
            await either.exec(identity, "/bin/true")
        with contextlib.suppress(errors.InvalidArgument):
            await either.exec(identity, "/proc/self/exe", "--help")
    await either.runtime.containers.kill(identity, "SIGKILL")
    assert hashlib.sha256(program.read_bytes()).hexdigest() == before


@pytest.mark.parametrize("name", ["proc", "sys", "dev"])
async def test_system_folder__that_is_a_link_in_the_root_file_system__confines_all_the_same(either, name: str) -> None:
    """CVE-2019-18837, CVE-2019-19921, CVE-2023-27561: masks and read-only paths set beside what they should hide."""
    checks = (
        "busybox head -c1 /proc/timer_list | busybox wc -c; echo x > /proc/sys/kernel/domainname; "
        "ls /sys/firmware | busybox wc -l; echo x > /sys/kernel/profiling; echo end"
    )
    identity = await either.started(checks, security=security(cap_add=("ALL",)))
    first = (await either.ended(identity)).output
    upper = either.runtime.engine.where.containers / identity / "upper"
    assert upper.is_dir()
    shutil.rmtree(upper / name, ignore_errors=True)
    (upper / "elsewhere").mkdir()
    (upper / name).symlink_to("/elsewhere")
    try:
        await either.runtime.containers.start(identity)
    except (errors.InvalidArgument, errors.Unavailable):
        return  # refused is as good
    repeated = (await either.ended(identity)).output.removeprefix(first)
    assert "0\n" in repeated
    assert "end" in repeated
    assert pathlib.Path("/proc/sys/kernel/domainname").read_text() != "x\n"
    if name != "dev":
        assert repeated.count("Read-only file system") == 2, repeated


async def test_mount__below_a_link_in_a_shared_volume__makes_nothing_on_the_host(either, tmp_path) -> None:
    """CVE-2021-30465, CVE-2024-45310: a destination that leads out of the root file system by a link of another's."""
    shared, victim = tmp_path / "shared", tmp_path / "victim"
    shared.mkdir()
    victim.mkdir()
    (shared / "absolute").symlink_to(victim)
    (shared / "relative").symlink_to(f"../../../../../../../../..{victim}")
    bind = container.BindMount(str(shared), "/data", read_only=False)
    for name in ("absolute", "relative"):
        inner = container.TmpfsMount(f"/data/{name}/new", 1 << 20)
        output = await _refused_or_output(either, f"touch /data/{name}/new/file", mounts=(bind, inner))
        assert list(victim.iterdir()) == [], output


async def test_working_directory__below_a_link_that_leads_out__is_made_inside(either, tmp_path) -> None:
    """GHSA-q6r4-3wmg-fwcq: the engine made it on the host, by a link that the image or another container has left."""
    shared, victim = tmp_path / "shared", tmp_path / "victim"
    shared.mkdir()
    victim.mkdir(mode=0o700)
    (shared / "absolute").symlink_to(victim)
    (shared / "relative").symlink_to(f"../../../../../../../../..{victim}")
    bind = container.BindMount(str(shared), "/data", read_only=False)
    before = victim.stat()
    for name in ("absolute", "relative"):
        folder = f"/data/{name}/new"
        output = await _refused_or_output(either, "touch file; pwd", mounts=(bind,), working_dir=folder)
        assert list(victim.iterdir()) == [], output
    assert (victim.stat().st_uid, victim.stat().st_mode) == (before.st_uid, before.st_mode)


@pytest.mark.parametrize("path", ["/proc", "/proc/self", "/proc/sys/kernel", "/dev", "/dev/null", "/dev/pts", "/link"])
async def test_mount__on_what_confines__is_refused(host, tmp_path, path: str) -> None:
    """CVE-2019-16884, CVE-2025-31133, CVE-2025-52881: a /proc or /dev of the container's own making."""
    bind = container.BindMount(str(tmp_path), path, read_only=False)
    if path == "/link":
        identity = await host.started("echo never", mounts=(bind,))
        await host.ended(identity)
        link = host.runtime.engine.where.containers / identity / "upper/link"
        link.rmdir()
        link.symlink_to("/proc")
        with pytest.raises(errors.InvalidArgument, match="nothing can be mounted on /proc"):
            await host.runtime.containers.start(identity)
        return
    with pytest.raises(errors.InvalidArgument, match="nothing can be mounted on"):
        await host.started("true", mounts=(bind,))


async def test_mount__on_what_lxcfs_shows__is_taken(host, tmp_path) -> None:
    (tmp_path / "uptime").write_text("1 1\n")
    bind = container.BindMount(str(tmp_path / "uptime"), "/proc/uptime", read_only=True)
    assert (await host.run("cat /proc/uptime", mounts=(bind,))).output == "1 1\n"


async def test_abstract_sockets__of_the_host__are_none_of_ours(host) -> None:
    """CVE-2020-15257: whoever shares the host's network could command the monitor of another's container."""
    before = _abstract_sockets()
    await host.started("sleep 1000")
    ended = await host.run("busybox grep -c @ /proc/net/unix", name="other", **HOSTS_NETWORK)
    assert _abstract_sockets() - before == set()
    assert int(ended.output) <= len(before) + 1


def _abstract_sockets() -> set[str]:
    lines = pathlib.Path("/proc/net/unix").read_text().splitlines()
    return {line.split()[-1] for line in lines if line.split()[-1].startswith("@")}


async def test_files_of_containers__are_out_of_reach_for_users_of_the_host() -> None:
    """CVE-2021-41091, CVE-2021-41103, CVE-2024-25621: a set-uid program in a container's files is one on the host."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)  # as /var/lib and /run are: it is our own folders that have to be closed
        async with native.opened(folder) as host:
            sets_uid = "busybox cp /bin/busybox /tmp/root; busybox chmod 4755 /tmp/root; echo done; sleep 1000"
            identity = await host.started(sets_uid)
            await host.wait_for_line(identity, "done")
            where = host.runtime.engine.where
            programs = list(where.root.glob("containers/*/upper/tmp/root"))
            assert len(programs) == 1
            assert not any(where.bundles.glob("*/rootfs/*")), "the host has no mount of a container that runs"
            assert "Permission denied" not in _seen_by_nobody(where.root)
            for path in (*programs, where.volumes, where.content, where.oci_runtime, where.identity(identity)):
                assert "Permission denied" in _seen_by_nobody(path), path


def _seen_by_nobody(path: pathlib.Path) -> str:
    words = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "stat", str(path)]
    return subprocess.run(words, check=False, capture_output=True, text=True).stderr


async def test_exec__of_another_user__has_no_inheritable_capability(either) -> None:
    """CVE-2022-24769, CVE-2022-27649, CVE-2022-27650, CVE-2022-29162: file capabilities would come into force."""
    identity = await either.started("sleep 1000")
    for who in ("", "1000:1000"):
        output, _ = await either.exec(
            identity, "/bin/sh", "-c", "busybox grep -E 'CapInh|CapAmb' /proc/self/status", user=who
        )
        assert {line.split()[1] for line in output.splitlines()} == {"0" * 16}


async def test_cgroups__cannot_be_mounted_anew_nor_told_what_to_run(either) -> None:
    """CVE-2022-0492: the kernel runs ``release_agent`` as root of the host."""
    script = (
        "busybox mkdir -p /tmp/c; busybox mount -t cgroup -o rdma none /tmp/c && echo mounted; "
        "busybox unshare -UrmC busybox mount -t cgroup -o rdma none /tmp/c && echo mounted; "
        "for file in $(busybox find /sys/fs/cgroup -name release_agent -o -name notify_on_release); do "
        "echo /x > $file && echo written; done; echo end"
    )
    output = (await either.run(script)).output
    assert output.endswith("end\n")
    assert "mounted" not in output.replace("is not mounted", "")
    assert "written" not in output
