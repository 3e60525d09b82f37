"""Taking over what somebody else has started: nothing of it is touched, only whose it is gets noted.

Engines cannot label what exists, so adoption is a note beside the engine (``notes``). Losing it makes the objects
foreign again, and foreign objects are left alone.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from agent.drivers.docker import driver, inspected, names, translate
from agent.kit import canonical, tasks
from agent.model import container, network, state, volume
from agent.model.key import Kind, Ownership, Pairs, ownership_labels, ownership_of, pairs
from agent.runtime import errors

_DEFAULT = "bridge"
"""What manifests call the network that containers are in when they name none."""
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
    """(the engine's id, config) of those that the containers are in."""
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
        there = [one for one in await self._engine.ask("networks", "networks") if one.get("Driver") == "bridge"]
        self._name(chosen, there)
        inspected_all = await tasks.together("inspect", *(self._portrait(one["Id"]) for one in chosen))
        networks_known = {self._names.declared_network(one["Name"]): one for one in there}
        found, left = [], []
        for summary, (raw, portrait) in zip(chosen, inspected_all, strict=True):
            name = raw["Name"].removeprefix("/")
            lost = [one.network for one in portrait.config.networks if one.network not in networks_known]
            reasons = (*portrait.unsaid, *(f"its network {network_name} is no bridge" for network_name in lost))
            if reasons:
                left.append(Left(name, reasons))
            else:
                group = (summary.get("Labels") or {}).get(_COMPOSE_PROJECT) or portrait.config.name
                found.append(Found(summary["Id"], name, inspected.name_for(group, ()), portrait.config))
        return Survey(tuple(found), self._networks(found, networks_known), await self._volumes(found), tuple(left))

    def adopt(self, survey: Survey) -> None:
        """Note that all that was found is ours from now on."""
        book = self._names.book
        for network_id, network_config in survey.networks:
            book.note_network(network_id, pairs((*network_config.labels, *self._labels(network_config))))
        for engine_name, volume_config in survey.volumes:
            book.note_volume(engine_name, pairs((*volume_config.labels, *self._labels(volume_config))))
        for one in survey.containers:
            note = dataclasses.replace(
                book.container(one.id),
                adopted=translate.without_values(one.config),
                labels=self._labels(one.config),
                aliases=tuple((place.network, place.aliases) for place in one.config.networks),
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

    def _name(self, containers: list[dict[str, Any]], networks: list[dict[str, Any]]) -> None:
        """Give everything a name that a manifest can have, where its own is none."""
        book = self._names.book
        for one in networks:
            if one["Name"] == _DEFAULT:
                book.note_name(Kind.NETWORK, _DEFAULT, one["Name"])
            elif one["Name"] not in names.BUILT_IN:
                self._note(Kind.NETWORK, one["Name"])
        for one in containers:
            engine_name = (one.get("Names") or ["/unnamed"])[0].removeprefix("/")
            name = self._note(Kind.CONTAINER, engine_name)
            for number, mount in enumerate(one.get("Mounts") or ()):
                if mount.get("Type") == "volume" and mount.get("Name"):
                    anonymous = len(mount["Name"]) == 64 and mount["Name"].isalnum()  # noqa: PLR2004 - a random digest
                    self._note(Kind.VOLUME, mount["Name"], f"{name}-data-{number}" if anonymous else "")

    def _note(self, kind: Kind, engine_name: str, proposal: str = "") -> str:
        book = self._names.book
        known = book.declared_name(kind, engine_name)
        if known != engine_name:
            return known
        name = inspected.name_for(proposal or engine_name, book.declared_names(kind))
        if name != engine_name:
            book.note_name(kind, name, engine_name)
        return name

    async def _portrait(self, container_id: str) -> tuple[dict[str, Any], inspected.Portrait]:
        found = await self._engine.ask(f"containers/{container_id}/json", f"container {container_id}")
        image = await self._engine.ask(f"images/{found['Image']}/json", f"image of {found['Name']}")
        return found, inspected.portrait(found, image, self._names)

    def _networks(
        self, found: list[Found], known: Mapping[str, dict[str, Any]]
    ) -> tuple[tuple[str, network.NetworkConfig], ...]:
        used = {place.network for one in found for place in one.config.networks}
        told = [translate.observed_network(known[name], (), self._names) for name in sorted(used)]
        return tuple((one.id, one.config) for one in told)

    async def _volumes(self, found: list[Found]) -> tuple[tuple[str, volume.VolumeConfig], ...]:
        used = {
            mount.volume for one in found for mount in one.config.mounts if isinstance(mount, container.VolumeMount)
        }
        told = []
        for name in sorted(used):
            engine_name = self._names.volume(name)
            raw = await self._engine.ask(f"volumes/{engine_name}", f"volume {name}")
            told.append((engine_name, translate.observed_volume(raw, None, self._names).config))
        return tuple(told)
