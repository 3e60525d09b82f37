"""How an object is named, and how an object of the runtime says whose it is.

This is the only module that knows the ownership labels. They carry the owner and the config hash, never the revision: a
commit that changes nothing for an object must not touch the object.
"""

import dataclasses
import enum
import functools
from collections.abc import Iterable, Mapping

Pairs = tuple[tuple[str, str], ...]
"""A string mapping as a value: (key, value) pairs sorted by key."""

PREFIX = "trimtab.dev/"
OWNER_LABEL = PREFIX + "owner"
KIND_LABEL = PREFIX + "kind"
NAME_LABEL = PREFIX + "name"
CONFIG_HASH_LABEL = PREFIX + "config-hash"
DELETION_POLICY_LABEL = PREFIX + "deletion-policy"


class Kind(enum.StrEnum):
    """The kinds of object that a manifest declares, spelled as in ``kind:``."""

    CONTAINER = "Container"
    IMAGE = "Image"
    NETWORK = "Network"
    VOLUME = "Volume"
    SECRET = "Secret"  # noqa: S105 - a kind


OBJECTS = (Kind.CONTAINER, Kind.IMAGE, Kind.NETWORK, Kind.VOLUME)
"""What a runtime has; of all other kinds something is used, and nothing is made."""


@dataclasses.dataclass(frozen=True, order=True, slots=True)
class ObjectKey:
    """One declared object: its kind and its name, which is unique per kind. Prints as ``Container/web``."""

    kind: Kind
    name: str

    def __str__(self) -> str:
        """Give the form that people type and read."""
        return f"{self.kind.value}/{self.name}"


@dataclasses.dataclass(frozen=True, slots=True)
class Ownership:
    """What the labels of a runtime object say: which instance owns it, which object it is, and from which config."""

    owner: str
    key: ObjectKey
    config_hash: str


def pairs(mapping: Mapping[str, str] | Iterable[tuple[str, str]]) -> Pairs:
    """Make a mapping a sorted value."""
    return tuple(sorted(dict(mapping).items()))


def ownership_labels(ownership: Ownership) -> Pairs:
    """Give the labels that mark a runtime object as owned."""
    return pairs(
        {
            OWNER_LABEL: ownership.owner,
            KIND_LABEL: ownership.key.kind.value,
            NAME_LABEL: ownership.key.name,
            CONFIG_HASH_LABEL: ownership.config_hash,
        }
    )


@functools.lru_cache(maxsize=16_384)
def ownership_of(labels: Pairs) -> Ownership | None:
    """Return the owner that an object's labels name; ``None`` for a foreign object or one with incomplete labels.

    Remembered, as every pass asks several times for each object, and labels hardly ever change.
    """
    by_name = dict(labels)
    kind = by_name.get(KIND_LABEL)
    if OWNER_LABEL not in by_name or NAME_LABEL not in by_name or kind not in OBJECTS:
        return None
    key = ObjectKey(Kind(kind), by_name[NAME_LABEL])
    return Ownership(by_name[OWNER_LABEL], key, by_name.get(CONFIG_HASH_LABEL, ""))


def without_ownership(labels: Pairs) -> Pairs:
    """Give the labels that the user declared: all but those that trimtab owns."""
    return tuple(pair for pair in labels if not pair[0].startswith(PREFIX))
