"""What is known of containers, so that a look at two hundred of them is one call and not two hundred and one.

The list tells most of what changes. The rest (limits, exit codes, aliases) is asked for where the list or an event says
that a container has changed, and kept until then.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from agent.drivers.docker import connection, names, notes, survey, translate
from agent.kit import tasks, timestamps
from agent.model import container
from agent.runtime import errors

Json = dict[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class _Known:
    """A container as it was seen, and what the list said of it then."""

    fingerprint: tuple[object, ...]
    observed: container.ObservedContainer


class Inspections:
    """All containers of an engine, asked for as little as possible."""

    def __init__(self, engine: connection.Connection, table: names.Names) -> None:
        """Nothing is known yet."""
        self._engine = engine
        self._names = table
        self._known: dict[str, _Known] = {}
        self._asking: dict[str, object] = {}
        """Who asks for a container at the moment: an answer that an event has overtaken is not kept."""
        self.asked = 0
        """How many containers were inspected so far."""
        self.ours: set[str] = set()
        """Containers that we ourselves are sending signals to: their events are no request of somebody else's."""

    def changed(self, container_id: str) -> None:
        """Forget what is known of a container."""
        self._known.pop(container_id, None)
        self._asking.pop(container_id, None)

    def all_changed(self) -> None:
        """Forget everything: events may have been missed."""
        self._known.clear()
        self._asking.clear()

    async def look(self) -> tuple[container.ObservedContainer, ...]:
        """Observe all containers, sorted by name."""
        listed: list[Json] = await self._engine.ask("containers/json", "containers", params={"all": "true"})
        self._known = {one["Id"]: self._known[one["Id"]] for one in listed if one["Id"] in self._known}
        seen = await tasks.together("inspect", *(self._one(summary) for summary in listed))
        return tuple(sorted(filter(None, seen), key=lambda one: one.name))

    async def inspect(self, ref: str) -> Json:
        """Ask for everything about one container. Raises ``errors.NotFound``."""
        self.asked += 1
        found: Json = await self._engine.ask(f"containers/{self._names.container(ref)}/json", f"container {ref}")
        return found

    async def _one(self, summary: Json) -> container.ObservedContainer | None:
        note = self._names.book.container(summary["Id"])
        config = note.adopted or translate.recalled(summary.get("Labels") or {})
        fingerprint = _fingerprint(summary, note)
        identity = str(summary["Id"])
        known = self._known.get(identity)
        if known is not None and known.fingerprint == fingerprint:
            return known.observed
        asking = self._asking[identity] = object()
        if config is None:
            observed = survey.observed_stranger(summary, self._names)
        else:
            try:
                found = await self.inspect(identity)
            except errors.NotFound:
                self.changed(identity)
                return None  # it was removed between the two calls
            note = self._noted(found, note)
            observed = translate.observed_container(config, found, note, self._names)
        if self._asking.get(identity) is asking:
            del self._asking[identity]
            self._known[identity] = _Known(fingerprint, observed)
        return observed

    def _noted(self, found: Json, note: notes.ContainerNote) -> notes.ContainerNote:
        """Note that somebody is stopping a container: Podman tells it afterwards only now and then."""
        identity, state = str(found["Id"]), found.get("State") or {}
        if state.get("Status") != "stopping" or identity in self.ours:
            return note
        self._names.book.note_stop(identity, timestamps.seconds(str(state.get("StartedAt"))) or 0.0)
        return self._names.book.container(identity)


def _fingerprint(summary: Mapping[str, Any], note: notes.ContainerNote) -> tuple[object, ...]:
    """Give all that the list tells of a container and that is not only the passing of time."""
    places = (summary.get("NetworkSettings") or {}).get("Networks") or {}
    addresses = tuple(sorted((name, (place or {}).get("IPAddress", "")) for name, place in places.items()))
    return (summary.get("State"), tuple(summary.get("Names") or ()), addresses, note)
