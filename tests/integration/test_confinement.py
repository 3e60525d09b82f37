"""What a container may do, seen from inside of one: the kernel's own word for it, not the configuration's."""

import dataclasses
import pathlib
from collections.abc import AsyncIterator

import pytest

from agent.engine.cgroups import hierarchy
from agent.model import container
from agent.runtime import api
from tests.integration import native

pytestmark = pytest.mark.root

DOCKERS = 0xA80425FB
"""Docker's fourteen capabilities as the kernel's mask."""
NET_BIND_SERVICE = 1 << 10
SYS_ADMIN = 1 << 21
STATUS = "busybox grep -E '^(Cap|Seccomp:|NoNewPrivs)' /proc/self/status"
ADMIN = dataclasses.replace(
    native.SECURITY, cap_add=("SYS_ADMIN",), seccomp=container.SeccompProfile.UNCONFINED, no_new_privileges=False
)
UNLIMITED = container.Resources(None, None, None, None)


@pytest.fixture
async def host(tmp_path: pathlib.Path) -> AsyncIterator[native.Host]:
    """Start a native runtime."""
    async with native.opened(tmp_path) as opened:
        yield opened


def security(**fields: object) -> container.Security:
    """Return the default security with changes."""
    return dataclasses.replace(native.SECURITY, **fields)


def status(text: str) -> dict[str, int]:
    """Read lines of /proc/PID/status that are numbers."""
    pairs = (line.split(":\t") for line in text.splitlines())
    return {name: int(number, 16) for name, number in pairs}


async def test_default__has_dockers_capabilities_and_walls(host) -> None:
    ended = await host.run(STATUS)
    assert status(ended.output) == {
        "CapInh": 0,
        "CapPrm": DOCKERS,
        "CapEff": DOCKERS,
        "CapBnd": DOCKERS,
        "CapAmb": 0,
        "NoNewPrivs": 1,
        "Seccomp": 2,
    }


async def test_exec__has_the_same_walls(host) -> None:
    identity = await host.started("sleep 1000")
    output, _ = await host.exec(identity, "/bin/sh", "-c", STATUS)
    fields = status(output)
    assert (fields["CapEff"], fields["CapBnd"], fields["NoNewPrivs"], fields["Seccomp"]) == (DOCKERS, DOCKERS, 1, 2)


async def test_capabilities__all_dropped_and_one_added__is_just_that(host) -> None:
    ended = await host.run(STATUS, security=security(cap_drop=("ALL",), cap_add=("NET_BIND_SERVICE",)))
    fields = status(ended.output)
    assert {fields[name] for name in ("CapPrm", "CapEff", "CapBnd")} == {NET_BIND_SERVICE}
    ended = await host.run("busybox chown 1 /tmp; echo $?", security=security(cap_drop=("ALL",)))
    assert ended.output.splitlines() == ["chown: /tmp: Operation not permitted", "1"]


async def test_user_who_is_not_root__has_no_capability_in_force(host) -> None:
    ended = await host.run(STATUS, security=security(user="1000:1000"))
    fields = status(ended.output)
    assert (fields["CapPrm"], fields["CapEff"], fields["CapAmb"], fields["CapBnd"]) == (0, 0, 0, DOCKERS)


async def test_unconfined_admin__has_what_was_asked_for_and_no_more(host) -> None:
    fields = status((await host.run(STATUS, security=ADMIN)).output)
    assert (fields["CapEff"], fields["NoNewPrivs"], fields["Seccomp"]) == (DOCKERS | SYS_ADMIN, 0, 0)


async def test_read_only_root__refuses_writes__and_a_tmpfs_takes_them(host) -> None:
    ended = await host.run(
        "echo x > /etc/x; echo $?; echo y > /scratch/y; echo $?; busybox df -k /scratch | busybox tail -n 1",
        security=security(read_only_rootfs=True),
        mounts=(container.TmpfsMount("/scratch", 1 << 20),),
    )
    refused, first, second, size = ended.output.splitlines()
    assert (refused, first, second) == ("/bin/sh: can't create /etc/x: Read-only file system", "1", "0")
    assert size.split()[1] == "1024"


