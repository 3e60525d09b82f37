"""Figures of real containers that use what is counted, as the metrics show them."""

import asyncio
import contextlib
import os
import pathlib
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from agent.engine.cgroups import hierarchy
from agent.kit import resource_usage
from agent.model import container
from agent.telemetry import cadvisor
from tests.integration import native

pytestmark = pytest.mark.root

MEGABYTE = 1 << 20
BUSY = "while :; do :; done"
CALLS = "exec busybox dd if=/dev/zero of=/dev/null bs=1"
"""Two system calls a byte."""
SEED = 1_000_000
"""Bytes of a file that is on the disk and in no cache."""
_PATIENCE = 15.0


@pytest.fixture
async def host(tmp_path: pathlib.Path) -> AsyncIterator[native.Host]:
    """Start a native runtime."""
    async with native.opened(tmp_path) as opened:
        yield opened


async def usage_once(
    host: native.Host, identity: str, condition: Callable[[resource_usage.Usage], bool]
) -> resource_usage.Usage:
    """Return a container's usage as soon as it is as it should be; the last one where that takes too long."""
    used = resource_usage.Usage()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE):
            while not condition(used):
                await asyncio.sleep(0.05)
                used = (await host.runtime.containers.stats())[identity]
    return used


async def series(host: native.Host, identity: str) -> dict[str, float]:
    """Return a container's samples by the metric's name."""
    used = (await host.runtime.containers.stats())[identity]
    return {name: value for name, _, value in cadvisor.samples(await host.observe(identity), used, time.time())}


async def test_id__is_the_cgroup_that_its_processes_are_in(host) -> None:
    identity = await host.started("sleep 1000")
    used = (await host.runtime.containers.stats())[identity]
    pid = (await host.observe(identity)).pid
    paths = {line.split(":", 2)[2] for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines()}
    assert used.cgroup in paths
    samples = list(cadvisor.samples(await host.observe(identity), used, time.time()))
    assert {labels[2] for _, labels, _ in samples} == {f"/{host.runtime.engine.where.cgroup}/{identity}"}


async def test_cpu__a_busy_loop_with_a_quota__is_throttled(host) -> None:
    identity = await host.started(BUSY, resources=container.Resources(100, 32 << 20, 16 << 20, 50))
    used = await usage_once(host, identity, lambda used: _throttled(used) > 2)
    assert used.throttling is not None
    assert used.throttling.periods >= used.throttling.throttled_periods > 2
    assert used.throttling.throttled_seconds > 0
    samples = await series(host, identity)
    assert (samples["container_spec_cpu_quota"], samples["container_spec_cpu_period"]) == (10_000, 100_000)
    assert samples["container_spec_memory_limit_bytes"] == 32 << 20
    assert samples["container_spec_memory_reservation_limit_bytes"] == 16 << 20
    assert samples.get("container_spec_memory_swap_limit_bytes", 32 << 20) == 32 << 20
    assert samples["container_cpu_cfs_throttled_periods_total"] > 2


async def test_cpu__no_quota__has_no_series_of_it(host) -> None:
    samples = await series(host, await host.started("sleep 1000"))
    assert [name for name in samples if "_cfs_" in name or name.endswith("_quota")] == []
    assert samples["container_spec_cpu_shares"] == 1024
    assert samples["container_spec_memory_limit_bytes"] == 0
    assert samples.get("container_spec_memory_swap_limit_bytes", 0) == 0


@pytest.mark.parametrize(("script", "mode"), [(BUSY, "user_seconds"), (CALLS, "system_seconds")])
async def test_cpu__of_programs_and_of_the_kernel__are_told_apart(host, script: str, mode: str) -> None:
    identity = await host.started(script)
    await usage_once(host, identity, lambda used: used.cpu is not None and getattr(used.cpu, mode) >= 0.2)
    await host.runtime.containers.kill(identity, "SIGSTOP")  # its times are in two files
    cpu = (await host.runtime.containers.stats())[identity].cpu
    assert cpu is not None
    assert cpu.user_seconds is not None
    assert cpu.system_seconds is not None
    assert getattr(cpu, mode) >= 0.2
    assert cpu.seconds / 2 < cpu.user_seconds + cpu.system_seconds < cpu.seconds * 2  # some kernels only sample them


