"""The containers' role over an engine."""

import asyncio
import contextlib
import dataclasses
import pathlib
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

from agent.drivers.docker import (
    connection,
    execs,
    failures,
    features,
    images,
    inspections,
    limits,
    logs,
    names,
    notes,
    translate,
    usage,
)
from agent.engine import errors as engine_errors
from agent.kit import tasks, timestamps
from agent.model import container, policy
from agent.model.key import Kind, Pairs, pairs
from agent.runtime import api, errors

_AFTER_KILL = 0.5
"""So many times the usual patience may a killed container take to be gone."""
_START = 2.0
"""So many times the usual patience may a start take, on an engine that starts many at once."""
_NONE = "none"
_PODMAN_STATS = "v4.0.0/libpod/containers/stats"


@dataclasses.dataclass(frozen=True, slots=True)
class Containers:
    """``runtime.api.Containers`` over the Engine API."""

    engine: connection.Connection
    known: inspections.Inspections
    names: names.Names
    able: features.Current

    @property
    def features(self) -> api.Features:
        """What the engine can do."""
        return self.able.features

    @property
    def book(self) -> notes.Book:
        """The notes."""
        return self.names.book

    async def list(self) -> tuple[container.ObservedContainer, ...]:
        """Give all containers, sorted by name."""
        return await self.known.look()

    async def create(self, config: container.ContainerConfig, name: str, labels: Pairs) -> str:
        """Make a container and give its id."""
        await self._check(config)
        try:
            body = translate.container_body(config, labels, self.names)
        except engine_errors.Refused as error:
            raise errors.InvalidArgument(error.message, hint=error.hint, reason=error.reason) from error
        what = f"container {name}"
        params = {"name": self.names.container(name)}
        if config.command is None and config.args == ():  # which engines take for "the image's"
            body["Entrypoint"] = await self._entrypoint(config.image)
        made = await self.engine.ask("containers/create", what, method="POST", params=params, body=body)
        try:
            for attachment in config.networks[1:]:  # one place at creation is all that the API takes before 1.44
                await self._connect(made["Id"], what, attachment)
        except BaseException:
            with contextlib.suppress(errors.RuntimeFailure):
                await self._delete(made["Id"], what, volumes=True)
            raise
        return str(made["Id"])

    async def start(self, ref: str) -> None:
        """Start it; one that runs is left alone."""
        identity = await self._id(ref)
        with self._changing(identity):
            await self._post(identity, "start", f"container {ref}", patience=_START * self.engine.patience)

    async def stop(self, ref: str, stop: container.StopConfig) -> None:
        """Ask it to end by its signal, kill it after its patience, and wait for its end."""
        found = await self.known.inspect(ref)
        if not (found.get("State") or {}).get("Running"):
            return
        identity, what = str(found["Id"]), f"container {ref}"
        self.book.note_stop(identity, timestamps.seconds(str(found["State"].get("StartedAt"))) or 0.0)
        signal = stop.signal or str((found.get("Config") or {}).get("StopSignal") or "SIGTERM")
        with self._changing(identity):
            if not await self._signalled(identity, what, signal):
                return
            if await self._ended(identity, what, stop.grace_period):
                return
            await self._signalled(identity, what, "SIGKILL")
            if not await self._ended(identity, what, _AFTER_KILL * self.engine.patience):
                raise errors.Unavailable(f"{what} does not die of SIGKILL", reason="StopFailed")

    async def kill(self, ref: str, signal: str) -> None:
        """Send a signal."""
        identity = await self._id(ref)
        with self._changing(identity):
            await self._post(identity, "kill", f"container {ref}", {"signal": signal})

    async def remove(self, ref: str) -> None:
        """Remove it, killing it where it runs. Volumes stay; nameless ones that only it could reach go with it."""
        found = await self.known.inspect(ref)
        identity, what = str(found["Id"]), f"container {ref}"
        ours = translate.CONFIG_LABEL in ((found.get("Config") or {}).get("Labels") or {})
        with self._changing(identity):
            if (found.get("State") or {}).get("Running"):  # engines differ in how long they ask first
                await self._signalled(identity, what, "SIGKILL")
                await self._ended(identity, what, _AFTER_KILL * self.engine.patience)
                # Docker says so before it lets go of the container's networks, and loses count of who is in them where
                # it is removed meanwhile; whoever looks at it waits for that.
                await self.engine.ask(f"containers/{identity}/json", what)
            await self._delete(identity, what, volumes=ours)
        self.book.forget(Kind.CONTAINER, identity)
        self.book.forget(Kind.CONTAINER, str(found["Name"]).removeprefix("/"))
        await images.sweep(self.engine, self.book)

    async def rename(self, ref: str, name: str) -> None:
        """Give it another name."""
        identity = await self._id(ref)
        with self._changing(identity):
            await self._post(identity, "rename", f"container {ref}", {"name": self.names.container(name)})

    async def update(self, ref: str, change: api.ContainerChange) -> None:
        """Change limits in place; what an engine cannot change so is never asked for (``Features.in_place``)."""
        found = await self.known.inspect(ref)
        host = found.get("HostConfig") or {}
        self._refuse(ref, change, limits.read(host))
        if change.resources is None:
            return
        body = limits.change(host, change.resources)
        with self._changing(str(found["Id"])):
            await self.engine.ask(f"containers/{found['Id']}/update", f"container {ref}", method="POST", body=body)

    async def connect(self, ref: str, attachment: container.NetworkAttachment) -> None:
        """Attach it to a network, or change its place there. What was given is noted: engines do not tell all of it."""
        found = await self.known.inspect(ref)
        identity, what = str(found["Id"]), f"container {ref}"
        with self._changing(identity):
            if self.names.network(attachment.network) in translate.endpoints_of(found, self.names):
                await self._disconnect(identity, what, self.names.network(attachment.network))
            elif _NONE in ((found.get("NetworkSettings") or {}).get("Networks") or {}):
                await self._disconnect(identity, what, _NONE)
            await self._connect(identity, what, attachment)
        self._note_place(identity, attachment)

    async def disconnect(self, ref: str, network_name: str) -> None:
        """Detach it from a network; one that is not attached is left alone."""
        found = await self.known.inspect(ref)
        engine_name = self.names.network(network_name)
        if engine_name in translate.endpoints_of(found, self.names):
            with self._changing(str(found["Id"])):
                await self._disconnect(str(found["Id"]), f"container {ref}", engine_name)

    @contextlib.asynccontextmanager
    async def exec(self, ref: str, request: api.ExecRequest) -> AsyncIterator[api.ExecSession]:
        """Run a command in it."""
        found = await self.known.inspect(ref)
        if not (found.get("State") or {}).get("Running"):
            raise errors.Conflict(f"container {ref} does not run", reason="NotRunning")
        async with execs.session(self.engine, str(found["Id"]), request) as session:
            yield session

    async def logs(self, ref: str, request: api.LogRequest) -> AsyncIterator[api.LogLine]:
        """Give what it wrote."""
        identity = await self._id(ref)
        async for line in logs.read(self.engine, identity, request):
            yield line

    async def stats(self) -> Mapping[str, api.ContainerStats]:
        """Give the usage of every container that runs."""
        running = [one for one in await self.list() if one.state is container.ContainerState.RUNNING]
        if self.features.name == "podman":
            limits = {one.id: one.config.resources.memory for one in running}
            told = await self.engine.ask(_PODMAN_STATS, "usage", params={"stream": "false"})
            entries = {one["ContainerID"]: one for one in told.get("Stats") or ()}
            return {id: usage.stats_of_podman(entries[id], limits[id]) for id in entries.keys() & limits.keys()}
        found = await tasks.together("stats", *(self._usage(one) for one in running))
        return {one.id: told for one, told in zip(running, found, strict=True) if told is not None}

    async def _usage(self, one: container.ObservedContainer) -> api.ContainerStats | None:
        path, params = f"containers/{one.id}/stats", {"stream": "false", "one-shot": "true"}
        try:
            with failures.translated("usage"):
                async with asyncio.timeout(self.engine.patience):  # it takes a second before Docker 23
                    found = await self.engine.ask(path, "usage", params=params, patience=connection.FOR_EVER)
        except (errors.NotFound, errors.Conflict):
            return None  # it has just ended
        return usage.stats(found, one.config.resources.memory)

    async def _check(self, config: container.ContainerConfig) -> None:
        """Find out what an engine would make up by itself: a volume that nobody has declared, a missing directory."""
        for mount in config.mounts:
            if isinstance(mount, container.VolumeMount):
                await self.engine.ask(f"volumes/{self.names.volume(mount.volume)}", f"volume {mount.volume}")
            elif isinstance(mount, container.BindMount) and not await self._is_there(mount.source):
                raise errors.InvalidArgument(
                    f"bind source {mount.source} does not exist on this host",
                    hint="make it, or use a volume",
                    reason="MountSourceMissing",
                )

    async def _entrypoint(self, name: str) -> object:
        image = await self.engine.ask(f"images/{name}/json", f"image {name}")
        entrypoint: object = (image.get("Config") or {}).get("Entrypoint")
        if not entrypoint:
            message = f"image {name} has no entrypoint, and the container neither a command nor arguments"
            raise errors.InvalidArgument(message, hint="give it a command", reason="StartFailed")
        return entrypoint

    def _refuse(self, ref: str, change: api.ContainerChange, there: container.Resources) -> None:
        """Refuse what this engine cannot change on a container that exists."""
        wanted = change.resources
        lifts = wanted is not None and wanted.memory is None and there.memory is not None
        needed = {
            policy.InPlace.LABELS: change.labels is not None,
            policy.InPlace.RESOURCES: wanted is not None,
            policy.InPlace.MEMORY_LIFTED: lifts,
        }
        for name, asked in needed.items():
            if asked and name not in self.features.in_place:
                message = f"{self.features.name} cannot change {name.value} of container {ref} in place"
                raise errors.InvalidArgument(message, hint="replace it")

    async def _is_there(self, source: str) -> bool:
        """Tell whether a path of the host is there; of another host, only its engine can tell."""
        return not self.engine.where.local or await asyncio.to_thread(pathlib.Path(source).exists)

    async def _id(self, ref: str) -> str:
        return str((await self.known.inspect(ref))["Id"])

    @contextlib.contextmanager
    def _changing(self, identity: str) -> Iterator[None]:
        """Whatever becomes of a change, what was known before is no longer to be trusted."""
        self.known.ours.add(identity)
        try:
            yield
        finally:
            self.known.ours.discard(identity)
            self.known.changed(identity)

    async def _post(
        self,
        identity: str,
        verb: str,
        what: str,
        params: Mapping[str, str] | None = None,
        *,
        patience: float | None = None,
    ) -> None:
        path = f"containers/{identity}/{verb}"
        await self.engine.ask(path, what, method="POST", params=params, patience=patience)

    async def _signalled(self, identity: str, what: str, signal: str) -> bool:
        """Send a signal; False where it has ended by itself."""
        try:
            await self._post(identity, "kill", what, {"signal": signal})
        except errors.Conflict:
            return False
        return True

    async def _ended(self, identity: str, what: str, seconds: float) -> bool:
        """Wait for its end; False where it still runs after so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self.engine.ask(f"containers/{identity}/wait", what, method="POST", patience=connection.FOR_EVER)
        except TimeoutError:
            return not ((await self.known.inspect(identity)).get("State") or {}).get("Running")
        return True

    async def _delete(self, identity: str, what: str, *, volumes: bool) -> None:
        params = {"force": "true", "v": "true" if volumes else "false"}
        await self.engine.ask(f"containers/{identity}", what, method="DELETE", params=params)

    async def _connect(self, identity: str, what: str, attachment: container.NetworkAttachment) -> None:
        body: dict[str, Any] = {"Container": identity, "EndpointConfig": translate.endpoint(attachment)}
        path = f"networks/{self.names.network(attachment.network)}/connect"
        await self.engine.ask(path, what, method="POST", body=body)

    async def _disconnect(self, identity: str, what: str, engine_network: str) -> None:
        body = {"Container": identity, "Force": False}
        await self.engine.ask(f"networks/{engine_network}/disconnect", what, method="POST", body=body)

    def _note_place(self, identity: str, place: container.NetworkAttachment) -> None:
        note = self.book.container(identity)
        aliases = {**dict(note.aliases), place.network: place.aliases}
        addresses = pairs({**dict(note.addresses), place.network: place.ipv4 or ""})
        told = dataclasses.replace(note, aliases=tuple(sorted(aliases.items())), addresses=addresses)
        self.book.note_container(identity, told)
