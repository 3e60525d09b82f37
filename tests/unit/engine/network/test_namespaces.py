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
    created = namespaces.Threads()
    yield created
    created.close()


@pytest.fixture
def path(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    """The path of a namespace, which is removed afterwards."""
    created = tmp_path / "namespace"
    yield created
    namespaces.remove(linux.LinuxKernel(), created)


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
    with namespaces.created(kernel, path) as (descriptor, inside):
        assert list(inside.links()) == ["lo"]
        assert HOME.readlink() == home
        assert os.fstat(descriptor).st_ino == path.stat().st_ino != HOME.stat().st_ino
    with path.open() as file, namespaces.entered(kernel, file.fileno()) as inside:
        inside.perform([netlink.bridge("br0", None)])
        assert sorted(inside.links()) == ["br0", "lo"]
    assert HOME.readlink() == home
    with netlink.Netlink() as host:
        assert "br0" not in host.links()


@pytest.mark.root
def test_made__the_block_fails__is_undone(path: pathlib.Path) -> None:
    kernel = linux.LinuxKernel()
    with pytest.raises(ZeroDivisionError), namespaces.created(kernel, path):
        _ = 1 // 0
    assert not path.exists()
    assert str(path) not in kernel.mounts()


def opened() -> int:
    """Return a descriptor of the own network namespace."""
    return os.open(HOME, os.O_RDONLY | os.O_CLOEXEC)


def is_open(descriptor: int) -> bool:
    """Return whether a descriptor is open."""
    return pathlib.Path(f"/proc/self/fd/{descriptor}").is_symlink()


def test_entrances__dropped_or_replaced_while_in_use__are_closed_when_nobody_uses_them_any_more() -> None:
    entrances = namespaces.Entrances()
    entrances.open("a", opened)
    entrances.open("b", opened)
    with entrances.in_use() as outer:
        first, second = outer["a"], outer["b"]
        with entrances.in_use() as inner:
            entrances.drop("a")
            entrances.open("b", opened)
            assert "a" not in inner
            assert inner["b"] != second
        assert is_open(first)
        assert is_open(second)
        assert opened() not in {first, second}
    assert not is_open(first)
    assert not is_open(second)
    entrances.close()
    entrances.drop("a")


def test_entrances__what_cannot_be_opened__changes_nothing() -> None:
    def failing() -> int:
        raise ProcessLookupError

    entrances = namespaces.Entrances()
    entrances.open("a", opened)
    with pytest.raises(ProcessLookupError):
        entrances.open("a", failing)
    with entrances.in_use() as descriptors:
        assert is_open(descriptors["a"])
    entrances.close()


@pytest.mark.root
def test_remove__namespace_or_bare_file_or_nothing__is_gone_then(path: pathlib.Path) -> None:
    kernel = linux.LinuxKernel()
    with namespaces.created(kernel, path):
        pass
    assert str(path) in kernel.mounts()
    namespaces.remove(kernel, path)
    assert str(path) not in kernel.mounts()
    path.touch()
    namespaces.remove(kernel, path)
    namespaces.remove(kernel, path)
    assert not path.exists()
