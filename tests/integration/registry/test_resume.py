"""Blobs that break off: gone on with from there, whatever the server makes of that."""

import asyncio
import random

import aiohttp
import pytest
from aiohttp import web

from agent import errors
from agent.distribution.registry import transport
from agent.oci import descriptor, digest, mediatypes, reference
from tests import faulty_registry as faulty

DATA = random.Random(7).randbytes(600_000)  # noqa: S311 - the same each time
BLOB = descriptor.Descriptor(mediatypes.LAYER, digest.of(DATA), len(DATA))
PATH = f"/v2/app/blobs/{BLOB.digest}"
CUT = 400_000


async def _all(asking, server: faulty.Server, start: int = 0) -> bytes:
    return b"".join([chunk async for chunk in asking.blob(reference.parse(server.image), BLOB, start)])


async def test_blob__breaks_off__is_gone_on_with_from_there(server, asking) -> None:
    server.answers[PATH] = faulty.in_turn(faulty.breaks_off(DATA, CUT), faulty.ranges(DATA))
    assert await _all(asking, server) == DATA
    assert server.ranges(PATH) == [None, f"bytes={CUT}-"]


async def test_blob__is_asked_for_from_an_offset__is_the_rest(server, asking) -> None:
    server.answers[PATH] = faulty.ranges(DATA)
    assert await _all(asking, server, 599_999) == DATA[-1:]
    assert await _all(asking, server, 600_000) == b""
    assert server.ranges(PATH) == ["bytes=599999-"]


async def test_blob__breaks_off_again_and_again__comes_as_long_as_each_time_something_does(server, asking) -> None:
    server.answers[PATH] = faulty.breaks_off(DATA, 100_000)
    assert await _all(asking, server) == DATA
    assert server.ranges(PATH) == [None, *(f"bytes={start}-" for start in range(100_000, 600_000, 100_000))]


async def test_blob__of_which_nothing_comes_any_more__is_given_up(server, asking) -> None:
    server.answers[PATH] = faulty.in_turn(faulty.breaks_off(DATA, CUT), faulty.says(b"", 503))
    got = bytearray()

    async def take() -> None:
        async for chunk in asking.blob(reference.parse(server.image), BLOB):
            got.extend(chunk)

    with pytest.raises(transport.TransientError):
        await take()
    assert got == DATA[:CUT]
    assert server.ranges(PATH) == [None, *[f"bytes={CUT}-"] * 2]


async def test_blob__the_server_knows_no_ranges__is_passed_over_up_to_there(server, asking) -> None:
    server.answers[PATH] = faulty.in_turn(faulty.breaks_off(DATA, CUT), faulty.says(DATA))
    assert await _all(asking, server) == DATA
    assert server.ranges(PATH) == [None, f"bytes={CUT}-"]


@pytest.mark.parametrize(
    "range_answer",
    [
        faulty.says(DATA[:1000], 206, Content_Range="bytes 0-999/600000"),
        faulty.says(DATA[CUT + 1 :], 206, Content_Range=f"bytes {CUT + 1}-599999/600000"),
        faulty.says(DATA[CUT:], 206, Content_Range=f"bytes={CUT}-599999/600000"),
        faulty.says(DATA[CUT:], 206),
        faulty.says(b"", 416),
        faulty.says(b"", 400),
    ],
)
async def test_blob__the_server_gives_another_range_or_none__is_asked_for_whole(server, asking, range_answer) -> None:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        return await (range_answer if "Range" in request.headers else faulty.says(DATA))(request)

    server.answers[PATH] = faulty.in_turn(faulty.breaks_off(DATA, CUT), answer)
    assert await _all(asking, server) == DATA
    assert server.ranges(PATH) == [None, f"bytes={CUT}-", None]


async def test_blob__the_server_gives_less_than_was_asked__is_asked_for_the_rest(server, asking) -> None:
    async def half(_: web.BaseRequest) -> web.StreamResponse:
        headers = {"Content-Range": f"bytes {CUT}-499999/600000"}
        return web.Response(body=DATA[CUT:500_000], status=206, headers=headers)

    server.answers[PATH] = faulty.in_turn(faulty.breaks_off(DATA, CUT), half, faulty.ranges(DATA))
    assert await _all(asking, server) == DATA
    assert server.ranges(PATH) == [None, f"bytes={CUT}-", "bytes=500000-"]


async def test_blob__stands_still__is_gone_on_with_from_there(server, asking, monkeypatch) -> None:
    monkeypatch.setattr(transport, "_TIMEOUT", aiohttp.ClientTimeout(total=None, sock_read=0.2))

    async def stalls(request: web.BaseRequest) -> web.StreamResponse:
        body = web.StreamResponse()
        body.content_length = len(DATA)
        await body.prepare(request)
        await body.write(DATA[:CUT])
        await asyncio.Event().wait()
        return body

    server.answers[PATH] = faulty.in_turn(stalls, faulty.ranges(DATA))
    assert await _all(asking, server) == DATA
    assert server.ranges(PATH) == [None, f"bytes={CUT}-"]


async def test_blob__is_shorter_the_second_time__is_not_endless(server, asking) -> None:
    server.answers[PATH] = faulty.in_turn(faulty.breaks_off(DATA, CUT), faulty.says(DATA[:1000]))
    with pytest.raises(errors.Unavailable):
        await _all(asking, server)
    assert server.count(PATH) == 3


async def test_blob__is_gone_when_it_is_gone_on_with__is_not_found(server, asking) -> None:
    server.answers[PATH] = faulty.in_turn(faulty.breaks_off(DATA, CUT), faulty.says(b"", 404))
    with pytest.raises(errors.NotFound):
        await _all(asking, server)
