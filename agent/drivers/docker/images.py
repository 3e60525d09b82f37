"""The images' role over an engine: pulled by it, loaded into it from an archive, and sent out by it again."""

import asyncio
import contextlib
import dataclasses
import pathlib
import tempfile
import urllib.parse
from collections.abc import Callable
from typing import IO, TypeVar

from agent.drivers.docker import connection, names, notes, references, transfers
from agent.engine.images import docker_archive, rootfs
from agent.engine.registry import credentials, hosts
from agent.kit import clock
from agent.model import image, secret
from agent.model.key import Kind, Pairs
from agent.oci import auths, reference
from agent.runtime import api, errors

T = TypeVar("T")
_ALL = {"all": "true"}
"""Containers that do not run as well."""


@dataclasses.dataclass(frozen=True, slots=True)
class Images:
    """``runtime.api.Images`` over the Engine API. Whose an image is, is noted: engines cannot label one."""

    engine: connection.Connection
    names: names.Names
    scratch: pathlib.Path
    """A directory for archives on their way; what a crash left in it is nobody's."""
    keyring: credentials.Keyring = dataclasses.field(default_factory=credentials.Keyring)
    """What registries are shown."""

    def use(self, logins: tuple[secret.Login, ...]) -> None:
        """Show them to registries, through the engine too."""
        self.keyring.declare(
            {one.place: auths.Credentials(one.user, one.password, one.identity_token) for one in logins}
        )

    async def list(self) -> tuple[image.ObservedImage, ...]:
        """Give all images, sorted by reference."""
        found = await self.engine.ask("images/json", "images")
        labels = self.names.book.images()
        told = [one for entry in found for one in references.observed_images(entry, labels)]
        return tuple(sorted(told, key=lambda one: one.reference))

    async def ensure(
        self, config: image.ImageConfig, labels: Pairs, progress: api.ProgressSink, pinned: str = ""
    ) -> image.ObservedImage:
        """Pull or load it."""
        before = ""
        if self.names.book.images().get(config.reference):
            with contextlib.suppress(errors.NotFound):
                before = str((await self._inspected(config.reference))["Id"])
        match config.source:
            case image.PullSource(platform):
                await self._pull(pinned or config.reference, platform, progress)
                if pinned:
                    await self._named(references.without_tag(pinned), reference.parse(config.reference))
            case image.ArchiveSource():
                await self._load(pathlib.Path(config.source.path), config.reference, progress)
        self.names.book.note_image(config.reference, labels)
        found = await self._inspected(config.reference)
        if before and before != found["Id"]:
            self.names.book.note_superseded(before)
            await sweep(self.engine, self.names.book)
        size, digests = int(found.get("Size") or 0), references.digests(found, config.reference)
        return image.ObservedImage(str(found["Id"]), config.reference, labels, size, digests)

    async def digest(self, name: str) -> str:
        """Ask the registry ourselves: not every engine does it for others, and none lists tags."""
        async with transfers.registry(self.keyring) as registry:
            return await registry.digest(reference.parse(name))

    async def tags(self, name: str) -> tuple[str, ...]:
        """Ask the registry ourselves."""
        async with transfers.registry(self.keyring) as registry:
            return await registry.tags(reference.parse(name))

    async def _named(self, pinned: str, place: reference.Reference) -> None:
        """Give what was pulled by its digest a name; Podman takes the digest for one of its tags, where it is none."""
        await self._tag(pinned, place)
        listed = await self.engine.ask("images/json", "images")
        if any(pinned in (one.get("RepoTags") or ()) for one in listed):
            await self.engine.ask(f"images/{pinned}", f"image {pinned}", method="DELETE")

    async def remove(self, name: str) -> None:
        """Drop the reference, and the content that nothing else uses."""
        what = f"image {name}"
        found = await self.engine.ask(f"images/{name}/json", what)
        users = [
            (one.get("Names") or ["/?"])[0].removeprefix("/")
            for one in await self.engine.ask("containers/json", "containers", params=_ALL)
            if one.get("ImageID") == found["Id"] and references.same(str(one.get("Image", "")), name)
        ]
        if users:
            raise errors.InUse(f"{what} is used by {', '.join(users)}", hint="remove the container first")
        await self.engine.ask(f"images/{name}", what, method="DELETE")
        self.names.book.forget(Kind.IMAGE, name)
        await sweep(self.engine, self.names.book)

    async def tag(self, name: str, new: str) -> None:
        """Keep it under one more reference."""
        place = reference.parse(new)
        if place.digest:
            raise errors.InvalidArgument(f"{new} has a digest, which no name can give to an image")
        await self._tag(name, place)
        self.names.book.forget(Kind.IMAGE, new)

    async def push(self, name: str, target: str, progress: api.ProgressSink) -> str:
        """Push it. Engines push what has the name of the place where it goes: it is given that for a while."""
        place = reference.parse(target)
        if place.digest:
            raise errors.InvalidArgument(f"{target} has a digest: engines push by a tag", hint="leave it out")
        found = await self._inspected(name)
        before: connection.Json = {}
        with contextlib.suppress(errors.NotFound):
            before = await self._inspected(target)
        if before.get("Id") == found["Id"]:
            return await self._push(place, progress)
        await self._tag(name, place)
        try:
            return await self._push(place, progress)
        finally:
            await self._untag(place, found, str(before.get("Id") or ""))

    async def _untag(self, place: reference.Reference, found: connection.Json, before: str) -> None:
        """Give a name back to the image that had it; engines know the other one by its digest there now, too."""
        if not before:
            await self.engine.ask(f"images/{place}", f"image {place}", method="DELETE")
            return
        await self._tag(before, place)
        now = await self._inspected(str(found["Id"]))
        new = set(now.get("RepoDigests") or ()) - set(found.get("RepoDigests") or ())
        for one in sorted(new):
            await self.engine.ask(f"images/{one}", f"image {one}", method="DELETE")

    async def _push(self, place: reference.Reference, progress: api.ProgressSink) -> str:
        what, repository = f"image {place}", f"{place.registry}/{place.repository}"
        params = {"tag": place.tag or "latest"}
        if hosts.Hosts().itself(place.registry).origin.scheme == "http":
            params["tlsVerify"] = "false"  # Podman has to be told so; Docker knows it of this host's own addresses
        headers = await transfers.login(place, self.keyring) or transfers.NOBODY
        with transfers.pushing():
            async with (
                transfers.watched(self.engine, what) as moved,
                self.engine.streamed(
                    f"images/{repository}/push", what, method="POST", params=params, headers=headers
                ) as answer,
            ):
                return await transfers.finished(answer, what, moved, progress)

    async def save(
        self, references: tuple[str, ...], form: api.ArchiveFormat, out: api.Sink, progress: api.ProgressSink
    ) -> None:
        """Write an archive of them: the engine's own, or an OCI archive that is made of it."""
        for name in references:
            await self._inspected(name)
        if form is api.ArchiveFormat.DOCKER:
            await self._save(references, out, progress)
            return
        work = transfers.room(self.scratch)
        with tempfile.NamedTemporaryFile(dir=work) as file:
            await self._save(references, file, progress)
            file.flush()
            path = pathlib.Path(file.name)
            with transfers.engine_told():
                await asyncio.to_thread(docker_archive.as_oci, path, references, out, work)

    async def _save(self, references: tuple[str, ...], out: api.Sink, progress: api.ProgressSink) -> None:
        what = f"images {', '.join(references)}"
        asked = urllib.parse.urlencode({"names": references}, doseq=True)
        async with (
            transfers.watched(self.engine, what) as moved,
            self.engine.streamed(f"images/get?{asked}", what) as answer,
        ):
            await transfers.received(answer, out, moved, lambda done: progress(api.Progress("saving", done)))

    async def load(self, path: str, name: str, progress: api.ProgressSink) -> tuple[str, ...]:
        """Load all images of an archive."""
        if name:
            await self._load(pathlib.Path(path), name, progress)
            loaded: tuple[str, ...] = (name,)
        else:

            def convert(out: IO[bytes], work: pathlib.Path | None) -> tuple[str, ...]:
                return docker_archive.convert_all(pathlib.Path(path), out, work)

            loaded = await self._loaded(pathlib.Path(path), "", convert, progress)
        for one in loaded:
            self.names.book.forget(Kind.IMAGE, one)
        return loaded

    async def import_root(self, path: str, name: str, root: api.RootImage, progress: api.ProgressSink) -> None:
        """Make an image of a root file system, as every other engine makes it, and load that."""
        told = rootfs.Root(
            clock.SystemClock().now(), **{field.name: getattr(root, field.name) for field in dataclasses.fields(root)}
        )

        def convert(out: IO[bytes], work: pathlib.Path | None) -> None:
            docker_archive.of_root(pathlib.Path(path), name, told, out, work)

        await self._loaded(pathlib.Path(path), name, convert, progress)
        self.names.book.forget(Kind.IMAGE, name)

    async def _inspected(self, name: str) -> connection.Json:
        found: connection.Json = await self.engine.ask(f"images/{name}/json", f"image {name}")
        return found

    async def _tag(self, name: str, place: reference.Reference) -> None:
        params = {"repo": f"{place.registry}/{place.repository}", "tag": place.tag or "latest"}
        await self.engine.ask(f"images/{name}/tag", f"image {name}", method="POST", params=params)

    async def _pull(self, name: str, platform: str, progress: api.ProgressSink) -> None:
        source = reference.parse(name)
        params = {"fromImage": f"{source.registry}/{source.repository}", "tag": source.digest or source.tag or "latest"}
        if platform:
            params["platform"] = platform
        headers = await transfers.login(source, self.keyring)
        progress(api.Progress(f"pulling {name}"))
        async with (
            transfers.watched(self.engine, f"image {name}") as moved,
            self.engine.streamed(
                "images/create", f"image {name}", method="POST", params=params, headers=headers
            ) as answer,
        ):
            await transfers.finished(answer, f"image {name}", moved, progress)

    async def _load(self, path: pathlib.Path, name: str, progress: api.ProgressSink) -> None:
        """Load an archive of any kind: engines take only ``docker save``'s, so it is made into one first."""

        def convert(out: IO[bytes], work: pathlib.Path | None) -> None:
            docker_archive.convert(path, name, out, work)

        await self._loaded(path, name, convert, progress)

    async def _loaded(
        self,
        path: pathlib.Path,
        name: str,
        convert: Callable[[IO[bytes], pathlib.Path | None], T],
        progress: api.ProgressSink,
    ) -> T:
        """Let the engine load what ``convert`` writes; that is given a directory for what it needs meanwhile."""
        what = f"image {name}" if name else f"archive {path}"
        progress(api.Progress(f"reading {path}"))
        work = transfers.room(self.scratch)
        with tempfile.TemporaryFile(dir=work) as file:
            with transfers.engine_told():
                made = await asyncio.to_thread(convert, file, work)
            progress(api.Progress(f"loading {name or path}"))
            async with (
                transfers.watched(self.engine, what) as moved,
                self.engine.streamed(
                    "images/load",
                    what,
                    method="POST",
                    params={"quiet": "false"},
                    data=transfers.chunks(file, moved),
                ) as answer,
            ):
                await transfers.finished(answer, what, moved, progress)
        return made


async def sweep(engine: connection.Connection, book: notes.Book) -> tuple[str, ...]:
    """Remove images that were ours and have lost their names, as far as no container is made of them any more.

    Gives the ids of those that are gone by that.
    """
    removed: list[str] = []
    waiting = book.superseded()
    used: set[str] = set()
    if waiting:
        used = {str(one.get("ImageID")) for one in await engine.ask("containers/json", "containers", params=_ALL)}
    for image_id in waiting:
        if image_id in used:
            continue
        what = f"image {image_id}"
        try:
            found = await engine.ask(f"images/{image_id}/json", what)
            if not [tag for tag in found.get("RepoTags") or () if "<none>" not in tag]:
                for name in found.get("RepoDigests") or ():
                    await engine.ask(f"images/{name}", what, method="DELETE")
                await engine.ask(f"images/{image_id}", what, method="DELETE")
                removed.append(image_id)
        except errors.NotFound:
            pass
        except (errors.Conflict, errors.InUse, errors.Unavailable):
            continue
        book.forget_superseded(image_id)
    return tuple(sorted(removed))
