"""What is known of containers, so that a look at two hundred of them is one call and not two hundred and one.

The list tells most of what changes. The rest (limits, exit codes, aliases) is asked for where the list or an event says
that a container has changed, and kept until then.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from agent.drivers.docker import connection, names, notes, survey, translate
from agent.kit import tasks
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
        self.asked = 0
        """How many containers were inspected so far."""
        self.ours: set[str] = set()
        """Containers that we ourselves are sending signals to: their events are no request of somebody else's."""

    def changed(self, container_id: str) -> None:
        """Forget what is known of a container."""
        self._known.pop(container_id, None)

    def all_changed(self) -> None:
        """Forget everything: events may have been missed."""
        self._known.clear()

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
        known = self._known.get(summary["Id"])
        if known is not None and known.fingerprint == fingerprint:
            return known.observed
        if config is None:
            observed = survey.observed_stranger(summary, self._names)
        else:
            try:
                found = await self.inspect(summary["Id"])
            except errors.NotFound:
                return None  # it was removed between the two calls
            observed = translate.observed_container(config, found, note, self._names)
        self._known[summary["Id"]] = _Known(fingerprint, observed)
        return observed


def _fingerprint(summary: Mapping[str, Any], note: notes.ContainerNote) -> tuple[object, ...]:
    """Give all that the list tells of a container and that is not only the passing of time."""
    places = (summary.get("NetworkSettings") or {}).get("Networks") or {}
    addresses = tuple(sorted((name, (place or {}).get("IPAddress", "")) for name, place in places.items()))
    return (summary.get("State"), tuple(summary.get("Names") or ()), addresses, note)
