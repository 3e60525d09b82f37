"""The socket and who asks over it, for real: stale sockets, long paths, silence."""

import asyncio
import logging
import os
import pathlib
import socket
import stat
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from agent import errors
from agent.agent_api import client, names, server, sockets, status, status_client, status_json
from agent.kit import http_connections
from tests.unit.agent_api import test_status_json


async def answer(_: server.Request) -> status_json.Json:
    return status_json.document(test_status_json.WHOLE)


ROUTES = {"/v1/status": server.Route(answer)}
COUNTED = frozenset({"limit", "name"})


async def asked(run: pathlib.Path, patience: float = 5.0) -> status.Status:
    """Ask from a thread, as another process does."""
    return await asyncio.to_thread(status_client.read, run, patience)


async def test_status__asked_over_the_socket__is_what_the_agent_says(tmp_path: pathlib.Path) -> None:
    async with server.Server(tmp_path, ROUTES):
        assert await asked(tmp_path) == test_status_json.WHOLE
        mode = (tmp_path / sockets.NAME).stat().st_mode
        assert (stat.S_ISSOCK(mode), stat.S_IMODE(mode)) == (True, 0o660)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(client.NoAgent):
        await asked(tmp_path)


async def test_status__the_run_directory_has_a_very_long_path__works(tmp_path: pathlib.Path) -> None:
    run = tmp_path / ("long" * 50) / "run"
    async with server.Server(run, ROUTES):
        assert await asked(run) == test_status_json.WHOLE


async def test_listen__a_killed_agent_has_left_its_socket__is_replaced(tmp_path: pathlib.Path) -> None:
    sockets.listen(tmp_path).close()
    with pytest.raises(client.NoAgent):
        await asked(tmp_path)
    async with server.Server(tmp_path, ROUTES):
        assert await asked(tmp_path) == test_status_json.WHOLE


async def test_listen__a_file_is_in_its_place__is_replaced_too(tmp_path: pathlib.Path) -> None:
    (tmp_path / sockets.NAME).write_text("left")
    async with server.Server(tmp_path, ROUTES):
        assert await asked(tmp_path) == test_status_json.WHOLE


async def test_listen__the_run_directory_cannot_be_made__says_where(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(server.CannotServe, match=r"file/run/trimtab\.sock: not a directory"):
        async with server.Server(tmp_path / "file" / "run", ROUTES):
            pass


async def test_status__nobody_takes_the_connection_or_answers__is_unresponsive(tmp_path: pathlib.Path) -> None:
    with sockets.listen(tmp_path), pytest.raises(client.Unresponsive, match="has not answered within"):
        await asked(tmp_path, 0.2)


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.0 500 Internal Server Error\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\n{", b"nonsense"]
)
async def test_status__nonsense_is_answered__is_unresponsive(tmp_path: pathlib.Path, answer: bytes) -> None:
    def speak(listening: socket.socket) -> None:
        listening.settimeout(5.0)
        connection, _ = listening.accept()
        with connection:
            connection.recv(1000)
            connection.sendall(answer)

    with sockets.listen(tmp_path) as listening:
        speaking = asyncio.create_task(asyncio.to_thread(speak, listening))  # noqa: TID251 - of this test
        with pytest.raises(client.Unresponsive):
            await asked(tmp_path)
        await speaking


async def test_status__the_queue_of_connections_is_full__is_unresponsive(tmp_path: pathlib.Path) -> None:
    with sockets.listen(tmp_path) as listening:
        listening.listen(0)
        with sockets.connect(tmp_path, 5.0), pytest.raises(client.Unresponsive):
            await asked(tmp_path, 0.2)


@pytest.mark.root
async def test_status__by_a_user_who_may_not__says_what_to_do(tmp_path: pathlib.Path) -> None:
    async with server.Server(tmp_path / "run", ROUTES):
        (tmp_path / "run" / sockets.NAME).chmod(0o600)
        tmp_path.chmod(0o755)
        (tmp_path / "run").chmod(0o755)

        def as_nobody() -> str:
            try:
                os.seteuid(65534)
                status_client.read(tmp_path / "run")
            except client.MayNotAsk as error:
                return str(error)
            finally:
                os.seteuid(0)
            return "it may"

        assert "use sudo, or be a member of the group trimtab" in await asyncio.to_thread(as_nobody)


@pytest.mark.parametrize(
    "rubbish", [b"\x16\x03\x01 secret \x00\r\n\r\n", b"GET /v1/status HTTP/1.1\r\nsecret header\x00\r\n\r\n"]
)
async def test_status__what_comes_is_no_http__is_answered_shortly_and_leaves_no_traceback(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture, rubbish: bytes
) -> None:
    caplog.set_level(logging.INFO)
    async with server.Server(tmp_path, ROUTES):
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / sockets.NAME))
        writer.write(b"GET /v1/other HTTP/1.1\r\nHost: agent\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 404 ")
        writer.write(rubbish)
        response = await asyncio.wait_for(reader.read(), 5)
        writer.close()
        assert b" 400 Bad Request" in response
        assert b"secret" not in response
        assert await asked(tmp_path) == test_status_json.WHOLE
    assert caplog.records == []


