"""Images on their way out, to registries and archives, and in again: from archives of many, and root file systems."""

import asyncio
import pathlib
import threading
from collections.abc import Callable, Sequence

from agent.engine import errors
from agent.engine.content import store
from agent.engine.images import archive, documents, images, rootfs, saving
from agent.engine.registry import client, push
from agent.kit import tasks
from agent.oci import digest, reference

_NOBODYS: images.Labels = ()
"""The labels of what a person has made by hand: no manifest declares it, so that nobody prunes it."""


class Shipping:
    """Moves whole images of an instance."""

    def __init__(self, known: images.Images, content: store.ContentStore, registry: client.RegistryClient) -> None:
        """Nothing is read or sent yet."""
        self._images = known
        self._content = content
        self._registry = registry

    def tag(self, name: str, new: str) -> None:
        """Keep an image under one more name.

        Raises ``errors.NotFound``, ``errors.Refused``: the name has a digest, or the image had to be signed for it.
        """
        self._images.tag(name, _name(new), _NOBODYS)

    async def push(self, name: str, target: str, report: images.Report) -> str:
        """Push an image to where ``target`` says, and give its digest. Raises what ``push.Push.image`` raises."""
        place = reference.parse(target)

        def moved(told: push.Sending) -> None:
            report(images.Progress(f"pushing {target}", told.done, told.total))

        data = self._images.manifest(name)
        async with self._images.leases.reading(_blobs(data)):
            sending = push.Push(self._registry, self._content, self._images.sources, place, moved)
            return await sending.image(data)

    async def save(self, names: Sequence[str], form: saving.Format, out: saving.Sink, report: images.Report) -> None:
        """Write an archive of images. Raises what ``saving.write`` raises, and what ``out`` raises."""
        found: dict[bytes, list[str]] = {}
        for name in dict.fromkeys(names):
            found.setdefault(self._images.manifest(name), []).append(name)
        async with self._images.leases.reading({blob for data in found for blob in _blobs(data)}):
            told = [saving.Image(tuple(known), data) for data, known in found.items()]
            whole = sum(self._images.look(known[0]).size for known in found.values())
            sink = _Told(out, lambda done: report(images.Progress("saving", done, max(whole, done))))
            await tasks.in_thread(lambda: saving.write(form, told, self._content, sink), give_up=sink.given_up.set)

    async def load(self, path: pathlib.Path, name: str, report: images.Report) -> tuple[images.StoredImage, ...]:
        """Load all images of an archive under the names in it; with a name, the only one under that.

        Raises what ``images.Images.load`` raises, and ``errors.Refused`` (``ImageNameless``).
        """
        if name:
            return (await self._images.load(path, _name(name), _NOBODYS, report),)
        async with self._images.leases.everything():
            report(images.Progress(f"reading {path}"))
            found = archive.named(await asyncio.to_thread(archive.read_all, path, self._content))
            return tuple(
                [await self._images.keep(name, one.data, _NOBODYS, report) for one in found for name in one.names]
            )

    async def import_root(
        self, path: pathlib.Path, name: str, root: rootfs.Root, report: images.Report
    ) -> images.StoredImage:
        """Make an image of one layer from the tar of a root file system.

        It is unpacked as every layer is: what is hostile is refused. Raises what ``rootfs.made`` raises.
        """
        async with self._images.leases.everything():
            report(images.Progress(f"reading {path}"))
            data = await asyncio.to_thread(rootfs.made, path, root, self._content)
            return await self._images.keep(_name(name), data, _NOBODYS, report)


def _blobs(data: bytes) -> set[str]:
    """Give what is read of an image to send it out."""
    parsed = documents.image(data)
    return {digest.of(data), parsed.config.digest, *(layer.digest for layer in parsed.layers)}


def _name(text: str) -> str:
    """Let only that be a name that says nothing of the content. Raises ``errors.Refused``."""
    if reference.parse(text).digest:
        raise errors.Refused(f"{text} has a digest, which no name can give to an image", reason="BadReference")
    return text


class _Told:
    """Tells how much was written, and can be told that nobody wants the rest."""

    def __init__(self, out: saving.Sink, moved: Callable[[int], None]) -> None:
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
