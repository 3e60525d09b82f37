"""An image's layers: fetched, verified, decompressed and unpacked in one go, several beside each other.

A blob's bytes go to the disk, and are unpacked from there as they come, so that a layer is ready hardly later than its
last byte, and a registry never waits for the unpacking. What is unpacked before the digest of the whole is known is
kept nowhere before that.
"""

import asyncio
import contextlib
import dataclasses
from collections.abc import Callable, Iterator

from agent.engine import errors, layout
from agent.engine.content import store
from agent.engine.images import arrival
from agent.engine.kernel import api
from agent.engine.layers import spool
from agent.engine.registry import client
from agent.engine.snapshots import snapshots
from agent.kit import batching, locks, tasks
from agent.oci import descriptor, reference

_FLUSH_EACH = 0.4
"""Seconds."""
_OF_THE_BYTES = frozenset({"DigestMismatch", "LayerDamaged", "LayerRefused"})
"""Refusals that may be a damage on the way."""


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
        self._places = asyncio.Semaphore(snapshots.AT_ONCE)
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
        with _opened(self._rooms.content, wanted.blob) as source:
            async with self._rooms.snapshots.unpacked(wanted.diff_id, source, wanted.blob.size) as made:
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
            verified = asyncio.Event()
            packed = stack.enter_context(spool.following(target.path))

            async def fetch() -> None:
                arriving = arrival.Arrival(target, packed)
                with packed.fed():
                    await arriving.replay()
                    body = self._rooms.registry.blob(source, wanted.blob, target.there, mirrors=mirrors)
                    async with contextlib.aclosing(body) as chunks:
                        await arriving.write(chunks, arrived)
                    target.verify()
                verified.set()

            async def unpack() -> None:
                nonlocal made
                try:
                    if self._rooms.snapshots.find(wanted.chain_id) is None:
                        unpacking = self._rooms.snapshots.unpacked(wanted.diff_id, packed, wanted.blob.size)
                        made = await stack.enter_async_context(unpacking)
                except errors.Refused as error:
                    if error.reason in _OF_THE_BYTES:  # where they are not those of the digest, say that
                        await verified.wait()
                    raise

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


@contextlib.contextmanager
def _opened(content: store.ContentStore, blob: descriptor.Descriptor) -> Iterator[spool.Spool]:
    with contextlib.ExitStack() as stack:
        try:
            opened = stack.enter_context(spool.whole(content.path(blob.digest)))
        except FileNotFoundError as error:
            raise errors.NotFound(f"the layer {blob.digest} is not in the store", reason="ContentMissing") from error
        except OSError as error:
            raise errors.Unavailable(f"cannot read a layer: {error.strerror}", reason="HostFailure") from error
        yield opened
