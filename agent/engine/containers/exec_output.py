"""What a program in a container writes, until it has ended: a child that it leaves behind may keep its streams open."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping

_CHUNK = 65536
_DRAINING = 1.0
"""Seconds in which the output of a program that has ended is read; children that it left may write for ever."""
_TERMINAL_DELAY = 0.05
"""Seconds after which a terminal has passed on everything: the kernel does that in the background."""


async def chunks(pid: int, outputs: Mapping[str, int]) -> AsyncIterator[tuple[str, bytes]]:
    """Yield (stream, chunk) until all streams have ended, or the process has and what it wrote is read.

    ``outputs``: descriptors that do not block, by name.
    """
    streams = dict(outputs)
    ended = _pidfd(pid)
    try:
        while streams and ended is not None:
            ready = await _readable({ended, *streams.values()})
            for chunk in _available(streams):
                yield chunk
            if ended in ready:
                break
    finally:
        if ended is not None:
            os.close(ended)
    deadline = asyncio.get_running_loop().time() + _DRAINING
    while streams and asyncio.get_running_loop().time() < deadline:
        remaining = list(_available(streams))
        for chunk in remaining:
            yield chunk
        if not remaining and not await _terminal_has_more(streams):
            return


async def _terminal_has_more(streams: dict[str, int]) -> bool:
    terminals = {descriptor for descriptor in streams.values() if os.isatty(descriptor)}
    return bool(terminals and await _readable(terminals, _TERMINAL_DELAY))


def _available(streams: dict[str, int]) -> Iterator[tuple[str, bytes]]:
    """Yield what can be read now, a chunk of each stream; those that have ended are taken out."""
    for name, descriptor in list(streams.items()):
        try:
            chunk = os.read(descriptor, _CHUNK)
        except BlockingIOError:
            continue
        except OSError:  # a terminal's other end is closed: EIO
            chunk = b""
        if chunk:
            yield name, chunk
        else:
            del streams[name]


def _pidfd(pid: int) -> int | None:
    """Open a descriptor that can be read once a process has ended; ``None`` where it has been reaped."""
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None


async def _readable(descriptors: Iterable[int], within: float | None = None) -> set[int]:
    """Wait until some descriptors can be read, and return these; none after ``within`` seconds."""
    loop = asyncio.get_running_loop()
    ready: set[int] = set()
    some = asyncio.Event()

    def notice(descriptor: int) -> None:
        ready.add(descriptor)
        some.set()

    for descriptor in descriptors:
        loop.add_reader(descriptor, notice, descriptor)
    try:
        async with asyncio.timeout(within):
            await some.wait()
    except TimeoutError:
        pass
    finally:
        for descriptor in descriptors:
            loop.remove_reader(descriptor)
    return ready
