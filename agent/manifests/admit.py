"""Checks across objects, which need more than one manifest."""

import ipaddress
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from agent.kit import graph
from agent.manifests import inputs, problem, program_limits, registry, wording
from agent.manifests.lowering import containers, networks
from agent.manifests.v1 import container, forms, image, network, secret
from agent.model.key import Kind, ObjectKey
from agent.oci import reference

Manifests = dict[ObjectKey, registry.Manifest]
_Problems = Iterator[problem.Problem]


def admit(manifests: Iterable[registry.Manifest]) -> Iterator[problem.Problem]:
    """Yield the problems of the manifests as a set, in no order; each check runs only as far as it is consumed."""
    every = list(manifests)
    by_key: Manifests = {}
    for manifest in every:
        first = by_key.setdefault(manifest.key, manifest)
        if first is not manifest:
            where = f"{first.document.path}:{first.document.position('metadata', 'name')[0]}"
            hint = f"it is declared in {where} already: rename or remove one"
            yield manifest.document.problem(f"duplicate {manifest.key}", hint, "metadata", "name")
    for manifest in by_key.values():
        if (problems := ADMISSIONS.get(manifest.key.kind)) is not None:
            yield from problems(manifest, getattr(manifest.object, "spec", None), by_key)
    for check in (_cycles, _ports, _subnets, _addresses, _logins, _secrets):
        yield from check(by_key)


def _container_problems(manifest: registry.Manifest, spec: container.ContainerSpec, by_key: Manifests) -> _Problems:
    yield from inputs.outside(manifest)
    yield from program_limits.problems(manifest)
    yield from _references(manifest, spec, by_key)
    yield from _container(manifest, spec)
    yield from _network_needs(manifest, spec, by_key)
    yield from _endless_dependencies(manifest, spec, by_key)


def _image_problems(manifest: registry.Manifest, spec: image.ImageSpec, _: Manifests) -> _Problems:
    if spec.pull is not None:
        yield from _reference(manifest, spec.pull.reference, "spec", "pull", "reference")


ADMISSIONS: Mapping[Kind, Callable[[registry.Manifest, Any, Manifests], _Problems]] = {
    Kind.CONTAINER: _container_problems,
    Kind.IMAGE: _image_problems,
}
"""By kind: yields the problems of one manifest beside the others. A kind that refers to nothing needs none."""


def _references(
    manifest: registry.Manifest, spec: container.ContainerSpec, by_key: Manifests
) -> Iterator[problem.Problem]:
    references: list[tuple[ObjectKey, tuple[str | int, ...]]] = []
    if isinstance(spec.image, container.ImageName):
        references.append((ObjectKey(Kind.IMAGE, spec.image.name), ("spec", "image", "name")))
    else:
        yield from _reference(manifest, spec.image, "spec", "image")
    for number, entry in enumerate(spec.networks if isinstance(spec.networks, list) else ()):
        name = entry if isinstance(entry, str) else entry.name
        references.append((ObjectKey(Kind.NETWORK, name), ("spec", "networks", number)))
    for number, mount in enumerate(spec.mounts):
        if mount.volume is not None:
            references.append((ObjectKey(Kind.VOLUME, mount.volume), ("spec", "mounts", number, "volume")))
    for number, dependency in enumerate(spec.dependencies):
        key = ObjectKey(Kind.CONTAINER, dependency.container)
        references.append((key, ("spec", "dependsOn", number, "container")))
    for key, path in references:
        if key not in by_key and key != networks.DEFAULT:
            names = [other.name for other in by_key if other.kind is key.kind]
            article = "an" if key.kind is Kind.IMAGE else "a"
            hint = (
                wording.suggestion(key.name, names, "declared are") if names else f"declare {article} {key.kind.value}"
            )
            yield manifest.document.problem(f"{key} is not declared", hint, *path)


def _reference(manifest: registry.Manifest, text: str, *path: str | int) -> Iterator[problem.Problem]:
    try:
        reference.parse(text)
    except reference.InvalidReference as error:
        yield manifest.document.problem(f"no image reference: {error}", "write registry/name:tag", *path)


def _container(manifest: registry.Manifest, spec: container.ContainerSpec) -> Iterator[problem.Problem]:
    document = manifest.document
    paths: dict[str, int] = {}
    for number, mount in enumerate(spec.mounts):
        path = forms.normal_path(mount.path)
        if path in paths:
            hint = f"spec.mounts[{paths[path]}] is there already"
            yield document.problem(f"two mounts at {path}", hint, "spec", "mounts", number, "path")
        paths[path] = number
    names: dict[str, int] = {}
    for number, entry in enumerate(spec.networks if isinstance(spec.networks, list) else ()):
        name = entry if isinstance(entry, str) else entry.name
        if name in names:
            yield document.problem(f"network {name} is named twice", "remove one", "spec", "networks", number)
        names[name] = number


