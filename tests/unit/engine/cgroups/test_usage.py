"""Figures of one container, the same from v1, hybrid and v2 hosts, and left out where the kernel does not tell them."""

import dataclasses
import os
import pathlib

import pytest

from agent.engine.cgroups import block_io, hierarchy, kernel_files, usage, usage_v2
from agent.kit import resource_usage
from tests.unit.engine.cgroups import trees

NO_PROCESS = 2**22 + 1
"""Above the kernel's largest pid."""
CPU = resource_usage.Cpu(2.5, 2.0, 0.5)
THROTTLING = resource_usage.Throttling(40, 10, 1.5)
MEMORY = resource_usage.Memory(20 << 20, 16 << 20, 64 << 20, 10 << 20, 8 << 20, 4096, 2 << 20, 64 << 20)
DEVICES = (resource_usage.Device("4093:77", 512, 0, 1, 0), resource_usage.Device("8:0", 8192, 4096, 2, 1))
"""Devices that this host does not have under these numbers keep them."""


@pytest.fixture(autouse=True)
def no_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the numbers of devices be their names: which ones this host has does not matter."""
    monkeypatch.setattr(block_io, "device_name", str)


def read(host: hierarchy.Hierarchy, *, has_quota: bool = True) -> resource_usage.Usage:
    """Read the usage of the container."""
    used = usage.Reader(host).read(trees.CGROUP, os.getpid(), has_quota=has_quota)
    assert used is not None
    return used


def without_interfaces(used: resource_usage.Usage) -> resource_usage.Usage:
    """Leave out what is this process's own."""
    return dataclasses.replace(used, interfaces=())


@trees.every_host
def test_usage__is_counted_as_cadvisor_counts(make: trees.Make, tmp_path) -> None:
    used = read(make(tmp_path))
    own = usage.parse_interfaces(pathlib.Path("/proc/self/net/dev").read_text())
    assert {interface.name for interface in used.interfaces} == {interface.name for interface in own}
    assert without_interfaces(used) == resource_usage.Usage(
        cgroup="/trimtab-0/web",
        cpu=CPU,
        throttling=THROTTLING,
        cpu_shares=1024,
        memory=MEMORY,
        processes=3,
        threads=7,
        oom_kills=3,
        devices=DEVICES,
    )


@trees.every_host
def test_usage__no_quota__nothing_is_throttled(make: trees.Make, tmp_path) -> None:
    used = read(make(tmp_path), has_quota=False)
    assert (used.cpu, used.throttling) == (CPU, None)


@pytest.mark.parametrize(
    ("make", "file", "unlimited"),
    [
        (
            trees.v1,
            "memory/memory.stat",
            "hierarchical_memory_limit 9223372036854771712\nhierarchical_memsw_limit 9223372036854771712\n",
        ),
        (trees.v2, "memory/memory.max", "max\n"),
    ],
)
def test_usage__no_limit__says_none(make: trees.Make, file: str, unlimited: str, tmp_path) -> None:
    host = make(tmp_path)
    trees.write(host, file, unlimited)
    memory = read(host).memory
    assert memory is not None
    assert (memory.limit, memory.swap_limit) == (None, 0)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (trees.v1, "hierarchical_memory_limit 1\ntotal_inactive_file 99999999\n"),
        (trees.v2, "inactive_file 99999999\n"),
    ],
)
def test_usage__more_cache_than_usage__has_no_negative_working_set(make: trees.Make, text: str, tmp_path) -> None:
    host = make(tmp_path)
    trees.write(host, "memory/memory.stat", text)
    memory = read(host).memory
    assert memory is not None
    assert memory.working_set == 0
    assert (memory.rss, memory.cache, memory.mapped_file) == (None, None, None)


