"""The roles of networks and volumes over an engine."""

import dataclasses
import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from agent.drivers.docker import connection, names, subnets, translate
from agent.model import network, volume
from agent.model.key import DELETION_POLICY_LABEL, Kind, Pairs, pairs
from agent.runtime import errors

_DRIVER = "bridge"
_MISCOUNTED = "no container is in it: Docker has lost count of what was, and counts again when it is restarted"
"""Docker 20.10 does so where somebody kills containers and removes them at once, many side by side."""


@dataclasses.dataclass(frozen=True, slots=True)
class Networks:
    """``runtime.api.Networks`` over the Engine API."""

    engine: connection.Connection
    names: names.Names

    async def list(self) -> tuple[network.ObservedNetwork, ...]:
        """Give all bridge networks that are objects, sorted by name: not those that are part of the engine."""
        found = [one for one in await self._all() if self._is_object(one)]
        told = (
            translate.observed_network(one, self.names.book.network(self.names.noted_by(one)), self.names)
            for one in found
        )
        return tuple(sorted(told, key=lambda one: one.name))

    def _is_object(self, one: Mapping[str, Any]) -> bool:
        return one["Driver"] == _DRIVER and not self.names.is_built_in(one["Name"])

    async def create(self, config: network.NetworkConfig, labels: Pairs) -> None:
        """Make it, or note the new labels of one that is there: it is whole, as far as an engine tells."""
        there = await self._all()
        present = next((one for one in there if one["Name"] == self.names.network(config.name)), None)
        if present is not None:
            self.names.book.note_network(self.names.noted_by(present), pairs((*config.labels, *labels)))
            return
        self._check_free(config, there)
        body = translate.network_body(config, labels, self.names)
        await self.engine.ask("networks/create", f"network {config.name}", method="POST", body=body)

    async def remove(self, name: str) -> None:
        """Remove it."""
        what, engine_name = f"network {name}", self.names.network(name)
        found = await self.engine.ask(f"networks/{engine_name}", what)
        if engine_name in names.BUILT_IN:  # adopted, and the engine's own all the same: it is let go of
            self._forget(self.names.noted_by(found), engine_name)
            return
        for identity, running in await self._attached(engine_name):
            if running:
                raise errors.InUse(f"{what} is used by container {identity[:12]}", hint="stop it first")
            body = {"Container": identity, "Force": True}
            await self.engine.ask(f"networks/{engine_name}/disconnect", what, method="POST", body=body)
        try:
            await self.engine.ask(f"networks/{engine_name}", what, method="DELETE")
        except errors.InUse as error:
            raise errors.InUse(error.message, hint=_MISCOUNTED) from error
        self._forget(self.names.noted_by(found), engine_name)

    def _forget(self, identity: str, engine_name: str) -> None:
        self.names.book.forget(Kind.NETWORK, identity)
        self.names.book.forget(Kind.NETWORK, engine_name)

    async def _all(self) -> Sequence[dict[str, Any]]:
        found: Sequence[dict[str, Any]] = await self.engine.ask("networks", "networks")
        return found

    async def _attached(self, engine_name: str) -> Iterable[tuple[str, bool]]:
        listed = await self.engine.ask("containers/json", "containers", params={"all": "true"})
        return [
            (one["Id"], one["State"] == "running")
            for one in listed
            if engine_name in translate.endpoints_of(one, self.names)
        ]

    def _check_free(self, config: network.NetworkConfig, there: Iterable[dict[str, Any]]) -> None:
        """Refuse a subnet that another network has: engines say so each in its own words."""
        for other in there:
            for taken in subnets.of(other):
                for wanted in config.subnets:
                    there_already = ipaddress.IPv4Network(taken.subnet, strict=False)  # a bridge's may have its address
                    if ipaddress.IPv4Network(wanted.subnet).overlaps(there_already):
                        raise errors.Conflict(
                            f"subnet {wanted.subnet} overlaps {taken.subnet} of network {other['Name']}",
                            hint="choose another subnet",
                            reason="SubnetInUse",
                        )


@dataclasses.dataclass(frozen=True, slots=True)
class Volumes:
    """``runtime.api.Volumes`` over the Engine API."""

    engine: connection.Connection
    names: names.Names

    async def list(self) -> tuple[volume.ObservedVolume, ...]:
        """Give all volumes, sorted by name."""
        found = (await self.engine.ask("volumes", "volumes")).get("Volumes") or ()
        told = (translate.observed_volume(one, self.names.book.volume(one["Name"]), self.names) for one in found)
        return tuple(sorted(told, key=lambda one: one.name))

    async def create(self, config: volume.VolumeConfig, labels: Pairs) -> None:
        """Make it, or note the new labels and deletion policy of one that is there."""
        body = translate.volume_body(config, labels, self.names)
        await self.engine.ask("volumes/create", f"volume {config.name}", method="POST", body=body)
        policy = (DELETION_POLICY_LABEL, config.deletion_policy.value)
        self.names.book.note_volume(self.names.volume(config.name), pairs((*config.labels, *labels, policy)))

    async def remove(self, name: str) -> None:
        """Remove it and its data."""
        engine_name = self.names.volume(name)
        await self.engine.ask(f"volumes/{engine_name}", f"volume {name}")
        try:
            await self.engine.ask(f"volumes/{engine_name}", f"volume {name}", method="DELETE")
        except errors.Conflict as error:
            raise errors.InUse(error.message, hint="remove the container first") from error
        self.names.book.forget(Kind.VOLUME, engine_name)
