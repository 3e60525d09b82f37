"""Looks at file systems that may never answer, as those of a network whose server is away.

Each is made in a thread of its own: those of a pool would all hang soon, and with them whatever else the pool is for.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent import futures
from typing import TypeVar

from agent import errors
from agent.reasons import Reason

T = TypeVar("T")

_PATIENCE = 10.0
"""Seconds that a look may take: a busy disk takes one or two, a network file system that tries again some more."""


def unanswered(what: str, path: str, reason: Reason) -> errors.Unavailable:
    """Return the failure of an operation for a look that had no answer; ``what`` is for people: "bind source"."""
    return errors.Unavailable(
        f"the file system of {what} {path} does not answer",
        hint=f"see whether its server is there: stat {path}",
        reason=reason,
    )


class Lookups:
    """Looks at paths; one that hangs keeps a thread for as long as it does, and no second one for the same path."""

    def __init__(self, patience: float = _PATIENCE) -> None:
        """Nothing hangs yet. ``patience``: seconds that a look may take."""
        self._patience = patience
        self._hanging: dict[str, Callable[[], bool]] = {}
        """Whether a look that had no answer in time has one by now, by path."""

    async def look(self, path: str, question: Callable[[], T]) -> T:
        """Return the answer to a question that blocks, about what is at a path; raise what it raises.

        Raises ``TimeoutError`` where there is none in time, and at once where an earlier look at the path still hangs.
        """
        has_ended = self._hanging.get(path)
        if has_ended is not None and not has_ended():
            raise TimeoutError(f"an earlier look at {path} has no answer yet")
        self._hanging.pop(path, None)
        answer: futures.Future[T] = futures.Future()
        answered = asyncio.get_running_loop().create_future()
        answer.add_done_callback(lambda _: _call(answered))
        threading.Thread(target=_answer, args=(question, answer), name=f"look at {path}", daemon=True).start()
        try:
            async with asyncio.timeout(self._patience):
                await answered
        except BaseException:
            if not answer.done():
                self._hanging[path] = answer.done
            raise
        return answer.result()


def _answer(question: Callable[[], T], answer: futures.Future[T]) -> None:
    try:
        result = question()
    except BaseException as error:  # noqa: BLE001 - raised by whoever waits for it
        answer.set_exception(error)
    else:
        answer.set_result(result)


def _call(answered: "asyncio.Future[None]") -> None:
    """Let a loop know, from a thread; it may be closed by now."""
    with contextlib.suppress(RuntimeError):
        answered.get_loop().call_soon_threadsafe(_set, answered)


def _set(answered: "asyncio.Future[None]") -> None:
    if not answered.done():
        answered.set_result(None)