async def test_root__writable__is_the_containers_own(host) -> None:
    identity = await host.started("echo x > /etc/x && echo done; sleep 1000")
    await host.wait_for_line(identity, "done")
    assert (await host.run("ls /etc/x; echo $?", name="other")).output.splitlines()[-1] == "1"


@pytest.mark.parametrize("path", ["/proc/keys", "/proc/timer_list"])
async def test_masked_file__is_empty(host, path: str) -> None:
    assert pathlib.Path(path).exists()
    assert (await host.run(f"busybox head -c 10 {path} | busybox wc -c")).output == "0\n"


async def test_masked_folder__is_empty(host) -> None:
    ended = await host.run("ls /sys/firmware | busybox wc -l; ls /proc/scsi /proc/acpi 2> /dev/null")
    assert [line for line in ended.output.splitlines() if line and not line.startswith("/proc/")] == ["0"]


@pytest.mark.parametrize(
    "path", ["/proc/sys/kernel/domainname", "/proc/sys/vm/drop_caches", "/proc/irq/default_smp_affinity"]
)
async def test_read_only_path__refuses_writes(host, path: str) -> None:
    ended = await host.run(f"echo x > {path}", security=security(cap_add=("ALL",)))
    assert (ended.output, ended.code) == (f"/bin/sh: can't create {path}: Read-only file system\n", 1)


async def test_sys__is_read_only(host) -> None:
    controller = "/sys/fs/cgroup/pids/x" if hierarchy.of_host().legacy else "/sys/fs/cgroup/x"
    ended = await host.run(f"busybox mkdir {controller}; echo 1 > /sys/kernel/profiling", security=ADMIN)
    assert ended.output.splitlines() == [
        f"mkdir: can't create directory '{controller}': Read-only file system",
        "/bin/sh: can't create /sys/kernel/profiling: Read-only file system",
    ]


@pytest.mark.parametrize("folder", ["/tmp", "/dev"])
async def test_device__of_the_host__is_refused_by_the_cgroup(host, folder: str) -> None:
    ended = await host.run(f"busybox mknod {folder}/b b 7 0 && echo made; cat {folder}/b; cat /dev/null && echo null")
    assert ended.output.splitlines() == ["made", f"cat: can't open '{folder}/b': Operation not permitted", "null"]


async def test_device__made_in_a_container__is_out_of_reach_for_the_hosts_users(host) -> None:
    identity = await host.started("busybox mknod /tmp/null c 1 3 && echo made; sleep 1000")
    await host.wait_for_line(identity, "made")
    where = host.runtime.engine.where
    assert (where.containers / identity / "upper/tmp/null").is_char_device()
    assert where.containers.stat().st_mode & 0o077 == 0
    assert list((where.bundles / identity / "rootfs").iterdir()) == []


async def test_device__in_memory_of_its_own__is_dead_in_the_container(host) -> None:
    memory = (container.TmpfsMount("/scratch", 1 << 20),)
    ended = await host.run("busybox mknod /scratch/null c 1 3; cat /dev/null; cat /scratch/null", mounts=memory)
    assert ended.output == "cat: can't open '/scratch/null': Permission denied\n"


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("busybox unshare -U true", "unshare: unshare(0x10000000): Operation not permitted"),
        ("busybox unshare -m true", "unshare: unshare(0x20000): Operation not permitted"),
        ("busybox mount -t tmpfs none /tmp", "mount: permission denied (are you root?)"),
    ],
)
async def test_seccomp__refuses_what_only_admins_may(host, command: str, expected: str) -> None:
    ended = await host.run(command)
    assert (ended.output, ended.code) == (f"{expected}\n", 1)


async def test_seccomp__a_new_user_namespace__is_open_only_without_it(host) -> None:
    free = security(seccomp=container.SeccompProfile.UNCONFINED)
    ended = await host.run("busybox unshare -U true; echo $?", security=free)
    assert ended.output == "0\n"


