"""A log as an engine gives it: frames and lines that come in pieces are put together."""

import struct

import pytest

from agent.drivers.docker import logs
from agent.runtime import api
from tests.unit.drivers.docker import fakes

AT = "2026-11-25T03:38:30.25Z"
SECONDS = 1795577910.25


def frame(stream: int, payload: bytes) -> bytes:
    return struct.pack(">BxxxL", stream, len(payload)) + payload


def line(stream: int, text: str, time: str = AT) -> bytes:
    return frame(stream, f"{time} {text}".encode())


async def read(*chunks: bytes, **request: object) -> list[tuple[str, str]]:
    """Give stream and text of each line that a log of these chunks has."""
    engine = fakes.Engine(stream=chunks)
    asked = api.LogRequest(**request)
    return [(one.stream, one.text) async for one in logs.read(engine, "c1", asked)]


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
    told = [one async for one in logs.read(engine, "c1", api.LogRequest())]
    assert told == [api.LogLine(SECONDS, "stdout", "a b")]


async def test_since__asks_for_a_little_more_and_gives_no_more() -> None:
    engine = fakes.Engine(stream=[line(1, "before\n"), line(1, "after\n", "2026-11-25T03:38:30.5Z")])
    told = [one.text async for one in logs.read(engine, "c1", api.LogRequest(since=SECONDS + 0.1))]
    assert told == ["after"]
    assert float(engine.asked[0][1]["since"]) == pytest.approx(SECONDS + 0.099, abs=1e-6)


@pytest.mark.parametrize(("tail", "follow", "asked"), [(5, False, "5"), (0, True, "0"), (None, True, None)])
async def test_request__is_what_the_engine_is_asked(tail: int | None, follow: bool, asked: str | None) -> None:
    engine = fakes.Engine()
    assert [one async for one in logs.read(engine, "c1", api.LogRequest(follow=follow, tail=tail))] == []
    path, params = engine.asked[0]
    assert (path, params.get("tail"), params["follow"]) == ("containers/c1/logs", asked, str(follow).lower())
    assert (params["timestamps"], params["stdout"], params["stderr"]) == ("true", "true", "true")


async def test_request__for_no_lines__asks_nobody() -> None:
    engine = fakes.Engine(stream=[line(1, "one\n")])
    assert [one async for one in logs.read(engine, "c1", api.LogRequest(tail=0))] == []
    assert engine.asked == []
