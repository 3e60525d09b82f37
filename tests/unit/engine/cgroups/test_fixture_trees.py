"""Figures and limits of one container, the same from v1, hybrid and v2 hosts: trees of files as their kernels show."""

import os
import pathlib
from collections.abc import Callable

import pytest

from agent.engine.cgroups import hierarchy, limits, tree, usage
from agent.engine.spec import container as container_spec
from tests.unit.engine.cgroups import trees

LIMITED = container_spec.Limits(cpu_millis=500, memory=64 << 20, memory_reservation=32 << 20, pids=20)
NO_PROCESS = 2**22 + 1
"""Above the kernel's largest pid."""
Make = Callable[[pathlib.Path], hierarchy.Hierarchy]


def hybrid(root: pathlib.Path) -> hierarchy.Hierarchy:
    """Make a host with v2 beside v1."""
    return trees.v1(root, unified=True)


def beside_a_vpn(root: pathlib.Path) -> hierarchy.Hierarchy:
    """Make a v2 host with a v1 hierarchy that limits nothing."""
    return trees.v2(root, vpn=True)


every_host = pytest.mark.parametrize("make", [trees.v1, hybrid, trees.v2, beside_a_vpn])
legacy_hosts = pytest.mark.parametrize("make", [trees.v1, hybrid])
unified_hosts = pytest.mark.parametrize("make", [trees.v2, beside_a_vpn])


def files(host: hierarchy.Hierarchy, *names: str) -> dict[str, str]:
    """Read files of the container's cgroup, by ``controller/file``."""
    contents = {}
    for name in names:
        controller, _, file = name.partition("/")
        directory = host.directory(controller, trees.CGROUP)
        assert directory is not None
        contents[name] = (directory / file).read_text()
    return contents


@pytest.mark.parametrize(
    ("make", "mode"), [(trees.v1, "v1"), (hybrid, "hybrid"), (trees.v2, "v2"), (beside_a_vpn, "v2")]
)
def test_parse__says_which_hierarchy_counts(make: Make, mode: str, tmp_path) -> None:
    assert make(tmp_path).mode == mode


@legacy_hosts
def test_directory__of_v1__is_the_controllers_own(make: Make, tmp_path) -> None:
    host = make(tmp_path)
    assert host.directory("memory", "a/b") == tmp_path / "memory/a/b"
    assert host.directory("cpu", "a") == host.directory("cpuacct", "a") == tmp_path / "cpu,cpuacct/a"
    assert host.directory("name=systemd", "a") == tmp_path / "systemd/a"
    assert host.directory("hugetlb", "a") is None


@unified_hosts
def test_directory__of_v2__is_the_one_for_all(make: Make, tmp_path) -> None:
    host = make(tmp_path)
    assert {host.directory(name, "a") for name in ("cpu", "memory", "pids")} == {tmp_path / "all/a"}


def test_roots__are_all_mount_points_once(tmp_path) -> None:
    names = ("blkio", "cpu,cpuacct", "cpuset", "devices", "freezer", "memory", "pids", "systemd", "unified")
    assert hybrid(tmp_path).roots() == tuple(tmp_path / name for name in names)


@pytest.mark.parametrize("mountinfo", ["", "garbage", "1 2 3 - cgroup", "36 35 98:0 / /mnt rw - ext4 /dev/sda rw"])
def test_parse__no_cgroups__controls_nothing(mountinfo: str) -> None:
    host = hierarchy.parse(mountinfo)
    assert host.directory("memory", "a") is None
    assert host.v2 is None


def test_parse__several_mounts_of_one__takes_the_first() -> None:
    lines = ("1 0 0:1 / /first rw - cgroup2 cgroup2 rw", "2 0 0:1 / /second rw - cgroup2 cgroup2 rw")
    assert hierarchy.parse("\n".join(lines)).v2 == "/first"
    lines = ("1 0 0:1 / /first rw - cgroup cgroup rw,pids", "2 0 0:1 / /second rw - cgroup cgroup rw,pids")
    assert hierarchy.parse("\n".join(lines)).v1 == (("pids", "/first"),)


@every_host
def test_usage__is_counted_as_cadvisor_counts(make: Make, tmp_path) -> None:
    own = usage.parse_interfaces(pathlib.Path("/proc/self/net/dev").read_text())
    usage_read = usage.read(make(tmp_path), trees.CGROUP, pid=os.getpid())
    assert usage_read is not None
    assert {interface.name for interface in usage_read.interfaces} == {own_interface.name for own_interface in own}
    assert (usage_read.cpu_seconds, usage_read.memory_usage, usage_read.memory_working_set) == (2.5, 20 << 20, 16 << 20)
    assert (usage_read.memory_limit, usage_read.pids, usage_read.oom_kills) == (64 << 20, 7, 3)


