"""Layers of an image: fetched, verified, decompressed and unpacked in one pass, several in parallel.

A blob's bytes go to the disk, and are unpacked from there as they arrive, so that a layer is ready hardly later than
its last byte, and a registry never waits for the unpacking. An unpacked layer becomes a snapshot only once its digest
is verified.
"""

import asyncio
import collections
import contextlib
from collections.abc import Callable, Iterator

from agent import errors
from agent.distribution.content import store
from agent.distribution.registry import client
from agent.engine import layout
from agent.engine.images import blob_writer
from agent.engine.kernel import api
from agent.engine.layers import growing_file
from agent.engine.snapshots import snapshots
from agent.kit import batching, frozen, locks, tasks
from agent.oci import descriptor, reference
from agent.reasons import Reason

_FLUSH_EACH = 0.4
"""Seconds between two flushes."""
_STORE = ""
"""The key of the slots for unpacking from the content store; no registry has this name."""
_CONTENT_REASONS = frozenset({Reason.DIGEST_MISMATCH, Reason.LAYER_DAMAGED, Reason.LAYER_REFUSED})
"""Reasons of refusals that may be damage in transit."""


@frozen.value
class Layer:
    """A layer to fetch and unpack: its blob, and the ids of its content."""

    blob: descriptor.Descriptor
    chain_id: str
    diff_id: str


@frozen.value(kw_only=True)
class Deps:
    """Collaborators of the fetcher."""

    where: layout.Layout
    kernel: api.Kernel
    content: store.ContentStore
    snapshots: snapshots.Snapshots
    registry: client.RegistryClient


@frozen.value
class _Request:
    """One call of ``layers``: an image's layers, the lowest first."""

    layers: tuple[Layer, ...]
    source: reference.Reference | None
    arrived: Callable[[int], None]
    held: contextlib.AsyncExitStack
    """Removes unpacked layers that were not kept."""
    pending: dict[str, snapshots.Unpacked]
    """Unpacked layers that wait for those below them, by chain id."""


