"""Signals that end a command, for those that have much to take away: as an interrupt, not at once."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

import click

T = TypeVar("T")
_ENDING = (signal.SIGTERM, signal.SIGHUP)
_BY_SIGNAL = 128
"""What a shell adds to a signal's number."""


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
