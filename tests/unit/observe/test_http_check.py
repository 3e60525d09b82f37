"""Probes by HTTP are asked and judged as kubelet does: ``pkg/probe/http`` over Go's ``net/http``."""

import asyncio
import contextlib
import pathlib
import re
import socket
import ssl
import threading

import pytest

from agent.model import health
from agent.observe import connections, http_check, http_response
from tests import certificates

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
HEALTHY = {
    "usual": OK,
    "a header of 100,000 bytes": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
    "a thousand headers": b"HTTP/1.1 200 OK\r\n"
    + b"".join(b"X-%d: 1\r\n" % number for number in range(1000))
    + b"\r\n",
    "its length told twice": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    "204 with a body": b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\n\r\nok",
    "no line ends but LF": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "no body though it promises one": b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\nok",
    "a broken chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "garbage behind": OK + b"garbage",
    "a large body": b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1_000_000,
    "interim responses": b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 5 + OK,
    "399": b"HTTP/1.1 399 Odd\r\n\r\n",
    "a redirect without a place": b"HTTP/1.1 301 Moved\r\n\r\n",
    "not modified": b"HTTP/1.1 304 Not Modified\r\nLocation: /x\r\n\r\n",
}
SICK = {
    "500": (b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", "was answered 500"),
    "400": (b"HTTP/1.1 400 Bad\r\n\r\n", "was answered 400"),
    "101": (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "was answered 101"),
    "nothing": (b"", "the connection ended before the response did"),
    "half a head": (b"HTTP/1.1 200 OK\r\nX: 1\r\n", "the connection ended before the response did"),
    "another protocol": (b"SSH-2.0-OpenSSH_9.2\r\n", "malformed HTTP response"),
    "two lengths": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok", "contradicting"),
    "six interim responses": (b"HTTP/1.1 100 Continue\r\n\r\n" * 6 + OK, "too many 1xx"),
    "headers without end": (b"HTTP/1.1 200 OK\r\n" + b"X: " + b"x" * (11 << 20), "its headers never end"),
}


@pytest.mark.parametrize("answer", HEALTHY.values(), ids=HEALTHY)
async def test_check__healthy__is_success(serving, answer: bytes) -> None:
    async with serving(answer) as server:
        assert await http_check.check("127.0.0.1", server.probe()) == ""


@pytest.mark.parametrize(("answer", "message"), SICK.values(), ids=SICK)
async def test_check__not_healthy__says_why(serving, answer: bytes, message: str) -> None:
    async with serving(answer) as server:
        assert message in await http_check.check("127.0.0.1", server.probe())


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("/", "/"),
        ("/a%2Fb", "/a%2Fb"),
        ("/../x", "/../x"),
        ("/a//b/./c/", "/a//b/./c/"),
        ("/x?full=1&y=%20+", "/x?full=1&y=%20+"),
        ("/x?url=http://a/b", "/x?url=http://a/b"),
        ("/ä", "/%C3%A4"),
        ("/x#fragment", "/x"),
        ('/%zz|"<>{}', '/%zz|"<>{}'),
        ("/\x01\x7f", "/%01%7F"),
        ("/!~ ", "/!~%20"),
    ],
)
async def test_request__path__is_sent_as_it_is_written(serving, path: str, sent: str) -> None:
    async with serving(OK) as server:
        await http_check.check("127.0.0.1", server.probe(path))
        assert server.requests[0].split(b"\r\n")[0].decode() == f"GET {sent} HTTP/1.1"


async def request(serving, *headers: tuple[str, str]) -> list[str]:
    """Return the headers of a request that declares some."""
    async with serving(OK) as server:
        await http_check.check("127.0.0.1", server.probe(headers=headers))
        lines = server.requests[0].decode().split("\r\n")[1:-2]
        return [line.replace(str(server.port), "PORT") for line in lines]


async def test_request__headers__are_our_own_and_the_declared(serving) -> None:
    own = ["Host: 127.0.0.1:PORT", "User-Agent: trimtab-probe/0.1.0", "Accept: */*"]
    assert await request(serving) == [*own, "Connection: close"]
    assert await request(serving, ("X-A", "1"), ("X-A", "2"), ("X-Empty", "")) == [
        *own,
        "X-A: 1",
        "X-A: 2",
        "X-Empty: ",
        "Connection: close",
    ]
    assert await request(serving, ("host", "shop.example"), ("user-agent", "me"), ("ACCEPT", "")) == [
        "Host: shop.example",
        "user-agent: me",
        "Connection: close",
    ]


