"""The one table that says, field by field, what a change means; and the comparison by it.

A field that is missing in the table fails a test: whoever adds one has to decide. The truth is the comparison of
configs; a hash only tells whether it was us who brought an object about.
"""

import dataclasses
import enum

from agent.model import container, network, policy, volume
from agent.plan import wording


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
    "labels": Change.IN_PLACE,
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
    sentence: str
    """``image: a -> b``; of what may be secret only that it differs."""
    change: Change

    def __str__(self) -> str:
        """Say it."""
        return self.sentence


def of_container(
    wanted: container.ContainerConfig, found: container.ContainerConfig, in_place: frozenset[policy.InPlace]
) -> tuple[Difference, ...]:
    """Compare two containers; what the runtime cannot change in place is replaced."""
    if wanted == found:
        return ()
    differences = []
    for field, change in CONTAINER.items():
        before, after = getattr(found, field), getattr(wanted, field)
        if change is not Change.NONE and before != after:
            able = change if change is Change.IN_PLACE and _needed(wanted, found, field) <= in_place else Change.REPLACE
            differences.append(Difference(field, wording.change(field, before, after), able))
    return tuple(differences)


def _needed(
    wanted: container.ContainerConfig, found: container.ContainerConfig, field: str
) -> frozenset[policy.InPlace]:
    """Say what a runtime must be able to do to change a field in place."""
    needed = {policy.InPlace(field)}
    if field == "resources" and found.resources.memory is not None and wanted.resources.memory is None:
        needed.add(policy.InPlace.MEMORY_LIFTED)
    if field == "networks" and not (found.networks and wanted.networks):
        needed.add(policy.InPlace.FIRST_NETWORK)
    return frozenset(needed)


def of_network(wanted: network.NetworkConfig, found: network.NetworkConfig) -> tuple[Difference, ...]:
    """Compare two networks; what was left to the runtime to choose is never a difference."""
    subnets = _chosen(wanted.subnets, found.subnets)
    asked = dataclasses.replace(wanted, subnets=tuple(sorted(wanted.subnets, key=str)))
    return _of(asked, dataclasses.replace(found, subnets=subnets), NETWORK)


def of_volume(wanted: volume.VolumeConfig, found: volume.VolumeConfig) -> tuple[Difference, ...]:
    """Compare two volumes."""
    return _of(wanted, found, VOLUME)


def _of(wanted: object, found: object, table: dict[str, Change]) -> tuple[Difference, ...]:
    differing = [
        (field, change)
        for field, change in table.items()
        if change is not Change.NONE and getattr(found, field) != getattr(wanted, field)
    ]
    return tuple(
        Difference(field, wording.change(field, getattr(found, field), getattr(wanted, field)), change)
        for field, change in differing
    )


def _chosen(wanted: tuple[network.Subnet, ...], found: tuple[network.Subnet, ...]) -> tuple[network.Subnet, ...]:
    """Give what was found as far as it was asked for: no subnets asked is none found, no gateway asked likewise."""
    if not wanted:
        return ()
    open_gateways = {one.subnet for one in wanted if one.gateway is None}
    asked = (dataclasses.replace(one, gateway=None) if one.subnet in open_gateways else one for one in found)
    return tuple(sorted(asked, key=str))
