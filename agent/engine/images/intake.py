"""An image's layers: fetched, verified, decompressed and unpacked in one go, several beside each other.

A blob's bytes go to the disk and to the unpacking threads at once, so that a layer is ready hardly later than its last
byte has come. What is unpacked before the digest of the whole is known is kept nowhere before that.
"""

import asyncio
import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import IO

from agent.engine import errors, layout
from agent.engine.content import store
from agent.engine.kernel import api
from agent.engine.layers import channel
from agent.engine.registry import client
from agent.engine.snapshots import snapshots
from agent.kit import batching, locks, tasks
from agent.oci import descriptor, reference

_FLUSH_EACH = 0.4
"""Seconds."""
_OF_THE_BYTES = frozenset({"DigestMismatch", "LayerDamaged", "LayerRefused"})
"""Refusals that may be a damage on the way."""
_PARALLEL = 3
"""Layers at a time, as Docker: more gain little on one connection's bandwidth and cost memory."""


@dataclasses.dataclass(frozen=True, slots=True)
class Layer:
    """What is to be had."""

    blob: descriptor.Descriptor
    chain_id: str
    diff_id: str


@dataclasses.dataclass(frozen=True, slots=True)
class Rooms:
    """What this stands on."""

    where: layout.Layout
    kernel: api.Kernel
    content: store.ContentStore
    snapshots: snapshots.Snapshots
    registry: client.RegistryClient


class Intake:
    """Brings layers in. One layer is brought in once, however many ask for it."""

    def __init__(self, rooms: Rooms) -> None:
        """Nothing is under way."""
        self._rooms = rooms
        self._locks = locks.KeyedLocks()
        self._places = asyncio.Semaphore(_PARALLEL)
        self._flushed = batching.Batch(lambda: asyncio.to_thread(rooms.kernel.sync, str(rooms.where.root)))

    async def layers(
        self, wanted: tuple[Layer, ...], source: reference.Reference | None, arrived: Callable[[int], None]
    ) -> None:
        """Bring in what is not there; from the content store alone where there is no source.

        ``arrived`` is told of bytes as they come. Raises the first failure (``errors.Refused``,
        ``errors.Unavailable``, ``errors.NotFound``); the others are given up, and go on from there another time.
        """
        await tasks.together("layer", *(self._layer(one, source, arrived) for one in wanted))

    async def _layer(self, wanted: Layer, source: reference.Reference | None, arrived: Callable[[int], None]) -> None:
        async with self._locks.hold(wanted.blob.digest), self._places:
            there = self._rooms.content.has(wanted.blob.digest)
            if not there and source is None:
                message = f"the layer {wanted.blob.digest} is not in the store"
                raise errors.NotFound(message, reason="ContentMissing")
            if not there and source is not None:
                await self._fetched(wanted, source, arrived)
            elif self._rooms.snapshots.find(wanted.chain_id) is None:
                await self._unpacked(wanted)

    async def _unpacked(self, wanted: Layer) -> None:
        """Unpack what is in the content store."""
        with _opened(self._rooms.content, wanted.blob) as file:
            async with self._rooms.snapshots.unpacked(wanted.diff_id, file, wanted.blob.size) as made:
                await self._flushed.done()
                self._rooms.snapshots.keep(wanted.chain_id, made)

    async def _fetched(self, wanted: Layer, source: reference.Reference, arrived: Callable[[int], None]) -> None:
        """Fetch it, from where an earlier attempt broke off, and from wherever it can be had.

        What was left then or what a mirror gives may be wrong: then all of it comes anew, from the registry itself.
        """
        doubtful = len(self._rooms.registry.hosts.endpoints(source.registry)) > 1
        try:
            with self._rooms.content.resumed(wanted.blob) as target:
                doubtful = doubtful or target.there > 0
                await self._streamed(wanted, source, target, arrived)
        except errors.Refused as error:
            if not (doubtful and error.reason in _OF_THE_BYTES):
                raise
            with self._rooms.content.resumed(wanted.blob) as target:
                await self._streamed(wanted, source, target, arrived, mirrors=False)

    async def _streamed(
        self,
        wanted: Layer,
        source: reference.Reference,
        target: store.Ingest,
        arrived: Callable[[int], None],
        *,
        mirrors: bool = True,
    ) -> None:
        async with contextlib.AsyncExitStack() as stack:
            made: snapshots.Unpacked | None = None
            with channel.Channel() as feed:
                kept = _Kept(feed, target)

                async def fetch() -> None:
                    body = self._rooms.registry.blob(source, wanted.blob, target.there, mirrors=mirrors)
                    with feed.fed():
                        async with contextlib.aclosing(body) as chunks:
                            async for chunk in chunks:
                                arrived(len(chunk))
                                await feed.send(chunk)

                async def unpack() -> None:
                    nonlocal made
                    try:
                        if self._rooms.snapshots.find(wanted.chain_id) is None:
                            unpacking = self._rooms.snapshots.unpacked(wanted.diff_id, kept, wanted.blob.size)
                            made = await stack.enter_async_context(unpacking)
                    except errors.Refused as error:
                        if error.reason in _OF_THE_BYTES:  # where they are not those of the digest, say that
                            await tasks.in_thread(kept.finish)
                        raise
                    await tasks.in_thread(kept.finish)

                async with tasks.Crew(lambda *_: None) as crew:
                    crew.start(self._flush_meanwhile(), name="flush")
                    await tasks.together("layer", fetch(), unpack())
            await self._flushed.done()
            self._rooms.content.keep(target)
            if made is not None:
                self._rooms.snapshots.keep(wanted.chain_id, made)

    async def _flush_meanwhile(self) -> None:
        """Let the disk work while the processor does: what is written when the last byte has come is only the rest."""
        while True:
            await asyncio.sleep(_FLUSH_EACH)
            await self._flushed.done()


class _Kept:
    """A reader of a blob: of its part that is there, and then of what arrives, which is written behind it."""

    def __init__(self, feed: channel.Channel, target: store.Ingest) -> None:
        self._feed = feed
        self._target = target

    def read(self, size: int, /) -> bytes:
        if self._target.written < self._target.there:
            return self._target.replay(size)
        chunk = self._feed.read(size)
        with store.full_disk_told():
            self._target.write(chunk)
        return chunk

    def finish(self) -> None:
        """Read what nobody wanted to know, and compare all with what was announced. Raises ``errors.Refused``."""
        while self.read(1024 * 1024):
            pass
        self._target.verify()


@contextlib.contextmanager
def _opened(content: store.ContentStore, blob: descriptor.Descriptor) -> Iterator[IO[bytes]]:
    try:
        file = content.path(blob.digest).open("rb")
    except FileNotFoundError as error:
        raise errors.NotFound(f"the layer {blob.digest} is not in the store", reason="ContentMissing") from error
    except OSError as error:
        raise errors.Unavailable(f"cannot read a layer: {error.strerror}", reason="HostFailure") from error
    with file:
        yield file
