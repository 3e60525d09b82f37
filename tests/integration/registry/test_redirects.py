"""Where a registry may send us, what goes along on the way, and what no registry ever gets."""

import asyncio

import pytest
import yarl

from agent.distribution.registry import transport
from tests import faulty_registry as faulty

pytestmark = pytest.mark.root

DENIED = ("InvalidArgument", "ImagePullDenied")
BROKEN = ("Unavailable", "ImagePullFailed")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirect__to_another_host__never_carries_what_we_have(
    server, other, store, docker_config, status: int
) -> None:
    server.log_in(docker_config)
    server.guard(faulty.LOGIN, 'Basic realm="x"')
    away = faulty.redirects(f"http://{other.address}/away?signed=%2Fa%2B~%7E", status)
    back = faulty.redirects(f"http://{server.address}/back")
    server.answers[faulty.LAYER_PATH], other.answers["/away"] = away, back
    server.answers["/back"] = faulty.says(faulty.LAYER)
    await store.pull(server.image)
    assert other.asked == [("/away?signed=%2Fa%2B~%7E", "")]
    assert dict(server.asked)["/back"] == ""
    assert dict(server.asked)[faulty.LAYER_PATH] == faulty.LOGIN


async def test_redirect__names_a_login__is_not_used(server, store, docker_config) -> None:
    server.log_in(docker_config)
    server.guard(faulty.LOGIN, 'Basic realm="x"')
    server.answers[faulty.LAYER_PATH] = faulty.redirects(f"http://evil:evil@{server.address}/layer")
    server.answers["/layer"] = faulty.guards(faulty.LAYER, faulty.LOGIN, 'Basic realm="x"')
    assert (await store.pull(server.image)).reference == server.image


@pytest.mark.parametrize("challenge", ['Basic realm="x"', "bearer"])
async def test_redirect__to_one_who_asks_for_our_login__does_not_give_it(
    server, other, store, docker_config, challenge: str
) -> None:
    """The way of CVE-2020-15157: the login for one registry was shown to whom another host named."""
    server.log_in(docker_config)
    server.guard(faulty.LOGIN, 'Basic realm="x"')
    server.answers[faulty.LAYER_PATH] = faulty.redirects(f"http://{other.address}/layer")
    asks = faulty.bearer(f"http://{other.address}/token") if challenge == "bearer" else challenge
    other.answers["/layer"] = faulty.says(b"", 401, WWW_Authenticate=asks)
    assert await store.failure(server.image) == BROKEN
    assert other.asked == [("/layer", "")]


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("http://registry.example/layer", DENIED),
        ("HTTP://registry.example/layer", DENIED),
        ("//registry.example/layer", DENIED),
        ("file:///etc/passwd", BROKEN),
        ("https://[", BROKEN),
        ("https://a..b/layer", BROKEN),
        ("http://127.0.0.1:99999/layer", BROKEN),
        ("https:", BROKEN),
        (faulty.LAYER_PATH, BROKEN),
        ("", BROKEN),
    ],
)
async def test_redirect__to_where_nobody_should_go__is_not_followed(
    server, store, location: str, expected: tuple[str, str]
) -> None:
    server.answers[faulty.LAYER_PATH] = faulty.redirects(location)
    assert await store.failure(server.image) == expected


async def test_redirects__five__are_followed_and_six_are_too_many(server, store) -> None:
    for number in range(6):
        server.answers[f"/{number}"] = faulty.redirects(f"/{number + 1}")
    server.answers["/6"] = faulty.says(faulty.LAYER)
    server.answers[faulty.LAYER_PATH] = faulty.redirects("/1")
    assert await store.failure(server.image) == BROKEN
    server.answers[faulty.LAYER_PATH] = faulty.redirects("/2")
    assert (await store.pull(server.image)).reference == server.image


async def test_redirect__signed_for_a_while__is_not_told_when_it_breaks(server, store) -> None:
    server.answers[faulty.LAYER_PATH] = faulty.redirects("/layer?signature=s3cret")
    for answer in (faulty.cuts, faulty.streams(10, b"x"), faulty.says(b"", 500), faulty.redirects("http://[s3cret")):
        server.answers["/layer"] = answer
        failed = str(await store.fails(server.image))
        assert "s3cret" not in failed


async def test_redirect__signed_and_to_no_web_server__is_not_told_either(server, store) -> None:
    async def speak(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.org ESMTP\r\n")
        writer.close()

    async with await asyncio.start_server(speak, "127.0.0.1", 0) as listening:
        address = f"127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        server.answers[faulty.LAYER_PATH] = faulty.redirects(f"http://{address}/layer?signature=s3cret")
        failed = str(await store.fails(server.image))
    assert failed.startswith(f"registry {address} cannot be reached: ")
    assert "s3cret" not in failed


async def test_netrc__has_logins_for_everybody__is_none_of_ours(
    server, other, store, docker_config, monkeypatch
) -> None:
    (docker_config / "netrc").write_text("machine 127.0.0.1 login evil password evil\n")
    (docker_config / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(docker_config / "netrc"))
    server.log_in(docker_config)
    server.guard(faulty.LOGIN, 'Basic realm="x"')
    server.answers[faulty.LAYER_PATH] = faulty.redirects(f"http://{other.address}/layer")
    other.answers["/layer"] = faulty.says(faulty.LAYER)
    await store.pull(server.image)
    assert {shown for _, shown in (*server.asked, *other.asked)} == {"", faulty.LOGIN}


async def test_cookie__from_a_registry__is_not_kept(server, store) -> None:
    server.answers[faulty.MANIFEST_PATH] = faulty.says(faulty.MANIFEST, Set_Cookie="followed=1; Path=/")
    await store.pull(server.image.replace("127.0.0.1", "localhost"))
    assert [headers.get("Cookie") for headers in server.headers] == [None, None, None]


async def test_proxy__is_used_for_other_hosts__and_never_for_this_one(server, store, monkeypatch) -> None:
    lines: list[bytes] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines.append(await reader.readline())
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(proxy, "127.0.0.1", 0) as listening:
        address = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        for name in ("no_proxy", "NO_PROXY", "HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("http_proxy", address)
        monkeypatch.setenv("https_proxy", address)
        await store.pull(server.image)
        assert lines == []
        assert await store.failure("registry.example/app:1") == BROKEN
        assert set(lines) == {b"CONNECT registry.example:443 HTTP/1.1\r\n"}
        monkeypatch.setenv("no_proxy", "registry.example")
        assert transport._proxy(yarl.URL("https://registry.example")) is None
