"""A connection that nothing is behind: answers are given by path, and what was asked is remembered."""

import contextlib
import dataclasses
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

from agent import errors


@dataclasses.dataclass(slots=True)
class Content:
    """The body of an answer, chunk by chunk."""

    chunks: Iterable[bytes]

    async def iter_any(self) -> AsyncIterator[bytes]:
        """Return the chunks."""
        for chunk in self.chunks:
            yield chunk


@dataclasses.dataclass(slots=True)
class Answer:
    """An answer that comes bit by bit."""

    content: Content


@dataclasses.dataclass(slots=True)
class Engine:
    """A stand-in for ``Connection`` with prepared answers."""

    answers: dict[str, Any] = dataclasses.field(default_factory=dict)
    """By path; a callable is called when it is asked for."""
    stream: Iterable[bytes] = ()
    asked: list[tuple[str, dict[str, str]]] = dataclasses.field(default_factory=list)
    call_timeout: float = 60.0

    async def ask(self, path: str, what: str, params: dict[str, str] | None = None, **_: Any) -> Any:
        """Answer, or say that there is no such thing."""
        self.asked.append((path, params or {}))
        if path not in self.answers:
            raise errors.NotFound(f"{what} is not there")
        answer = self.answers[path]
        return await answer() if isinstance(answer, Callable) else answer

    @contextlib.asynccontextmanager
    async def stream_response(
        self, path: str, what: str, params: dict[str, str] | None = None
    ) -> AsyncIterator[Answer]:
        """Return the stream."""
        del what
        self.asked.append((path, params or {}))
        yield Answer(Content(self.stream))

    def paths(self) -> list[str]:
        """Return the requests since the last call."""
        paths = [path for path, _ in self.asked]
        self.asked.clear()
        return paths