def _network_needs(
    manifest: registry.Manifest, spec: container.ContainerSpec, by_key: Manifests
) -> Iterator[problem.Problem]:
    """Yield problems for ports and probes that need a network which the container does not have."""
    if spec.networks == "host":
        if spec.ports:
            hint = "leave them out: the program's own ports are the host's"
            yield manifest.document.problem("ports cannot be published with network host", hint, "spec", "ports")
        return
    without = spec.networks in ("none", [])
    if spec.ports and without:
        message = "ports cannot be published without a network"
        yield manifest.document.problem(message, "leave them out, or give it a network", "spec", "ports")
    elif spec.ports and all(_is_internal(name, by_key) for name in _networks(spec)):
        message = "ports can only be published by a container in a network that is not internal"
        yield manifest.document.problem(message, "add another network, as bridge", "spec", "ports")
    for probe in ("startup", "readiness", "liveness"):
        check = getattr(spec.health, probe)
        if check is not None and check.exec is None and without:
            hint = "use exec, or give it a network"
            yield manifest.document.problem(f"a {probe} probe by network needs one", hint, "spec", "health", probe)


def _networks(spec: container.ContainerSpec) -> list[str]:
    entries = spec.networks if isinstance(spec.networks, list) else [spec.networks]
    return [entry if isinstance(entry, str) else entry.name for entry in entries]


def _is_internal(name: str, by_key: Manifests) -> bool:
    manifest = by_key.get(ObjectKey(Kind.NETWORK, name))
    return manifest is not None and isinstance(manifest.object, network.Network) and manifest.object.spec.internal


def _endless_dependencies(
    manifest: registry.Manifest, spec: container.ContainerSpec, by_key: Manifests
) -> Iterator[problem.Problem]:
    """Find dependencies on the completion of a container whose restart policy always starts it again."""
    for number, dependency in enumerate(spec.dependencies):
        other = by_key.get(ObjectKey(Kind.CONTAINER, dependency.container))
        if dependency.condition != "Completed" or other is None or not isinstance(other.object, container.Container):
            continue
        policy = other.object.spec.restart.policy
        if policy in ("Always", "UnlessStopped"):
            yield manifest.document.problem(
                f"{other.key} never completes: its restart.policy is {policy}",
                f"set restart.policy of {other.key} to OnFailure or Never",
                *("spec", "dependsOn", number, "condition"),
            )


def _cycles(by_key: Manifests) -> Iterator[problem.Problem]:
    edges = {
        key.name: [dependency.container for dependency in manifest.object.spec.dependencies]
        for key, manifest in sorted(by_key.items())
        if isinstance(manifest.object, container.Container)
    }
    cycle = graph.cycle(edges)
    if cycle is not None:
        manifest = by_key[ObjectKey(Kind.CONTAINER, cycle[0])]
        yield manifest.document.problem(
            f"dependsOn goes round: {' -> '.join(cycle)}", "take one of them out", "spec", "dependsOn"
        )


def _ports(by_key: Manifests) -> Iterator[problem.Problem]:
    """Find two claims on one host port: 0.0.0.0 collides with every address."""
    claims: dict[tuple[int, str], dict[str, registry.Manifest]] = {}
    for _, manifest in sorted(by_key.items()):
        if not isinstance(manifest.object, container.Container):
            continue
        for number, port in enumerate(manifest.object.spec.ports):
            mapping = containers.port(port)
            others = claims.setdefault((mapping.host_port, mapping.protocol.value), {})
            everywhere = mapping.address == container.EVERYWHERE
            alike = (mapping.address, container.EVERYWHERE, *(itertools.islice(others, 1) if everywhere else ()))
            other = next((others[address] for address in alike if address in others), None)
            if other is not None:
                hint = f"{other.key} claims it in {other.document.path}:{other.document.position('spec', 'ports')[0]}"
                message = f"host port {mapping.host_port}/{mapping.protocol.value} is claimed twice"
                yield manifest.document.problem(message, hint, "spec", "ports", number)
            others.setdefault(mapping.address, manifest)


def _subnets(by_key: Manifests) -> Iterator[problem.Problem]:
    owners: dict[ipaddress.IPv4Network, registry.Manifest] = {}
    subnet_within: dict[ipaddress.IPv4Network, ipaddress.IPv4Network] = {}
    """Each range that a subnet is within, and that subnet: two overlap where one is within the other."""
    for _, manifest in sorted(by_key.items()):
        if not isinstance(manifest.object, network.Network):
            continue
        for number, entry in enumerate(manifest.object.spec.subnets):
            subnet = ipaddress.IPv4Network(networks.subnet(entry).subnet)
            ranges = [subnet.supernet(new_prefix=length) for length in range(subnet.prefixlen + 1)]
            other = subnet_within.get(subnet) or next((range_ for range_ in ranges if range_ in owners), None)
            if other is not None:
                owner = owners[other]
                hint = f"{owner.key} has {other} in {owner.document.path}: choose another range"
                yield manifest.document.problem(f"subnet {subnet} overlaps", hint, "spec", "subnets", number)
            owners.setdefault(subnet, manifest)
            for range_ in ranges:
                subnet_within.setdefault(range_, subnet)


