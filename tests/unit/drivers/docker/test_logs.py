"""A log as an engine gives it: frames and lines that come in pieces are put together."""

import struct
import time
from collections.abc import AsyncIterator

import pytest

from agent.drivers.docker import logs
from agent.runtime import streams
from tests.unit.drivers.docker import fakes

AT = "2026-11-25T03:38:30.25Z"
SECONDS = 1795577910.25
LINEAR = 3.0
"""Seconds of CPU time within which 30 MB are read; a reader that copies what it has for each piece takes far more."""


def frame(stream: int, payload: bytes) -> bytes:
    return struct.pack(">BxxxL", stream, len(payload)) + payload


def line(stream: int, text: str, time: str = AT) -> bytes:
    return frame(stream, f"{time} {text}".encode())


async def read(*chunks: bytes, **request: object) -> list[tuple[str, str]]:
    """Return stream and text of each line that a log of these chunks has."""
    engine = fakes.Engine(stream=chunks)
    asked = streams.LogRequest(**request)
    return [(line.stream, line.text) async for line in logs.read(engine, "c1", asked)]


MIXED = (
    line(1, "one\n") + line(2, "a long ") + line(1, "zwei ä\n") + line(0, "three\n") + line(2, "line\n") + line(1, "\n")
)


async def test_log__cut_at_every_byte__has_the_same_lines() -> None:
    expected = [("stdout", "one"), ("stdout", "zwei ä"), ("stdout", "three"), ("stderr", "a long line"), ("stdout", "")]
    for cut in range(len(MIXED) + 1):
        assert await read(MIXED[:cut], MIXED[cut:]) == expected
    assert await read(*(MIXED[at : at + 1] for at in range(len(MIXED)))) == expected


async def test_line__in_parts_that_cut_a_character__is_whole() -> None:
    word = "größe".encode()
    for cut in range(len(word)):
        first, second = frame(1, AT.encode() + b" " + word[:cut]), frame(1, AT.encode() + b" " + word[cut:] + b"\n")
        assert await read(first + line(2, "between\n") + second) == [("stderr", "between"), ("stdout", "größe")]


async def test_line__with_carriage_returns__is_one_line() -> None:
    assert await read(line(1, "10%\r20%\rdone\r\n")) == [("stdout", "10%\r20%\rdone\r")]


async def test_line__that_its_program_has_not_ended__is_given_when_no_more_comes() -> None:
    assert await read(line(1, "one\n") + line(2, "prompt> ")) == [("stdout", "one"), ("stderr", "prompt> ")]


async def test_frame__with_several_lines__has_them_all() -> None:
    assert await read(frame(1, f"{AT} a\n{AT} b\n{AT} c".encode())) == [
        ("stdout", "a"),
        ("stdout", "b"),
        ("stdout", "c"),
    ]


async def test_log__no_text_at_all__is_shown_as_well_as_it_can_be() -> None:
    assert await read(frame(1, AT.encode() + b" \xff\xfe\n")) == [("stdout", "\ufffd\ufffd")]
    assert await read(frame(1, b"nothing-but-a-word\n")) == [("stdout", "")]
    assert await read(frame(1, b"")) == []


async def test_line__in_parts__has_the_time_of_its_first() -> None:
    engine = fakes.Engine(stream=[line(1, "a "), line(1, "b\n", "2026-11-25T03:38:31Z")])
    lines = [line async for line in logs.read(engine, "c1", streams.LogRequest())]
    assert lines == [streams.LogLine(SECONDS, "stdout", b"a b")]


async def test_since__asks_for_a_little_more_and_gives_no_more() -> None:
    engine = fakes.Engine(stream=[line(1, "before\n"), line(1, "after\n", "2026-11-25T03:38:30.5Z")])
    lines = [line.text async for line in logs.read(engine, "c1", streams.LogRequest(since=SECONDS + 0.1))]
    assert lines == ["after"]
    assert float(engine.asked[0][1]["since"]) == pytest.approx(SECONDS + 0.099, abs=1e-6)


@pytest.mark.parametrize(("tail", "follow", "asked"), [(5, False, "5"), (0, True, "0"), (None, True, None)])
async def test_request__is_what_the_engine_is_asked(tail: int | None, follow: bool, asked: str | None) -> None:
    engine = fakes.Engine()
    assert [line async for line in logs.read(engine, "c1", streams.LogRequest(follow=follow, tail=tail))] == []
    path, params = engine.asked[0]
    assert (path, params.get("tail"), params["follow"]) == ("containers/c1/logs", asked, str(follow).lower())
    assert (params["timestamps"], params["stdout"], params["stderr"]) == ("true", "true", "true")


async def test_request__for_no_lines__asks_nobody() -> None:
    engine = fakes.Engine(stream=[line(1, "one\n")])
    assert [line async for line in logs.read(engine, "c1", streams.LogRequest(tail=0))] == []
    assert engine.asked == []


async def test_line__of_thirty_megabytes__is_read_in_time_linear_in_it() -> None:
    piece = b"x" * 16384
    frames = [frame(1, AT.encode() + b" " + piece) for _ in range(1900)]
    begun = time.process_time()
    (long,) = [frame_line async for frame_line in _lines(*frames, line(1, "end\n"))]
    assert long.data == piece * 1900 + b"end"
    assert time.process_time() - begun < LINEAR


async def test_frame__of_thirty_megabytes__is_read_in_time_linear_in_it() -> None:
    whole = line(1, "x" * 30_000_000 + "\n")
    begun = time.process_time()
    (long,) = [line async for line in _lines(*(whole[at : at + 65536] for at in range(0, len(whole), 65536)))]
    assert len(long.data) == 30_000_000
    assert time.process_time() - begun < LINEAR


async def test_bytes__that_are_no_text__are_kept() -> None:
    (latin,) = [line async for line in _lines(frame(1, AT.encode() + b" gr\xf6\xdfe\n"))]
    assert (latin.data, latin.text) == (b"gr\xf6\xdfe", "gr\ufffd\ufffde")


def _lines(*chunks: bytes) -> AsyncIterator[streams.LogLine]:
    return logs.read(fakes.Engine(stream=chunks), "c1", streams.LogRequest())
