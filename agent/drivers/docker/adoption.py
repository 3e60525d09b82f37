"""Taking over what somebody else has started: nothing of it is touched, only whose it is gets noted.

Engines cannot label what exists, so adoption is a note beside the engine (``notes``). Losing it makes the objects
foreign again, and foreign objects are left alone.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from agent.drivers.docker import driver, inspected, names, translate, unsaid
from agent.kit import canonical, tasks
from agent.model import container, network, state, volume
from agent.model.key import Kind, Ownership, Pairs, ownership_labels, ownership_of, pairs
from agent.runtime import errors

_COMPOSE_PROJECT = "com.docker.compose.project"


@dataclasses.dataclass(frozen=True, slots=True)
class Left:
    """A container that is left alone, and why."""

    name: str
    reasons: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Found:
    """A container that can be taken over."""

    id: str
    engine_name: str
    group: str
    """The Compose project that it is of, or its own name: what belongs into one file."""
    config: container.ContainerConfig


@dataclasses.dataclass(frozen=True, slots=True)
class Survey:
    """What an engine has, as manifests would say it."""

    containers: tuple[Found, ...]
    networks: tuple[tuple[str, network.NetworkConfig], ...]
    """(what it is noted by, config) of those that the containers are in."""
    volumes: tuple[tuple[str, volume.VolumeConfig], ...]
    """(the engine's name, config) of those that the containers have."""
    left: tuple[Left, ...]


class Adoption:
    """Surveys an engine, and takes over what was found."""

    def __init__(self, runtime: driver.DockerRuntime, owner: str) -> None:
        """Nothing is asked or noted yet."""
        self._runtime = runtime
        self._engine = runtime.engine
        self._names = runtime.containers.names
        self._owner = owner

    async def survey(self, wanted: Iterable[str] = ()) -> Survey:
        """Look at what is not ours yet; ``wanted``: only these containers, by the engine's names.

        Names for manifests are given and noted on the way. Raises ``errors.NotFound`` for one that is not there.
        """
        listed = await self._engine.ask("containers/json", "containers", params={"all": "true"})
        chosen = self._chosen(listed, list(wanted))
        networks = [one for one in await self._engine.ask("networks", "networks") if one.get("Driver") == "bridge"]
        volumes = (await self._engine.ask("volumes", "volumes")).get("Volumes") or ()
        self._name(chosen, listed, networks, volumes)
        portraits = await tasks.together("inspect", *(self._portrait(one["Id"]) for one in chosen))
        there = _Stores(
            {self._names.declared_network(one["Name"]): one for one in networks},
            {self._names.declared_volume(one["Name"]): one for one in volumes},
        )
        found, left = [], []
        for summary, portrait in zip(chosen, portraits, strict=True):
            if portrait is None:
                continue
            name = _name_of(summary)
            reasons = (*portrait.unsaid, *there.unsaid(portrait.config))
            if reasons:
                left.append(Left(name, reasons))
            else:
                group = (summary.get("Labels") or {}).get(_COMPOSE_PROJECT) or portrait.config.name
                found.append(Found(summary["Id"], name, inspected.name_for(group, ()), portrait.config))
        configs = [one.config for one in found]
        return Survey(tuple(found), self._networks(configs, there), self._volumes(configs, there), tuple(left))

    def adopt(self, survey: Survey) -> None:
        """Note that all that was found is ours from now on."""
        book = self._names.book
        for noted_by, network_config in survey.networks:
            book.note_network(noted_by, pairs((*network_config.labels, *self._labels(network_config))))
        for engine_name, volume_config in survey.volumes:
            book.note_volume(engine_name, pairs((*volume_config.labels, *self._labels(volume_config))))
        for one in survey.containers:
            if "@" in one.config.image and one.config.image not in book.images():  # a name only where it is noted
                book.note_image(one.config.image, ())
            note = dataclasses.replace(
                book.container(one.id),
                adopted=translate.without_values(one.config),
                labels=self._labels(one.config),
                aliases=tuple((place.network, place.aliases) for place in one.config.networks),
                addresses=pairs((place.network, place.ipv4 or "") for place in one.config.networks),
            )
            book.note_container(one.id, note)
            self._runtime.containers.known.changed(one.id)

    def _labels(self, config: state.Config) -> Pairs:
        return ownership_labels(Ownership(self._owner, state.key_of(config), canonical.digest(config)))

    def _chosen(self, listed: list[dict[str, Any]], wanted: list[str]) -> list[dict[str, Any]]:
        foreign = [one for one in listed if not self._is_ours(one)]
        by_name = {name.removeprefix("/"): one for one in foreign for name in one.get("Names") or ()}
        missing = sorted(set(wanted) - by_name.keys())
        if missing:
            hint = f"there are {', '.join(sorted(by_name))}" if by_name else "there is nothing to adopt"
            raise errors.NotFound(f"there is no container {missing[0]} that is not ours already", hint=hint)
        return [by_name[name] for name in wanted] if wanted else foreign

    def _is_ours(self, summary: Mapping[str, Any]) -> bool:
        noted = self._names.book.container(summary["Id"]).labels
        labels = tuple((summary.get("Labels") or {}).items())
        return ownership_of(noted) is not None or ownership_of(labels) is not None

    def _name(
        self,
        chosen: list[dict[str, Any]],
        listed: list[dict[str, Any]],
        networks: list[dict[str, Any]],
        volumes: Iterable[dict[str, Any]],
    ) -> None:
        """Give everything a name that a manifest can have, and nobody else has, where its own is none."""
        book = self._names.book
        taken = {
            Kind.CONTAINER: {_name_of(one) for one in listed},
            Kind.NETWORK: {str(one["Name"]) for one in networks},
            Kind.VOLUME: {str(one["Name"]) for one in volumes},
        }
        for one in networks:
            if one["Name"] == names.DEFAULT:
                book.note_name(Kind.NETWORK, names.DEFAULT, one["Name"])
            elif one["Name"] not in names.BUILT_IN:
                self._note(Kind.NETWORK, one["Name"], taken)
        for one in chosen:
            name = self._note(Kind.CONTAINER, _name_of(one), taken)
            for number, mount in enumerate(one.get("Mounts") or ()):
                if mount.get("Type") == "volume" and mount.get("Name"):
                    anonymous = len(mount["Name"]) == 64 and mount["Name"].isalnum()  # noqa: PLR2004 - a random digest
                    self._note(Kind.VOLUME, mount["Name"], taken, f"{name}-data-{number}" if anonymous else "")

    def _note(self, kind: Kind, engine_name: str, taken: Mapping[Kind, set[str]], proposal: str = "") -> str:
        book = self._names.book
        known = book.declared_name(kind, engine_name)
        if known != engine_name:
            return known
        name = inspected.name_for(proposal or engine_name, (taken[kind] - {engine_name}) | book.declared_names(kind))
        if name != engine_name:
            book.note_name(kind, name, engine_name)
        return name

    async def _portrait(self, container_id: str) -> inspected.Portrait | None:
        """Ask for a container; ``None`` for one that has gone in the meantime."""
        try:
            found = await self._engine.ask(f"containers/{container_id}/json", f"container {container_id}")
        except errors.NotFound:
            return None
        try:
            image = await self._engine.ask(f"images/{found['Image']}/json", f"image of {found['Name']}")
        except errors.NotFound:
            image = {}
        return inspected.portrait(found, image, self._names)

    def _networks(
        self, configs: list[container.ContainerConfig], there: "_Stores"
    ) -> tuple[tuple[str, network.NetworkConfig], ...]:
        raw = [there.networks[name] for name in sorted({name for one in configs for name in _networks(one)})]
        return tuple(
            (self._names.noted_by(one), translate.observed_network(one, (), self._names).config) for one in raw
        )

    def _volumes(
        self, configs: list[container.ContainerConfig], there: "_Stores"
    ) -> tuple[tuple[str, volume.VolumeConfig], ...]:
        raw = [there.volumes[name] for name in sorted({name for one in configs for name in _volumes(one)})]
        return tuple((str(one["Name"]), translate.observed_volume(one, None, self._names).config) for one in raw)


@dataclasses.dataclass(frozen=True, slots=True)
class _Stores:
    """An engine's networks and volumes, by the names that manifests have for them."""

    networks: Mapping[str, dict[str, Any]]
    volumes: Mapping[str, dict[str, Any]]

    def unsaid(self, config: container.ContainerConfig) -> Iterator[str]:
        """Name what no manifest can say of those that a container uses."""
        for name in _networks(config):
            raw = self.networks.get(name)
            if raw is None:
                yield f"its network {name} is no bridge"
            elif raw["Name"] not in names.BUILT_IN:
                yield from (f"its network {name} {words}" for words in unsaid.of_network(raw))
        for name in _volumes(config):
            raw = self.volumes.get(name)
            if raw is None:
                yield f"its volume {name} is not there"
            else:
                yield from (f"its volume {name} {words}" for words in unsaid.of_volume(raw))


def _networks(config: container.ContainerConfig) -> Iterator[str]:
    return (one.network for one in config.networks)


def _volumes(config: container.ContainerConfig) -> Iterator[str]:
    return (one.volume for one in config.mounts if isinstance(one, container.VolumeMount))


def _name_of(summary: Mapping[str, Any]) -> str:
    return str((summary.get("Names") or ["/unnamed"])[0]).removeprefix("/")
