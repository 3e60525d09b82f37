"""``runtime.api.Containers`` over an engine."""

import asyncio
import contextlib
import dataclasses
import functools
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from agent import errors
from agent.drivers.docker import (
    cleanup,
    connection,
    failures,
    images,
    inside,
    limits,
    names,
    sidecar,
    translate,
    usage,
)
from agent.kit import canonical, frozen, lookups, notices, resource_usage, tasks, timestamps
from agent.model import container, hostaccess, policy, secret
from agent.model.key import Kind, Pairs, pairs
from agent.oci import sysctls
from agent.reasons import Reason
from agent.runtime import admitted, api
from agent.runtime import secrets as secret_store

_KILL_TIMEOUT_FACTOR = 0.5
"""Limit for the end of a killed container, in multiples of the usual call limit."""
_START_TIMEOUT_FACTOR = 2.0
"""Limit for a start, in multiples of the usual call limit: an engine may start many at once."""
_NONE = "none"
_NEVER_STARTED = frozenset({"created", "configured", "initialized"})
"""States of containers of Docker and Podman whose program has never run."""
_PODMAN_STATS = "v4.0.0/libpod/containers/stats"


@frozen.value(kw_only=True)
class Containers(inside.Inside):
    """``runtime.api.Containers`` over the Engine API."""

    names: names.Names
    register: notices.Register
    """What could not be cleaned up yet."""
    access: hostaccess.HostAccess = hostaccess.UNLIMITED
    pids: int | None = None
    """Processes of a container that asks for no limit."""
    bind_lookups: lookups.Lookups = dataclasses.field(default_factory=lookups.Lookups)
    secrets: secret_store.SecretStore = dataclasses.field(default_factory=secret_store.SecretStore)
    """The values that references to Secrets stand for; the engine keeps those of a container that was made."""

    @property
    def state_file(self) -> sidecar.StateFile:
        """The state file beside the engine."""
        return self.names.state_file

    async def list(self) -> tuple[container.ObservedContainer, ...]:
        """Return all containers, sorted by name."""
        return await self.inspections.observe()

    def use(self, values: tuple[secret.SecretValue, ...]) -> None:
        """Look up references to Secrets among these."""
        self.secrets.use(values)

    async def create(self, config: container.ContainerConfig, name: str, labels: Pairs) -> str:
        """Create a container and return its id."""
        await self._check_mount_sources(config)
        await self._check_admitted(config.image, config.security.user, config.mounts)
        body = translate.container_body(config, labels, self.names, self.secrets.resolve(config.secret_env))
        body["HostConfig"] = self._with_defaults(body["HostConfig"])
        what = f"container {name}"
        params = {"name": self.names.container(name)}
        if config.command is None and config.args == ():  # which engines take for "the image's"
            body["Entrypoint"] = await self._entrypoint(config.image)
        created = await self.engine.ask("containers/create", what, method="POST", params=params, body=body)
        try:
            for attachment in config.networks[1:]:  # one place at creation is all that the API takes before 1.44
                await self._connect(created["Id"], what, attachment)
        except BaseException:
            await self._undo(str(created["Id"]), what)
            raise
        return str(created["Id"])

    async def _undo(self, identity: str, what: str) -> None:
        """Remove a container that could not be completed; a failure is a notice, and is tried again until it is."""
        try:
            await self._delete(identity, what, volumes=True)
        except errors.NotFound:
            return
        except errors.Failure as error:
            self.register.failed(f"container {identity}", error, functools.partial(self._undo_later, identity, what))

    async def _undo_later(self, identity: str, what: str) -> None:
        """Remove a container that could not be completed, unless somebody has by now: what was started is in use."""
        with contextlib.suppress(errors.NotFound):
            status = str(((await self.inspections.inspect(identity)).get("State") or {}).get("Status"))
            if status in _NEVER_STARTED:
                await self._delete(identity, what, volumes=True, force=False)

    async def start(self, ref: str) -> None:
        """Start a container; one that runs already is left as it is."""
        identity = await self._id(ref)
        await self._check_access(identity)
        with self._invalidating(identity):
            await self._post(
                identity, "start", f"container {ref}", call_timeout=_START_TIMEOUT_FACTOR * self.engine.call_timeout
            )

    async def stop(self, ref: str, stop: container.StopConfig) -> None:
        """Send the stop signal, kill the container after its grace period, and wait for its end."""
        inspected = await self.inspections.inspect(ref)
        if not (inspected.get("State") or {}).get("Running"):
            return
        identity, what = str(inspected["Id"]), f"container {ref}"
        self.state_file.note_stop(identity, timestamps.seconds(str(inspected["State"].get("StartedAt"))) or 0.0)
        await self.state_file.kept()  # before it ends: after a crash in between it would be started again
        signal = stop.signal or await self._image_signal(inspected)
        with self._invalidating(identity):
            if not await self._send_signal(identity, what, signal):
                return
            if await self._wait_for_end(identity, what, stop.grace_period):
                return
            await self._send_signal(identity, what, "SIGKILL")
            if not await self._wait_for_end(identity, what, _KILL_TIMEOUT_FACTOR * self.engine.call_timeout):
                raise errors.Unavailable(f"{what} does not die of SIGKILL", reason=Reason.STOP_FAILED)

    async def kill(self, ref: str, signal: str) -> None:
        """Send a signal to a container."""
        identity = await self._id(ref)
        with self._invalidating(identity):
            await self._post(identity, "kill", f"container {ref}", {"signal": signal})

    async def remove(self, ref: str) -> None:
        """Remove a container, killing it if it runs. Named volumes stay; its anonymous ones are removed with it."""
        inspected = await self.inspections.inspect(ref)
        identity, what = str(inspected["Id"]), f"container {ref}"
        ours = translate.CONFIG_LABEL in ((inspected.get("Config") or {}).get("Labels") or {})
        with self._invalidating(identity):
            if (inspected.get("State") or {}).get("Running"):  # engines differ in how long they ask first
                await self._send_signal(identity, what, "SIGKILL")
                await self._wait_for_end(identity, what, _KILL_TIMEOUT_FACTOR * self.engine.call_timeout)
                # Docker says so before it lets go of the container's networks, and loses count of who is in them where
                # it is removed meanwhile; whoever looks at it waits for that.
                await self.engine.ask(f"containers/{identity}/json", what)
            await self._delete(identity, what, volumes=ours)
        self.state_file.forget(Kind.CONTAINER, identity)
        self.state_file.forget(Kind.CONTAINER, str(inspected["Name"]).removeprefix("/"))
        await self.state_file.kept()
        await images.remove_superseded(self.engine, self.state_file)

    async def rename(self, ref: str, name: str) -> None:
        """Rename a container."""
        identity = await self._id(ref)
        with self._invalidating(identity):
            await self._post(identity, "rename", f"container {ref}", {"name": self.names.container(name)})

    async def update(self, ref: str, change: api.ContainerChange) -> None:
        """Change limits in place, and note the supervision, which no engine can keep.

        Raises ``errors.InvalidArgument`` for what ``Features.in_place`` does not list.
        """
        inspected = await self.inspections.inspect(ref)
        host = inspected.get("HostConfig") or {}
        self._check_in_place(ref, change, limits.read(host))
        identity = str(inspected["Id"])
        with self._invalidating(identity):
            if change.resources is not None:
                body = limits.with_default(limits.change(host, change.resources), self.pids)
                await self.engine.ask(f"containers/{identity}/update", f"container {ref}", method="POST", body=body)
                self._note_limit(identity, change.resources)
            if change.supervision is not None:
                note = dataclasses.replace(self.state_file.container(identity), supervision=change.supervision)
                self.state_file.note_container(identity, note)
        await self.state_file.kept()

    def _with_defaults(self, host: connection.Json) -> connection.Json:
        """Return ``HostConfig`` with what containers get unasked: a limit of processes, and Docker's sysctls."""
        host = limits.with_default(host, self.pids)
        if self.engine.where.flavour == "podman" and host.get("NetworkMode") != "host":
            return {**host, "Sysctls": dict(sysctls.OF_NETWORK)}
        return host

    def _note_limit(self, identity: str, resources: container.Resources) -> None:
        """Note the number of processes that was asked for: our own default looks the same."""
        if self.pids is not None:
            note = dataclasses.replace(self.state_file.container(identity), pids=resources.pids or 0)
            self.state_file.note_container(identity, note)

    async def connect(self, ref: str, attachment: container.NetworkAttachment) -> None:
        """Attach a container to a network, or change its endpoint. It is noted: engines do not return all of it."""
        inspected = await self.inspections.inspect(ref)
        identity, what = str(inspected["Id"]), f"container {ref}"
        with self._invalidating(identity):
            if self.names.network(attachment.network) in translate.endpoints_of(inspected, self.names):
                await self._disconnect(identity, what, self.names.network(attachment.network))
            elif _NONE in ((inspected.get("NetworkSettings") or {}).get("Networks") or {}):
                await self._disconnect(identity, what, _NONE)
            await self._connect(identity, what, attachment)
        self._note_attachment(identity, attachment)
        await self.state_file.kept()

    async def disconnect(self, ref: str, network_name: str) -> None:
        """Detach a container from a network; nothing happens if it is not attached."""
        inspected = await self.inspections.inspect(ref)
        engine_name = self.names.network(network_name)
        if engine_name in translate.endpoints_of(inspected, self.names):
            with self._invalidating(str(inspected["Id"])):
                await self._disconnect(str(inspected["Id"]), f"container {ref}", engine_name)

    async def stats(self) -> Mapping[str, resource_usage.Usage]:
        """Return the resource usage of every running container, by id."""
        running = [observed for observed in await self.list() if observed.state is container.ContainerState.RUNNING]
        if self.features.name == "podman":
            limits = {observed.id: observed.config.resources for observed in running}
            answer = await self.engine.ask(_PODMAN_STATS, "usage", params={"stream": "false"})
            entries = {entry["ContainerID"]: entry for entry in answer.get("Stats") or ()}
            return {id: usage.stats_of_podman(entries[id], limits[id]) for id in entries.keys() & limits.keys()}
        usages = await tasks.together("stats", *(self._usage(observed) for observed in running))
        return {observed.id: stats for observed, stats in zip(running, usages, strict=True) if stats is not None}

    async def _usage(self, observed: container.ObservedContainer) -> resource_usage.Usage | None:
        path, params = f"containers/{observed.id}/stats", {"stream": "false", "one-shot": "true"}
        try:
            with failures.translated("usage"):
                async with asyncio.timeout(self.engine.call_timeout):  # it takes a second before Docker 23
                    answer = await self.engine.ask(path, "usage", params=params, call_timeout=connection.NO_TIMEOUT)
        except (errors.NotFound, errors.Conflict):
            return None  # it has just ended
        return usage.stats(answer, observed.config.resources)

    async def _check_mount_sources(self, config: container.ContainerConfig) -> None:
        """Raise an error for a mount source that does not exist: engines would create it."""
        for mount in config.mounts:
            if isinstance(mount, container.VolumeMount):
                await self.engine.ask(f"volumes/{self.names.volume(mount.volume)}", f"volume {mount.volume}")
            elif isinstance(mount, container.BindMount) and not await self._exists(mount.source):
                raise errors.Unavailable(  # as natively: it may be there soon
                    f"bind source {mount.source} does not exist on this host",
                    hint="make it, or use a volume",
                    reason=Reason.MOUNT_SOURCE_MISSING,
                )

    async def _check_access(self, identity: str) -> None:
        """Check a container's binds again before it starts: a symlink may have appeared since its creation."""
        if self.access == hostaccess.UNLIMITED:
            return
        for observed in await self.list():
            if observed.id == identity:
                await self._check_admitted(observed.image_id, observed.config.security.user, observed.config.mounts)

    async def _check_admitted(self, image: str, user: str, mounts: tuple[container.Mount, ...]) -> None:
        """Raise ``errors.InvalidArgument`` for access to the host that this source is not allowed."""
        if self.access.refuses_root:
            image_details = await self.engine.ask(f"images/{image}/json", f"image {image}")
            admitted.check_user(self.access, user, str((image_details.get("Config") or {}).get("User") or ""))
        if self.engine.where.is_local:
            await admitted.check_binds(self.access, mounts)

    async def _entrypoint(self, name: str) -> object:
        image = await self.engine.ask(f"images/{name}/json", f"image {name}")
        entrypoint: object = (image.get("Config") or {}).get("Entrypoint")
        if not entrypoint:
            message = f"image {name} has no entrypoint, and the container neither a command nor arguments"
            raise errors.InvalidArgument(message, hint="give it a command", reason=Reason.START_FAILED)
        return entrypoint

    def _check_in_place(self, ref: str, change: api.ContainerChange, current: container.Resources) -> None:
        """Raise ``errors.InvalidArgument`` for what this engine cannot change on an existing container."""
        requested = change.resources
        lifts = requested is not None and requested.memory is None and current.memory is not None
        needed = {
            policy.InPlace.LABELS: change.labels is not None,
            policy.InPlace.RESOURCES: requested is not None,
            policy.InPlace.MEMORY_LIFTED: lifts,
        }
        for name, asked in needed.items():
            if asked and name not in self.features.in_place:
                message = f"{self.features.name} cannot change {name.value} of container {ref} in place"
                raise errors.InvalidArgument(message, hint="replace it")

    async def _exists(self, source: str) -> bool:
        """Return whether a path exists on the host; true for another host, where only the engine can find out."""
        if not self.engine.where.is_local:
            return True
        try:
            return await self.bind_lookups.look(source, pathlib.Path(source).exists)
        except TimeoutError as error:
            raise lookups.unanswered("bind source", source, Reason.MOUNT_SOURCE_MISSING) from error

    async def _image_signal(self, inspected: Mapping[str, Any]) -> str:
        """Return the stop signal of a container's image: a declared one hides it in what engines tell of itself."""
        config = inspected.get("Config") or {}
        made_with = self.state_file.container(str(inspected["Id"])).adopted
        with contextlib.suppress(canonical.Unreadable):
            made_with = made_with or translate.recalled(config.get("Labels") or {})
        if made_with is not None and made_with.stop.signal:
            with contextlib.suppress(errors.NotFound):
                image = await self.engine.ask(
                    f"images/{inspected['Image']}/json", f"image of container {inspected['Name']}"
                )
                config = image.get("Config") or {}
        return str(config.get("StopSignal") or "SIGTERM")

    @contextlib.contextmanager
    def _invalidating(self, identity: str) -> Iterator[None]:
        """Drop the cached observation after a change, also after one that failed."""
        self.inspections.changing.add(identity)
        try:
            yield
        finally:
            self.inspections.changing.discard(identity)
            self.inspections.invalidate(identity)

    async def _post(
        self,
        identity: str,
        verb: str,
        what: str,
        params: Mapping[str, str] | None = None,
        *,
        call_timeout: float | None = None,
    ) -> None:
        path = f"containers/{identity}/{verb}"
        await self.engine.ask(path, what, method="POST", params=params, call_timeout=call_timeout)

    async def _send_signal(self, identity: str, what: str, signal: str) -> bool:
        """Send a signal; False if the container has ended by itself."""
        try:
            await self._post(identity, "kill", what, {"signal": signal})
        except errors.Conflict:
            return False
        return True

    async def _wait_for_end(self, identity: str, what: str, seconds: float) -> bool:
        """Wait for a container's end; False if it still runs after so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self.engine.ask(
                    f"containers/{identity}/wait", what, method="POST", call_timeout=connection.NO_TIMEOUT
                )
        except TimeoutError:
            return not ((await self.inspections.inspect(identity)).get("State") or {}).get("Running")
        return True

    async def _delete(self, identity: str, what: str, *, volumes: bool, force: bool = True) -> None:
        params = {"force": "true" if force else "false", "v": "true" if volumes else "false"}
        await self.engine.ask(f"containers/{identity}", what, method="DELETE", params=params)

    async def _connect(self, identity: str, what: str, attachment: container.NetworkAttachment) -> None:
        body: dict[str, Any] = {"Container": identity, "EndpointConfig": translate.endpoint_settings(attachment)}
        path = f"networks/{self.names.network(attachment.network)}/connect"
        await self.engine.ask(path, what, method="POST", body=body)

    async def _disconnect(self, identity: str, what: str, engine_network: str) -> None:
        await cleanup.awaited(self.engine, identity)
        body = {"Container": identity, "Force": False}
        await self.engine.ask(f"networks/{engine_network}/disconnect", what, method="POST", body=body)

    def _note_attachment(self, identity: str, attachment: container.NetworkAttachment) -> None:
        note = self.state_file.container(identity)
        aliases = {**dict(note.aliases), attachment.network: attachment.aliases}
        addresses = pairs({**dict(note.addresses), attachment.network: attachment.ipv4 or ""})
        updated = dataclasses.replace(note, aliases=tuple(sorted(aliases.items())), addresses=addresses)
        self.state_file.note_container(identity, updated)
