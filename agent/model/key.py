"""How what runs is named, and how an object of the runtime says whose it is.

What is declared is an object; what runs of it are its instances, each with its ordinal. The names of instances are
unique among all of their kind, so that everything that is kept, planned and told is kept, planned and told of each
instance. Instance 0 has the object's own name.

This is the only module that knows the ownership labels. They carry the owner and the config hash, never the revision: a
commit that changes nothing for an object must not touch the object.
"""

import dataclasses
import enum
import functools
import re
from collections.abc import Iterable, Mapping

from agent.kit import canonical, frozen

Pairs = tuple[tuple[str, str], ...]
"""A string mapping as a value: (key, value) pairs sorted by key."""

PREFIX = "trimtab.dev/"
OWNER_LABEL = PREFIX + "owner"
KIND_LABEL = PREFIX + "kind"
NAME_LABEL = PREFIX + "name"
INSTANCE_LABEL = PREFIX + "instance"
"""The ordinal of an instance; its absence means 0."""
CONFIG_HASH_LABEL = PREFIX + "config-hash"
DELETION_POLICY_LABEL = PREFIX + "deletion-policy"
_ORDINAL = re.compile("0|[1-9][0-9]{0,8}")


class Kind(enum.StrEnum):
    """The kinds of object that a manifest declares, spelled as in ``kind:``."""

    CONTAINER = "Container"
    IMAGE = "Image"
    NETWORK = "Network"
    VOLUME = "Volume"
    SECRET = "Secret"  # noqa: S105 - a kind


OBJECTS = (Kind.CONTAINER, Kind.IMAGE, Kind.NETWORK, Kind.VOLUME)
"""What a runtime has; of all other kinds something is used, and nothing is made."""


@frozen.value(order=True)
class ObjectKey:
    """One instance of a declared object: its kind and its name, which is unique per kind. Prints as ``Container/web``.

    Of kinds that have one instance at all times, and of containers that are declared once, it is the object's key too.
    """

    kind: Kind
    name: str
    ordinal: int = dataclasses.field(default=0, compare=False, metadata=canonical.absent(0))
    """Which instance of its object it is, or which run: the name says so already, so that it does not tell keys apart.
    """

    def __str__(self) -> str:
        """Give the form that people type and read."""
        return f"{self.kind.value}/{self.name}"

    @property
    def object(self) -> "ObjectKey":
        """Return the key of the object that this is an instance of: that of its instance 0."""
        return ObjectKey(self.kind, self.name.removesuffix(f"-{self.ordinal}")) if self.ordinal else self

    def instance(self, ordinal: int) -> "ObjectKey":
        """Return the key of an instance of this object: ``web``, ``web-1``, ``web-2``."""
        return ObjectKey(self.kind, f"{self.name}-{ordinal}", ordinal) if ordinal else self


@frozen.value
class Ownership:
    """What the labels of a runtime object say: which agent owns it, what it is, and from which config."""

    owner: str
    key: ObjectKey
    config_hash: str


def pairs(mapping: Mapping[str, str] | Iterable[tuple[str, str]]) -> Pairs:
    """Make a mapping a sorted value."""
    return tuple(sorted(dict(mapping).items()))


def ownership_labels(ownership: Ownership) -> Pairs:
    """Give the labels that mark a runtime object as owned."""
    ordinal = ownership.key.ordinal
    return pairs(
        {
            OWNER_LABEL: ownership.owner,
            KIND_LABEL: ownership.key.kind.value,
            NAME_LABEL: ownership.key.object.name,
            CONFIG_HASH_LABEL: ownership.config_hash,
            **({INSTANCE_LABEL: str(ordinal)} if ordinal else {}),
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
    ordinal = by_name.get(INSTANCE_LABEL, "0")
    if not _ORDINAL.fullmatch(ordinal):
        return None
    key = ObjectKey(Kind(kind), by_name[NAME_LABEL]).instance(int(ordinal))
    return Ownership(by_name[OWNER_LABEL], key, by_name.get(CONFIG_HASH_LABEL, ""))


def without_ownership(labels: Pairs) -> Pairs:
    """Give the labels that the user declared: all but those that trimtab owns."""
    return tuple(pair for pair in labels if not pair[0].startswith(PREFIX))
