"""``runtime.api.Images`` over an engine: pull, load, push, save and remove."""

import asyncio
import contextlib
import dataclasses
import pathlib
import tempfile
import urllib.parse
from collections.abc import Callable
from typing import IO, TypeVar

from agent import errors
from agent.distribution.archives import docker_archive
from agent.distribution.registry import credentials, hosts
from agent.drivers.docker import builds, connection, names, references, sidecar, transfers
from agent.kit import clock, frozen
from agent.model import hostaccess, image, secret
from agent.model.key import Kind, Pairs
from agent.oci import archives, auths, reference
from agent.reasons import Reason
from agent.runtime import admitted, api, build_progress, declared_builds

T = TypeVar("T")
_ALL = {"all": "true"}
"""Lists stopped containers as well."""


@frozen.value(kw_only=True)
class Images:
    """``runtime.api.Images`` over the Engine API. Owners are noted: engines cannot label an existing image."""

    engine: connection.Connection
    names: names.Names
    builds: builds.Builds
    scratch: pathlib.Path
    """A directory for temporary archives; it is emptied at start-up."""
    credential_store: credentials.CredentialStore = dataclasses.field(default_factory=credentials.CredentialStore)
    """Credentials for registries."""
    access: hostaccess.HostAccess = hostaccess.UNLIMITED
    """Where archives may be read from: this host's files, wherever the engine is."""

    def use(self, logins: tuple[secret.Login, ...]) -> None:
        """Use these logins for registries, also through the engine."""
        self.credential_store.declare(
            {login.place: auths.Credentials(login.user, login.password, login.identity_token) for login in logins}
        )

    async def forget(self, reference: str) -> None:
        """Do nothing: the engine cleans up after broken pulls itself."""

    async def list(self) -> tuple[image.ObservedImage, ...]:
        """Return all images, sorted by reference."""
        entries = await self.engine.ask("images/json", "images")
        labels = self.names.state_file.images()
        observed = [observed_image for entry in entries for observed_image in references.observed_images(entry, labels)]
        return tuple(sorted(observed, key=lambda image: image.reference))

    async def ensure(
        self, config: image.ImageConfig, labels: Pairs, progress: api.ProgressSink, pinned: str = ""
    ) -> image.ObservedImage:
        """Pull, load or build an image, and note its labels."""
        before = ""
        if self.names.state_file.images().get(config.reference):
            with contextlib.suppress(errors.NotFound):
                before = str((await self._inspected(config.reference))["Id"])
        match config.source:
            case image.PullSource(platform):
                await self._pull(pinned or config.reference, platform, progress)
                if pinned:
                    await self._tag_pinned(references.without_tag(pinned), reference.parse(config.reference))
            case image.ArchiveSource():
                await admitted.check_archive(self.access, config.source.path)
                await self._load(pathlib.Path(config.source.path), config.reference, progress)
            case image.BuildSource() as source:
                await admitted.check_build(self.access, source)
                self._check_limits()
                with declared_builds.placed(source):
                    request = await asyncio.to_thread(declared_builds.request, source, self.access)
                await self.builds.build(request, config.reference, labels, build_progress.titles(progress))
        self.names.state_file.note_image(config.reference, labels)
        await self.names.state_file.kept()
        inspected = await self._inspected(config.reference)
        if before and before != inspected["Id"]:
            self.names.state_file.note_superseded(before)
            await self.names.state_file.kept()
            await remove_superseded(self.engine, self.names.state_file)
        size, digests = int(inspected.get("Size") or 0), references.digests(inspected, config.reference)
        return image.ObservedImage(str(inspected["Id"]), config.reference, labels, size, digests)

    def _check_limits(self) -> None:
        """Raise ``errors.InvalidArgument`` where a Dockerfile may not do everything: no engine sees to that."""
        if self.access.limits_builds:
            raise errors.InvalidArgument(
                f"a build over {self.engine.where.flavour} cannot be held to what is admitted for this source",
                hint="build it with --runtime native, or elsewhere, and name the image by pull",
                reason=Reason.BUILD_NOT_ADMITTED,
            )

    async def digest(self, name: str) -> str:
        """Return a tag's digest. The registry is asked directly: not every engine can, and none lists tags."""
        async with transfers.registry(self.credential_store) as registry:
            return await registry.digest(reference.parse(name))

    async def tags(self, name: str) -> tuple[str, ...]:
        """Return the tags of a repository, from the registry directly."""
        async with transfers.registry(self.credential_store) as registry:
            return await registry.tags(reference.parse(name))

    async def _tag_pinned(self, pinned: str, target: reference.Reference) -> None:
        """Tag what was pulled by digest; Podman lists the digest as a tag then, which is removed."""
        await self._tag(pinned, target)
        listed = await self.engine.ask("images/json", "images")
        if any(pinned in (entry.get("RepoTags") or ()) for entry in listed):
            await self.engine.ask(f"images/{pinned}", f"image {pinned}", method="DELETE")

    async def remove(self, name: str) -> None:
        """Remove a reference, and the content that nothing else uses."""
        what = f"image {name}"
        inspected = await self.engine.ask(f"images/{name}/json", what)
        users = [
            (container.get("Names") or ["/?"])[0].removeprefix("/")
            for container in await self.engine.ask("containers/json", "containers", params=_ALL)
            if container.get("ImageID") == inspected["Id"] and references.is_same(str(container.get("Image", "")), name)
        ]
        if users:
            raise errors.InUse(f"{what} is used by {', '.join(users)}", hint="remove the container first")
        await self.engine.ask(f"images/{name}", what, method="DELETE")
        self.names.state_file.forget(Kind.IMAGE, name)
        await remove_superseded(self.engine, self.names.state_file)

    async def tag(self, name: str, new: str) -> None:
        """Add another reference to an image."""
        target = reference.parse(new)
        if target.digest:
            raise errors.InvalidArgument(f"{new} has a digest, which no name can give to an image")
        await self._tag(name, target)
        self.names.state_file.forget(Kind.IMAGE, new)
        await self.names.state_file.kept()

    async def push(self, name: str, target: str, progress: api.ProgressSink) -> str:
        """Push an image and return its digest. Engines push by name, so it is tagged with the target meanwhile."""
        destination = reference.parse(target)
        if destination.digest:
            raise errors.InvalidArgument(f"{target} has a digest: engines push by a tag", hint="leave it out")
        inspected = await self._inspected(name)
        before: connection.Json = {}
        with contextlib.suppress(errors.NotFound):
            before = await self._inspected(target)
        if before.get("Id") == inspected["Id"]:
            return await self._push(destination, progress)
        await self._tag(name, destination)
        try:
            return await self._push(destination, progress)
        finally:
            await self._restore_tag(destination, inspected, str(before.get("Id") or ""))

    async def _restore_tag(self, target: reference.Reference, inspected: connection.Json, before: str) -> None:
        """Restore the image that had the target's name before, and drop the digests that the push has added."""
        if not before:
            await self.engine.ask(f"images/{target}", f"image {target}", method="DELETE")
            return
        await self._tag(before, target)
        now = await self._inspected(str(inspected["Id"]))
        new = set(now.get("RepoDigests") or ()) - set(inspected.get("RepoDigests") or ())
        for name in sorted(new):
            await self.engine.ask(f"images/{name}", f"image {name}", method="DELETE")

    async def _push(self, target: reference.Reference, progress: api.ProgressSink) -> str:
        what, repository = f"image {target}", f"{target.registry}/{target.repository}"
        params = {"tag": target.tag or "latest"}
        if hosts.Hosts().itself(target.registry).origin.scheme == "http":
            params["tlsVerify"] = "false"  # Podman has to be told so; Docker knows it of this host's own addresses
        headers = await transfers.auth_header(target, self.credential_store) or transfers.NO_AUTH_HEADER
        with transfers.push_errors():
            async with (
                transfers.bounded_by_silence(self.engine, what) as moved,
                self.engine.stream_response(
                    f"images/{repository}/push", what, method="POST", params=params, headers=headers
                ) as answer,
            ):
                return await transfers.read_progress(answer, what, moved, progress)

    async def save(
        self, references: tuple[str, ...], form: archives.ArchiveFormat, out: archives.Sink, progress: api.ProgressSink
    ) -> None:
        """Write an archive of images: the engine's own, or an OCI archive converted from it."""
        for name in references:
            await self._inspected(name)
        if form is archives.ArchiveFormat.DOCKER:
            await self._save(references, out, progress)
            return
        work = transfers.scratch_directory(self.scratch)
        with tempfile.NamedTemporaryFile(dir=work) as file:
            await self._save(references, file, progress)
            file.flush()
            path = pathlib.Path(file.name)
            await asyncio.to_thread(docker_archive.as_oci, path, references, out, work)

    async def _save(self, references: tuple[str, ...], out: archives.Sink, progress: api.ProgressSink) -> None:
        what = f"images {', '.join(references)}"
        query = urllib.parse.urlencode({"names": references}, doseq=True)
        async with (
            transfers.bounded_by_silence(self.engine, what) as moved,
            self.engine.stream_response(f"images/get?{query}", what) as answer,
        ):
            await transfers.write_response(answer, out, moved, lambda done: progress(api.Progress("saving", done)))

    async def load(self, path: str, name: str, progress: api.ProgressSink) -> tuple[str, ...]:
        """Load all images of an archive and return their references."""
        if name:
            await self._load(pathlib.Path(path), name, progress)
            loaded: tuple[str, ...] = (name,)
        else:

            def convert(out: IO[bytes], work: pathlib.Path | None) -> tuple[str, ...]:
                return docker_archive.convert_all(pathlib.Path(path), out, work)

            loaded = await self._load_converted(pathlib.Path(path), "", convert, progress)
        for loaded_name in loaded:
            self.names.state_file.forget(Kind.IMAGE, loaded_name)
        await self.names.state_file.kept()
        return loaded

    async def import_root(self, path: str, name: str, root: archives.RootImage, progress: api.ProgressSink) -> None:
        """Build an image from a root file system's tar, and load it."""
        created = clock.SystemClock().now()

        def convert(out: IO[bytes], work: pathlib.Path | None) -> None:
            docker_archive.of_root(pathlib.Path(path), name, root, created, out, work)

        await self._load_converted(pathlib.Path(path), name, convert, progress)
        self.names.state_file.forget(Kind.IMAGE, name)
        await self.names.state_file.kept()

    async def _inspected(self, name: str) -> connection.Json:
        inspected: connection.Json = await self.engine.ask(f"images/{name}/json", f"image {name}")
        return inspected

    async def _tag(self, name: str, target: reference.Reference) -> None:
        params = {"repo": f"{target.registry}/{target.repository}", "tag": target.tag or "latest"}
        await self.engine.ask(f"images/{name}/tag", f"image {name}", method="POST", params=params)

    async def _pull(self, name: str, platform: str, progress: api.ProgressSink) -> None:
        source = reference.parse(name)
        params = {"fromImage": f"{source.registry}/{source.repository}", "tag": source.digest or source.tag or "latest"}
        if platform:
            params["platform"] = platform
        headers = await transfers.auth_header(source, self.credential_store)
        progress(api.Progress(f"pulling {name}"))
        async with (
            transfers.bounded_by_silence(self.engine, f"image {name}") as moved,
            self.engine.stream_response(
                "images/create", f"image {name}", method="POST", params=params, headers=headers
            ) as answer,
        ):
            await transfers.read_progress(answer, f"image {name}", moved, progress)

    async def _load(self, path: pathlib.Path, name: str, progress: api.ProgressSink) -> None:
        """Load an archive of any kind: it is converted to ``docker save``'s first, the only one that engines take."""

        def convert(out: IO[bytes], work: pathlib.Path | None) -> None:
            docker_archive.convert(path, name, out, work)

        await self._load_converted(path, name, convert, progress)

    async def _load_converted(
        self,
        path: pathlib.Path,
        name: str,
        convert: Callable[[IO[bytes], pathlib.Path | None], T],
        progress: api.ProgressSink,
    ) -> T:
        """Load what ``convert`` writes into the engine; ``convert`` gets a directory for temporary files."""
        what = f"image {name}" if name else f"archive {path}"
        progress(api.Progress(f"reading {path}"))
        work = transfers.scratch_directory(self.scratch)
        with tempfile.TemporaryFile(dir=work) as file:
            result = await asyncio.to_thread(convert, file, work)
            progress(api.Progress(f"loading {name or path}"))
            async with (
                transfers.bounded_by_silence(self.engine, what) as moved,
                self.engine.stream_response(
                    "images/load",
                    what,
                    method="POST",
                    params={"quiet": "false"},
                    data=transfers.chunks(file, moved),
                ) as answer,
            ):
                await transfers.read_progress(answer, what, moved, progress)
        return result


async def remove_superseded(engine: connection.Connection, state_file: sidecar.StateFile) -> tuple[str, ...]:
    """Remove images that were ours and have lost their names, unless a container still uses them; keep all notes.

    Returns the ids of the images that were removed.
    """
    removed: list[str] = []
    waiting = state_file.superseded()
    used: set[str] = set()
    if waiting:
        used = {
            str(container.get("ImageID"))
            for container in await engine.ask("containers/json", "containers", params=_ALL)
        }
    for image_id in waiting:
        if image_id in used:
            continue
        what = f"image {image_id}"
        try:
            inspected = await engine.ask(f"images/{image_id}/json", what)
            if not [tag for tag in inspected.get("RepoTags") or () if "<none>" not in tag]:
                for name in inspected.get("RepoDigests") or ():
                    await engine.ask(f"images/{name}", what, method="DELETE")
                await engine.ask(f"images/{image_id}", what, method="DELETE")
                removed.append(image_id)
        except errors.NotFound:
            pass
        except (errors.Conflict, errors.InUse, errors.Unavailable):
            continue
        state_file.forget_superseded(image_id)
    await state_file.kept()
    return tuple(sorted(removed))
