"""A blob written to the disk as its bytes arrive from a registry: gathered while others are written.

Bytes are written in threads, since a slow disk must not block the event loop. They are taken from the connection as
soon as they arrive, since those that are still buffered there are lost when it breaks.
"""

import asyncio
import functools
from collections.abc import AsyncIterator, Callable

from agent import errors
from agent.distribution.content import store
from agent.engine.layers import growing_file
from agent.kit import tasks

BUFFER_LIMIT = 4 * 1024 * 1024
"""Gathered bytes at which reading from the registry pauses."""
_PIECE = 1024 * 1024
"""Bytes that are hashed at a time."""


class BlobWriter:
    """A blob that is being written as its bytes arrive."""

    def __init__(self, target: store.Ingest, packed: growing_file.GrowingFile) -> None:
        """Write to ``target``; ``packed``, its reader, may read what is written."""
        self._target = target
        self._packed = packed
        self._gathered: list[bytes] = []
        self._size = 0
        self._ended = False
        self._changed = asyncio.Event()
        self._drained = asyncio.Event()

    async def replay(self) -> None:
        """Hash what an earlier attempt has left; before anything is written."""
        while self._target.position < self._target.resumed:
            await tasks.in_thread(lambda: self._target.replay(_PIECE))
            self._packed.set_size(self._target.position)

    async def write(self, chunks: AsyncIterator[bytes], arrived: Callable[[int], None]) -> None:
        """Write all chunks, up to a failure of their source. Raises that failure, and the target's own.

        ``arrived`` is called with the count of bytes as they come.
        """
        failure: list[errors.Failure] = []
        await tasks.together("layer", self._take(chunks, arrived, failure.append), self._work())
        for error in failure:
            raise error

    async def _take(
        self,
        chunks: AsyncIterator[bytes],
        arrived: Callable[[int], None],
        failed: Callable[[errors.Failure], None],
    ) -> None:
        try:
            async for chunk in chunks:
                arrived(len(chunk))
                self._gathered.append(chunk)
                self._size += len(chunk)
                self._changed.set()
                while self._size >= BUFFER_LIMIT:
                    self._drained.clear()
                    await self._drained.wait()
        except errors.Failure as error:
            failed(error)
        self._ended = True
        self._changed.set()

    async def _work(self) -> None:
        while self._gathered or not self._ended:
            await self._changed.wait()
            self._changed.clear()
            piece, self._gathered, self._size = self._gathered, [], 0
            self._drained.set()
            await tasks.in_thread(functools.partial(self._write_piece, piece))
            self._packed.set_size(self._target.position)

    def _write_piece(self, piece: list[bytes]) -> None:
        with store.translated_writes():
            for chunk in piece:
                self._target.write(chunk)
