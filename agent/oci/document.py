"""Reading JSON that strangers wrote: typed access that fails with the place, and with nothing but ``Malformed``."""

import dataclasses
import json
import re
from typing import TypeGuard

_LARGEST = 4 * 1024 * 1024
"""Bytes: what registries accept as a manifest (distribution specification, "Pushing Manifests")."""

_UNSOUND = re.compile("[\0\ud800-\udfff]")
"""What no path, argument or variable can have, and what cannot be written anywhere as UTF-8."""


class Malformed(ValueError):
    """A document that is not what its specification says."""


@dataclasses.dataclass(frozen=True, slots=True)
class Node:
    """A JSON object in a document, with its place for messages."""

    place: str
    members: dict[str, object]

    def text(self, name: str, *, default: str | None = None) -> str:
        """Give a string member."""
        value = self.members.get(name)
        if value is None and default is not None:
            return default
        if not _is_text(value):
            raise Malformed(f"{self.place}.{name} must be a string")
        return value

    def number(self, name: str) -> int:
        """Give a whole number that is not negative."""
        value = self.members.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise Malformed(f"{self.place}.{name} must be a whole number, 0 or more")
        return value

    def child(self, name: str) -> "Node":
        """Give an object member; one that is absent or null is empty."""
        return node(f"{self.place}.{name}", self.members.get(name) or {})

    def children(self, name: str) -> "tuple[Node, ...]":
        """Give a list of objects; one that is absent or null is empty."""
        return tuple(node(f"{self.place}.{name}[{index}]", item) for index, item in enumerate(self._list(name)))

    def texts(self, name: str) -> tuple[str, ...]:
        """Give a list of strings; one that is absent or null is empty."""
        items = self._list(name)
        found = tuple(item for item in items if _is_text(item))
        if len(found) != len(items):
            raise Malformed(f"{self.place}.{name} must be a list of strings")
        return found

    def mapping(self, name: str) -> tuple[tuple[str, str], ...]:
        """Give an object of strings as sorted pairs; one that is absent or null is empty."""
        members = self.child(name).members
        found = [(key, value) for key, value in members.items() if _is_text(key) and _is_text(value)]
        if len(found) != len(members):
            raise Malformed(f"{self.place}.{name} must map strings to strings")
        return tuple(sorted(found))

    def names(self, name: str) -> tuple[str, ...]:
        """Give the sorted names of an object's members; one that is absent or null has none."""
        members = self.child(name).members
        if not all(map(_is_text, members)):
            raise Malformed(f"{self.place}.{name} must have sound names")
        return tuple(sorted(members))

    def _list(self, name: str) -> list[object]:
        value = self.members.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise Malformed(f"{self.place}.{name} must be a list")
        return value


def parse(data: bytes, place: str) -> Node:
    """Read a JSON object. Raises ``Malformed``, also for one that is too large or nested too deeply."""
    if len(data) > _LARGEST:
        raise Malformed(f"{place} is larger than {_LARGEST} bytes")
    try:
        return node(place, json.loads(data.decode()))
    except (ValueError, RecursionError) as error:
        raise Malformed(f"{place} is not a JSON object: {error}") from error


def node(place: str, value: object) -> Node:
    """Take a value as an object. Raises ``Malformed``."""
    if not isinstance(value, dict):
        raise Malformed(f"{place} must be an object")
    return Node(place, value)


def _is_text(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and not _UNSOUND.search(value)