@pytest.mark.parametrize(
    ("make", "file", "unlimited"),
    [
        (trees.v1, "memory/memory.limit_in_bytes", "9223372036854771712\n"),
        (trees.v2, "memory/memory.max", "max\n"),
    ],
)
def test_usage__no_limit__says_none(make: Make, file: str, unlimited: str, tmp_path) -> None:
    host = make(tmp_path)
    _write(host, file, unlimited)
    usage_read = usage.read(host, trees.CGROUP, pid=os.getpid())
    assert usage_read is not None
    assert usage_read.memory_limit is None


@pytest.mark.parametrize(
    ("make", "line"), [(trees.v1, "total_inactive_file 99999999\n"), (trees.v2, "inactive_file 99999999\n")]
)
def test_usage__more_cache_than_usage__has_no_negative_working_set(make: Make, line: str, tmp_path) -> None:
    host = make(tmp_path)
    _write(host, "memory/memory.stat", line)
    usage_read = usage.read(host, trees.CGROUP, pid=os.getpid())
    assert usage_read is not None
    assert usage_read.memory_working_set == 0


@every_host
def test_usage__container_that_has_just_ended__is_none(make: Make, tmp_path) -> None:
    host = make(tmp_path)
    assert usage.read(host, trees.CGROUP, pid=NO_PROCESS) is None
    assert usage.read(host, "trimtab-0/gone", pid=os.getpid()) is None


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
        usage.Interface("eth0", 1000, 11, 1, 2, 2000, 22, 3, 4),
        usage.Interface("eth1", 5, 6, 7, 8, 13, 14, 15, 16),
    )


@every_host
def test_oom_kills__are_counted__and_none_where_the_cgroup_is_gone(make: Make, tmp_path) -> None:
    host = make(tmp_path)
    assert usage.oom_kills(host, trees.CGROUP) == 3
    assert usage.oom_kills(host, "trimtab-0/gone") == 0
    assert usage.oom_kills(hierarchy.parse(""), trees.CGROUP) == 0


@every_host
def test_limits_found__are_those_in_force(make: Make, tmp_path) -> None:
    assert limits.effective(make(tmp_path), trees.CGROUP, container_spec.Limits()) == LIMITED


@pytest.mark.parametrize(
    ("make", "unlimited"),
    [
        (
            trees.v1,
            {
                "cpu/cpu.cfs_quota_us": "-1\n",
                "memory/memory.limit_in_bytes": "9223372036854771712\n",
                "memory/memory.soft_limit_in_bytes": "9223372036854771712\n",
                "pids/pids.max": "max\n",
            },
        ),
        (
            trees.v2,
            {
                "cpu/cpu.max": "max 100000\n",
                "memory/memory.max": "max\n",
                "memory/memory.low": "0\n",
                "pids/pids.max": "max\n",
            },
        ),
    ],
)
def test_limits_found__all_lifted_behind_our_back__are_none(make: Make, unlimited: dict[str, str], tmp_path) -> None:
    host = make(tmp_path)
    for name, text in unlimited.items():
        _write(host, name, text)
    assert limits.effective(host, trees.CGROUP, LIMITED) == container_spec.Limits()


@every_host
def test_limits_found__rounded_to_pages_by_the_kernel__count_as_wanted(make: Make, tmp_path) -> None:
    requested = container_spec.Limits(500, (64 << 20) + 4095, (32 << 20) + 1, 20)
    assert limits.effective(make(tmp_path), trees.CGROUP, requested) == requested


@every_host
def test_limits_found__cannot_be_read__count_as_wanted(make: Make, tmp_path) -> None:
    requested = container_spec.Limits(cpu_millis=1)
    host = make(tmp_path)
    assert limits.effective(host, "trimtab-0/gone", requested) == requested
    _write(host, "pids/pids.max", "nonsense\n")
    assert limits.effective(host, trees.CGROUP, requested) == requested
    assert limits.effective(hierarchy.parse(""), trees.CGROUP, requested) == requested


