"""The one table that says, field by field, what a change means; and the comparison by it.

A field that is missing in the table fails a test: whoever adds one has to decide. The truth is the comparison of
configs; a hash only tells whether it was us who brought an object about.
"""

import dataclasses
import enum
from collections.abc import Iterable

from agent.model import container, network
from agent.model.key import Pairs


class Change(enum.StrEnum):
    """What it takes to change a field of something that is there."""

    NONE = "none"
    """Nothing in the runtime: the agent itself acts on it."""
    IN_PLACE = "in place"
    """A call on the existing object, where the runtime can."""
    REPLACE = "replace"


CONTAINER: dict[str, Change] = {
    "name": Change.NONE,
    "image": Change.REPLACE,
    "labels": Change.IN_PLACE,
    "command": Change.REPLACE,
    "args": Change.REPLACE,
    "env": Change.REPLACE,
    "working_dir": Change.REPLACE,
    "hostname": Change.REPLACE,
    "ports": Change.REPLACE,
    "network_mode": Change.REPLACE,
    "networks": Change.IN_PLACE,
    "mounts": Change.REPLACE,
    "restart": Change.NONE,
    "health": Change.NONE,
    "resources": Change.IN_PLACE,
    "security": Change.REPLACE,
    "stop": Change.NONE,
    "update": Change.NONE,
    "depends_on": Change.NONE,
}
NETWORK: dict[str, Change] = {
    "name": Change.NONE,
    "driver": Change.REPLACE,
    "labels": Change.NONE,
    "subnets": Change.REPLACE,
    "internal": Change.REPLACE,
    "dns": Change.REPLACE,
    "mtu": Change.REPLACE,
}
VOLUME: dict[str, Change] = {
    "name": Change.NONE,
    "driver": Change.REPLACE,
    "labels": Change.IN_PLACE,
    "deletion_policy": Change.IN_PLACE,
}


@dataclasses.dataclass(frozen=True, slots=True)
class Difference:
    """One field that is other than declared."""

    field: str
    before: str
    after: str
    change: Change

    def __str__(self) -> str:
        """Give ``field: before -> after``."""
        return f"{self.field}: {self.before} -> {self.after}"


def of_container(
    wanted: container.ContainerConfig, found: container.ContainerConfig, in_place: frozenset[str]
) -> tuple[Difference, ...]:
    """Compare two containers; what the runtime cannot change in place is replaced."""
    if wanted == found:
        return ()
    differences = []
    for field, change in CONTAINER.items():
        before, after = getattr(found, field), getattr(wanted, field)
        if change is not Change.NONE and before != after:
            able = change if change is Change.REPLACE or field in in_place else Change.REPLACE
            differences.append(Difference(field, *_told(before, after), able))
    return tuple(differences)


def of_network(wanted: network.NetworkConfig, found: network.NetworkConfig) -> tuple[Difference, ...]:
    """Compare two networks; what was left to the runtime to choose is never a difference."""
    differences = []
    for field, change in NETWORK.items():
        before, after = getattr(found, field), getattr(wanted, field)
        if field == "subnets":
            before, after = _chosen(wanted.subnets, found.subnets), tuple(sorted(wanted.subnets, key=str))
        if change is not Change.NONE and before != after:
            differences.append(Difference(field, *_told(before, after), change))
    return tuple(differences)


def _chosen(wanted: tuple[network.Subnet, ...], found: tuple[network.Subnet, ...]) -> tuple[network.Subnet, ...]:
    """Give what was found as far as it was asked for: no subnets asked is none found, no gateway asked likewise."""
    if not wanted:
        return ()
    open_gateways = {one.subnet for one in wanted if one.gateway is None}
    asked = (dataclasses.replace(one, gateway=None) if one.subnet in open_gateways else one for one in found)
    return tuple(sorted(asked, key=str))


def _told(before: object, after: object) -> tuple[str, str]:
    """Show two values: of long ones only what differs. Environment values are never shown: they may be secrets."""
    if isinstance(before, tuple) and isinstance(after, tuple) and _are_pairs(before) and _are_pairs(after):
        return _names(before, after), _names(after, before)
    if dataclasses.is_dataclass(before) and type(before) is type(after):
        changed = [field.name for field in dataclasses.fields(before)]
        changed = [name for name in changed if getattr(before, name) != getattr(after, name)]
        return _members(before, changed), _members(after, changed)
    return shown(before), shown(after)


def _are_pairs(value: tuple[object, ...]) -> bool:
    return all(isinstance(item, tuple) and len(item) == 2 for item in value)  # noqa: PLR2004


def _names(these: Pairs, others: Pairs) -> str:
    differing = [name for name, value in these if (name, value) not in others]
    return f"({', '.join(differing)})" if differing else "-"


def _members(value: object, names: Iterable[str]) -> str:
    return ", ".join(f"{name}={shown(getattr(value, name))}" for name in names)


def shown(value: object) -> str:
    """Show a value in a plan."""
    if value is None or value in ("", ()):
        return "-"
    if isinstance(value, tuple):
        return " ".join(shown(item) for item in value)
    if isinstance(value, enum.Enum):
        return str(value.value)
    if dataclasses.is_dataclass(value) and type(value).__str__ is object.__str__:
        return _short(value)
    return str(value)


def _short(value: object) -> str:
    """Show a small dataclass by its values, defaults left out."""
    fields = dataclasses.fields(value)  # type: ignore[arg-type]
    values = [(field, getattr(value, field.name)) for field in fields]
    told = [shown(item) for field, item in values if item not in (field.default, None, (), False)]
    return ":".join(told)
