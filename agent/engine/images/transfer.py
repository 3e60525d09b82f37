"""Transfer of images: tag, push, save, load many from an archive, and import of root file systems."""

import asyncio
import pathlib
import threading
from collections.abc import Callable, Sequence

from agent import errors
from agent.distribution.archives import archive, rootfs, saving
from agent.distribution.content import documents, store
from agent.distribution.registry import client, push
from agent.engine.images import images
from agent.kit import tasks
from agent.oci import archives, digest, reference
from agent.reasons import Reason

_NO_LABELS: images.Labels = ()
"""The labels of an image imported by hand: it has no owner, so that no manifest prunes it."""


class Transfer:
    """Pushes, saves, loads, imports and tags images of an instance."""

    def __init__(self, stored: images.Images, content: store.ContentStore, registry: client.RegistryClient) -> None:
        """Store the arguments; nothing is read or sent yet."""
        self._images = stored
        self._content = content
        self._registry = registry

    def tag(self, name: str, new: str) -> None:
        """Keep an image under one more name.

        Raises ``errors.NotFound``, ``errors.InvalidArgument``: the name has a digest, or the image had to be signed for
        it.
        """
        self._images.tag(name, _name(new), _NO_LABELS)

    async def push(self, name: str, target: str, report: images.Report) -> str:
        """Push an image to where ``target`` says, and return its digest. Raises what ``push.Push.image`` raises."""
        destination = reference.parse(target)

        def moved(progress: push.PushProgress) -> None:
            report(images.TransferProgress(f"pushing {target}", progress.done, progress.total))

        data = self._images.manifest(name)
        async with self._images.leases.reading(_blobs(data)):
            sending = push.Push(self._registry, self._content, self._images.sources, destination, moved)
            return await sending.image(data)

    async def save(
        self, names: Sequence[str], form: archives.ArchiveFormat, out: archives.Sink, report: images.Report
    ) -> None:
        """Write an archive of images. Raises what ``saving.write`` raises, and what ``out`` raises."""
        names_by_manifest: dict[bytes, list[str]] = {}
        for name in dict.fromkeys(names):
            names_by_manifest.setdefault(self._images.manifest(name), []).append(name)
        async with self._images.leases.reading({blob for data in names_by_manifest for blob in _blobs(data)}):
            archived = [saving.ArchiveEntry(tuple(group), data) for data, group in names_by_manifest.items()]
            whole = sum(self._images.record(group[0]).size for group in names_by_manifest.values())
            sink = _TrackedSink(out, lambda done: report(images.TransferProgress("saving", done, max(whole, done))))
            await tasks.in_thread(lambda: saving.write(form, archived, self._content, sink), give_up=sink.given_up.set)

    async def load(self, path: pathlib.Path, name: str, report: images.Report) -> tuple[images.StoredImage, ...]:
        """Load all images of an archive under the names in it; with a name, the only one under that.

        Raises what ``images.Images.load`` raises, and ``errors.InvalidArgument`` (``ImageNameless``).
        """
        if name:
            return (await self._images.load(path, _name(name), _NO_LABELS, report),)
        async with self._images.leases.everything():
            report(images.TransferProgress(f"reading {path}"))
            archived = archive.named(await asyncio.to_thread(archive.read_all, path, self._content))
            return tuple(
                [
                    await self._images.keep(name, image.data, _NO_LABELS, report)
                    for image in archived
                    for name in image.names
                ]
            )

    async def import_root(
        self, path: pathlib.Path, name: str, root: archives.RootImage, created: float, report: images.Report
    ) -> images.StoredImage:
        """Make an image of one layer from the tar of a root file system.

        It is unpacked as every layer is: what is hostile is refused. Raises what ``rootfs.make_image`` raises.
        """
        async with self._images.leases.everything():
            report(images.TransferProgress(f"reading {path}"))
            data = await asyncio.to_thread(rootfs.make_image, path, root, created, self._content)
            return await self._images.keep(_name(name), data, _NO_LABELS, report)


def _blobs(data: bytes) -> set[str]:
    """Return the digests of all blobs of an image."""
    parsed = documents.image(data)
    return {digest.of(data), parsed.config.digest, *(layer.digest for layer in parsed.layers)}


def _name(text: str) -> str:
    """Return a name without a digest. Raises ``errors.InvalidArgument``."""
    if reference.parse(text).digest:
        raise errors.InvalidArgument(
            f"{text} has a digest, which no name can give to an image", reason=Reason.BAD_REFERENCE
        )
    return text


class _TrackedSink:
    """A sink that reports bytes written, and fails once the saving is given up."""

    def __init__(self, out: archives.Sink, moved: Callable[[int], None]) -> None:
        self._out = out
        self._loop = asyncio.get_running_loop()
        self._moved = moved
        self._done = 0
        self.given_up = threading.Event()

    def write(self, data: bytes, /) -> None:
        if self.given_up.is_set():
            raise errors.Unavailable("an archive was given up while it was written")
        self._out.write(data)
        self._done += len(data)
        self._loop.call_soon_threadsafe(self._moved, self._done)
