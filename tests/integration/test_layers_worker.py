"""Layers unpacked by a process of its own: what it reads, what it tells, and that it never outlives its work."""

import gzip
import os
import pathlib
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent import futures

import pytest

from agent import errors
from agent.distribution.layers import streams
from agent.engine.layers import growing_file, worker
from tests import archives

pytestmark = pytest.mark.root

LIMITS = streams.Limits()
CONTENT = random.Random(2).randbytes(20_000_000)  # noqa: S311 - the same each time
PLAIN = archives.tar(archives.file("a", CONTENT), archives.file("b", b"last"))
LAYER = gzip.compress(PLAIN, compresslevel=1, mtime=0)


@pytest.fixture
def threads() -> Iterator[futures.ThreadPoolExecutor]:
    """Threads that all have to end."""
    with futures.ThreadPoolExecutor(4) as pool:
        yield pool


@pytest.fixture
def target(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A directory to unpack to; afterwards no process is left and no file open."""
    path, before = tmp_path / "target", archives.descriptors()
    path.mkdir()
    yield path
    assert (_children(), archives.descriptors()) == ([], before)


def _children() -> list[int]:
    files = pathlib.Path(f"/proc/{os.getpid()}/task").glob("*/children")
    pids = [int(pid) for file in files for pid in file.read_text().split()]
    return [pid for pid in pids if b"layers.worker" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()]


def _layer(tmp_path: pathlib.Path, data: bytes = LAYER) -> pathlib.Path:
    path = tmp_path / "layer"
    path.write_bytes(data)
    return path


def test_unpacked__a_file_that_is_there__is_the_layer_and_its_digest(tmp_path, target) -> None:
    with growing_file.complete(_layer(tmp_path)) as source:
        assert worker.unpacked(source, len(LAYER), target, LIMITS) == archives.digest(PLAIN)
    assert (target / "a").read_bytes() == CONTENT
    assert (target / "b").read_bytes() == b"last"


@pytest.mark.parametrize("step", [3_000_000, 30_000_000])
def test_unpacked__a_file_that_grows__is_followed_to_its_end(tmp_path, target, threads, step: int) -> None:
    path = tmp_path / "layer"
    with path.open("wb", buffering=0) as writer, growing_file.opened(path) as source:
        unpacking = threads.submit(worker.unpacked, source, len(LAYER), target, LIMITS)
        with source.feeding():
            for at in range(0, len(LAYER), step):
                writer.write(LAYER[at : at + step])
                source.set_size(writer.tell())
                assert not unpacking.done(), "nobody has said that it is all"
        assert unpacking.result(timeout=30) == archives.digest(PLAIN)
    assert (target / "a").read_bytes() == CONTENT


def test_unpacked__nothing_comes_any_more__raises_why(tmp_path, target, threads) -> None:
    with growing_file.opened(_layer(tmp_path)) as source:
        unpacking = threads.submit(worker.unpacked, source, len(LAYER), target, LIMITS)
        source.set_size(1_000_000)
        source.end(errors.Unavailable("the registry is gone", reason="ImagePullFailed"))
        with pytest.raises(errors.Unavailable, match="the registry is gone"):
            unpacking.result(timeout=30)


def test_unpacked__given_up_amid_a_file_that_is_there__ends_early(tmp_path, target, threads) -> None:
    size = 400_000_000
    info = archives.file("large")[0]
    info.size = size
    layer = tmp_path / "layer"
    with layer.open("wb") as file:
        file.write(info.tobuf())
        file.truncate(size)
    with growing_file.complete(layer) as source:
        unpacking = threads.submit(worker.unpacked, source, size, target, LIMITS)
        while not (target / "large").exists() and not unpacking.done():
            time.sleep(0.001)
        source.abandon()
        with pytest.raises(errors.Unavailable, match="given up"):
            unpacking.result(timeout=30)
    assert (target / "large").stat().st_size < size


@pytest.mark.parametrize(
    ("data", "limits", "reason"),
    [
        (LAYER[:-1000], LIMITS, "LayerDamaged"),
        (LAYER, streams.Limits(unpacked=1_000_000), "LayerTooLarge"),
        (archives.tar(archives.file("x/.wh.y/z")), LIMITS, "LayerRefused"),
    ],
)
def test_unpacked__refused__is_said_with_its_reason(tmp_path, target, data: bytes, limits, reason: str) -> None:
    with growing_file.complete(_layer(tmp_path, data)) as source, pytest.raises(errors.InvalidArgument) as caught:
        worker.unpacked(source, len(data), target, limits)
    assert caught.value.reason == reason


def test_unpacked__the_disk_is_full__is_the_hosts_error(tmp_path, target) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", target], check=True)
    try:
        with growing_file.complete(_layer(tmp_path)) as source, pytest.raises(OSError, match="No space left"):
            worker.unpacked(source, len(LAYER), target, LIMITS)
    finally:
        subprocess.run(["umount", target], check=True)


def test_unpacked__the_process_is_killed__is_unavailable(tmp_path, target, threads) -> None:
    with growing_file.opened(_layer(tmp_path)) as source:
        unpacking = threads.submit(worker.unpacked, source, len(LAYER), target, LIMITS)
        while not (pids := _children()):
            time.sleep(0.001)
        os.kill(pids[0], signal.SIGKILL)
        source.set_size(len(LAYER))
        source.end()
        with pytest.raises(errors.Unavailable, match="no word"):
            unpacking.result(timeout=30)


def test_unpacked__who_asked_for_it_is_killed__it_ends_as_well(tmp_path, target) -> None:
    script = (
        "import pathlib, sys\nfrom agent.distribution.layers import streams\n"
        "from agent.engine.layers import growing_file, worker\n"
        "with growing_file.opened(pathlib.Path(sys.argv[1])) as source:\n"
        "    worker.unpacked(source, 1, pathlib.Path(sys.argv[2]), streams.Limits())\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(_layer(tmp_path)), str(target)])
    children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while not (pids := children.read_text().split()):
        time.sleep(0.001)
    child = pathlib.Path(f"/proc/{pids[0]}")
    while b"layers.worker" not in (child / "cmdline").read_bytes():
        time.sleep(0.001)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 10
    while child.exists():
        assert time.monotonic() < deadline, "it is still there"
        time.sleep(0.01)
