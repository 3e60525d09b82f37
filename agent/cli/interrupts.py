"""Signals that end a command, for those that have much to take away: as an interrupt, not at once."""

import asyncio
import contextlib
import signal
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

import click

T = TypeVar("T")
_ENDING = (signal.SIGTERM, signal.SIGHUP)
_BY_SIGNAL = 128
"""What a shell adds to a signal's number."""


@contextlib.contextmanager
def raised() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise ``click.exceptions.Exit``, so that what was made for a command is removed."""

    def end(number: int, _: object) -> None:
        raise click.exceptions.Exit(_BY_SIGNAL + number)

    before = {number: signal.signal(number, end) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Let signals that end a command wait: what is removed is removed to its end."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {*_ENDING, signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


async def heeded(work: Coroutine[Any, Any, T]) -> T:
    """Do something, and let SIGTERM and SIGHUP cancel it; then the command exits as one that they have killed."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    caught: list[int] = []

    def end(number: int) -> None:
        caught.append(number)
        if task is not None:
            task.cancel()

    for number in _ENDING:
        loop.add_signal_handler(number, end, number)
    try:
        return await work
    except asyncio.CancelledError as error:
        if caught:
            raise click.exceptions.Exit(_BY_SIGNAL + caught[0]) from error
        raise
    finally:
        for number in _ENDING:
            loop.remove_signal_handler(number)
