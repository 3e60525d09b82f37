"""Layers that are being made: a step writes above the layers below it, and what it has written becomes a layer.

A finished layer is used by the next step at once; that it is on the disk for good, and packed, follows beside that.
"""

import contextlib
import hashlib
import os
import pathlib
import secrets
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import IO

from isal import igzip

from agent import errors
from agent.distribution.content import store
from agent.engine import layout
from agent.engine.build import spec
from agent.engine.images import leases
from agent.engine.kernel import api
from agent.engine.layers import implied, pack
from agent.engine.snapshots import overlay, snapshots
from agent.kit import batching, failpoint, frozen, tasks, trees
from agent.oci import descriptor, digest, mediatypes
from agent.reasons import Reason

_PACKED = failpoint.register("build.packed")
_KEPT = failpoint.register("build.kept")
_CHUNK = 1024 * 1024
_LEVEL = 1
"""isal's: half a gigabyte a second, and hardly larger than the next one."""


@frozen.value
class WorkLayer:
    """A layer that a step writes."""

    directory: pathlib.Path
    """Where it lies among the snapshots, by the name that it keeps."""
    root: pathlib.Path
    """The root file system as the step sees it, while it is mounted."""
    top: tuple[int, int, int]
    """Mode and owner that its top directory had before the step."""

    @property
    def upper(self) -> pathlib.Path:
        """Return what the step has written."""
        return self.directory / "upper"


@frozen.value(kw_only=True)
class Deps:
    """Collaborators of a workshop."""

    where: layout.Layout
    kernel: api.Kernel
    content: store.ContentStore
    snapshots: snapshots.Snapshots


class Workshop:
    """Makes the layers of one build."""

    def __init__(self, deps: Deps, flush: batching.Batch) -> None:
        """Nothing is made yet. ``flush`` brings to the disk what was written; builds that end together share it."""
        self._deps = deps
        self._flush = flush
        self._fresh: dict[str, pathlib.Path] = {}
        """Layers that are finished and not kept yet, by chain id: their directories."""
        self._directories: set[pathlib.Path] = set()
        """What nobody would remove but this build."""

    def scratch(self) -> pathlib.Path:
        """Return a new directory on the disk, for as long as the build lasts: the run directory may be memory.

        Raises ``errors.Unavailable``.
        """
        directory = self._deps.where.snapshots / secrets.token_hex(4)
        with store.translated_writes():
            directory.mkdir(mode=0o700)
        self._directories.add(directory)
        return directory

    def has(self, layer: spec.Layer, chain_id: str) -> bool:
        """Return whether a layer is there, unpacked and packed."""
        return self._lies(chain_id) and self._deps.content.holds(layer.blob)

    def lower(self, ids: Sequence[str]) -> list[pathlib.Path]:
        """Return the directories of layers (chain ids, the lowest first), the topmost first, for an overlay mount.

        Raises ``errors.NotFound`` where one has been removed.
        """
        return list(overlay.visible([self._path(chain_id) for chain_id in reversed(ids)]))

    @contextlib.contextmanager
    def reading(self, ids: Sequence[str], target: pathlib.Path) -> Iterator[pathlib.Path]:
        """Mount layers to be read only, at an existing directory. Nothing at all is an empty directory."""
        lower = self.lower(ids)
        if not lower:
            yield target
            return
        overlay.mount_to_read(self._deps.kernel, lower, target / "none", target)
        try:
            yield target
        finally:
            self._deps.kernel.umount(str(target), api.MNT_DETACH)

    @contextlib.asynccontextmanager
    async def layer(self, below: Sequence[str], root: pathlib.Path) -> AsyncIterator[WorkLayer]:
        """Mount layers at ``root`` with a new one above them, to be written."""
        directory = self.scratch()
        with store.translated_writes():
            overlay.mount(self._deps.kernel, self._lower_or_empty(below, directory), directory, root, is_plain=True)
        try:
            top = (directory / "upper").stat()
            yield WorkLayer(directory, root, (top.st_mode, top.st_uid, top.st_gid))
        finally:
            overlay.unmount(self._deps.kernel, root)

    async def finished(
        self, work: WorkLayer, below: Sequence[str], epoch: int | None, upon: Sequence[str]
    ) -> "Finished":
        """Make a layer of what a step has written above ``below``; its root is unmounted by now.

        ``upon``: the layers that it comes to lie upon, which the step may not have seen. Raises ``errors.Unavailable``.
        """
        with contextlib.ExitStack() as stack:
            file = stack.enter_context(self._deps.content.scratch())
            lower = self.lower(below)
            diff_id = await tasks.in_thread(lambda: _settled(work, lower, file, epoch))
            _PACKED.hit()
            chain_id = digest.of(f"{upon[-1]} {diff_id}".encode()) if upon else diff_id
            self._fresh[chain_id] = work.directory
            return Finished(diff_id, chain_id, work.directory, file, stack.pop_all())

    async def kept(self, finished: "Finished", lease: leases.Lease) -> spec.Layer:
        """Pack a finished layer, and keep it for good, on lease. Raises ``errors.Unavailable``."""
        with finished.closing, self._deps.content.unfinished_file() as (path, target):
            blob = await tasks.in_thread(lambda: _packed(finished.file, target))
            await lease.add([blob.digest, finished.chain_id])
            with store.translated_writes():
                await self._flush.done()
                self._deps.content.adopt(path, blob)
                if self._deps.snapshots.find(finished.chain_id) is None:
                    self._deps.snapshots.adopt(finished.chain_id, finished.directory)
                    self._directories.discard(finished.directory)
            self._fresh.pop(finished.chain_id, None)
        _KEPT.hit()
        return spec.Layer(finished.diff_id, blob)

    def close(self) -> None:
        """Remove what was not kept. It blocks. Raises ``OSError``."""
        for directory in self._directories:
            trees.remove(directory)

    def _lies(self, chain_id: str) -> bool:
        return chain_id in self._fresh or self._deps.snapshots.find(chain_id) is not None

    def _path(self, chain_id: str) -> pathlib.Path:
        fresh = self._fresh.get(chain_id)
        path = self._deps.snapshots.find(chain_id) if fresh is None else fresh / "fs"
        if path is None:
            raise errors.NotFound(
                "a layer that a build stands on has been removed",
                hint="build it again",
                reason=Reason.CONTENT_MISSING,
            )
        return path

    def _lower_or_empty(self, below: Sequence[str], directory: pathlib.Path) -> list[pathlib.Path]:
        """Return the layers below; overlayfs wants at least one."""
        lower = self.lower(below)
        if lower:
            return lower
        empty = directory / "empty"
        empty.mkdir(mode=0o755)
        return [empty]


