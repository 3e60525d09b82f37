"""Logins and tokens: who gets to see them, what is made of strange answers, and that none is kept for ever."""

import base64
import json

import pytest
import yarl
from aiohttp import web

from tests import faulty_registry as faulty

pytestmark = pytest.mark.root

TOKEN = "Bearer t0ken"
DENIED = ("InvalidArgument", "ImagePullDenied")
BROKEN = ("Unavailable", "ImagePullFailed")


@pytest.mark.parametrize("login", ["", faulty.LOGIN])
@pytest.mark.parametrize("member", ["token", "access_token"])
async def test_token__is_asked_for_once__and_shown_from_then_on(
    server, other, store, docker_config, login: str, member: str
) -> None:
    if login:
        server.log_in(docker_config, login)
    server.guard(TOKEN, faulty.bearer(f"http://{other.address}/token?a=b"))
    other.answers["/token"] = faulty.says(json.dumps({member: "t0ken"}).encode())
    await store.pull(server.image)
    asked = "/token?a=b&scope=repository:app:pull,push&service=the+registry"
    assert [(str(yarl.URL(path)), shown) for path, shown in other.asked] == [(asked, login)]
    assert [shown for _, shown in server.asked] == ["", TOKEN, TOKEN, TOKEN]


async def test_login__beyond_latin_letters__is_shown_in_utf8(server, store, docker_config) -> None:
    login = "Basic " + base64.b64encode("måns:пароль:x".encode()).decode()
    server.log_in(docker_config, login)
    server.guard(login, 'Basic realm="x"')
    assert (await store.pull(server.image)).reference == server.image


async def test_token__has_run_out__is_asked_for_again(server, store) -> None:
    server.guard(TOKEN, faulty.bearer(f"http://{server.address}/token"))
    server.answers["/token"] = faulty.says(b'{"token": "t0ken"}')
    await store.pull(server.image)
    server.guard("Bearer new", faulty.bearer(f"http://{server.address}/token"))
    server.answers["/token"] = faulty.says(b'{"token": "new"}')
    server.asked.clear()
    await store.pull(server.image)
    assert [shown for _, shown in server.asked] == [TOKEN, "", "Bearer new"]


async def test_login__has_run_out_and_was_renewed__is_taken_at_once(server, store, docker_config) -> None:
    """Amazon's registries answer a login that has run out with 403, and not with a challenge."""
    fresh = "Basic " + base64.b64encode(b"pilot:fresh").decode()

    async def forbids(request: web.BaseRequest) -> web.StreamResponse:
        shown = request.headers.get("Authorization")
        status = {None: 401, fresh: 200}.get(shown, 403)
        return await faulty.says(faulty.MANIFEST, status, WWW_Authenticate='Basic realm="x"')(request)

    server.log_in(docker_config)
    server.guard(faulty.LOGIN, 'Basic realm="x"')
    await store.pull(server.image)
    server.answers[faulty.MANIFEST_PATH] = forbids
    assert await store.failure(server.image) == DENIED
    server.answers[faulty.MANIFEST_PATH] = faulty.guards(faulty.MANIFEST, faulty.LOGIN, 'Basic realm="x"')
    await store.pull(server.image)
    server.answers[faulty.MANIFEST_PATH] = forbids
    server.log_in(docker_config, fresh)
    assert (await store.pull(server.image)).reference == server.image
    (docker_config / "config.json").unlink()
    server.answers[faulty.MANIFEST_PATH] = faulty.says(b"", 401, WWW_Authenticate='Basic realm="x"')
    assert await store.failure(server.image) == DENIED
    assert server.asked[-1] == (faulty.MANIFEST_PATH, fresh)
    assert await store.failure(server.image) == DENIED
    assert server.asked[-1] == (faulty.MANIFEST_PATH, "")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (faulty.says(b"", 401), DENIED),
        (faulty.says(b"", 403), DENIED),
        (faulty.says(b"", 404), BROKEN),
        (faulty.says(b"", 500), BROKEN),
        (faulty.says(b""), BROKEN),
        (faulty.says(b"<html>log in to the airport</html>"), BROKEN),
        (faulty.says(b"\xff\xfe"), BROKEN),
        (faulty.says(b"[" * 100_000), BROKEN),
        (faulty.says(b"[]"), BROKEN),
        (faulty.says(b"{}"), BROKEN),
        (faulty.says(b'{"token": 1}'), BROKEN),
        (faulty.says(b'{"token": ""}'), BROKEN),
        (faulty.says(b'{"token": "a\\r\\nX-Evil: b"}'), BROKEN),
        (faulty.says(b'{"token": "\xd0\xbf"}'), BROKEN),
        (faulty.says(b'{"token": "x"}', 200, Content_Type="text/plain; charset=klingon"), DENIED),
        (faulty.streams(None, b" " * 65536, endlessly=True), ("InvalidArgument", "ImageRefused")),
        (faulty.streams(100, b"{"), BROKEN),
        (faulty.cuts, BROKEN),
    ],
)
async def test_token__is_answered_strangely__is_told_apart(
    server, store, answer: faulty.Answer, expected: tuple[str, str]
) -> None:
    server.guard(TOKEN, faulty.bearer(f"http://{server.address}/token"))
    server.answers["/token"] = answer
    assert await store.failure(server.image) == expected


@pytest.mark.parametrize(
    ("challenge", "expected"),
    [
        ("", DENIED),
        ("Negotiate", DENIED),
        ('Digest realm="x"', DENIED),
        ("Bearer", BROKEN),
        ('Bearer realm=""', BROKEN),
        ('Bearer realm="/token"', BROKEN),
        ('Bearer realm="file:///etc/passwd"', BROKEN),
        ('Bearer realm="https://[x/token"', BROKEN),
        ('Bearer realm="https://a..b/token"', BROKEN),
        ('Bearer realm="http://registry.example/token"', DENIED),
        ('Bearer realm="HTTP://registry.example/token"', DENIED),
    ],
)
async def test_challenge__that_cannot_be_answered__is_not(
    server, store, docker_config, challenge: str, expected: tuple[str, str]
) -> None:
    server.log_in(docker_config)
    server.guard(TOKEN, challenge)
    assert await store.failure(server.image) == expected
    assert {shown for _, shown in server.asked} == {""}


async def test_challenge__among_several__is_the_first_that_we_know(server, store, docker_config) -> None:
    server.log_in(docker_config)
    server.guard(faulty.LOGIN, "Negotiate")
    refuses = faulty.guards(faulty.MANIFEST, faulty.LOGIN, "Negotiate")

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        answer = await refuses(request)
        if answer.status == 401:
            answer.headers.add("WWW-Authenticate", 'basic REALM = "x"')
        return answer

    server.answers[faulty.MANIFEST_PATH] = answer
    assert (await store.pull(server.image)).reference == server.image
