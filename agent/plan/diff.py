"""The one table that says, field by field, what a change means; and the comparison by it.

A field that is missing in the table fails a test: whoever adds one has to decide. The truth is the comparison of
configs; a hash only tells whether it was us who brought an object about.
"""

import dataclasses
import enum

from agent.kit import frozen
from agent.model import container, network, policy, volume
from agent.plan import wording


class Change(enum.StrEnum):
    """What it takes to change a field of something that is there."""

    NONE = "none"
    """It never differs: it is what the two are compared by."""
    RECORD = "record"
    """The agent itself acts on it, by what is declared. Every runtime keeps it on the existing container, for the time
    when the container is no longer declared."""
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
    "restart": Change.RECORD,
    "health": Change.RECORD,
    "resources": Change.IN_PLACE,
    "security": Change.REPLACE,
    "stop": Change.RECORD,
    "update": Change.RECORD,
    "depends_on": Change.RECORD,
    "secret_env": Change.REPLACE,
    "ordinal": Change.NONE,
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


@frozen.value
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
    desired: container.ContainerConfig, current: container.ContainerConfig, in_place: frozenset[policy.InPlace]
) -> tuple[Difference, ...]:
    """Compare two containers; what the runtime cannot change in place is replaced."""
    if desired == current:
        return ()
    differences = []
    for field, change in CONTAINER.items():
        before, after = getattr(current, field), getattr(desired, field)
        if change is not Change.NONE and before != after:
            forced = change is Change.IN_PLACE and not _needed(desired, current, field) <= in_place
            what = Change.REPLACE if forced else change
            differences.append(Difference(field, wording.change(field, before, after), what))
    return tuple(differences)


def _needed(
    desired: container.ContainerConfig, current: container.ContainerConfig, field: str
) -> frozenset[policy.InPlace]:
    """Say what a runtime must be able to do to change a field in place."""
    needed = {policy.InPlace(field)}
    if field == "resources" and current.resources.memory is not None and desired.resources.memory is None:
        needed.add(policy.InPlace.MEMORY_LIFTED)
    if field == "networks" and not (current.networks and desired.networks):
        needed.add(policy.InPlace.FIRST_NETWORK)
    return frozenset(needed)


def of_network(desired: network.NetworkConfig, current: network.NetworkConfig) -> tuple[Difference, ...]:
    """Compare two networks; what was left to the runtime to choose is never a difference."""
    subnets = _chosen(desired.subnets, current.subnets)
    asked = dataclasses.replace(desired, subnets=tuple(sorted(desired.subnets, key=str)))
    return _of(asked, dataclasses.replace(current, subnets=subnets), NETWORK)


def of_volume(desired: volume.VolumeConfig, current: volume.VolumeConfig) -> tuple[Difference, ...]:
    """Compare two volumes."""
    return _of(desired, current, VOLUME)


def _of(desired: object, current: object, table: dict[str, Change]) -> tuple[Difference, ...]:
    differing = [
        (field, change)
        for field, change in table.items()
        if change is not Change.NONE and getattr(current, field) != getattr(desired, field)
    ]
    return tuple(
        Difference(field, wording.change(field, getattr(current, field), getattr(desired, field)), change)
        for field, change in differing
    )


def _chosen(desired: tuple[network.Subnet, ...], current: tuple[network.Subnet, ...]) -> tuple[network.Subnet, ...]:
    """Give what was found as far as it was asked for: no subnets asked is none found, no gateway asked likewise."""
    if not desired:
        return ()
    open_gateways = {subnet.subnet for subnet in desired if subnet.gateway is None}
    asked = (
        dataclasses.replace(subnet, gateway=None) if subnet.subnet in open_gateways else subnet for subnet in current
    )
    return tuple(sorted(asked, key=str))
