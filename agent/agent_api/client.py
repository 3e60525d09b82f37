"""A client of the running agent: one request over its socket.

Without an HTTP library: importing one would take longer than the answer.
"""

import contextlib
import itertools
import json
import pathlib
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any

from agent import errors
from agent.agent_api import sockets

TIMEOUT = 1.5
"""Seconds that an answer may take in all: a running agent answers within milliseconds."""
_CHUNK = 64 * 1024
_REFUSALS = (b"403", b"404", b"409")


class NoAgent(errors.TrimtabError):
    """No agent listens in this run directory."""


class Unresponsive(errors.TrimtabError):
    """An agent listens, but does not answer correctly or in time."""


class Refused(errors.TrimtabError):
    """The agent has refused what was asked of it: the message says why, and the hint is the way out."""


class OtherSource(Refused):
    """The agent brings about another source than the one that was asked about."""


class ManifestsRejected(Refused):
    """The manifests of the agent's source have problems."""


class MayNotAsk(errors.TrimtabError):
    """This user may not connect to the agent."""


_REASONS: dict[str, type[Refused]] = {
    "UnknownObject": Refused,
    "Refused": Refused,
    "OtherSource": OtherSource,
    "ManifestsRejected": ManifestsRejected,
    "NotPermitted": Refused,
}


def get(run: pathlib.Path, path: str, query: Mapping[str, object] | None = None, timeout: float = TIMEOUT) -> Any:  # noqa: ANN401 - JSON's own shape
    """Return the JSON document of a path. Raises ``NoAgent``, ``Unresponsive``, ``MayNotAsk``, ``Refused``."""
    target = f"{path}?{_encoded(query)}" if query else path
    return _request(run, f"GET {target}", timeout)


def post(run: pathlib.Path, path: str, query: Mapping[str, object], timeout: float) -> Any:  # noqa: ANN401 - JSON's own shape
    """Ask the agent to do something, and return the JSON document that it answers. Raises as ``get``."""
    return _request(run, f"POST {path}?{_encoded(query)}", timeout)


def stream(run: pathlib.Path, path: str, body: bytes) -> Iterator[Any]:
    """Yield the JSON documents of an answer's lines, however long they take to come. Ending it hangs up.

    Raises as ``get``.
    """
    head = f"POST {path} HTTP/1.0\r\nHost: trimtab\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with _translated(run, TIMEOUT), sockets.connect(run, TIMEOUT) as connection:
        connection.settimeout(None)
        connection.sendall(head + body)
        with connection.makefile("rb") as answer:
            status = answer.readline()
            headers = b"".join(itertools.takewhile(lambda line: line not in {b"\r\n", b""}, answer))
            if status.split(None, 2)[1:2] != [b"200"]:
                _json(status + headers + b"\r\n" + answer.read())
            for line in answer:
                yield _document(line)


def _encoded(query: Mapping[str, object]) -> str:
    return urllib.parse.urlencode(query, doseq=True, errors="surrogateescape")


def _request(run: pathlib.Path, line: str, timeout: float) -> Any:  # noqa: ANN401 - JSON's own shape
    deadline = time.monotonic() + timeout
    with _translated(run, timeout), sockets.connect(run, timeout) as connection:
        connection.sendall(f"{line} HTTP/1.0\r\nHost: trimtab\r\nContent-Length: 0\r\n\r\n".encode())
        answer = bytearray()
        while True:
            connection.settimeout(max(0.001, deadline - time.monotonic()))
            chunk = connection.recv(_CHUNK)
            if not chunk:
                break
            answer += chunk
    return _json(bytes(answer))


@contextlib.contextmanager
def _translated(run: pathlib.Path, timeout: float) -> Iterator[None]:
    """Raise what a connection fails with as what it means."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError) as error:
        raise NoAgent(f"no agent listens in {run}") from error
    except PermissionError as error:
        message = f"{run / sockets.NAME}: permission denied"
        raise MayNotAsk(message, hint=f"use sudo, or be a member of the group {sockets.GROUP}") from error
    except TimeoutError as error:
        raise Unresponsive(f"the agent has not answered within {timeout:g} s") from error
    except OSError as error:
        raise Unresponsive(f"the agent has not answered: {error.strerror or error}") from error


def _json(answer: bytes) -> Any:  # noqa: ANN401 - JSON's own shape
    head, _, body = answer.partition(b"\r\n\r\n")
    words = head.split(None, 2)
    if len(words) < 2 or words[1] != b"200":  # noqa: PLR2004 - version and code
        if words[1:2] and words[1] in _REFUSALS and (refusal := _refusal(body)) is not None:
            raise refusal
        first_line = head.partition(b"\r")[0].decode(errors="replace")
        raise Unresponsive(f"the agent has answered {first_line or 'nothing'}")
    return _document(body)


def _document(text: bytes) -> Any:  # noqa: ANN401 - JSON's own shape
    try:
        return json.loads(text)
    except ValueError as error:
        raise Unresponsive(f"the agent's answer is not JSON: {error}") from error


def _refusal(body: bytes) -> Refused | None:
    """Return what a problem document says; ``None`` for a path that an agent of another release does not have."""
    try:
        problem = json.loads(body)
        if (kind := _REASONS.get(problem["reason"])) is not None:
            return kind(str(problem["detail"]), hint=str(problem["hint"]))
    except (ValueError, KeyError, TypeError):
        pass
    return None
