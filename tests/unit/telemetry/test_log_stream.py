"""A log whose reader is slow, does not read, or is gone never holds up who writes it."""

import contextlib
import os
import pathlib
import select
import sys
import time
from collections.abc import Iterator

import pytest

from agent.telemetry import log_stream

LINE = "x" * 999 + "\n"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Return a small pipe: its reading and its writing end."""
    reader, writer = os.pipe()
    yield reader, writer
    with contextlib.suppress(OSError):
        os.close(reader)  # the other end stays open: a thread may still be about to write to it


def opened(writer: int, dropped: list[int]) -> log_stream.LogStream:
    return log_stream.LogStream(writer, "utf-8", dropped.append)


def test_write__is_read_in_order__also_what_no_encoding_knows(pipe) -> None:
    stream = opened(pipe[1], [])
    for text in ("one\n", "größe\n", "\udcff\n", ""):
        assert stream.write(text) == len(text)
    stream.finish()
    assert os.read(pipe[0], 100).decode() == "one\ngröße\n\\udcff\n"


def test_write__nobody_reads__returns_at_once_and_drops_what_is_too_much(pipe) -> None:
    dropped: list[int] = []
    stream = opened(pipe[1], dropped)
    for _ in range(3000):
        stream.write(LINE)
    begun = time.monotonic()
    stream.finish()
    assert time.monotonic() - begun < 5
    assert dropped == []
    deadline = time.monotonic() + 10
    while not dropped and time.monotonic() < deadline:
        if select.select([pipe[0]], [], [], 0.01)[0]:
            os.read(pipe[0], 65536)
    kept = (1 << 20) + 65536
    assert 3000 - kept // len(LINE) - 2 <= dropped[0] <= 3000 - (1 << 20) // len(LINE)


def test_write__reader_catches_up__goes_on_and_says_what_is_missing(pipe) -> None:
    dropped: list[int] = []
    stream = opened(pipe[1], dropped)
    while not stream._dropped:  # cannot be seen from outside before it is read
        stream.write(LINE)
    received = b""
    while not dropped:  # which is told after the last byte was read: nobody may wait for more of them
        if select.select([pipe[0]], [], [], 0.01)[0]:
            received += os.read(pipe[0], 65536)
    stream.write("the end\n")
    while not received.endswith(b"the end\n"):
        received += os.read(pipe[0], 65536)
    assert set(received.splitlines()) == {LINE.strip().encode(), b"the end"}
    stream.finish()


def test_write__reader_gone__is_no_error_and_keeps_nothing(pipe) -> None:
    stream = opened(pipe[1], [])
    os.close(pipe[0])
    for _ in range(5000):
        stream.write(LINE)
    begun = time.monotonic()
    stream.finish()
    assert time.monotonic() - begun < 0.9
    stream.write(LINE)


def test_stderr__meanwhile__goes_that_way(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "log").open("w") as file:
        monkeypatch.setattr(sys, "stderr", file)
        with log_stream.as_stderr(lambda _: None) as stream:
            assert sys.stderr is stream
            assert not sys.stderr.isatty()
            sys.stderr.write("a line\n")
        assert sys.stderr is file
    assert (tmp_path / "log").read_text() == "a line\n"
