"""A blob's bytes on their way from a registry to the disk: gathered while others are written.

They are written in threads, as a disk must not stop the loop; and taken from a connection as soon as they are there, as
they are lost with one that breaks.
"""

import asyncio
import functools
from collections.abc import AsyncIterator, Callable

from agent.engine import errors
from agent.engine.content import store
from agent.engine.layers import spool
from agent.kit import tasks

ROOM = 4 * 1024 * 1024
"""Bytes that are gathered, from which on nothing is taken from the registry."""
_PIECE = 1024 * 1024
"""Bytes that are hashed at a time."""


class Arrival:
    """One blob that arrives."""

    def __init__(self, target: store.Ingest, packed: spool.Spool) -> None:
        """Write to ``target``, telling those who read it meanwhile of each piece."""
        self._target = target
        self._packed = packed
        self._gathered: list[bytes] = []
        self._size = 0
        self._ended = False
        self._changed = asyncio.Event()
        self._room = asyncio.Event()

    async def replay(self) -> None:
        """Hash what an earlier attempt has left; before anything is written."""
        while self._target.written < self._target.there:
            await tasks.in_thread(lambda: self._target.replay(_PIECE))
            self._packed.grown(self._target.written)

    async def write(self, chunks: AsyncIterator[bytes], arrived: Callable[[int], None]) -> None:
        """Write all of them; where they end in a failure, what has come before it. Raises that, and the target's own.

        ``arrived`` is told of bytes as they come.
        """
        failure: list[errors.EngineError] = []
        await tasks.together("layer", self._take(chunks, arrived, failure.append), self._work())
        for error in failure:
            raise error

    async def _take(
        self,
        chunks: AsyncIterator[bytes],
        arrived: Callable[[int], None],
        failed: Callable[[errors.EngineError], None],
    ) -> None:
        try:
            async for chunk in chunks:
                arrived(len(chunk))
                self._gathered.append(chunk)
                self._size += len(chunk)
                self._changed.set()
                while self._size >= ROOM:
                    self._room.clear()
                    await self._room.wait()
        except errors.EngineError as error:
            failed(error)
        self._ended = True
        self._changed.set()

    async def _work(self) -> None:
        while self._gathered or not self._ended:
            await self._changed.wait()
            self._changed.clear()
            piece, self._gathered, self._size = self._gathered, [], 0
            self._room.set()
            await tasks.in_thread(functools.partial(self._written, piece))
            self._packed.grown(self._target.written)

    def _written(self, piece: list[bytes]) -> None:
        with store.full_disk_told():
            for chunk in piece:
                self._target.write(chunk)
