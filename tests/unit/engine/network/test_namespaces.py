"""Network namespaces that are kept on a file, and the threads that enter them."""

import asyncio
import os
import pathlib
import threading
from collections.abc import AsyncIterator, Iterator

import pytest

from agent.engine.kernel import linux
from agent.engine.network import namespaces, netlink

HOME = pathlib.Path("/proc/thread-self/ns/net")


@pytest.fixture
async def threads() -> AsyncIterator[namespaces.Threads]:
    """Threads that end with the test."""
    made = namespaces.Threads()
    yield made
    made.close()


@pytest.fixture
def path(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Where a namespace is kept; afterwards it is gone."""
    made = tmp_path / "namespace"
    yield made
    namespaces.remove(linux.LinuxKernel(), made)


async def test_run__gives_what_the_work_gives_and_raises_what_it_raises(threads: namespaces.Threads) -> None:
    assert await threads.run(lambda: threading.current_thread().name.partition("_")[0]) == "network"
    with pytest.raises(FileNotFoundError):
        await threads.run(pathlib.Path("/nowhere").stat)


@pytest.mark.parametrize("failing", [False, True])
async def test_run__cancelled__waits_for_the_end_of_the_work(threads: namespaces.Threads, failing: bool) -> None:
    begun, go, done = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        assert go.wait(10)
        done.set()
        if failing:
            raise OSError

    caller = asyncio.get_running_loop().create_task(threads.run(work))
    await asyncio.to_thread(begun.wait, 10)
    for _ in range(2):
        caller.cancel()
        await asyncio.sleep(0)
        assert not caller.done()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert done.is_set()


@pytest.mark.root
def test_made__gives_a_namespace_with_loopback_only_and_comes_back(path: pathlib.Path) -> None:
    kernel = linux.LinuxKernel()
    home = HOME.readlink()
    with namespaces.made(kernel, path) as (descriptor, inside):
        assert list(inside.links()) == ["lo"]
        assert HOME.readlink() == home
        assert os.fstat(descriptor).st_ino == path.stat().st_ino != HOME.stat().st_ino
    with namespaces.entered(kernel, path) as (_, inside):
        inside.perform([netlink.bridge("br0", None)])
        assert sorted(inside.links()) == ["br0", "lo"]
    assert HOME.readlink() == home
    with netlink.Netlink() as host:
        assert "br0" not in host.links()


@pytest.mark.root
def test_made__the_block_fails__is_undone(path: pathlib.Path) -> None:
    kernel = linux.LinuxKernel()
    with pytest.raises(ZeroDivisionError), namespaces.made(kernel, path):
        _ = 1 // 0
    assert not path.exists()
    assert str(path) not in kernel.mounts()


@pytest.mark.root
def test_remove__namespace_or_bare_file_or_nothing__is_gone_then(path: pathlib.Path) -> None:
    kernel = linux.LinuxKernel()
    with namespaces.made(kernel, path):
        pass
    assert str(path) in kernel.mounts()
    namespaces.remove(kernel, path)
    assert str(path) not in kernel.mounts()
    path.touch()
    namespaces.remove(kernel, path)
    namespaces.remove(kernel, path)
    assert not path.exists()
