"""A file that grows under its reader: never more is read than has come, and nobody waits for a side that broke off."""

import asyncio
import pathlib
import random
from collections.abc import Iterator
from concurrent import futures

import pytest

from agent import errors
from agent.engine.layers import growing_file

DATA = random.Random(4).randbytes(300_000)  # noqa: S311 - the same each time


@pytest.fixture
def threads() -> Iterator[futures.ThreadPoolExecutor]:
    """Threads that all have to end."""
    with futures.ThreadPoolExecutor(4) as pool:
        yield pool


@pytest.fixture
def file(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "layer"
    path.write_bytes(DATA)
    return path


def _whole(source: growing_file.GrowingFile, size: int) -> bytes:
    data = bytearray()
    while chunk := source.read(size):
        assert len(chunk) <= size
        data += chunk
    return bytes(data)


@pytest.mark.parametrize("size", [1000, 1_000_000])
@pytest.mark.parametrize("step", [7_000, 100_000, 300_000])
def test_read__while_it_grows__gives_all_in_order(tmp_path, threads, step: int, size: int) -> None:
    path = tmp_path / "layer"
    with path.open("wb", buffering=0) as writer, growing_file.opened(path) as source:
        reading = threads.submit(_whole, source, size)
        for at in range(0, len(DATA), step):
            writer.write(DATA[at : at + step])
            source.set_size(writer.tell())
        source.end()
        assert reading.result(timeout=5) == DATA
        assert source.read(1) == b""


def test_read__of_what_is_in_the_file_and_not_said_to_be_there__waits(file: pathlib.Path, threads) -> None:
    with growing_file.opened(file) as source:
        source.set_size(10)
        assert source.read(100) == DATA[:10]
        reading = threads.submit(source.read, 100)
        assert futures.wait([reading], timeout=0.05).done == set()
        source.set_size(15)
        assert reading.result(timeout=5) == DATA[10:15]


def test_complete__is_read_to_its_end(file: pathlib.Path) -> None:
    with growing_file.complete(file) as source:
        assert source.wait_beyond(0) == source.wait_beyond(len(DATA)) == len(DATA)
        assert _whole(source, 4096) == DATA


def test_abandon__of_a_whole_file__fails_at_the_next_read(file: pathlib.Path) -> None:
    with growing_file.complete(file) as source:
        assert source.read(10) == DATA[:10]
        source.abandon()
        with pytest.raises(errors.Unavailable, match="given up"):
            source.read(10)


@pytest.mark.parametrize(
    ("failure", "error", "message"),
    [
        (errors.InvalidArgument("it is wrong"), errors.InvalidArgument, "it is wrong"),
        (ZeroDivisionError("a bug"), errors.Unavailable, "what was to arrive was given up"),
        (asyncio.CancelledError(), errors.Unavailable, "what was to arrive was given up"),
    ],
)
def test_feeding__the_writer_fails_while_the_reader_waits__is_told(file, threads, failure, error, message: str) -> None:
    with growing_file.opened(file) as source:
        reading = threads.submit(source.read, 1)
        with pytest.raises(type(failure)), source.feeding():
            raise failure
        with pytest.raises(error, match=message):
            reading.result(timeout=5)
        source.abandon()
        with pytest.raises(error, match=message):
            source.read(1)


def test_feeding__nothing_fails__is_the_end(file: pathlib.Path) -> None:
    with growing_file.opened(file) as source:
        with source.feeding():
            source.set_size(5)
        assert _whole(source, 100) == DATA[:5]
