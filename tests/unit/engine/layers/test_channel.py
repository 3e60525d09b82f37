"""Bytes between threads: in order, bounded, and nobody waits for a side that has broken off."""

import io
import random
import threading
from collections.abc import Iterator
from concurrent import futures

import pytest

from agent import errors
from agent.engine.layers import channel

DATA = random.Random(4).randbytes(300_000)  # noqa: S311 - the same each time


@pytest.fixture
def threads() -> Iterator[futures.ThreadPoolExecutor]:
    """Threads that all have to end."""
    with futures.ThreadPoolExecutor(4) as pool:
        yield pool


def _whole(feed: channel.Channel, size: int = 1000) -> bytes:
    data = bytearray()
    while chunk := feed.read(size):
        assert len(chunk) <= size
        data += chunk
    return bytes(data)


def _parts(sizes: int) -> Iterator[bytes]:
    """Return the bytes in parts of many lengths, empty ones as well."""
    chance, at = random.Random(sizes), 0  # noqa: S311 - the same each time
    while at < len(DATA):
        size = chance.choice([0, 1, 7, 512, sizes])
        yield DATA[at : at + size]
        at += size


def _put_all(feed: channel.Channel, sizes: int) -> None:
    for part in _parts(sizes):
        feed.put(part)
    feed.end()


@pytest.mark.parametrize("sizes", [3, 4096, 100_000])
@pytest.mark.parametrize("capacity", [1, 1000, 10_000_000])
def test_put__from_a_thread__arrives_in_order(threads, capacity: int, sizes: int) -> None:
    with channel.Channel(capacity) as feed:
        writing = threads.submit(_put_all, feed, sizes)
        assert _whole(feed) == DATA
        writing.result()
        assert feed.read(1) == b""


def test_put__where_nobody_reads__waits_once_there_is_no_room(threads) -> None:
    with channel.Channel(capacity=10) as feed:
        feed.put(bytes(6))
        feed.put(bytes(6))
        writing = threads.submit(feed.put, b"more")
        done, _ = futures.wait([writing], timeout=0.05)
        assert done == set()
        assert len(feed.read(100)) == 6
        writing.result(timeout=5)
        assert feed._size == 10


def test_read__whatever_is_in_the_chunks__is_as_much_as_is_asked_for() -> None:
    with channel.Channel() as feed:
        feed.put(b"abcdef")
        feed.put(b"gh")
        feed.end()
        assert [feed.read(4), feed.read(4), feed.read(4), feed.read(4)] == [b"abcd", b"ef", b"gh", b""]


def test_drain__reads_to_the_end__and_raises_what_the_writer_failed_with(threads) -> None:
    with channel.Channel(capacity=1) as feed:
        writing = threads.submit(_put_all, feed, 512)
        feed.drain()
        writing.result()
        assert feed.read(1) == b""
    with channel.Channel() as broken:
        broken.put(b"x")
        broken.end(errors.InvalidArgument("it is wrong"))
        with pytest.raises(errors.InvalidArgument, match="it is wrong"):
            broken.drain()


def test_end__by_a_failure__the_reader_gets_what_came_and_is_told(threads) -> None:
    with channel.Channel() as feed:
        feed.put(b"first")
        assert feed.read(100) == b"first"
        reading = threads.submit(feed.read, 1)
        feed.end(errors.InvalidArgument("it is wrong"))
        with pytest.raises(errors.InvalidArgument, match="it is wrong"):
            reading.result(timeout=5)
        with pytest.raises(errors.InvalidArgument, match="it is wrong"):
            feed.read(100)


def test_leave__while_a_thread_waits_for_room__ends_its_waiting(threads) -> None:
    with channel.Channel(capacity=1) as feed:
        feed.put(b"full")
        writing = threads.submit(feed.put, b"more")
        feed.abandon()
        with pytest.raises(errors.Unavailable, match="nobody takes what arrives any more"):
            writing.result(timeout=5)
        with pytest.raises(errors.Unavailable):
            feed.put(b"again")


def test_ahead__of_a_source__gives_the_same_bytes() -> None:
    with channel.ahead(io.BytesIO(DATA)) as feed:
        assert _whole(feed) == DATA


def test_ahead__left_early__has_let_go_of_the_source() -> None:
    class Endless:
        count = 0

        def read(self, size: int, /) -> bytes:
            self.count += 1
            return bytes(size)

    source, before = Endless(), set(threading.enumerate())
    with channel.ahead(source) as feed:
        assert feed.read(10) == bytes(10)
    assert set(threading.enumerate()) <= before
    assert source.count < 20, "no more than there is room for"


def test_ahead__the_source_fails__is_raised_where_it_is_read() -> None:
    class Broken:
        def __init__(self) -> None:
            self.remaining = [b"good"]

        def read(self, size: int, /) -> bytes:
            del size
            if self.remaining:
                return self.remaining.pop()
            raise OSError(5, "Input/output error")

    with channel.ahead(Broken()) as feed:
        assert feed.read(10) == b"good"
        with pytest.raises(OSError, match="Input/output error"):
            feed.read(10)
