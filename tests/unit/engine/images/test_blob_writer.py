"""Bytes from a registry to the disk: all in order, never many at once, and none of them lost with a failure."""

import pathlib
import threading
from collections.abc import AsyncIterator

import pytest

from agent import errors
from agent.distribution.content import store
from agent.engine.images import blob_writer
from agent.engine.layers import growing_file
from agent.oci import descriptor

CHUNK = bytes(range(256)) * 1024


class Slow(store.Ingest):
    """A blob that is written when it may be."""

    def __init__(self, path: pathlib.Path, size: int) -> None:
        self.go = threading.Event()
        self.file = path.open("w+b", buffering=0)
        blob = descriptor.Descriptor("x", f"sha256:{'0' * 64}", size)
        super().__init__(path, self.file.fileno(), blob)

    def write(self, chunk: bytes) -> None:
        """Wait, and write."""
        assert self.go.wait(10)
        super().write(chunk)


async def test_write__a_disk_slower_than_the_registry__takes_no_more_than_there_is_room_for(tmp_path) -> None:
    count, target = 100, Slow(tmp_path / "blob", 100 * len(CHUNK))
    amounts: list[int] = []
    ahead: list[int] = []

    async def chunks() -> AsyncIterator[bytes]:
        for number in range(count):
            if sum(amounts) >= blob_writer.BUFFER_LIMIT:
                target.go.set()
            ahead.append(sum(amounts) - target.position)
            yield number.to_bytes(4, "big") + CHUNK[4:]

    with target.file, growing_file.opened(target.path) as packed:
        await blob_writer.BlobWriter(target, packed).write(chunks(), amounts.append)
        assert packed.wait_beyond(0) == sum(amounts) == count * len(CHUNK)
    assert max(ahead) <= 2 * blob_writer.BUFFER_LIMIT + len(CHUNK), "as much is written, and as much gathered"
    content = target.path.read_bytes()
    assert [content[at : at + 4] for at in range(0, len(content), len(CHUNK))] == [
        number.to_bytes(4, "big") for number in range(count)
    ]


async def test_write__the_registry_fails__what_came_before_is_kept(tmp_path) -> None:
    target = Slow(tmp_path / "blob", 10 * len(CHUNK))
    target.go.set()

    async def chunks() -> AsyncIterator[bytes]:
        yield CHUNK
        yield CHUNK[:100]
        raise errors.Unavailable("cut off", reason="ImagePullFailed")

    with target.file, growing_file.opened(target.path) as packed:
        with pytest.raises(errors.Unavailable, match="cut off"):
            await blob_writer.BlobWriter(target, packed).write(chunks(), lambda _: None)
        assert packed.wait_beyond(0) == len(CHUNK) + 100
    assert target.path.read_bytes() == CHUNK + CHUNK[:100]


async def test_write__more_comes_than_was_announced__is_refused_and_nothing_more_is_taken(tmp_path) -> None:
    target = Slow(tmp_path / "blob", len(CHUNK))
    target.go.set()
    amounts: list[int] = []

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield CHUNK

    with target.file, growing_file.opened(target.path) as packed, pytest.raises(errors.InvalidArgument) as caught:
        await blob_writer.BlobWriter(target, packed).write(endless(), amounts.append)
    assert caught.value.reason == "DigestMismatch"
    assert sum(amounts) <= 2 * blob_writer.BUFFER_LIMIT + len(CHUNK)
