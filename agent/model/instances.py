"""From containers as they are declared to their instances: what runs, each under its own name. Pure."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping

from agent.model import container
from agent.model.key import Kind, ObjectKey


class NameTaken(ValueError):
    """An instance would have the name of another container. Its text says which."""


def expand(
    declared: Iterable[container.ContainerConfig], counts: Mapping[str, int]
) -> tuple[container.ContainerConfig, ...]:
    """Return the instances of containers, instance 0 of each first.

    ``counts``: how many there are by the container's name; 1 of one that is not in there, none for 0. What depends on a
    container depends on each of its instances. Raises ``NameTaken``.
    """
    containers = tuple(declared)
    names = {config.name: tuple(_names(config.name, counts.get(config.name, 1))) for config in containers}
    _check_names(names)
    return tuple(
        dataclasses.replace(_instance(config, ordinal), depends_on=tuple(_dependencies(config, names)))
        for config in containers
        for ordinal in range(len(names[config.name]))
    )


def _instance(config: container.ContainerConfig, ordinal: int) -> container.ContainerConfig:
    """Return one instance: it has its own name and host name, and answers in DNS to the object's name as well."""
    if ordinal == 0:
        return config
    name = ObjectKey(Kind.CONTAINER, config.name).instance(ordinal).name
    hostname = name if config.hostname == config.name else config.hostname
    networks = tuple(
        dataclasses.replace(attachment, aliases=tuple(sorted({*attachment.aliases, config.name})))
        for attachment in config.networks
    )
    return dataclasses.replace(config, name=name, ordinal=ordinal, hostname=hostname, networks=networks)


def _names(name: str, count: int) -> Iterator[str]:
    key = ObjectKey(Kind.CONTAINER, name)
    return (key.instance(ordinal).name for ordinal in range(count))


def _dependencies(
    config: container.ContainerConfig, names: Mapping[str, tuple[str, ...]]
) -> Iterator[container.Dependency]:
    for dependency in config.depends_on:
        for name in names.get(dependency.container, (dependency.container,)):
            yield dataclasses.replace(dependency, container=name)


def _check_names(names: Mapping[str, tuple[str, ...]]) -> None:
    owners: dict[str, str] = {}
    for name, instances in names.items():
        for instance in instances:
            if (other := owners.setdefault(instance, name)) != name:
                raise NameTaken(f"containers {other} and {name} would both have an instance {instance}")