def moved(location: str, status: int = 302) -> bytes:
    return f"HTTP/1.1 {status} Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirect__on_the_same_address__is_followed(serving, status: int) -> None:
    async with serving(moved("/login?next=%2F", status), b"HTTP/1.1 500 Oops\r\n\r\n") as server:
        probe = server.probe("/", headers=(("Host", "shop.example"), ("X-A", "1")))
        assert "/login?next=%2F was answered 500" in await http_check.check("127.0.0.1", probe)
        second = server.requests[1].decode()
        assert second.startswith("GET /login?next=%2F HTTP/1.1\r\nHost: shop.example\r\n")
        assert "X-A: 1" in second


async def test_redirect__to_another_port_of_the_address__is_followed(serving) -> None:
    async with (
        serving(b"HTTP/1.1 503 No\r\n\r\n") as other,
        serving(moved(f"http://127.0.0.1:{other.port}/x")) as server,
    ):
        probe = server.probe(headers=(("Host", "shop.example"),))
        assert "/x was answered 503" in await http_check.check("127.0.0.1", probe)
        assert f"Host: 127.0.0.1:{other.port}\r\n" in other.requests[0].decode()


@pytest.mark.parametrize("location", ["http://elsewhere.invalid/", "//elsewhere.invalid/x", "https://localhost:1/"])
async def test_redirect__elsewhere__is_success_and_not_followed(serving, location: str) -> None:
    async with serving(moved(location)) as server:
        assert await http_check.check("127.0.0.1", server.probe()) == ""


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("/again", "stopped after 10 redirects"),
        ("ftp://127.0.0.1/", "not an HTTP address"),
        ("http://127.0.0.1:99999/", "Port out of range"),
        ("http://[::1/", "Invalid IPv6 URL"),
    ],
)
async def test_redirect__that_leads_nowhere__is_failure(serving, location: str, message: str) -> None:
    async with serving(moved(location)) as server:
        assert message in await http_check.check("127.0.0.1", server.probe())
        assert len(server.requests) <= 10


async def test_body__that_never_ends__is_not_waited_for(serving) -> None:
    async with serving(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: x\r\n") as server:
        server.hold = 10
        async with asyncio.timeout(3):
            assert await http_check.check("127.0.0.1", server.probe()) == ""


async def test_body__comes_a_little_later_than_its_head__is_taken_before_the_connection_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_check, "_BODY_TIMEOUT", 30.0)
    go_on = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
            await go_on.wait()
            writer.write(b"ok")

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server, asyncio.TaskGroup() as group:
        probe = health.HttpProbe(server.sockets[0].getsockname()[1], "/", "http", ())
        checked = group.create_task(http_check.check("127.0.0.1", probe))
        for _ in range(100):  # what has come is read in a step or two
            await asyncio.sleep(0)
        assert not checked.done()
        go_on.set()
    assert checked.result() == ""


async def test_connection__after_the_answer__ends_orderly_and_keeps_no_port(serving) -> None:
    async with serving(OK) as server:
        server.hold = 5
        assert await http_check.check("127.0.0.1", server.probe()) == ""
        async with asyncio.timeout(5):
            while not server.endings:  # noqa: ASYNC110 - observed from outside on purpose
                await asyncio.sleep(0.01)
        assert server.endings == ["end"]
        assert time_waits(server.port) == []


def time_waits(port: int) -> list[str]:
    """Return the connections to a port that wait in TIME_WAIT."""
    rows = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [row[2] for row in rows if row[2].endswith(f":{port:04X}") and row[3] == "06"]


async def test_https__any_certificate__is_taken(serving, tmp_path: pathlib.Path) -> None:
    pair = certificates.authority(tmp_path).pair  # no server's, and of an authority that nobody knows
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    async with serving(OK, tls=context) as server:
        assert await http_check.check("127.0.0.1", server.probe(scheme="https")) == ""


async def test_https__of_a_plain_server__is_an_error(serving) -> None:
    async with serving(b"HTTP/1.1 400 Bad\r\n\r\n") as server:
        with pytest.raises(OSError, match="SSL"):
            async with asyncio.timeout(5):
                await http_check.check("127.0.0.1", server.probe(scheme="https"))


async def test_address__of_ipv6__is_in_brackets(serving) -> None:
    async with serving(OK) as server:
        assert http_check.url("fd00::1", server.probe("/x")) == f"http://[fd00::1]:{server.port}/x"
        assert http_check.url("fd00::1", server.probe("/x", port=80)) == "http://[fd00::1]/x"


async def test_request__of_any_headers__ends_with_one_empty_line(serving) -> None:
    async with serving(OK) as server:
        await http_check.check("127.0.0.1", server.probe(headers=(("Connection", "keep-alive"),)))
        assert server.requests[0].endswith(b"\r\nConnection: close\r\n\r\n")
        assert server.requests[0].count(b"Connection") == 1