async def count(request: server.Request) -> dict[str, object]:
    return {"limit": server.number(request.query, "limit", 20), "name": request.query.get("name")}


@pytest.mark.parametrize("limit", ["0", "-1", "x", "1e3", "99999999999", "\u0661", f"{1:020}{'9' * 30}", "9" * 5000])
async def test_query__a_number_that_cannot_be__is_a_bad_request(tmp_path: pathlib.Path, limit: str) -> None:
    async with server.Server(tmp_path, {"/v1/count": server.Route(count, parameters=COUNTED)}):
        with pytest.raises(client.Unresponsive, match="400 Bad Request"):
            await asyncio.to_thread(client.get, tmp_path, "/v1/count", {"limit": limit})


async def test_query__a_name_with_whatever_letters__arrives(tmp_path: pathlib.Path) -> None:
    async with server.Server(tmp_path, {"/v1/count": server.Route(count, parameters=COUNTED)}):
        query = {"name": "Image/docker.io/a b:1&c=\u00e9"}
        answered = await asyncio.to_thread(client.get, tmp_path, "/v1/count", query)
    assert answered == {"limit": 20, "name": query["name"]}


async def test_method__another_than_the_path_has__is_refused(tmp_path: pathlib.Path) -> None:
    async with server.Server(tmp_path, {"/v1/count": server.Route(count, ("POST",), COUNTED)}):
        with pytest.raises(client.Unresponsive, match="405 Method Not Allowed"):
            await asyncio.to_thread(client.get, tmp_path, "/v1/count")


async def test_connections__too_many__the_longest_idle_one_makes_place(tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / sockets.NAME)
    async with server.Server(tmp_path, ROUTES):
        held = [await asyncio.open_unix_connection(path) for _ in range(http_connections.MOST)]
        held[-1][1].write(b"GET /v1/other HTTP/1.1\r\nHost: agent\r\n\r\n")
        assert (await held[-1][0].readline()).startswith(b"HTTP/1.1 404 ")  # all of them have come in
        assert await asked(tmp_path) == test_status_json.WHOLE
        assert await asyncio.wait_for(held[0][0].read(), 5) == b""
        for _, writer in held:
            writer.close()


async def test_connections__all_of_them_are_being_answered__one_more_is_ended_at_once(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_connections, "MOST", 2)
    path, begun, go_on = str(tmp_path / sockets.NAME), asyncio.Semaphore(0), asyncio.Event()

    async def slow(_: server.Request) -> dict[str, object]:
        begun.release()
        await go_on.wait()
        return {}

    async with server.Server(tmp_path, {"/v1/slow": server.Route(slow)}):
        held = [await asyncio.open_unix_connection(path) for _ in range(2)]
        for _, writer in held:
            writer.write(b"GET /v1/slow HTTP/1.1\r\nHost: agent\r\n\r\n")
            await asyncio.wait_for(begun.acquire(), 5)
        reader, writer = await asyncio.open_unix_connection(path)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        go_on.set()
        assert (await held[0][0].readline()).startswith(b"HTTP/1.1 200 ")
        for _, held_writer in [*held, (reader, writer)]:
            held_writer.close()


async def test_connections__nothing_is_asked__are_ended_after_a_while(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_connections, "IDLE", 0.1)
    async with server.Server(tmp_path, ROUTES):
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / sockets.NAME))
        writer.write(b"GET /v1/sta")  # nor is half a request one
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()


async def test_query__a_parameter_that_the_path_does_not_have__is_a_bad_request(tmp_path: pathlib.Path) -> None:
    async with server.Server(tmp_path, {"/v1/count": server.Route(count, ("POST",), COUNTED)}):
        with pytest.raises(client.Unresponsive, match="400 Bad Request"):
            await asyncio.to_thread(client.post, tmp_path, "/v1/count", {"nmae": "web"}, 5.0)


async def test_request__who_asked_hangs_up__is_not_worked_for_any_longer(tmp_path: pathlib.Path) -> None:
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def answer(_: server.Request) -> dict[str, object]:
        begun.set()
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return {}

    async with server.Server(tmp_path, {"/v1/slow": server.Route(answer)}):
        _, writer = await asyncio.open_unix_connection(str(tmp_path / sockets.NAME))
        writer.write(b"GET /v1/slow HTTP/1.1\r\nHost: agent\r\n\r\n")
        await asyncio.wait_for(begun.wait(), 5)
        assert not cancelled.is_set()
        writer.close()
        assert await asyncio.wait_for(cancelled.wait(), 5)


