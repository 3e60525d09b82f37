"""The doors to the outside."""

import asyncio
import logging

import aiohttp
import pytest

from agent.telemetry import server
from tests.unit.telemetry import conftest


async def get(port: int, path: str) -> tuple[int, str, str]:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as answer:
        return answer.status, answer.headers["Content-Type"], await answer.text()


async def test_server__asked_for_metrics__gives_a_scrape(stage: conftest.Stage) -> None:
    async with server.Server(("127.0.0.1", 0), stage.exporter, str, str) as doors:
        status, kind, text = await get(doors.port, "/metrics")
    assert status == 200
    assert kind.startswith("text/plain; version=")
    assert "trimtab_build_info{" in text


async def test_server__asked_how_it_is__says_what_is_wrong(stage: conftest.Stage) -> None:
    wrong = {"alive": "", "ready": "no pass has been made yet"}
    doors = server.Server(("127.0.0.1", 0), stage.exporter, lambda: wrong["alive"], lambda: wrong["ready"])
    async with doors:
        assert (await get(doors.port, "/healthz"))[::2] == (200, "ok\n")
        assert (await get(doors.port, "/readyz"))[::2] == (503, "no pass has been made yet\n")
        wrong |= {"alive": "stuck", "ready": ""}
        assert (await get(doors.port, "/healthz"))[::2] == (503, "stuck\n")
        assert (await get(doors.port, "/readyz"))[::2] == (200, "ok\n")
        assert (await get(doors.port, "/"))[0] == 200
        assert (await get(doors.port, "/secrets"))[0] == 404


async def test_server__port_is_taken__says_so(stage: conftest.Stage) -> None:
    async with server.Server(("127.0.0.1", 0), stage.exporter, str, str) as doors:
        with pytest.raises(server.CannotListen, match="--listen"):
            async with server.Server(("127.0.0.1", doors.port), stage.exporter, str, str):
                pass


async def test_server__left__answers_no_more(stage: conftest.Stage) -> None:
    async with server.Server(("127.0.0.1", 0), stage.exporter, str, str) as doors:
        port = doors.port
    with pytest.raises(OSError, match="Connect"):
        await asyncio.open_connection("127.0.0.1", port)


@pytest.mark.parametrize(
    "rubbish",
    [
        b"\x16\x03\x01 secret \x1b[2J\x00\r\n\r\n",
        b"GET /secret\x1b]0;secret\x07 HTTP/1.1\r\nHost: agent\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nHost: agent\r\nsecret header\x00\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nHost: agent\r\nsecret: \x1b[31m\x00\r\n\r\n",
        b"SECRET\x01 /metrics HTTP/1.1\r\nHost: agent\r\n\r\n",
        b"GET /metrics HTTP/9.secret\r\nHost: agent\r\n\r\n",
        b"POST /metrics HTTP/1.1\r\nHost: agent\r\nContent-Length: secret\r\n\r\n",
        b"GET /secret%1b%5b2J%0d%0aX:secret HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\r\n",
        b"SECRET /metrics HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\r\n",
        b"GET /secret HTTP/1.1\r\nHost: agent\r\nExpect: secret\r\nConnection: close\r\n\r\n",
        b"GET /" + b"secret" * 10_000 + b" HTTP/1.1\r\nHost: agent\r\n\r\n",
    ],
)
async def test_server__rubbish_comes__nothing_of_it_is_sent_back_or_logged(
    stage: conftest.Stage, caplog: pytest.LogCaptureFixture, rubbish: bytes
) -> None:
    caplog.set_level(logging.DEBUG)
    async with server.Server(("127.0.0.1", 0), stage.exporter, str, str) as doors:
        reader, writer = await asyncio.open_connection("127.0.0.1", doors.port)
        writer.write(rubbish)
        response = await asyncio.wait_for(reader.read(), 5)
        writer.close()
        assert response.startswith((b"HTTP/1.0 4", b"HTTP/1.1 4"))
        assert b"secret" not in response.lower()
        assert b"\x1b" not in response
        assert (await get(doors.port, "/healthz"))[::2] == (200, "ok\n")
    assert [record for record in caplog.records if record.name != "asyncio"] == []
