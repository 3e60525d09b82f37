"""The doors to the outside."""

import asyncio
import gzip
import logging
import threading
from collections.abc import Mapping

import aiohttp
import pytest

from agent.telemetry import compression, server
from tests.unit.telemetry import conftest

PROMETHEUS = {
    "Accept": "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
    "Accept-Encoding": "gzip",
}
"""The headers of Prometheus 2.42."""


async def get(port: int, path: str) -> tuple[int, str, str]:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as answer:
        return answer.status, answer.headers["Content-Type"], await answer.text()


async def test_server__asked_for_metrics__gives_a_scrape(stage: conftest.Stage) -> None:
    async with server.Server(("127.0.0.1", 0), stage.exporter, str, str) as doors:
        status, kind, text = await get(doors.port, "/metrics")
    assert status == 200
    assert kind.startswith("text/plain; version=")
    assert "trimtab_build_info{" in text


async def answer_to(port: int, headers: dict[str, str]) -> tuple[bytes, Mapping[str, str]]:
    """Return the bytes that come for ``/metrics``, as they come, and their headers."""
    async with (
        aiohttp.ClientSession(auto_decompress=False, skip_auto_headers=("Accept-Encoding", "Accept")) as session,
        session.get(f"http://127.0.0.1:{port}/metrics", headers=headers) as answer,
    ):
        return await answer.read(), answer.headers


async def test_server__asked_as_prometheus_asks__answers_compressed(stage: conftest.Stage) -> None:
    async with server.Server(("127.0.0.1", 0), stage.exporter, str, str) as doors:
        body, headers = await answer_to(doors.port, PROMETHEUS)
    assert headers["Content-Encoding"] == "gzip"
    assert headers["Content-Type"].startswith("application/openmetrics-text")
    assert headers["Vary"] == "Accept, Accept-Encoding"
    assert int(headers["Content-Length"]) == len(body)
    assert gzip.decompress(body).endswith(b"# EOF\n")


@pytest.mark.parametrize("encoding", [{}, {"Accept-Encoding": "identity"}, {"Accept-Encoding": "gzip;q=0, br"}])
async def test_server__gzip_is_not_accepted__answers_as_it_is(stage: conftest.Stage, encoding: dict[str, str]) -> None:
    async with server.Server(("127.0.0.1", 0), stage.exporter, str, str) as doors:
        body, headers = await answer_to(doors.port, encoding)
    assert "Content-Encoding" not in headers
    assert headers["Vary"] == "Accept, Accept-Encoding"
    assert body.startswith(b"# HELP trimtab_build_info ")


async def test_server__accepted_encodings_come_in_two_headers__are_one_list(stage: conftest.Stage) -> None:
    async with server.Server(("127.0.0.1", 0), stage.exporter, str, str) as doors:
        reader, writer = await asyncio.open_connection("127.0.0.1", doors.port)
        two = b"Accept-Encoding: br\r\nAccept-Encoding: gzip\r\n"
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n" + two + b"\r\n")
        response = await asyncio.wait_for(reader.read(), 5)
        writer.close()
    assert b"\r\nContent-Encoding: gzip\r\n" in response


async def test_server__compresses__not_in_the_thread_of_the_loop(
    stage: conftest.Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads, compress = [], compression.gzipped

    def watched(body: bytes) -> bytes:
        threads.append(threading.current_thread())
        return compress(body)

    monkeypatch.setattr(compression, "gzipped", watched)
    async with server.Server(("127.0.0.1", 0), stage.exporter, str, str) as doors:
        await answer_to(doors.port, PROMETHEUS)
    assert len(threads) == 1
    assert threads[0] is not threading.current_thread()


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
