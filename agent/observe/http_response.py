"""The head of an HTTP/1 response, read as leniently as Go's ``net/http`` does, since kubelet judges by that. Pure.

Where Go refuses, this refuses: what is no HTTP, lengths that contradict each other, unknown transfer encodings. What Go
takes, this takes: lines that end without CR, folded headers, as many and as long ones as there are.
"""

import re
from collections.abc import Iterable

from agent.kit import frozen

MOST_HEAD = 10 << 20
"""Bytes of a response's head: Go's default."""
_VERSION = re.compile(rb"HTTP/\d\.\d")
_STATUS = re.compile(rb"\d{3}")
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(rb"[^\x00-\x08\x0a-\x1f\x7f]*")
_LENGTH = re.compile(rb"\d+")
_NO_BODY = (204, 304)


class MalformedResponseError(Exception):
    """A response that Go's ``net/http`` would refuse."""


@frozen.value
class Head:
    """Status and headers of a response."""

    status: int
    headers: tuple[tuple[str, str], ...]
    """Names in lower case."""
    length: int | None
    """Bytes of the body; ``None``: until the connection ends, or in chunks."""

    def header(self, name: str) -> str:
        """Return the first header of a name; empty where there is none."""
        return next((value for key, value in self.headers if key == name), "")

    @property
    def is_interim(self) -> bool:
        """Whether another response follows it: 1xx, but not 101."""
        return 100 <= self.status < 200 and self.status != 101  # noqa: PLR2004 - RFC 9110, 15.2


def parse(lines: list[bytes]) -> Head:
    """Parse the lines of a head, beginning with the status line. Raises ``MalformedResponseError``."""
    version, status = status_line(lines[0] if lines else b"")
    headers = tuple(_headers(_unfolded(lines[1:])))
    if version >= b"HTTP/1.1":
        _check_transfer_encoding([value for name, value in headers if name == "transfer-encoding"])
    length = _length([value.strip() for name, value in headers if name == "content-length"])
    return Head(status, headers, 0 if status in _NO_BODY else length)


def status_line(line: bytes) -> tuple[bytes, int]:
    """Return the version and the status of a status line. Raises ``MalformedResponseError``."""
    version, blank, remainder = line.partition(b" ")
    status = remainder.lstrip(b" ").partition(b" ")[0]
    if not blank or not _VERSION.fullmatch(version) or not _STATUS.fullmatch(status):
        raise MalformedResponseError(f"malformed HTTP response {_shown(line)}")
    return version, int(status)


def _unfolded(lines: Iterable[bytes]) -> list[bytes]:
    """Join the lines of a header that is written over several."""
    unfolded: list[bytes] = []
    for line in lines:
        if line[:1] in {b" ", b"\t"} and unfolded:
            unfolded[-1] += b" " + line.strip()
        else:
            unfolded.append(line)
    return unfolded


def _headers(lines: Iterable[bytes]) -> Iterable[tuple[str, str]]:
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not _NAME.fullmatch(name) or not _VALUE.fullmatch(value.strip(b" \t")):
            raise MalformedResponseError(f"malformed header {_shown(line)}")
        yield name.decode().lower(), value.strip(b" \t").decode("latin-1")


def _check_transfer_encoding(encodings: list[str]) -> None:
    if encodings and [encoding.lower() for encoding in encodings] != ["chunked"]:
        raise MalformedResponseError(f"unsupported transfer encoding {', '.join(encodings)!r}")


def _length(lengths: list[str]) -> int | None:
    if not lengths:
        return None
    if len(set(lengths)) > 1:
        raise MalformedResponseError(f"contradicting Content-Length headers: {', '.join(sorted(set(lengths)))}")
    if not _LENGTH.fullmatch(lengths[0].encode("latin-1")):
        raise MalformedResponseError(f"bad Content-Length {lengths[0]!r}")
    return int(lengths[0])


def _shown(line: bytes) -> str:
    return repr(line[:80].decode("latin-1"))
