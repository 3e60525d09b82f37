"""Calls of an engine: each has an end, fails in the runtime's words, and leaves no connection behind."""

import asyncio
import pathlib
from typing import Any

import pytest
from aiohttp import web

from agent import errors
from agent.drivers.docker import connection, endpoint
from tests import archives
from tests.unit.drivers.docker import http_engine


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "engine.sock"


async def hang(_: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    return web.Response()


@pytest.mark.parametrize(
    ("text", "answer"),
    [('{"a": [1]}', {"a": [1]}), ("[]", []), ("", None), (" \n", None)],
)
async def test_ask__an_answer__is_json_or_nothing(path: pathlib.Path, text: str, answer: Any) -> None:
    answers = {"GET info": web.Response(text=text)}
    async with http_engine.connected(path, **answers) as (_, engine):
        assert await engine.ask("info", "engine") == answer


async def test_ask__no_json__is_a_failure_of_a_question_and_no_matter_of_an_order(path: pathlib.Path) -> None:
    answers = {"GET info": web.Response(text="OK"), "POST go": web.Response(text="OK")}
    async with http_engine.connected(path, **answers) as (_, engine):
        assert await engine.ask("go", "engine", method="POST") is None
        with pytest.raises(errors.Unavailable, match="the engine's answer about engine is no JSON"):
            await engine.ask("info", "engine")


@pytest.mark.parametrize(
    ("status", "text", "kind", "kind_of_text"),
    [
        (404, '{"message": "No such container: x"}', errors.NotFound, "application/json"),
        (409, '{"message": "it runs"}', errors.Conflict, "application/json"),
        (500, "plain words", errors.Unavailable, "text/plain"),
        (404, "Not Found\n", errors.NotFound, "text/plain"),
        (500, "{", errors.Unavailable, "application/json"),
        (500, "[]", errors.Unavailable, "application/json"),
        (500, '{"cause": "without a message"}', errors.Unavailable, "application/json"),
    ],
)
async def test_ask__a_failure_however_it_is_worded__is_one_of_the_runtimes(
    path: pathlib.Path, status: int, text: str, kind: type[errors.Failure], kind_of_text: str
) -> None:
    answers = {"GET info": web.Response(status=status, text=text, content_type=kind_of_text)}
    async with http_engine.connected(path, **answers) as (_, engine):
        with pytest.raises(kind):
            await engine.ask("info", "engine")


async def test_ask__a_failure_in_bytes_that_are_no_text__is_one_of_the_runtimes(path: pathlib.Path) -> None:
    answers = {"GET info": web.Response(status=500, body=b"\xff\xfe", content_type="text/plain")}
    async with http_engine.connected(path, **answers) as (_, engine):
        with pytest.raises(errors.Unavailable):
            await engine.ask("info", "engine")


async def test_ask__an_engine_that_hangs__is_given_up_on_and_nothing_is_left_open(path: pathlib.Path) -> None:
    async with http_engine.connected(path, **{"GET info": hang, "GET fine": {}}) as (_, engine):
        await engine.ask("fine", "engine")
        before = archives.descriptors()
        with pytest.raises(errors.Unavailable) as caught:
            await engine.ask("info", "engine", call_timeout=0.05)
        assert caught.value.reason == "EngineTimeout"
        assert await engine.ask("fine", "engine") == {}
        assert len(archives.descriptors()) <= len(before) + 1, "the connection that hangs is closed"


async def test_ask__cancelled__lets_go_of_its_place_and_its_connection(path: pathlib.Path) -> None:
    async with http_engine.connected(path, **{"GET info": hang, "GET fine": {}}) as (served, engine):
        waiting = [asyncio.get_running_loop().create_task(engine.ask("info", "engine")) for _ in range(40)]
        while len(served.calls()) < 32:  # noqa: ASYNC110 - the engine's side tells how far they are
            await asyncio.sleep(0.001)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert await engine.ask("fine", "engine", call_timeout=5) == {}
        assert served.calls().count("GET info") == 32, "more at a time would help nobody"


async def test_ask__call_timeout__begins_when_the_call_does(path: pathlib.Path) -> None:
    done = asyncio.Event()

    async def until_done(_: web.Request) -> dict[str, str]:
        await done.wait()
        return {}

    async with http_engine.connected(path, **{"GET slow": until_done, "GET fine": {}}) as (served, engine):
        async with asyncio.TaskGroup() as group:
            for _ in range(32):
                group.create_task(engine.ask("slow", "engine", call_timeout=30))
            while len(served.calls()) < 32:  # noqa: ASYNC110 - the engine's side tells how far they are
                await asyncio.sleep(0.001)
            last = group.create_task(engine.ask("fine", "engine", call_timeout=0.5))
            await asyncio.sleep(0)
            done.set()
        assert last.result() == {}


async def test_ask__calls_that_only_wait__are_out_of_the_others_way(path: pathlib.Path) -> None:
    async with http_engine.connected(path, **{"GET info": hang, "GET fine": {}}) as (served, engine):
        waiting = [
            asyncio.get_running_loop().create_task(engine.ask("info", "x", call_timeout=connection.NO_TIMEOUT))
            for _ in range(40)
        ]
        while len(served.calls()) < 40:  # noqa: ASYNC110 - the engine's side tells how far they are
            await asyncio.sleep(0.001)
        assert await engine.ask("fine", "engine") == {}
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_ask__nobody_listens__is_unavailable(path: pathlib.Path) -> None:
    async with connection.Connection(endpoint.Endpoint("docker", f"unix://{path}")) as engine:
        with pytest.raises(errors.Unavailable) as caught:
            await engine.version()
    assert caught.value.reason == "EngineDown"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"ApiVersion": "1.40"}, "EngineTooOld"),
        ({"ApiVersion": "0.99"}, "EngineTooOld"),
        ({"ApiVersion": "new"}, "EngineFailure"),
        ({}, "EngineFailure"),
        ([], "EngineFailure"),
        (web.Response(text=""), "EngineFailure"),
    ],
)
async def test_version__of_what_is_no_engine_or_too_old__is_told(path: pathlib.Path, answer: Any, reason: str) -> None:
    async with (
        http_engine.serving(path, **{"GET version": answer}) as served,
        connection.Connection(served.where) as engine,
    ):
        with pytest.raises(errors.Unavailable) as caught:
            await engine.version()
    assert caught.value.reason == reason


async def test_version__of_an_engine_that_was_upgraded__is_spoken_from_then_on(path: pathlib.Path) -> None:
    async with http_engine.connected(path) as (served, engine):
        served.answers["GET version"] = {"ApiVersion": "1.52"}
        await engine.version()
        served.answers["GET v1.52/info"] = {"new": True}
        assert await engine.ask("info", "engine") == {"new": True}


async def test_streamed__left_early__is_closed(path: pathlib.Path) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        await answer.write(b"first\n")
        await asyncio.Event().wait()
        return answer

    async with http_engine.connected(path, **{"GET events": endless}) as (_, engine):
        before = len(archives.descriptors())
        for _ in range(5):
            async with engine.stream_response("events", "events") as answer:
                assert await answer.content.readline() == b"first\n"
        assert len(archives.descriptors()) <= before


async def test_connection__that_cannot_be_opened__leaves_nothing_behind(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    before = archives.descriptors()
    opening = connection.Connection(endpoint.Endpoint("docker", "tcp://far:2376", "missing"))
    with pytest.raises(errors.Unavailable):
        await opening.__aenter__()
    assert archives.descriptors() == before
