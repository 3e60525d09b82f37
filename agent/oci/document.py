"""Typed access to untrusted JSON: every failure is a ``Malformed`` that names the path in the document."""

import json
import re
from typing import TypeGuard

from agent.kit import frozen

_LARGEST = 4 * 1024 * 1024
"""Bytes: what registries accept as a manifest (distribution specification, "Pushing Manifests")."""

_UNSOUND = re.compile("[\0\ud800-\udfff]")
"""NUL, which no path, argument or variable can have, and surrogates, which UTF-8 cannot encode."""


class Malformed(ValueError):
    """A document that violates its specification."""


@frozen.value
class Node:
    """A JSON object in a document, with its path for messages."""

    path: str
    members: dict[str, object]

    def text(self, name: str, *, default: str | None = None) -> str:
        """Return a string member; ``default`` where it is absent or null. Raises ``Malformed``."""
        value = self.members.get(name)
        if value is None and default is not None:
            return default
        if not _is_text(value):
            raise Malformed(f"{self.path}.{name} must be a string")
        return value

    def number(self, name: str) -> int:
        """Return a member that is a whole number of 0 or more. Raises ``Malformed``."""
        value = self.members.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise Malformed(f"{self.path}.{name} must be a whole number, 0 or more")
        return value

    def child(self, name: str) -> "Node":
        """Return an object member; an empty one where it is absent or null. Raises ``Malformed``."""
        return node(f"{self.path}.{name}", self.members.get(name) or {})

    def children(self, name: str) -> "tuple[Node, ...]":
        """Return a list of objects; an empty one where it is absent or null. Raises ``Malformed``."""
        return tuple(node(f"{self.path}.{name}[{index}]", item) for index, item in enumerate(self._list(name)))

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of strings; an empty one where it is absent or null. Raises ``Malformed``."""
        items = self._list(name)
        texts = tuple(item for item in items if _is_text(item))
        if len(texts) != len(items):
            raise Malformed(f"{self.path}.{name} must be a list of strings")
        return texts

    def mapping(self, name: str) -> tuple[tuple[str, str], ...]:
        """Return an object of strings as sorted pairs; none where it is absent or null. Raises ``Malformed``."""
        members = self.child(name).members
        pairs = [(key, value) for key, value in members.items() if _is_text(key) and _is_text(value)]
        if len(pairs) != len(members):
            raise Malformed(f"{self.path}.{name} must map strings to strings")
        return tuple(sorted(pairs))

    def names(self, name: str) -> tuple[str, ...]:
        """Return the sorted names of an object's members; none where it is absent or null. Raises ``Malformed``."""
        members = self.child(name).members
        if not all(map(_is_text, members)):
            raise Malformed(f"{self.path}.{name} must have sound names")
        return tuple(sorted(members))

    def _list(self, name: str) -> list[object]:
        value = self.members.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise Malformed(f"{self.path}.{name} must be a list")
        return value


def parse(data: bytes, path: str) -> Node:
    """Read a JSON object; ``path`` names it in messages. Raises ``Malformed``, also if it is too large or too deep."""
    if len(data) > _LARGEST:
        raise Malformed(f"{path} is larger than {_LARGEST} bytes")
    try:
        return node(path, json.loads(data.decode()))
    except (ValueError, RecursionError) as error:
        raise Malformed(f"{path} is not a JSON object: {error}") from error


def node(path: str, value: object) -> Node:
    """Return a value as a node; ``path`` names it in messages. Raises ``Malformed`` where it is no object."""
    if not isinstance(value, dict):
        raise Malformed(f"{path} must be an object")
    return Node(path, value)


def _is_text(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and not _UNSOUND.search(value)