@frozen.value
class Finished:
    """A layer that the next step can stand on, and that is not packed and kept yet."""

    diff_id: str
    chain_id: str
    directory: pathlib.Path
    file: IO[bytes]
    """Its tar stream."""
    closing: contextlib.ExitStack
    """Removes that."""


def _settled(work: WorkLayer, lower: Sequence[pathlib.Path], file: IO[bytes], epoch: int | None) -> str:
    """Give a layer its final place, and write its tar stream; return its digest. It blocks. Raises as a full disk."""
    with store.translated_writes():
        trees.remove(work.directory / "work")
        trees.remove(work.directory / "empty")
        top = os.open(work.upper, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            pack.prune(top, lower)
            status = os.fstat(top)
            states_top = (status.st_mode, status.st_uid, status.st_gid) != work.top
            diff_id, _ = pack.pack(top, file, epoch, states_top=states_top)
        finally:
            os.close(top)
        implied.write(work.directory, implied.Implied((), top=not states_top))
        work.upper.rename(work.directory / "fs")
    return diff_id


def _packed(file: IO[bytes], target: IO[bytes]) -> descriptor.Descriptor:
    """Pack a layer's tar stream. It blocks. Raises ``errors.Unavailable``."""
    hashed = _Hashed(target)
    with store.translated_writes():
        with igzip.IGzipFile(fileobj=hashed, mode="wb", compresslevel=_LEVEL, mtime=0, filename="") as packing:  # type: ignore[no-untyped-call]
            file.seek(0)
            while chunk := file.read(_CHUNK):
                packing.write(chunk)  # type: ignore[no-untyped-call]
        target.flush()
    return descriptor.Descriptor(mediatypes.LAYER_GZIP, f"sha256:{hashed.hash.hexdigest()}", hashed.size)


class _Hashed:
    """Hashes and counts what is written."""

    def __init__(self, target: IO[bytes]) -> None:
        self._target = target
        self.hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes, /) -> int:
        self.hash.update(data)
        self.size += len(data)
        return self._target.write(data)

    def flush(self) -> None:
        """Nothing is held back here."""