@pytest.mark.parametrize("swap", ["1048576\n", "max\n"])
def test_usage__swap_is_granted_on_v2__limit_is_of_both_together(swap: str, tmp_path) -> None:
    host = trees.v2(tmp_path)
    trees.write(host, "memory/memory.swap.max", swap)
    memory = read(host).memory
    assert memory is not None
    assert memory.swap_limit == (0 if swap == "max\n" else 65 << 20)


def test_usage__kernel_does_not_count_swap_on_v1__leaves_it_out(tmp_path) -> None:
    host = trees.v1(tmp_path)
    trees.write(host, "memory/memory.stat", "hierarchical_memory_limit 4096\ntotal_rss 5\n")
    assert read(host).memory == resource_usage.Memory(20 << 20, 20 << 20, 4096, rss=5)


def test_usage__kernel_does_not_count_swap_on_v2__leaves_it_out(tmp_path) -> None:
    host = trees.v2(tmp_path)
    for name in ("memory.swap.current", "memory.swap.max"):
        (tmp_path / "all" / trees.CGROUP / name).unlink()
    assert read(host).memory == dataclasses.replace(MEMORY, swap=None, swap_limit=None)


@trees.every_host
def test_usage__container_that_has_just_ended__is_none(make: trees.Make, tmp_path) -> None:
    reader = usage.Reader(make(tmp_path))
    assert reader.read(trees.CGROUP, NO_PROCESS, has_quota=False) is None
    assert reader.read("trimtab-0/gone", os.getpid(), has_quota=False) is None
    assert usage.Reader(hierarchy.parse("")).read(trees.CGROUP, os.getpid(), has_quota=False) is None


@pytest.mark.parametrize(
    ("controller", "absent"),
    [
        ("cpu,cpuacct", {"cpu": None, "throttling": None, "cpu_shares": None}),
        ("memory", {"memory": None, "oom_kills": None}),
        ("pids", {"processes": None, "threads": None}),
        ("blkio", {"devices": ()}),
    ],
)
def test_usage__controller_is_not_mounted_on_v1__its_figures_are_left_out(controller: str, absent, tmp_path) -> None:
    host = trees.v1(tmp_path)
    every = read(host)
    mounted = tuple((name, point) for name, point in host.v1 if name not in controller.split(","))
    assert read(hierarchy.Hierarchy(mounted, None)) == dataclasses.replace(every, **absent)


@pytest.mark.parametrize(
    ("prefix", "absent"),
    [
        ("cpu.w", {"cpu_shares": None}),
        ("memory.", {"memory": None, "oom_kills": None}),
        ("pids.", {"threads": None}),
        ("io.", {"devices": ()}),
    ],
)
def test_usage__controller_is_not_delegated_on_v2__its_figures_are_left_out(prefix: str, absent, tmp_path) -> None:
    host = trees.v2(tmp_path)
    every = read(host)
    for path in (tmp_path / "all" / trees.CGROUP).glob(f"{prefix}*"):
        path.unlink()
    assert read(host) == dataclasses.replace(every, **absent)


def test_usage__cpu_is_not_controlled_on_v2__its_time_is_counted_all_the_same(tmp_path) -> None:
    host = trees.v2(tmp_path)
    trees.write(host, "cpu/cpu.stat", "usage_usec 2500000\nuser_usec 2000000\nsystem_usec 500000\n")
    assert (read(host).cpu, read(host).throttling) == (CPU, None)


@trees.every_host
@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"nonsense", b"usage_usec x\nuser y\n", b"\xff\xfe\x00", b"-\n", b"8:0 rbytes=x\n8:0 Read x\n"],
)
def test_usage__files_are_not_as_the_kernel_writes_them__their_figures_are_left_out(
    make: trees.Make, content: bytes, tmp_path
) -> None:
    host = make(tmp_path)
    for path in tmp_path.glob(f"*/{trees.CGROUP}/*"):
        path.write_bytes(content)
    used = read(host)
    assert dataclasses.replace(used, interfaces=(), processes=None) == resource_usage.Usage(cgroup="/trimtab-0/web")