async def test_memory__a_program_allocates__is_in_its_rss(host) -> None:
    idle = await host.started("sleep 1000", name="idle")
    identity = await host.started(
        "x=$(busybox head -c 20000000 /dev/zero | busybox tr '\\0' x); echo has; sleep 1000; :"
    )
    await host.wait_for_line(identity, "has")
    samples, idle_samples = await series(host, identity), await series(host, idle)
    assert samples["container_memory_rss"] >= 20_000_000
    assert samples["container_memory_working_set_bytes"] >= samples["container_memory_rss"] / 2
    assert idle_samples["container_memory_rss"] < 5_000_000
    assert samples.get("container_memory_swap", 0) >= 0


async def test_memory__a_file_is_written__is_in_its_cache(host) -> None:
    identity = await host.started("busybox dd if=/dev/zero of=/file bs=1M count=16; echo has; sleep 1000")
    await host.wait_for_line(identity, "has")
    samples = await series(host, identity)
    assert samples["container_memory_cache"] >= 8 * MEGABYTE  # the kernel may have taken some back
    assert samples["container_memory_rss"] < 5_000_000


async def test_memory__a_program_of_its_own_runs__is_mapped(host) -> None:
    identity = await host.started("busybox mkdir /own; busybox cp /bin/busybox /own; /own/busybox sleep 1000")
    used = await usage_once(host, identity, lambda used: used.memory is not None and bool(used.memory.mapped_file))
    assert used.memory is not None
    assert used.memory.mapped_file
    assert used.memory.cache is not None
    assert used.memory.mapped_file <= used.memory.cache


async def test_processes__are_counted(host) -> None:
    identity = await host.started("sleep 1000 & sleep 1000 & wait")
    used = await usage_once(host, identity, lambda used: used.processes == 3)
    assert (used.processes, used.threads) == (3, 3)


async def test_devices__a_disk_of_its_own_is_read_and_written__is_counted_by_its_name(host, tmp_path) -> None:
    with disk(tmp_path) as (folder, device):
        mounts = (container.BindMount(str(folder), "/data", read_only=False),)
        identity = await host.started(
            "while ! test -e /data/go; do sleep 0.05; done; cat /data/seed > /dev/null;"
            " busybox dd if=/dev/zero of=/data/file bs=64k count=16 conv=fsync; sleep 1000",
            mounts=mounts,
        )
        count_on(host, identity, device)
        (folder / "go").touch()
        used = await usage_once(host, identity, lambda used: _written(used, device) >= MEGABYTE)
        assert _written(used, device) >= MEGABYTE
        counted = next(counted for counted in used.devices if counted.name == device)
        assert counted.read_bytes >= SEED
        assert counted.reads >= 1
        assert counted.writes >= 1
        samples = {name: labels for name, labels, _ in cadvisor.samples(await host.observe(identity), used, 1.0)}
        assert samples["container_fs_reads_bytes_total"][3] == device
        await host.runtime.containers.remove(identity)  # before its disk is


@contextlib.contextmanager
def disk(folder: pathlib.Path) -> Iterator[tuple[pathlib.Path, str]]:
    """Make a small disk with a file that is in no cache, and give where it is mounted and its device."""
    image, mounted = folder / "disk", folder / "mounted"
    mounted.mkdir()
    with image.open("wb") as file:
        file.truncate(32 * MEGABYTE)
    device = subprocess.run(
        ["losetup", "--find", "--show", image], check=True, capture_output=True, text=True
    ).stdout.strip()
    try:
        subprocess.run(["mkfs.ext4", "-q", device], check=True)
        subprocess.run(["mount", device, mounted], check=True)
        try:
            _write_seed(mounted / "seed")
            yield mounted, device
        finally:
            subprocess.run(["umount", mounted], check=True)
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


def count_on(host: native.Host, identity: str, device: str) -> None:
    """Let the kernel count on a device: on cgroup v1 a new kernel does so only where somebody is throttled there."""
    directory = hierarchy.of_host().directory("blkio", f"{host.runtime.engine.where.cgroup}/{identity}")
    assert directory is not None
    numbers = pathlib.Path("/sys/class/block", pathlib.Path(device).name, "dev").read_text().strip()
    limit = directory / "blkio.throttle.read_bps_device"
    if limit.exists():
        limit.write_text(f"{numbers} 1000000000")


def _write_seed(path: pathlib.Path) -> None:
    with path.open("wb") as file:
        file.write(os.urandom(SEED))
        file.flush()
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _throttled(used: resource_usage.Usage) -> int:
    return used.throttling.throttled_periods if used.throttling is not None else 0


def _written(used: resource_usage.Usage, device: str) -> int:
    return sum(counted.written_bytes for counted in used.devices if counted.name == device)
