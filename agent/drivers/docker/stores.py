"""``runtime.api.Networks`` and ``runtime.api.Volumes`` over an engine."""

import ipaddress
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from agent import errors
from agent.drivers.docker import cleanup, connection, names, subnets, translate
from agent.kit import frozen
from agent.model import network, volume
from agent.model.key import DELETION_POLICY_LABEL, Kind, Pairs, pairs
from agent.reasons import Reason

_ATTEMPTS = 8
"""Subnets that are offered to an engine, before it may choose one itself."""
_DRIVER = "bridge"
_MISCOUNTED = "no container is in it: Docker has lost count of what was, and counts again when it is restarted"
"""Docker 20.10 does so when many containers are killed and removed at once."""


@frozen.value
class Networks:
    """``runtime.api.Networks`` over the Engine API."""

    engine: connection.Connection
    names: names.Names

    async def list(self) -> tuple[network.ObservedNetwork, ...]:
        """Return all bridge networks but those that are part of the engine, sorted by name."""
        listed = [raw for raw in await self._all() if self._is_object(raw)]
        observed = (
            translate.observed_network(raw, self.names.state_file.network(self.names.noted_by(raw)), self.names)
            for raw in listed
        )
        return tuple(sorted(observed, key=lambda network: network.name))

    def _is_object(self, raw: Mapping[str, Any]) -> bool:
        return raw["Driver"] == _DRIVER and not self.names.is_built_in(raw["Name"])

    async def create(self, config: network.NetworkConfig, labels: Pairs) -> None:
        """Create a network, or note the new labels of an existing one, which engines always report as intact."""
        existing = await self._all()
        present = next((raw for raw in existing if raw["Name"] == self.names.network(config.name)), None)
        if present is not None:
            self.names.state_file.note_network(self.names.noted_by(present), pairs((*config.labels, *labels)))
            await self.names.state_file.kept()
            return
        self._check_free(config, existing)
        body = translate.network_body(config, labels, self.names)
        if self.engine.where.flavour == "podman" and not config.subnets and await self._create_wide(body, existing):
            return
        await self._post(body)

    async def _create_wide(self, body: dict[str, Any], existing: Iterable[dict[str, Any]]) -> bool:
        """Create a network with a larger subnet than the /24 that Podman chooses; False where it accepts none.

        Podman refuses what an interface of its host or another network has, as it passes over that where it chooses.
        """
        for subnet in itertools.islice(subnets.free(existing, body["Name"]), _ATTEMPTS):
            try:
                await self._post({**body, "IPAM": {**body["IPAM"], "Config": [{"Subnet": str(subnet)}]}})
            except errors.Conflict as error:
                if error.reason is not Reason.SUBNET_IN_USE:
                    raise
            else:
                return True
        return False

    async def _post(self, body: dict[str, Any]) -> None:
        what = f"network {self.names.declared_network(body['Name'])}"
        await self.engine.ask("networks/create", what, method="POST", body=body)

    async def remove(self, name: str) -> None:
        """Remove a network. Raises ``errors.InUse`` while a running container is attached."""
        what, engine_name = f"network {name}", self.names.network(name)
        inspected = await self.engine.ask(f"networks/{engine_name}", what)
        if engine_name in names.BUILT_IN:  # adopted, and the engine's own all the same: it is let go of
            await self._forget(self.names.noted_by(inspected), engine_name)
            return
        for identity, running in await self._attached(engine_name):
            if running:
                raise errors.InUse(f"{what} is used by container {identity[:12]}", hint="stop it first")
            await cleanup.awaited(self.engine, identity)
            body = {"Container": identity, "Force": True}
            await self.engine.ask(f"networks/{engine_name}/disconnect", what, method="POST", body=body)
        try:
            await self.engine.ask(f"networks/{engine_name}", what, method="DELETE")
        except errors.InUse as error:
            raise errors.InUse(error.message, hint=_MISCOUNTED) from error
        await self._forget(self.names.noted_by(inspected), engine_name)

    async def _forget(self, identity: str, engine_name: str) -> None:
        self.names.state_file.forget(Kind.NETWORK, identity)
        self.names.state_file.forget(Kind.NETWORK, engine_name)
        await self.names.state_file.kept()

    async def _all(self) -> Sequence[dict[str, Any]]:
        answer: Sequence[dict[str, Any]] = await self.engine.ask("networks", "networks")
        return answer

    async def _attached(self, engine_name: str) -> Iterable[tuple[str, bool]]:
        listed = await self.engine.ask("containers/json", "containers", params={"all": "true"})
        return [
            (container["Id"], container["State"] == "running")
            for container in listed
            if engine_name in translate.endpoints_of(container, self.names)
        ]

    def _check_free(self, config: network.NetworkConfig, existing: Iterable[dict[str, Any]]) -> None:
        """Raise ``errors.Conflict`` for a subnet that overlaps another network's: engines' own messages differ."""
        for other in existing:
            for taken in subnets.of(other):
                for subnet in config.subnets:
                    other_range = ipaddress.IPv4Network(taken.subnet, strict=False)  # a bridge's may have its address
                    if ipaddress.IPv4Network(subnet.subnet).overlaps(other_range):
                        raise errors.Conflict(
                            f"subnet {subnet.subnet} overlaps {taken.subnet} of network {other['Name']}",
                            hint="choose another subnet",
                            reason=Reason.SUBNET_IN_USE,
                        )


@frozen.value
class Volumes:
    """``runtime.api.Volumes`` over the Engine API."""

    engine: connection.Connection
    names: names.Names

    async def list(self) -> tuple[volume.ObservedVolume, ...]:
        """Return all volumes, sorted by name."""
        listed = (await self.engine.ask("volumes", "volumes")).get("Volumes") or ()
        observed = (
            translate.observed_volume(raw, self.names.state_file.volume(raw["Name"]), self.names) for raw in listed
        )
        return tuple(sorted(observed, key=lambda volume: volume.name))

    async def create(self, config: volume.VolumeConfig, labels: Pairs) -> None:
        """Create a volume, or note the new labels and deletion policy of an existing one."""
        body = translate.volume_body(config, labels, self.names)
        await self.engine.ask("volumes/create", f"volume {config.name}", method="POST", body=body)
        policy = (DELETION_POLICY_LABEL, config.deletion_policy.value)
        self.names.state_file.note_volume(self.names.volume(config.name), pairs((*config.labels, *labels, policy)))
        await self.names.state_file.kept()

    async def remove(self, name: str) -> None:
        """Remove a volume and its data."""
        engine_name = self.names.volume(name)
        await self.engine.ask(f"volumes/{engine_name}", f"volume {name}")
        try:
            await self.engine.ask(f"volumes/{engine_name}", f"volume {name}", method="DELETE")
        except errors.Conflict as error:
            raise errors.InUse(error.message, hint="remove the container first") from error
        self.names.state_file.forget(Kind.VOLUME, engine_name)
        await self.names.state_file.kept()
