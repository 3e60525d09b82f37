"""Names of objects as people type them: ``web``, ``Container/web`` or ``container/web``. Pure."""

import difflib
from collections.abc import Collection, Iterable

from agent import errors
from agent.model.key import Kind, ObjectKey

_KINDS = {kind.value.lower(): kind for kind in Kind}
_SUGGESTIONS = 3


class UnknownObject(errors.TrimtabError):
    """A name that no object has."""


def unknown(name: str, nearest: tuple[str, ...]) -> UnknownObject:
    """Return the error of a name that no object has."""
    similar = f"did you mean {' or '.join(nearest)}? " if nearest else ""
    return UnknownObject(f"there is no object {name}", hint=f"{similar}trimtab status lists every object")


def canonical(text: str) -> str:
    """Return ``KIND/NAME`` with the kind as manifests spell it, and every other text as it is.

    Names of images have slashes too: what stands before the first one need not be a kind.
    """
    head, slash, name = text.partition("/")
    kind = _KINDS.get(head.lower())
    return f"{kind.value}/{name}" if kind is not None and slash else text


def is_named(key: ObjectKey, text: str) -> bool:
    """Return whether a text names an instance: its name or its object's, alone or with the kind."""
    return text in {key.name, key.object.name} or canonical(text) in {str(key), str(key.object)}


def resolve(texts: Iterable[str], keys: Collection[ObjectKey]) -> frozenset[ObjectKey]:
    """Return the objects that texts name, several of one text where kinds share it. Raises ``UnknownObject``."""
    resolved: set[ObjectKey] = set()
    for text in texts:
        named = {key for key in keys if is_named(key, text)}
        if not named:
            raise unknown(text, nearest(text, keys))
        resolved |= named
    return frozenset(resolved)


def nearest(text: str, keys: Iterable[ObjectKey]) -> tuple[str, ...]:
    """Return the objects with the most similar names, the nearest first; none where no name is similar."""
    by_spelling = {spelling.lower(): str(key) for key in keys for spelling in (str(key), key.name)}
    similar = difflib.get_close_matches(text.lower(), by_spelling, n=2 * _SUGGESTIONS)
    return tuple(dict.fromkeys(by_spelling[spelling] for spelling in similar))[:_SUGGESTIONS]
