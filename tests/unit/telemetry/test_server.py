"""The doors to the outside."""

import asyncio

import aiohttp
import pytest

from agent.telemetry import server
from tests.unit.telemetry import conftest


async def get(port: int, path: str) -> tuple[int, str, str]:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as answer:
        return answer.status, answer.headers["Content-Type"], await answer.text()


async def test_server__asked_for_metrics__gives_a_scrape(known: conftest.Known) -> None:
    async with server.Server(("127.0.0.1", 0), known.exporter, str, str) as doors:
        status, kind, text = await get(doors.port, "/metrics")
    assert status == 200
    assert kind.startswith("text/plain; version=")
    assert "trimtab_build_info{" in text


async def test_server__asked_how_it_is__says_what_is_wrong(known: conftest.Known) -> None:
    wrong = {"alive": "", "ready": "no pass has been made yet"}
    doors = server.Server(("127.0.0.1", 0), known.exporter, lambda: wrong["alive"], lambda: wrong["ready"])
    async with doors:
        assert (await get(doors.port, "/healthz"))[::2] == (200, "ok\n")
        assert (await get(doors.port, "/readyz"))[::2] == (503, "no pass has been made yet\n")
        wrong |= {"alive": "stuck", "ready": ""}
        assert (await get(doors.port, "/healthz"))[::2] == (503, "stuck\n")
        assert (await get(doors.port, "/readyz"))[::2] == (200, "ok\n")
        assert (await get(doors.port, "/"))[0] == 200
        assert (await get(doors.port, "/secrets"))[0] == 404


async def test_server__port_is_taken__says_so(known: conftest.Known) -> None:
    async with server.Server(("127.0.0.1", 0), known.exporter, str, str) as doors:
        with pytest.raises(server.CannotListen, match="--listen"):
            async with server.Server(("127.0.0.1", doors.port), known.exporter, str, str):
                pass


async def test_server__left__answers_no_more(known: conftest.Known) -> None:
    async with server.Server(("127.0.0.1", 0), known.exporter, str, str) as doors:
        port = doors.port
    with pytest.raises(OSError, match="Connect"):
        await asyncio.open_connection("127.0.0.1", port)
