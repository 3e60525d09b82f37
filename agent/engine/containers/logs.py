"""Reading a container's log: over its rotated files, from its end, and on as it is written."""

import asyncio
import collections
import dataclasses
import pathlib
from collections.abc import AsyncIterator, Callable, Iterator

from agent.engine.containers import log_files, log_format
from agent.kit import frozen, turns

_POLL = 0.1
"""Seconds between two looks at a log that is followed."""


@frozen.value
class Query:
    """Which lines."""

    follow: bool = False
    tail: int | None = None
    """The last so many; lines of a program that has not ended them yet count."""
    since: float | None = None
    """Those that began no earlier, in seconds since the epoch."""


async def read(path: pathlib.Path, query: Query, running: Callable[[], bool]) -> AsyncIterator[log_format.Entry]:
    """Return entries in the order in which they ended; following ends when the container has and everything is told.

    What is there is read through the very descriptors that are followed afterwards, so no line falls between the two.
    A last line without a line end is told when no more can come.
    """
    if query.tail == 0 and not query.follow:
        return
    with log_files.LogFiles(path) as files:
        reader = _Reader(files, query)
        async for entry in reader.present() if query.tail is None else reader.last(query.tail):
            yield entry
        if query.follow:
            async for entry in reader.followed(running):
                yield entry


@frozen.value
class _Reader:
    """Reads a log on from where its files are."""

    files: log_files.LogFiles
    query: Query
    assembler: log_format.Assembler = dataclasses.field(default_factory=log_format.Assembler)

    async def present(self) -> AsyncIterator[log_format.Entry]:
        """Return the entries that are there. Where the log is followed, an unended line waits for its end."""
        if self.query.since is not None:
            self.files.skip_until(self.query.since)
        for batch in self.files.batches():
            for entry in self._recent(self.assembler.entries(batch)):
                yield entry
            await turns.checkpoint()
        if not self.query.follow:
            for entry in self._unended():
                yield entry

    async def last(self, count: int) -> AsyncIterator[log_format.Entry]:
        """Return the last entries that are there."""
        if self.query.since is None:
            self.files.skip_to_last(count)
        last = collections.deque([entry async for entry in self.present()], maxlen=count)
        for entry in last:
            yield entry

    async def followed(self, running: Callable[[], bool]) -> AsyncIterator[log_format.Entry]:
        """Return entries as they are written, until the container has ended."""
        ended = False
        while not ended:
            ended = not running()
            for batch in self.files.batches():
                for entry in self.assembler.entries(batch):
                    yield entry
            if not ended:
                await asyncio.sleep(_POLL)
        for entry in self._unended():
            yield entry

    def _unended(self) -> Iterator[log_format.Entry]:
        yield from self._recent(self.assembler.entries(self.files.torn()))
        yield from self._recent(self.assembler.unended())

    def _recent(self, entries: Iterator[log_format.Entry]) -> Iterator[log_format.Entry]:
        since = self.query.since
        return entries if since is None else (entry for entry in entries if entry.time >= since)
