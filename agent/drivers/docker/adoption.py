"""Adoption of objects that somebody else has created: they stay as they are, only their owner is noted.

Engines cannot label what exists, so adoption is a note in the state file beside the engine (``sidecar``). Losing it
makes the objects foreign again, and foreign objects are left alone.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from agent import errors
from agent.drivers.docker import adoptable, driver, names, translate, unsupported
from agent.kit import canonical, frozen, tasks
from agent.model import container, kinds, network, state, volume
from agent.model.key import Kind, Ownership, Pairs, ownership_labels, ownership_of, pairs

_COMPOSE_PROJECT = "com.docker.compose.project"


@frozen.value
class SkippedContainer:
    """A container that is not adopted, with the reasons."""

    name: str
    reasons: tuple[str, ...]


@frozen.value
class AdoptableContainer:
    """A container that can be adopted."""

    id: str
    engine_name: str
    group: str
    """The Compose project that it belongs to, or its own name: one manifest file is written per group."""
    config: container.ContainerConfig


@frozen.value
class Survey:
    """The foreign objects of an engine, as configs for manifests."""

    containers: tuple[AdoptableContainer, ...]
    networks: tuple[tuple[str, network.NetworkConfig], ...]
    """(key of its note, config) of the networks that the containers are attached to."""
    volumes: tuple[tuple[str, volume.VolumeConfig], ...]
    """(the engine's name, config) of the volumes that the containers mount."""
    skipped: tuple[SkippedContainer, ...]


class Adoption:
    """Surveys an engine for foreign containers, and adopts what a survey lists."""

    def __init__(self, runtime: driver.DockerRuntime, owner: str) -> None:
        """Hold the runtime and the owner of what is adopted; nothing is asked or noted yet."""
        self._runtime = runtime
        self._engine = runtime.engine
        self._names = runtime.containers.names
        self._owner = owner

    async def survey(self, requested: Iterable[str] = ()) -> Survey:
        """Return what could be adopted; ``requested``: only these containers, by the engine's names.

        Objects without a valid manifest name get one, which is noted. Raises ``errors.NotFound`` for a container that
        does not exist or is ours already.
        """
        listed = await self._engine.ask("containers/json", "containers", params={"all": "true"})
        chosen = self._chosen(listed, list(requested))
        networks = [
            network for network in await self._engine.ask("networks", "networks") if network.get("Driver") == "bridge"
        ]
        volumes = (await self._engine.ask("volumes", "volumes")).get("Volumes") or ()
        self._name(chosen, listed, networks, volumes)
        candidates = await tasks.together("inspect", *(self._inspect(summary["Id"]) for summary in chosen))
        stores = _Stores(
            {self._names.declared_network(network["Name"]): network for network in networks},
            {self._names.declared_volume(volume["Name"]): volume for volume in volumes},
        )
        containers, skipped = [], []
        for summary, candidate in zip(chosen, candidates, strict=True):
            if candidate is None:
                continue
            name = _name_of(summary)
            reasons = (*candidate.unsupported, *stores.unsupported(candidate.config))
            if reasons:
                skipped.append(SkippedContainer(name, reasons))
            else:
                group = (summary.get("Labels") or {}).get(_COMPOSE_PROJECT) or candidate.config.name
                containers.append(
                    AdoptableContainer(summary["Id"], name, adoptable.name_for(group, ()), candidate.config)
                )
        configs = [candidate.config for candidate in containers]
        return Survey(
            tuple(containers), self._networks(configs, stores), self._volumes(configs, stores), tuple(skipped)
        )

    async def adopt(self, survey: Survey) -> None:
        """Note that everything in the survey is ours from now on."""
        state_file = self._names.state_file
        for noted_by, network_config in survey.networks:
            state_file.note_network(noted_by, pairs((*network_config.labels, *self._labels(network_config))))
        for engine_name, volume_config in survey.volumes:
            state_file.note_volume(engine_name, pairs((*volume_config.labels, *self._labels(volume_config))))
        for candidate in survey.containers:
            image = candidate.config.image
            if "@" in image and image not in state_file.images():  # a name only where it is noted
                state_file.note_image(image, ())
            note = dataclasses.replace(
                state_file.container(candidate.id),
                adopted=translate.without_values(candidate.config),
                labels=self._labels(candidate.config),
                supervision=None,
                aliases=tuple((attachment.network, attachment.aliases) for attachment in candidate.config.networks),
                addresses=pairs(
                    (attachment.network, attachment.ipv4 or "") for attachment in candidate.config.networks
                ),
            )
            state_file.note_container(candidate.id, note)
            self._runtime.containers.inspections.invalidate(candidate.id)
        await state_file.kept()

    def _labels(self, config: kinds.Config) -> Pairs:
        return ownership_labels(Ownership(self._owner, state.key_of(config), canonical.digest(config)))

    def _chosen(self, listed: list[dict[str, Any]], requested: list[str]) -> list[dict[str, Any]]:
        foreign = [summary for summary in listed if not self._is_ours(summary)]
        by_name = {name.removeprefix("/"): summary for summary in foreign for name in summary.get("Names") or ()}
        missing = sorted(set(requested) - by_name.keys())
        if missing:
            hint = f"there are {', '.join(sorted(by_name))}" if by_name else "there is nothing to adopt"
            raise errors.NotFound(f"there is no container {missing[0]} that is not ours already", hint=hint)
        return [by_name[name] for name in requested] if requested else foreign

    def _is_ours(self, summary: Mapping[str, Any]) -> bool:
        noted = self._names.state_file.container(summary["Id"]).labels
        labels = tuple((summary.get("Labels") or {}).items())
        return ownership_of(noted) is not None or ownership_of(labels) is not None

    def _name(
        self,
        chosen: list[dict[str, Any]],
        listed: list[dict[str, Any]],
        networks: list[dict[str, Any]],
        volumes: Iterable[dict[str, Any]],
    ) -> None:
        """Note a free manifest name for every object whose own name is not valid in a manifest."""
        state_file = self._names.state_file
        taken = {
            Kind.CONTAINER: {_name_of(summary) for summary in listed},
            Kind.NETWORK: {str(network["Name"]) for network in networks},
            Kind.VOLUME: {str(volume["Name"]) for volume in volumes},
        }
        for engine_name in [str(record["Name"]) for record in networks]:
            if engine_name == names.DEFAULT:
                state_file.note_name(Kind.NETWORK, names.DEFAULT, engine_name)
            elif engine_name not in names.BUILT_IN:
                self._note(Kind.NETWORK, engine_name, taken)
        for summary in chosen:
            name = self._note(Kind.CONTAINER, _name_of(summary), taken)
            for number, mount in enumerate(summary.get("Mounts") or ()):
                if mount.get("Type") == "volume" and mount.get("Name"):
                    anonymous = len(mount["Name"]) == 64 and mount["Name"].isalnum()  # noqa: PLR2004 - a random digest
                    self._note(Kind.VOLUME, mount["Name"], taken, f"{name}-data-{number}" if anonymous else "")

    def _note(self, kind: Kind, engine_name: str, taken: Mapping[Kind, set[str]], proposal: str = "") -> str:
        state_file = self._names.state_file
        declared_name = state_file.declared_name(kind, engine_name)
        if declared_name != engine_name:
            return declared_name
        name = adoptable.name_for(
            proposal or engine_name, (taken[kind] - {engine_name}) | state_file.declared_names(kind)
        )
        if name != engine_name:
            state_file.note_name(kind, name, engine_name)
        return name

    async def _inspect(self, container_id: str) -> adoptable.Candidate | None:
        """Inspect a container and its image; ``None`` for one that was removed in the meantime."""
        try:
            details = await self._engine.ask(f"containers/{container_id}/json", f"container {container_id}")
        except errors.NotFound:
            return None
        try:
            image = await self._engine.ask(f"images/{details['Image']}/json", f"image of {details['Name']}")
        except errors.NotFound:
            image = {}
        return adoptable.candidate(details, image, self._names)

    def _networks(
        self, configs: list[container.ContainerConfig], stores: "_Stores"
    ) -> tuple[tuple[str, network.NetworkConfig], ...]:
        raw = [stores.networks[name] for name in sorted({name for config in configs for name in _networks(config)})]
        return tuple(
            (self._names.noted_by(network), translate.observed_network(network, (), self._names).config)
            for network in raw
        )

    def _volumes(
        self, configs: list[container.ContainerConfig], stores: "_Stores"
    ) -> tuple[tuple[str, volume.VolumeConfig], ...]:
        raw = [stores.volumes[name] for name in sorted({name for config in configs for name in _volumes(config)})]
        return tuple(
            (str(volume["Name"]), translate.observed_volume(volume, None, self._names).config) for volume in raw
        )


@frozen.value
class _Stores:
    """An engine's networks and volumes, by the names that manifests have for them."""

    networks: Mapping[str, dict[str, Any]]
    volumes: Mapping[str, dict[str, Any]]

    def unsupported(self, config: container.ContainerConfig) -> Iterator[str]:
        """Yield what is unsupported in the networks and volumes that a container uses."""
        for name in _networks(config):
            raw = self.networks.get(name)
            if raw is None:
                yield f"its network {name} is no bridge"
            elif raw["Name"] not in names.BUILT_IN:
                yield from (f"its network {name} {words}" for words in unsupported.of_network(raw))
        for name in _volumes(config):
            raw = self.volumes.get(name)
            if raw is None:
                yield f"its volume {name} is not there"
            else:
                yield from (f"its volume {name} {words}" for words in unsupported.of_volume(raw))


def _networks(config: container.ContainerConfig) -> Iterator[str]:
    return (attachment.network for attachment in config.networks)


def _volumes(config: container.ContainerConfig) -> Iterator[str]:
    return (mount.volume for mount in config.mounts if isinstance(mount, container.VolumeMount))


def _name_of(summary: Mapping[str, Any]) -> str:
    return str((summary.get("Names") or ["/unnamed"])[0]).removeprefix("/")
