"""Coroutines that wait for nothing but their turn: they run on any event loop, and without one.

Importing ``asyncio`` takes as long as reading a log.
"""

import types
from collections.abc import Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")


@types.coroutine
def checkpoint() -> Generator[None, None, None]:
    """Let others have their turn, as ``asyncio.sleep(0)`` does."""
    yield


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine without an event loop, and return its result.

    Raises ``RuntimeError`` where it waits for anything: it wants a loop then.
    """
    try:
        while work.send(None) is None:
            pass
    except StopIteration as ending:
        result: T = ending.value
        return result
    work.close()
    raise RuntimeError("this waits for something: run it on an event loop")
