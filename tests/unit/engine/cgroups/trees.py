"""Cgroup mounts as hosts have them, written as plain files: what a v1, a hybrid and a v2 host show of one container."""

import pathlib
from collections.abc import Callable

import pytest

from agent.engine.cgroups import hierarchy

V1_CONTROLLERS = ("blkio", "cpu,cpuacct", "cpuset", "devices", "freezer", "memory", "pids")
CGROUP = "trimtab-0/web"
PROCESSES = "4194305\n4194306\n4194307\n"
"""Above the kernel's largest pid."""

V1_FILES = {
    "cpu,cpuacct/cpu.cfs_period_us": "100000\n",
    "cpu,cpuacct/cpu.cfs_quota_us": "50000\n",
    "cpu,cpuacct/cpu.shares": "1024\n",
    "cpu,cpuacct/cpu.stat": "nr_periods 40\nnr_throttled 10\nthrottled_time 1500000000\nnr_bursts 0\n",
    "cpu,cpuacct/cpuacct.usage": "2500000000\n",
    "cpu,cpuacct/cpuacct.stat": "user 200\nsystem 50\n",
    "blkio/blkio.throttle.io_service_bytes_recursive": "8:0 Read 8192\n8:0 Write 4096\n8:0 Sync 12288\n8:0 Async 0\n"
    "8:0 Discard 0\n8:0 Total 12288\n4093:77 Read 512\n4093:77 Total 512\nTotal 12800\n",
    "blkio/blkio.throttle.io_serviced_recursive": "8:0 Read 2\n8:0 Write 1\n8:0 Total 3\n4093:77 Read 1\nTotal 4\n",
    "memory/memory.usage_in_bytes": "20971520\n",
    "memory/memory.limit_in_bytes": "67108864\n",
    "memory/memory.memsw.limit_in_bytes": "67108864\n",
    "memory/memory.soft_limit_in_bytes": "33554432\n",
    "memory/memory.stat": "cache 9\nrss 8\nswap 7\nmapped_file 6\ninactive_file 1\nhierarchical x y\n"
    "hierarchical_memory_limit 67108864\nhierarchical_memsw_limit 67108864\ntotal_cache 8388608\ntotal_rss 10485760\n"
    "total_mapped_file 2097152\ntotal_swap 4096\ntotal_inactive_file 4194304\n",
    "memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n",
    "pids/pids.current": "7\n",
    "pids/pids.max": "20\n",
    "pids/cgroup.procs": PROCESSES,
}
V2_FILES = {
    "cpu.max": "50000 100000\n",
    "cgroup.procs": PROCESSES,
    "cpu.stat": "usage_usec 2500000\nuser_usec 2000000\nsystem_usec 500000\n"
    "nr_periods 40\nnr_throttled 10\nthrottled_usec 1500000\n",
    "cpu.weight": "100\n",
    "io.stat": "8:0 rbytes=8192 wbytes=4096 rios=2 wios=1 dbytes=0 dios=0\n4093:77 rbytes=512 wbytes=0 rios=1 wios=0\n",
    "memory.current": "20971520\n",
    "memory.max": "67108864\n",
    "memory.swap.max": "0\n",
    "memory.low": "33554432\n",
    "memory.swap.current": "4096\n",
    "memory.stat": "anon 10485760\nfile 8388608\nfile_mapped 2097152\ninactive_anon 3\ninactive_file 4194304\nslab 5\n",
    "memory.events": "low 0\nhigh 0\nmax 9\noom 3\noom_kill 3\noom_group_kill 0\n",
    "pids.current": "7\n",
    "pids.max": "20\n",
}


Make = Callable[[pathlib.Path], hierarchy.Hierarchy]
"""Makes a host below a folder."""


def v1(root: pathlib.Path, *, unified: bool = False) -> hierarchy.Hierarchy:
    """Make a host with a hierarchy a controller; ``unified``: a v2 hierarchy without controllers is beside them."""
    mounts = [
        f"{30 + n} 25 0:{n} / {root}/{name} rw,nosuid,nodev,noexec,relatime shared:{n} - cgroup cgroup rw,{name}"
        for n, name in enumerate(V1_CONTROLLERS)
    ]
    mounts.append(f"50 25 0:50 / {root}/systemd rw,relatime shared:50 - cgroup cgroup rw,xattr,name=systemd")
    for name in (*V1_CONTROLLERS, "systemd"):
        (root / name / CGROUP).mkdir(parents=True)
        (root / name / CGROUP / "cgroup.procs").write_text("")
    if unified:
        mounts.append(f"51 25 0:51 / {root}/unified rw,relatime shared:51 - cgroup2 cgroup2 rw,nsdelegate")
        (root / "unified" / CGROUP).mkdir(parents=True)
        (root / "unified" / CGROUP / "memory.max").write_text("not looked at")
    for name, text in V1_FILES.items():
        controller, _, file = name.partition("/")
        (root / controller / CGROUP / file).write_text(text)
    return hierarchy.parse(_mountinfo(root, mounts))


def v2(root: pathlib.Path, *, vpn: bool = False) -> hierarchy.Hierarchy:
    """Make a host with one hierarchy; ``vpn``: with a v1 hierarchy that limits nothing beside it."""
    mounts = [f"30 25 0:30 / {root}/all rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate"]
    if vpn:
        mounts.append(f"31 25 0:31 / {root}/net_cls rw,relatime shared:10 - cgroup net_cls rw,net_cls")
        (root / "net_cls").mkdir()
    (root / "all" / CGROUP).mkdir(parents=True)
    for name, text in V2_FILES.items():
        (root / "all" / CGROUP / name).write_text(text)
    return hierarchy.parse(_mountinfo(root, mounts))


def hybrid(root: pathlib.Path) -> hierarchy.Hierarchy:
    """Make a host with v2 beside v1."""
    return v1(root, unified=True)


def beside_a_vpn(root: pathlib.Path) -> hierarchy.Hierarchy:
    """Make a v2 host with a v1 hierarchy that limits nothing."""
    return v2(root, vpn=True)


every_host = pytest.mark.parametrize("make", [v1, hybrid, v2, beside_a_vpn])
legacy_hosts = pytest.mark.parametrize("make", [v1, hybrid])
unified_hosts = pytest.mark.parametrize("make", [v2, beside_a_vpn])


def write(host: hierarchy.Hierarchy, name: str, text: str) -> None:
    """Write a file of the container's cgroup, by ``controller/file``."""
    controller, _, file = name.partition("/")
    directory = host.directory(controller, CGROUP)
    assert directory is not None
    (directory / file).write_text(text)


def _mountinfo(root: pathlib.Path, mounts: list[str]) -> str:
    others = [
        "22 28 0:21 / /sys rw,nosuid,nodev,noexec,relatime shared:7 - sysfs sysfs rw",
        "28 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw,discard,errors=remount-ro",
        f"25 22 0:25 / {root} ro,nosuid,nodev,noexec shared:8 - tmpfs tmpfs ro,size=4096k,mode=755",
    ]
    return "".join(f"{line}\n" for line in [*others, *mounts])
