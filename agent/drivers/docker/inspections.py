"""A cache of inspected containers: observing two hundred of them is one call, not two hundred and one.

The list contains most of what changes. The rest (limits, exit codes, aliases) is inspected when the list or an event
says that a container has changed, and cached until then.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from agent import errors
from agent.drivers.docker import connection, foreign, limits, names, sidecar, translate
from agent.kit import canonical, frozen, tasks, timestamps
from agent.model import container

Json = dict[str, Any]


@frozen.value
class _CachedContainer:
    """An observed container, and the fingerprint of its list entry at that time."""

    fingerprint: tuple[object, ...]
    observed: container.ObservedContainer


class Inspections:
    """The observed containers of an engine, inspected as rarely as possible."""

    def __init__(self, engine: connection.Connection, table: names.Names, pids: int | None = None) -> None:
        """Begin with an empty cache. ``pids``: limit of processes for a container that declares none."""
        self._pids = pids
        self._engine = engine
        self._names = table
        self._cached: dict[str, _CachedContainer] = {}
        self._running: dict[str, object] = {}
        """A token per running inspection, by id: an answer that an event has overtaken is not cached."""
        self.inspection_count = 0
        """Number of inspections so far."""
        self.changing: set[str] = set()
        """Ids of containers that we are changing now: their events are not stop requests of others."""

    def invalidate(self, container_id: str) -> None:
        """Drop a container from the cache."""
        self._cached.pop(container_id, None)
        self._running.pop(container_id, None)

    def invalidate_all(self) -> None:
        """Empty the cache: events may have been missed."""
        self._cached.clear()
        self._running.clear()

    async def observe(self) -> tuple[container.ObservedContainer, ...]:
        """Return all containers as observed, sorted by name."""
        listed: list[Json] = await self._engine.ask("containers/json", "containers", params={"all": "true"})
        self._cached = {
            summary["Id"]: self._cached[summary["Id"]] for summary in listed if summary["Id"] in self._cached
        }
        observed = await tasks.together("inspect", *(self._observe(summary) for summary in listed))
        return tuple(sorted(filter(None, observed), key=lambda container: container.name))

    async def inspect(self, ref: str) -> Json:
        """Return the engine's inspection of one container. Raises ``errors.NotFound``."""
        self.inspection_count += 1
        inspected: Json = await self._engine.ask(f"containers/{self._names.container(ref)}/json", f"container {ref}")
        return inspected

    async def _observe(self, summary: Json) -> container.ObservedContainer | None:
        note = self._names.state_file.container(summary["Id"])
        config, unreadable = self._declared(summary, note)
        fingerprint = _fingerprint(summary, note)
        identity = str(summary["Id"])
        cached = self._cached.get(identity)
        if cached is not None and cached.fingerprint == fingerprint:
            return cached.observed
        asking = self._running[identity] = object()
        if config is None:
            observed = foreign.observed_container(summary, self._names)
        else:
            try:
                inspected = await self.inspect(identity)
            except errors.NotFound:
                self.invalidate(identity)
                return None  # it was removed between the two calls
            note = self._note_stop(inspected, note)
            observed = translate.observed_container(config, inspected, note, self._names)
            asked_for = config.resources.pids if note.pids is None else note.pids
            declared = limits.without_default(observed.config, asked_for, self._pids)
            observed = dataclasses.replace(observed, config=declared, unreadable=unreadable)
            if unreadable:
                observed = dataclasses.replace(observed, config=_with_stop(observed.config, inspected))
        if self._running.get(identity) is asking:
            del self._running[identity]
            self._cached[identity] = _CachedContainer(fingerprint, observed)
        return observed

    def _declared(self, summary: Json, note: sidecar.ContainerNote) -> tuple[container.ContainerConfig | None, str]:
        """Return what a container was made from, and why that cannot be read; ``None`` for somebody else's."""
        try:
            return note.adopted or translate.recalled(summary.get("Labels") or {}), ""
        except canonical.Unreadable as error:
            name = str((summary.get("Names") or [summary["Id"]])[0]).removeprefix("/")
            way_out = f"upgrade trimtab if a newer one has made it, or remove {name}: it is made again as declared"
            message = f"its label {translate.CONFIG_LABEL} cannot be read, so it is left as it is: {error} ({way_out})"
            return foreign.config_of_unreadable(summary, self._names), message

    def _note_stop(self, inspected: Json, note: sidecar.ContainerNote) -> sidecar.ContainerNote:
        """Note that somebody is stopping a container: Podman does not always send an event for it."""
        identity, state = str(inspected["Id"]), inspected.get("State") or {}
        if state.get("Status") != "stopping" or identity in self.changing:
            return note
        self._names.state_file.note_stop(identity, timestamps.seconds(str(state.get("StartedAt"))) or 0.0)
        return self._names.state_file.container(identity)


def _with_stop(config: container.ContainerConfig, inspected: Json) -> container.ContainerConfig:
    """Return a config with the stop timeout that the engine got at creation."""
    seconds = (inspected.get("Config") or {}).get("StopTimeout")
    return config if seconds is None else dataclasses.replace(config, stop=container.StopConfig("", float(seconds)))


def _fingerprint(summary: Mapping[str, Any], note: sidecar.ContainerNote) -> tuple[object, ...]:
    """Return what can change in a container's list entry, without what only the passing of time changes."""
    places = (summary.get("NetworkSettings") or {}).get("Networks") or {}
    addresses = tuple(sorted((name, (endpoint or {}).get("IPAddress", "")) for name, endpoint in places.items()))
    return (summary.get("State"), tuple(summary.get("Names") or ()), addresses, note)