@pytest.mark.parametrize(
    "command", ["busybox unshare -m true", "busybox mount -t tmpfs none /tmp && busybox umount /tmp"]
)
async def test_unconfined_admin__may_what_the_profile_refuses(host, command: str) -> None:
    ended = await host.run(command, security=ADMIN)
    assert (ended.output, ended.code) == ("", 0)


async def test_admin_by_capability__has_the_calls_for_it(host) -> None:
    ended = await host.run("busybox unshare -m true", security=security(cap_add=("SYS_ADMIN",)))
    assert (ended.output, ended.code) == ("", 0)


async def test_pids__more_than_allowed__cannot_be_forked(host) -> None:
    forks = "for n in 1 2 3 4 5 6; do sleep 1000 & echo $n; done"
    ended = await host.run(forks, resources=dataclasses.replace(UNLIMITED, pids=4))
    assert ended.output == "1\n2\n3\n/bin/sh: can't fork: Resource temporarily unavailable\n"
    assert ended.code == 2


async def test_pids__no_limit_asked_for__is_the_default_and_no_change_behind_our_back(host) -> None:
    identity = await host.started("sleep 1000")
    assert host.cgroup_file(identity, "pids", "pids.max") == "4096"
    assert (await host.observe(identity)).config.resources.pids is None
    for pids, in_force in ((50, "50"), (None, "4096"), (4096, "4096")):
        change = api.ContainerChange(resources=dataclasses.replace(UNLIMITED, pids=pids))
        await host.runtime.containers.update(identity, change)
        assert host.cgroup_file(identity, "pids", "pids.max") == in_force
        assert (await host.observe(identity)).config.resources.pids == pids


async def test_memory__more_than_allowed__is_seen_as_killed_for_it(host) -> None:
    eats = "x=a; while :; do x=$x$x; done"
    ended = await host.run(eats, resources=dataclasses.replace(UNLIMITED, memory=16 << 20))
    assert (ended.code, ended.oom_killed) == (137, True)


@pytest.mark.parametrize("code", [0, 1])
async def test_memory__a_child_is_killed_for_it__is_no_such_end_of_the_container(host, code: int) -> None:
    eats = f"(x=a; while :; do x=$x$x; done); echo $?; exit {code}"
    ended = await host.run(eats, resources=dataclasses.replace(UNLIMITED, memory=16 << 20))
    assert (ended.code, ended.oom_killed) == (code, False)
    assert ended.output.endswith("137\n")


async def test_memory__a_child_was_killed_for_it_and_then_it_is_stopped__is_no_such_end(host) -> None:
    script = "trap '' TERM; (x=a; while :; do x=$x$x; done); echo survived; while :; do sleep 0.1; done"
    identity = await host.started(script, resources=dataclasses.replace(UNLIMITED, memory=16 << 20))
    await host.wait_for_line(identity, "survived")
    await host.runtime.containers.stop(identity, container.StopConfig("SIGTERM", 0.1))
    ended = await host.ended(identity)
    assert (ended.code, ended.oom_killed) == (137, False)


async def test_memory__killed_by_somebody_else__is_not_seen_as_such(host) -> None:
    identity = await host.started("sleep 1000", resources=dataclasses.replace(UNLIMITED, memory=16 << 20))
    await host.runtime.containers.kill(identity, "SIGKILL")
    ended = await host.ended(identity)
    assert (ended.code, ended.oom_killed) == (137, False)


async def test_limits__are_in_the_cgroup(host) -> None:
    identity = await host.started("sleep 1000", resources=container.Resources(250, 32 << 20, 16 << 20, 50))
    assert host.cgroup_file(identity, "cpu", "cpu.cfs_quota_us", "cpu.max").split()[0] == "25000"
    assert host.cgroup_file(identity, "memory", "memory.limit_in_bytes", "memory.max") == str(32 << 20)
    assert host.cgroup_file(identity, "memory", "memory.soft_limit_in_bytes", "memory.low") == str(16 << 20)
    assert host.cgroup_file(identity, "pids", "pids.max") == "50"