def _addresses(by_key: Manifests) -> Iterator[problem.Problem]:
    """Find fixed addresses outside of their network, the gateway's, or claimed twice."""
    claimed: dict[tuple[str, str], registry.Manifest] = {}
    for _, manifest in sorted(by_key.items()):
        if not isinstance(manifest.object, container.Container) or not isinstance(manifest.object.spec.networks, list):
            continue
        for number, entry in enumerate(manifest.object.spec.networks):
            if isinstance(entry, str) or entry.ipv4 is None:
                continue
            path = ("spec", "networks", number, "ipv4")
            wrong, hint = _address_problem(entry, by_key)
            other = claimed.setdefault((entry.name, entry.ipv4), manifest)
            if wrong:
                yield manifest.document.problem(f"address {entry.ipv4} {wrong}", hint, *path)
            elif other is not manifest:
                hint = f"{other.key} claims it in {other.document.path}"
                yield manifest.document.problem(f"address {entry.ipv4} is claimed twice", hint, *path)


def _address_problem(attachment: container.NetworkRef, by_key: Manifests) -> tuple[str, str]:
    """Return (message, hint) for a wrong fixed address; two empty texts where it is right."""
    key, address = ObjectKey(Kind.NETWORK, attachment.name), ipaddress.IPv4Address(attachment.ipv4 or "")
    manifest = by_key.get(key)
    if manifest is None or not isinstance(manifest.object, network.Network):
        if key == networks.DEFAULT:
            return f"needs a network with subnets, and {key} is not declared", "declare one, and name it here"
        return "", ""
    subnets = [networks.subnet(entry) for entry in manifest.object.spec.subnets]
    if not subnets:
        return f"needs a network with subnets, and {key} has none", f"give {key} subnets"
    inside = [subnet for subnet in subnets if address in ipaddress.IPv4Network(subnet.subnet)]
    if not inside:
        return f"is not in {key}'s subnets", f"choose one in {', '.join(subnet.subnet for subnet in subnets)}"
    range_ = ipaddress.IPv4Network(inside[0].subnet)
    gateway = range_.network_address + 1 if inside[0].gateway is None else ipaddress.IPv4Address(inside[0].gateway)
    if address in (range_.network_address, range_.broadcast_address, gateway):
        return f"is the network's own or the gateway's in {key}", "choose another one"
    return "", ""


def _logins(by_key: Manifests) -> Iterator[problem.Problem]:
    """Find two logins for the same registry or registry path."""
    first_by_prefix: dict[str, registry.Manifest] = {}
    for _, manifest in sorted(by_key.items()):
        if isinstance(manifest.object, secret.Secret):
            for prefix in manifest.object.auths().entries:
                other = first_by_prefix.setdefault(prefix, manifest)
                if other is not manifest:
                    hint = f"{other.key} in {other.document.path} has one: remove one of them"
                    field = "stringData" if manifest.object.string_data else "data"
                    yield manifest.document.problem(f"a second login for {prefix}", hint, field)


def _secrets(by_key: Manifests) -> Iterator[problem.Problem]:
    """Find variables whose Secret has no such value, or one that no variable can have."""
    for _, manifest in sorted(by_key.items()):
        if isinstance(manifest.object, container.Container):
            for name, source in manifest.object.spec.sources.items():
                message, hint, field = _reference_problem(name, source, by_key)
                if message:
                    yield manifest.document.problem(message, hint, "spec", "env", name, field)


def _reference_problem(variable: str, source: container.EnvironmentSource, by_key: Manifests) -> tuple[str, str, str]:
    """Return (message, hint, field) for a variable's wrong reference to a Secret; empty texts where it is right."""
    key = ObjectKey(Kind.SECRET, source.secret)
    declared = by_key.get(key)
    if declared is None or not isinstance(declared.object, secret.Secret):
        names = [other.name for other in by_key if other.kind is Kind.SECRET]
        hint = wording.suggestion(source.secret, names, "declared are") if names else "declare a Secret of type Opaque"
        return f"{key} is not declared", hint, "secret"
    if declared.object.type != secret.OPAQUE:
        hint = f"name one of type {secret.OPAQUE}"
        return f"{key} has logins of registries, which are not given to containers", hint, "secret"
    values = declared.object.values()
    if source.key not in values:
        return f"{key} has no value of {source.key}", wording.suggestion(source.key, values, "it has"), "key"
    try:
        text = values[source.key].decode()
    except UnicodeDecodeError:
        text = "\0"
    if program_limits.is_too_long(f"{variable}={text}"):
        return f"{key} has a value of {source.key} that is too long for a variable", "make it shorter", "key"
    if "\0" in text:
        return f"{key} has a value of {source.key} that is no text: no variable can have it", "correct it", "key"
    return "", "", ""