async def refuse(request: server.Request) -> dict[str, object]:
    if "web" in server.strings(request.query, "name"):
        raise errors.TrimtabError("it is suspended", hint="trimtab resume web")
    raise names.unknown("wbe", ("Container/web",))


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("web", "it is suspended", "trimtab resume web"),
        ("wbe", "there is no object wbe", "did you mean Container/web? trimtab status lists every object"),
    ],
)
async def test_post__is_refused__says_why_and_the_way_out(
    tmp_path: pathlib.Path, name: str, message: str, hint: str
) -> None:
    async with server.Server(tmp_path, {"/v1/do": server.Route(refuse, ("POST",), COUNTED)}):
        with pytest.raises(client.Refused, match=f"^{message}") as raised:
            await asyncio.to_thread(client.post, tmp_path, "/v1/do", {"name": ["api", name]}, 5.0)
        assert raised.value.hint == hint
        with pytest.raises(client.Unresponsive, match="405 Method Not Allowed"):
            await asyncio.to_thread(client.get, tmp_path, "/v1/do")
        with pytest.raises(client.Unresponsive, match="404 Not Found"):  # an agent of a release without that path
            await asyncio.to_thread(client.get, tmp_path, "/v1/other")


def streams(work: Callable[[server.Put], Awaitable[None]]) -> dict[str, server.Route | server.Stream]:
    """Return a path that answers with lines, after the length of what was sent."""

    async def answer(request: server.Request) -> Callable[[server.Put], Awaitable[None]]:
        if request.body == b"bad":
            raise server.BadQuery("it is bad")

        async def whole(put: server.Put) -> None:
            put({"size": len(request.body)})
            await work(put)

        return whole

    return {"/v1/lines": server.Stream(answer, 1000)}


async def nothing(_: server.Put) -> None:
    pass


async def lines_of(run: pathlib.Path, body: bytes) -> list[Any]:
    return await asyncio.to_thread(lambda: list(client.stream(run, "/v1/lines", body)))


async def test_stream__lines__come_as_they_are_made(tmp_path: pathlib.Path) -> None:
    asked_again = asyncio.Event()

    async def work(put: server.Put) -> None:
        put({"number": 1})
        await asked_again.wait()
        put({"number": 2})

    async with server.Server(tmp_path, streams(work)):
        lines = client.stream(tmp_path, "/v1/lines", b"12345")
        assert await asyncio.to_thread(lambda: [next(lines), next(lines)]) == [{"size": 5}, {"number": 1}]
        asked_again.set()
        assert await asyncio.to_thread(lambda: list(lines)) == [{"number": 2}]


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [(b"bad", client.Unresponsive, "400 Bad Request"), (b"x" * 1001, client.Unresponsive, "400 Bad Request")],
    ids=["refused", "large"],
)
async def test_stream__before_its_first_line__is_refused(
    tmp_path: pathlib.Path, body: bytes, kind: type[Exception], message: str
) -> None:
    async with server.Server(tmp_path, streams(nothing)):
        with pytest.raises(kind, match=message):
            await lines_of(tmp_path, body)


async def test_stream__asked_by_somebody_who_is_not_root__is_refused(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_is_privileged", lambda _: False)
    async with server.Server(tmp_path, streams(nothing)):
        with pytest.raises(client.Refused, match="only root may ask the agent for this"):
            await lines_of(tmp_path, b"")


async def test_stream__whoever_asked_hangs_up__the_work_is_cancelled(tmp_path: pathlib.Path) -> None:
    cancelled = asyncio.Event()

    async def work(_: server.Put) -> None:
        try:
            await asyncio.sleep(600)
        finally:
            cancelled.set()

    async with server.Server(tmp_path, streams(work)):
        lines = client.stream(tmp_path, "/v1/lines", b"")
        await asyncio.to_thread(lambda: next(lines))
        lines.close()
        async with asyncio.timeout(5):
            assert await cancelled.wait()


async def test_stream__no_agent__says_so(tmp_path: pathlib.Path) -> None:
    with pytest.raises(client.NoAgent):
        await lines_of(tmp_path, b"")


async def test_stream__the_server_ends__the_work_has_ended_before(tmp_path: pathlib.Path) -> None:
    ends: list[str] = []

    async def work(_: server.Put) -> None:
        try:
            await asyncio.sleep(600)
        finally:
            await asyncio.sleep(0.05)
            ends.append("cleaned up")

    async with server.Server(tmp_path, streams(work)):
        lines = client.stream(tmp_path, "/v1/lines", b"")
        await asyncio.to_thread(lambda: next(lines))
    assert ends == ["cleaned up"]
    lines.close()


async def test_stream__body_does_not_come__is_refused(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_PATIENCE", 0.05)
    async with server.Server(tmp_path, streams(nothing)):
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / sockets.NAME))
        writer.write(b"POST /v1/lines HTTP/1.0\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
        assert b"the body has not come within" in await reader.read()
        writer.close()


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.0 200 OK\r\n", b"HTTP/1.0 200 OK\r\nContent-Type: x\r\n"])
async def test_stream__answer_ends_in_its_head__ends(tmp_path: pathlib.Path, answer: bytes) -> None:
    def speak(listening: socket.socket) -> None:
        listening.settimeout(5.0)
        connection, _ = listening.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(answer)

    with sockets.listen(tmp_path) as listening:
        results = await asyncio.gather(
            asyncio.to_thread(speak, listening), lines_of(tmp_path, b""), return_exceptions=True
        )
    assert results[1] == [] or isinstance(results[1], client.Unresponsive)