@trees.every_host
def test_usage__every_process_is_in_a_cgroup_below__does_not_say_that_there_is_none(make: trees.Make, tmp_path) -> None:
    host = make(tmp_path)
    trees.write(host, "pids/cgroup.procs", "")
    assert read(host).processes is None


def test_line_count__file_larger_than_one_read__is_whole(tmp_path) -> None:
    path = tmp_path / "cgroup.procs"
    path.write_text("4194305\n" * 20_000)
    assert kernel_files.line_count(str(path)) == 20_000


@pytest.mark.parametrize(("weight", "shares"), [(1, 2), (100, 1024), (10_000, 262_144), (59, 512), (173, 2048)])
def test_shares__of_v2__are_those_that_have_this_weight(weight: int, shares: int, tmp_path) -> None:
    (tmp_path / "cpu.weight").write_text(f"{weight}\n")
    assert usage_v2.cpu_shares(str(tmp_path)) == pytest.approx(shares, rel=0.03)


def test_devices__nothing_is_throttled_and_bfq_counts__are_those_of_bfq(tmp_path) -> None:
    host = trees.v1(tmp_path)
    for name in ("io_service_bytes", "io_serviced"):
        counted = (tmp_path / "blkio" / trees.CGROUP / f"blkio.throttle.{name}_recursive").read_text()
        trees.write(host, f"blkio/blkio.bfq.{name}_recursive", counted)
        trees.write(host, f"blkio/blkio.throttle.{name}_recursive", "Total 0\n")
    assert read(host).devices == DEVICES


def test_devices__neither_counts__are_none(tmp_path) -> None:
    host = trees.v1(tmp_path)
    trees.write(host, "blkio/blkio.throttle.io_service_bytes_recursive", "Total 0\n")
    assert read(host).devices == ()


def test_devices__bytes_and_no_requests__say_no_requests(tmp_path) -> None:
    host = trees.v1(tmp_path)
    trees.write(host, "blkio/blkio.throttle.io_serviced_recursive", "Total 0\n")
    assert [(device.reads, device.writes) for device in read(host).devices] == [(0, 0), (0, 0)]


@pytest.mark.parametrize(
    "text",
    [
        "7:7 7:6 8:0 rbytes=8192 wbytes=4096 rios=2 wios=1 dbytes=0 dios=0\n",
        "7:7 \n8:0 rbytes=8192 wbytes=4096 rios=2 wios=1\n",
    ],
)
def test_devices__kernel_names_some_without_counters__are_the_others(text: str, tmp_path) -> None:
    host = trees.v2(tmp_path)
    trees.write(host, "blkio/io.stat", text)
    assert read(host).devices == (resource_usage.Device("8:0", 8192, 4096, 2, 1),)


def test_interfaces__are_all_but_loopback() -> None:
    text = (
        "Inter-|   Receive                        |  Transmit\n"
        " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls ...\n"
        "    lo:     100       2    0    0    0     0     0      0      100       2    0    0    0     0    0  0\n"
        "  eth0:    1000      11    1    2    0     0     0      0     2000      22    3    4    0     0    0  0\n"
        "eth1:5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20\n"
        "broken: 1 2 3\n"
    )
    assert usage.parse_interfaces(text) == (
        resource_usage.Interface("eth0", 1000, 11, 1, 2, 2000, 22, 3, 4),
        resource_usage.Interface("eth1", 5, 6, 7, 8, 13, 14, 15, 16),
    )


@trees.every_host
def test_oom_kills__are_counted__and_none_where_the_cgroup_is_gone(make: trees.Make, tmp_path) -> None:
    host = make(tmp_path)
    assert usage.oom_kills(host, trees.CGROUP) == 3
    assert usage.oom_kills(host, "trimtab-0/gone") == 0
    assert usage.oom_kills(hierarchy.parse(""), trees.CGROUP) == 0