@pytest.mark.parametrize(
    ("location", "sent"), [("http://127.0.0.1:PORT", "/"), ("http://127.0.0.1:PORT?a=1", "/?a=1"), ("?a=1", "/x?a=1")]
)
async def test_redirect__without_a_path__asks_for_the_root_or_the_same(serving, location: str, sent: str) -> None:
    async with serving(b"") as server:
        server.answers = [moved(location.replace("PORT", str(server.port))), OK]
        assert await http_check.check("127.0.0.1", server.probe("/x")) == ""
        assert server.requests[1].split(b"\r\n")[0].decode() == f"GET {sent} HTTP/1.1"


async def test_redirect__to_no_host__is_failure(serving) -> None:
    async with serving(moved("http://:80/x")) as server:
        assert "not an HTTP address" in await http_check.check("127.0.0.1", server.probe())


async def test_redirect__to_the_schemes_own_port__is_asked_there(serving) -> None:
    async with serving(moved("http://127.0.0.1/x")) as server:
        with pytest.raises(OSError, match=re.escape("('127.0.0.1', 80)")):
            await http_check.check("127.0.0.1", server.probe())


async def test_request__to_an_empty_path__asks_for_the_root(serving) -> None:
    async with serving(OK) as server:
        await http_check.check("127.0.0.1", server.probe(""))
        assert server.requests[0].startswith(b"GET / HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("head", "body", "taken"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", 10 << 10, 10 << 10),
        (b"HTTP/1.1 200 OK\r\n\r\n", 20 << 10, 10 << 10),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 9, 5),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n", 9, 1),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 20480\r\n\r\n", 20 << 10, 10 << 10),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 5, 0),
    ],
)
async def test_body__is_read_as_far_as_it_goes_and_ten_kibibytes_at_most(head: bytes, body: int, taken: int) -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(b"x" * body)
    reader.feed_eof()
    await http_check._pass_over_body(reader, http_response.parse(head.removesuffix(b"\r\n\r\n").split(b"\r\n")))
    assert len(await reader.read()) == body - taken


async def test_head__of_many_lines__may_be_as_long_as_gos_and_no_longer() -> None:
    line = b"X: " + b"x" * 1000 + b"\n"
    for count, is_taken in (
        (http_response.MOST_HEAD // len(line) - 1, True),
        (http_response.MOST_HEAD // len(line) + 1, False),
    ):
        reader = asyncio.StreamReader()
        reader.feed_data(b"HTTP/1.1 200 OK\n" + line * count + b"\n")
        reader.feed_eof()
        if is_taken:
            assert len(await http_check._head_lines(reader)) == count + 1
        else:
            with pytest.raises(http_response.MalformedResponseError, match="never end"):
                await http_check._head_lines(reader)


async def test_https__the_server_does_not_answer_the_end_of_tls__is_not_waited_for(tmp_path: pathlib.Path) -> None:
    pair = certificates.authority(tmp_path).pair
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    is_over = threading.Event()

    def shake_hands(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with context.wrap_socket(connection, server_side=True):
            is_over.wait(10)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = asyncio.get_running_loop().run_in_executor(None, shake_hands, listening)
        port = listening.getsockname()[1]
        async with connections.opened("127.0.0.1", port, http_check._UNVERIFIED) as (_, writer):
            ours = writer.get_extra_info("socket")
        async with asyncio.timeout(5):
            while ours.fileno() != -1:  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0)
        is_over.set()
        await server
    assert ours.fileno() == -1


def test_https__weak_certificates__are_taken_too() -> None:
    assert http_check._UNVERIFIED.security_level == 0
    assert (http_check._UNVERIFIED.check_hostname, http_check._UNVERIFIED.verify_mode) == (False, ssl.CERT_NONE)


@pytest.mark.parametrize(
    ("address", "scheme", "port", "url"),
    [
        ("10.0.0.1", "http", 80, "http://10.0.0.1/x"),
        ("10.0.0.1", "https", 443, "https://10.0.0.1/x"),
        ("10.0.0.1", "http", 443, "http://10.0.0.1:443/x"),
        ("10.0.0.1", "https", 80, "https://10.0.0.1:80/x"),
        ("fd00::1", "http", 8080, "http://[fd00::1]:8080/x"),
    ],
)
def test_url__as_people_write_it__leaves_out_the_schemes_own_port(
    address: str, scheme: str, port: int, url: str
) -> None:
    assert http_check.url(address, health.HttpProbe(port, "/x", scheme, ())) == url