class Fetcher:
    """Fetches and unpacks layers. A layer is fetched once, however many pulls need it.

    Each registry has slots of its own, and the content store as well: a slow registry does not delay the others.
    """

    def __init__(self, deps: Deps) -> None:
        """Store the collaborators; nothing is fetched yet."""
        self._deps = deps
        self._locks = locks.KeyedLocks()
        self._slots = collections.defaultdict[str, asyncio.Semaphore](lambda: asyncio.Semaphore(snapshots.AT_ONCE))
        self._flushed = batching.Batch(lambda: asyncio.to_thread(deps.kernel.sync, str(deps.where.root)))

    async def layers(
        self, layers: tuple[Layer, ...], source: reference.Reference | None, arrived: Callable[[int], None]
    ) -> None:
        """Fetch and unpack the layers that are missing; from the content store alone where there is no source.

        ``arrived`` is called with the count of bytes as they come. Raises the first failure
        (``errors.InvalidArgument``, ``errors.Unavailable``, ``errors.NotFound``); the other layers are cancelled, and
        resumed by the next pull.
        """
        async with contextlib.AsyncExitStack() as held:
            request = _Request(layers, source, arrived, held, {})
            await tasks.together("layer", *(self._layer(layer, request) for layer in layers))
            await self._keep_pending(request)

    async def _layer(self, layer: Layer, request: _Request) -> None:
        """Unpack a layer. One in the content store waits for no registry's slots."""
        if self._deps.content.holds(layer.blob):
            async with self._locks.hold(layer.chain_id), self._slots[_STORE]:
                if self._deps.snapshots.find(layer.chain_id) is None:
                    await self._unpack_stored(layer, request)
            return
        if request.source is None:
            message = f"the layer {layer.blob.digest} is not in the store"
            raise errors.NotFound(message, reason=Reason.CONTENT_MISSING)
        async with self._locks.hold(layer.blob.digest), self._slots[request.source.registry]:
            if not self._deps.content.holds(layer.blob):
                await self._fetch(layer, request.source, request)
            elif self._deps.snapshots.find(layer.chain_id) is None:
                await self._unpack_stored(layer, request)

    async def _unpack_stored(self, layer: Layer, request: _Request) -> None:
        """Unpack a stored blob; a damaged one is dropped and fetched again where there is a source."""
        try:
            with _opened(self._deps.content, layer.blob) as packed:
                unpacking = self._deps.snapshots.unpacked(layer.diff_id, packed, layer.blob.size)
                unpacked = await request.held.enter_async_context(unpacking)
        except errors.InvalidArgument as error:
            if request.source is None or error.reason not in _CONTENT_REASONS:
                raise
            if await asyncio.to_thread(self._deps.content.is_sound, layer.blob.digest):
                raise
            await asyncio.to_thread(self._deps.content.drop, layer.blob.digest)
            await self._fetch(layer, request.source, request)
            return
        await self._flush()
        self._keep(layer, unpacked, request)

    def _keep(self, layer: Layer, unpacked: snapshots.Unpacked, request: _Request) -> None:
        """Make a snapshot of a layer, or postpone it where it inherits attributes of layers below."""
        if unpacked.depends_on_lower:
            request.pending[layer.chain_id] = unpacked
        else:
            self._deps.snapshots.keep(layer.chain_id, unpacked)

    async def _keep_pending(self, request: _Request) -> None:
        """Make snapshots of the postponed layers, from below."""
        below: list[str] = []
        for layer in request.layers:
            unpacked = request.pending.get(layer.chain_id)
            if unpacked is not None:
                await self._deps.snapshots.inherit(unpacked, below)
                await self._flush()
                self._deps.snapshots.keep(layer.chain_id, unpacked)
            below.append(layer.chain_id)

    async def _fetch(self, layer: Layer, source: reference.Reference, request: _Request) -> None:
        """Fetch and unpack a layer, resuming an earlier attempt, from mirrors or the registry.

        Resumed bytes or a mirror may be wrong: then the whole layer is fetched again, from the registry itself.
        """
        doubtful = len(self._deps.registry.hosts.endpoints(source.registry)) > 1
        try:
            with self._deps.content.resumed(layer.blob) as target:
                doubtful = doubtful or target.resumed > 0
                await self._stream(layer, source, target, request)
        except errors.InvalidArgument as error:
            if not (doubtful and error.reason in _CONTENT_REASONS):
                raise
            with self._deps.content.resumed(layer.blob) as target:
                await self._stream(layer, source, target, request, mirrors=False)

    async def _stream(
        self,
        layer: Layer,
        source: reference.Reference,
        target: store.Ingest,
        request: _Request,
        *,
        mirrors: bool = True,
    ) -> None:
        with growing_file.opened(target.path) as packed:
            unpacked: snapshots.Unpacked | None = None
            verified, ended = asyncio.Event(), asyncio.Event()

            async def fetch() -> None:
                writer = blob_writer.BlobWriter(target, packed)
                with packed.feeding():
                    await writer.replay()
                    body = self._deps.registry.blob(source, layer.blob, target.resumed, mirrors=mirrors)
                    async with contextlib.aclosing(body) as chunks:
                        await writer.write(chunks, request.arrived)
                    target.verify()
                verified.set()

            async def unpack() -> None:
                nonlocal unpacked
                try:
                    if self._deps.snapshots.find(layer.chain_id) is None:
                        unpacking = self._deps.snapshots.unpacked(layer.diff_id, packed, layer.blob.size)
                        unpacked = await request.held.enter_async_context(unpacking)
                except errors.InvalidArgument as error:
                    if error.reason in _CONTENT_REASONS:  # a wrong digest is the better error
                        await verified.wait()
                    raise

            async def work() -> None:
                try:
                    await tasks.together("layer", fetch(), unpack())
                finally:
                    ended.set()

            await tasks.together("layer", work(), self._flush_until(ended))
            await self._flush()
            self._deps.content.keep(target)
        if unpacked is not None:
            self._keep(layer, unpacked, request)

    async def _flush_until(self, ended: asyncio.Event) -> None:
        """Flush to disk periodically during the work, so that little remains when the last byte arrives."""
        while not ended.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FLUSH_EACH):
                    await ended.wait()
                    return
            await self._flush()

    async def _flush(self) -> None:
        """Flush what was written to the disk. The kernel reports a failure once: it ends the pull."""
        with store.translated_writes():
            await self._flushed.done()


@contextlib.contextmanager
def _opened(content: store.ContentStore, blob: descriptor.Descriptor) -> Iterator[growing_file.GrowingFile]:
    with contextlib.ExitStack() as stack:
        try:
            opened = stack.enter_context(growing_file.complete(content.path(blob.digest)))
        except FileNotFoundError as error:
            raise errors.NotFound(
                f"the layer {blob.digest} is not in the store", reason=Reason.CONTENT_MISSING
            ) from error
        except OSError as error:
            raise errors.Unavailable(f"cannot read a layer: {error.strerror}", reason=Reason.HOST_FAILURE) from error
        yield opened
