"""The head of an HTTP response, taken and refused as by Go's ``net/http`` (``ReadResponse``, ``readTransfer``)."""

import pytest

from agent.observe import http_response


def lines(text: str) -> list[bytes]:
    return text.encode("latin-1").split(b"\n")


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("HTTP/1.1 200 OK", 200),
        ("HTTP/1.1 200", 200),
        ("HTTP/1.1 200 ", 200),
        ("HTTP/1.0 404 Not Found", 404),
        ("HTTP/1.1  302 Found", 302),
        ("HTTP/2.0 200 OK", 200),
        ("HTTP/1.1 200 OK\nX: 1\n folded\n\tagain", 200),
        ("HTTP/1.1 200 OK\nX:", 200),
        ("HTTP/1.1 200 OK\nX:a\tb \xff", 200),
        ("HTTP/1.1 200 OK\nContent-Length: 5\nContent-Length: 5", 200),
        ("HTTP/1.1 200 OK\nContent-Length: 5\ncontent-length:5 ", 200),
        ("HTTP/1.1 200 OK\nTransfer-Encoding: Chunked\nContent-Length: 5", 200),
        ("HTTP/1.0 200 OK\nTransfer-Encoding: gzip", 200),
        ("HTTP/1.1 204 No Content\nContent-Length: 5", 204),
        ("HTTP/1.1 999 Odd", 999),
    ],
)
def test_parse__what_go_takes__is_taken(text: str, status: int) -> None:
    assert http_response.parse(lines(text)).status == status


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "malformed HTTP response"),
        ("200 OK", "malformed HTTP response"),
        ("HTTP/1.1", "malformed HTTP response"),
        ("HTTP/1.1 20 OK", "malformed HTTP response"),
        ("HTTP/1.1 2000 OK", "malformed HTTP response"),
        ("HTTP/1.1 +20 OK", "malformed HTTP response"),
        ("HTTP/1 200 OK", "malformed HTTP response"),
        ("HTTP/11.1 200 OK", "malformed HTTP response"),
        ("SSH-2.0-OpenSSH_9.2", "malformed HTTP response"),
        ("\x15\x03\x01\x00\x02\x02F", "malformed HTTP response"),
        ("HTTP/1.1 200 OK\nno colon", "malformed header"),
        ("HTTP/1.1 200 OK\nX Y: 1", "malformed header"),
        ("HTTP/1.1 200 OK\n: 1", "malformed header"),
        ("HTTP/1.1 200 OK\nX: a\x00b", "malformed header"),
        ("HTTP/1.1 200 OK\nContent-Length: 5\nContent-Length: 6", "contradicting Content-Length"),
        ("HTTP/1.1 200 OK\nContent-Length: -5", "bad Content-Length"),
        ("HTTP/1.1 200 OK\nContent-Length: ", "bad Content-Length"),
        ("HTTP/1.1 200 OK\nContent-Length: +5", "bad Content-Length"),
        ("HTTP/1.1 200 OK\nTransfer-Encoding: gzip", "unsupported transfer encoding"),
        ("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nTransfer-Encoding: chunked", "unsupported transfer encoding"),
    ],
)
def test_parse__what_go_refuses__is_refused(text: str, message: str) -> None:
    with pytest.raises(http_response.MalformedResponseError, match=message):
        http_response.parse(lines(text))


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("HTTP/1.1 200 OK", None),
        ("HTTP/1.1 200 OK\nContent-Length: 5", 5),
        ("HTTP/1.1 204 No Content\nContent-Length: 5", 0),
        ("HTTP/1.1 304 Not Modified\nContent-Length: 5", 0),
    ],
)
def test_length__is_the_bodys(text: str, length: int | None) -> None:
    assert http_response.parse(lines(text)).length == length


def test_header__name_in_any_case__is_found() -> None:
    head = http_response.parse(lines("HTTP/1.1 302 Found\nLOCATION:  /a \nLocation: /b"))
    assert (head.header("location"), head.header("server")) == ("/a", "")


@pytest.mark.parametrize(("status", "interim"), [(100, True), (103, True), (101, False), (200, False), (99, False)])
def test_interim__is_followed_by_another(status: int, interim: bool) -> None:
    assert http_response.parse([b"HTTP/1.1 %03d X" % status]).is_interim == interim


def test_parse__folded_headers__are_one_with_a_blank_between() -> None:
    assert http_response.parse(lines("HTTP/1.1 200 OK\nX: a\n  b \n\tc")).header("x") == "a b c"


def test_parse__nothing_or_a_line_that_is_none__is_shown_as_far_as_it_goes() -> None:
    with pytest.raises(http_response.MalformedResponseError, match=r"malformed HTTP response ''$"):
        http_response.parse([])
    with pytest.raises(http_response.MalformedResponseError, match=f"malformed HTTP response '{'x' * 80}'$"):
        http_response.parse([b"x" * 100])


@pytest.mark.parametrize(
    ("line", "message"),
    [("HTTP/1.1", "HTTP/1.1"), ("HTTP/1.1 X200 OK", "X200")],
)
def test_status__is_the_word_behind_the_version(line: str, message: str) -> None:
    with pytest.raises(http_response.MalformedResponseError, match=message):
        http_response.parse(lines(line))


@pytest.mark.parametrize("text", ["HTTP/1.1 200 OK\nX", "HTTP/1.1 200 OK\n folded"])
def test_header__without_a_colon_or_folded_onto_nothing__is_refused(text: str) -> None:
    with pytest.raises(http_response.MalformedResponseError, match="malformed header"):
        http_response.parse(lines(text))


def test_header__begins_and_ends_in_letters__keeps_them() -> None:
    assert http_response.parse(lines("HTTP/1.1 200 OK\nX: XaX\t")).header("x") == "XaX"
