"""The agent as a process: its signals, and what it tells systemd."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator

from agent.converge import loop
from agent.kit import escapes, sdnotify, tasks

_STOPPING = (signal.SIGINT, signal.SIGTERM)
_READY_POLL = 0.05
"""Seconds between two looks whether the first pass has been made; only where systemd waits for it."""


async def until_stopped(going: loop.Loop, hang_up: Callable[[], None]) -> str:
    """Run the loop until SIGINT or SIGTERM, and return the signal's name; ``hang_up`` answers SIGHUP.

    SIGUSR1 tells what is going on, in plain lines on stderr: whoever sends it wants to read it, whatever is logged how.
    A second signal does not wait for anything any more.
    """
    stopped: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    with _handling_signals(stopped, going, hang_up):
        async with asyncio.TaskGroup() as group:
            work = [
                tasks.spawn(group, going.run(), name="loop"),
                tasks.spawn(group, _tell_systemd(going), name="systemd"),
            ]
            name = await stopped
            sdnotify.notify("STOPPING=1")
            for task in work:
                task.cancel()
    return name


def outlive_hang_up() -> None:
    """Go on where the terminal is closed before the loop runs, which looks at everything anyway.

    By a handler that does nothing: programs that are started meanwhile would inherit that a signal is ignored.
    """
    signal.signal(signal.SIGHUP, lambda _number, _frame: None)


@contextlib.contextmanager
def _handling_signals(stopped: asyncio.Future[str], going: loop.Loop, hang_up: Callable[[], None]) -> Iterator[None]:
    running = asyncio.get_running_loop()

    def stop(number: signal.Signals) -> None:
        for other in _STOPPING:
            running.remove_signal_handler(other)
        if not stopped.done():
            stopped.set_result(number.name)

    for number in _STOPPING:
        running.add_signal_handler(number, stop, number)
    running.add_signal_handler(signal.SIGHUP, hang_up)
    running.add_signal_handler(signal.SIGUSR1, lambda: sys.stderr.write(_lines(going.describe())))
    try:
        yield
    finally:
        for number in (*_STOPPING, signal.SIGHUP, signal.SIGUSR1):
            running.remove_signal_handler(number)


def _lines(text: str) -> str:
    """Return lines for whoever sent the signal: names in them, of tasks and objects, may come from strangers."""
    return "".join(f"{escapes.printable(line)}\n" for line in text.split("\n"))


async def _tell_systemd(going: loop.Loop) -> None:
    """Report when the first pass is made, and then, as often as systemd wants to hear it, that the loop goes round."""
    if "NOTIFY_SOCKET" not in os.environ:
        return
    interval = sdnotify.watchdog_interval()
    while not going.converged_once:
        await asyncio.sleep(_READY_POLL)
        if interval is not None:
            sdnotify.notify("WATCHDOG=1")
    sdnotify.notify("READY=1")
    while interval is not None:
        if not going.alive():
            sdnotify.notify("WATCHDOG=1")
        sdnotify.notify(f"STATUS={going.ready() or 'converging'}")
        await asyncio.sleep(interval)