@every_host
@pytest.mark.parametrize(
    "requested",
    [
        container_spec.Limits(250, 32 << 20, 16 << 20, 10),
        container_spec.Limits(2000, 128 << 20, 64 << 20, 1000),
        container_spec.Limits(pids=5),
        container_spec.Limits(cpu_millis=1500),
    ],
)
def test_limits_applied__are_found_again(make: Make, requested: container_spec.Limits, tmp_path) -> None:
    host = make(tmp_path)
    limits.apply(host, trees.CGROUP, requested)
    assert limits.effective(host, trees.CGROUP, LIMITED) == requested


@unified_hosts
def test_limits_applied__on_v2__are_its_files(make: Make, tmp_path) -> None:
    host = make(tmp_path)
    names = ("cpu/cpu.max", "memory/memory.max", "memory/memory.swap.max", "memory/memory.low", "pids/pids.max")
    limits.apply(host, trees.CGROUP, container_spec.Limits(250, 4096, 2048, 9))
    assert tuple(files(host, *names).values()) == ("25000 100000", "4096", "0", "2048", "9")
    limits.apply(host, trees.CGROUP, container_spec.Limits())
    assert tuple(files(host, *names).values()) == ("max 100000", "max", "max", "0", "max")


@legacy_hosts
def test_limits_applied__on_v1__are_its_files(make: Make, tmp_path) -> None:
    host = make(tmp_path)
    names = (
        *("cpu/cpu.cfs_period_us", "cpu/cpu.cfs_quota_us", "memory/memory.limit_in_bytes"),
        *("memory/memory.memsw.limit_in_bytes", "memory/memory.soft_limit_in_bytes", "pids/pids.max"),
    )
    limits.apply(host, trees.CGROUP, container_spec.Limits(250, 4096, 2048, 9))
    assert tuple(files(host, *names).values()) == ("100000", "25000", "4096", "4096", "2048", "9")
    limits.apply(host, trees.CGROUP, container_spec.Limits())
    assert tuple(files(host, *names).values()) == ("100000", "-1", "-1", "-1", "-1", "max")


@pytest.mark.parametrize(
    ("make", "file"),
    [(trees.v1, "memory/memory.memsw.limit_in_bytes"), (trees.v2, "memory/memory.swap.max")],
)
def test_limits_applied__kernel_without_swap_accounting__leaves_it_out(make: Make, file: str, tmp_path) -> None:
    host = make(tmp_path)
    path = tmp_path.joinpath("memory" if make is trees.v1 else "all", trees.CGROUP, file.partition("/")[2])
    path.unlink()
    limits.apply(host, trees.CGROUP, container_spec.Limits(memory=8192))
    assert not path.exists()
    assert limits.effective(host, trees.CGROUP, container_spec.Limits()).memory == 8192


@every_host
def test_limits_applied__container_is_gone__is_an_os_error(make: Make, tmp_path) -> None:
    with pytest.raises(FileNotFoundError):
        limits.apply(make(tmp_path), "trimtab-0/gone", LIMITED)


@pytest.mark.parametrize(("make", "places"), [(trees.v1, 8), (hybrid, 9), (trees.v2, 1)])
def test_tree__what_is_below_and_itself__in_every_hierarchy(make: Make, places: int, tmp_path) -> None:
    host = make(tmp_path)
    assert len(tree.below(host, "trimtab-0")) == places
    assert {path.name for path in tree.below(host, "trimtab-0")} == {"web"}
    assert len(tree.itself(host, "trimtab-0")) == places
    assert tree.below(host, "trimtab-9") == tree.itself(host, "trimtab-9") == []


def test_tree__removed__is_gone_with_those_below_it(tmp_path) -> None:
    (tmp_path / "web/a/b").mkdir(parents=True)
    (tmp_path / "web/c").mkdir()
    tree.remove(tmp_path / "web")
    tree.remove(tmp_path / "web")
    assert list(tmp_path.iterdir()) == []


def test_tree__parent__goes_only_where_nothing_is_below(tmp_path) -> None:
    (tmp_path / "all/trimtab-0/web").mkdir(parents=True)
    host = hierarchy.Hierarchy((), str(tmp_path / "all"))
    tree.remove_parent(host, "trimtab-0")
    assert (tmp_path / "all/trimtab-0/web").is_dir()
    (tmp_path / "all/trimtab-0/web").rmdir()
    tree.remove_parent(host, "trimtab-0")
    tree.remove_parent(host, "trimtab-0")
    assert not (tmp_path / "all/trimtab-0").exists()


def _write(host: hierarchy.Hierarchy, name: str, text: str) -> None:
    controller, _, file = name.partition("/")
    directory = host.directory(controller, trees.CGROUP)
    assert directory is not None
    (directory / file).write_text(text)
