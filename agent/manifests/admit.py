"""Checks across objects, which need more than one manifest."""

import ipaddress
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

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
    yield from inputs.outside(manifest, spec)
    yield from program_limits.problems(manifest, spec)
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
    for number, entry in enumerate(_attachments(spec)):
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
    names: set[str] = set()
    for number, entry in enumerate(_attachments(spec)):
        name = entry if isinstance(entry, str) else entry.name
        if name in names:
            yield document.problem(f"network {name} is named twice", "remove one", "spec", "networks", number)
        names.add(name)


def _network_needs(
    manifest: registry.Manifest, spec: container.ContainerSpec, by_key: Manifests
) -> Iterator[problem.Problem]:
    """Yield problems for ports and probes that need a network which the container does not have."""
    without = spec.networks in ("none", [])
    if spec.ports and spec.networks == "host":
        hint = "leave them out: the program's own ports are the host's"
        yield manifest.document.problem("ports cannot be published with network host", hint, "spec", "ports")
    elif spec.ports and without:
        message = "ports cannot be published without a network"
        yield manifest.document.problem(message, "leave them out, or give it a network", "spec", "ports")
    elif spec.ports and all(_is_internal(name, by_key) for name in _network_names(spec)):
        message = "ports can only be published by a container in a network that is not internal"
        yield manifest.document.problem(message, "add another network, as bridge", "spec", "ports")
    for probe in ("startup", "readiness", "liveness"):
        check = getattr(spec.health, probe)
        if check is not None and check.exec is None and without:
            hint = "use exec, or give it a network"
            yield manifest.document.problem(f"a {probe} probe by network needs one", hint, "spec", "health", probe)


def _attachments(spec: container.ContainerSpec) -> Sequence[str | container.NetworkRef]:
    """Return the networks that a container lists; none where a word says what it has."""
    return spec.networks if isinstance(spec.networks, list) else ()


def _network_names(spec: container.ContainerSpec) -> list[str]:
    entries = spec.networks if isinstance(spec.networks, list) else [spec.networks]
    return [entry if isinstance(entry, str) else entry.name for entry in entries]


def _is_internal(name: str, by_key: Manifests) -> bool:
    match by_key.get(ObjectKey(Kind.NETWORK, name)):
        case registry.Manifest(object=network.Network() as declared):
            return declared.spec.internal
        case _:
            return False


def _endless_dependencies(
    manifest: registry.Manifest, spec: container.ContainerSpec, by_key: Manifests
) -> Iterator[problem.Problem]:
    """Find dependencies on the completion of a container whose restart policy always starts it again."""
    for number, dependency in enumerate(spec.dependencies):
        key = ObjectKey(Kind.CONTAINER, dependency.container)
        match dependency.condition, by_key.get(key):
            case "Completed", registry.Manifest(object=container.Container() as other):
                policy = other.spec.restart.policy
                if policy in ("Always", "UnlessStopped"):
                    yield manifest.document.problem(
                        f"{key} never completes: its restart.policy is {policy}",
                        f"set restart.policy of {key} to OnFailure or Never",
                        *("spec", "dependsOn", number, "condition"),
                    )
            case _:
                pass


def _containers(by_key: Manifests) -> Iterator[tuple[registry.Manifest, container.ContainerSpec]]:
    """Yield the Containers by their names."""
    for _, manifest in sorted(by_key.items()):
        if isinstance(manifest.object, container.Container):
            yield manifest, manifest.object.spec


def _cycles(by_key: Manifests) -> Iterator[problem.Problem]:
    edges = {
        manifest.key.name: [dependency.container for dependency in spec.dependencies]
        for manifest, spec in _containers(by_key)
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
    for manifest, spec in _containers(by_key):
        for number, port in enumerate(spec.ports):
            mapping = containers.port(port)
            others = claims.setdefault((mapping.host_port, mapping.protocol.value), {})
            other = others.get(mapping.address) or others.get(container.EVERYWHERE)
            if other is None and mapping.address == container.EVERYWHERE:
                other = next(iter(others.values()), None)
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
    for manifest, spec in _containers(by_key):
        for number, entry in enumerate(_attachments(spec)):
            if isinstance(entry, str) or entry.ipv4 is None:
                continue
            path = ("spec", "networks", number)
            fault = _address_fault(ObjectKey(Kind.NETWORK, entry.name), ipaddress.IPv4Address(entry.ipv4), by_key)
            other = claimed.setdefault((entry.name, entry.ipv4), manifest)
            if fault is not None:
                yield manifest.document.problem(f"address {entry.ipv4} {fault.message}", fault.hint, *path, fault.field)
            elif other is not manifest:
                hint = f"{other.key} claims it in {other.document.path}"
                yield manifest.document.problem(f"address {entry.ipv4} is claimed twice", hint, *path, "ipv4")


class _Fault(NamedTuple):
    message: str
    hint: str
    field: str
    """Which field of the value is wrong."""


def _address_fault(key: ObjectKey, address: ipaddress.IPv4Address, by_key: Manifests) -> _Fault | None:
    """Return why a container cannot have a fixed address in a network; ``None`` where it can."""
    match by_key.get(key):
        case registry.Manifest(object=network.Network() as declared):
            subnets = [networks.subnet(entry) for entry in declared.spec.subnets]
        case _ if key == networks.DEFAULT:
            message = f"needs a network with subnets, and {key} is not declared"
            return _Fault(message, "declare one, and name it here", "ipv4")
        case _:
            return None
    if not subnets:
        return _Fault(f"needs a network with subnets, and {key} has none", f"give {key} subnets", "ipv4")
    inside = [subnet for subnet in subnets if address in ipaddress.IPv4Network(subnet.subnet)]
    if not inside:
        ranges = ", ".join(subnet.subnet for subnet in subnets)
        return _Fault(f"is not in {key}'s subnets", f"choose one in {ranges}", "ipv4")
    range_ = ipaddress.IPv4Network(inside[0].subnet)
    gateway = range_.network_address + 1 if inside[0].gateway is None else ipaddress.IPv4Address(inside[0].gateway)
    if address in (range_.network_address, range_.broadcast_address, gateway):
        return _Fault(f"is the network's own or the gateway's in {key}", "choose another one", "ipv4")
    return None


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
    for manifest, spec in _containers(by_key):
        for name, source in spec.sources.items():
            if (fault := _reference_fault(name, source, by_key)) is not None:
                yield manifest.document.problem(fault.message, fault.hint, "spec", "env", name, fault.field)


def _reference_fault(variable: str, source: container.EnvironmentSource, by_key: Manifests) -> _Fault | None:
    """Return why a variable cannot have what it refers to in a Secret; ``None`` where it can."""
    key = ObjectKey(Kind.SECRET, source.secret)
    match by_key.get(key):
        case registry.Manifest(object=secret.Secret() as declared):
            values = declared.values()
        case _:
            names = [other.name for other in by_key if other.kind is Kind.SECRET]
            hint = (
                wording.suggestion(source.secret, names, "declared are") if names else "declare a Secret of type Opaque"
            )
            return _Fault(f"{key} is not declared", hint, "secret")
    if declared.type != secret.OPAQUE:
        message = f"{key} has logins of registries, which are not given to containers"
        return _Fault(message, f"name one of type {secret.OPAQUE}", "secret")
    if source.key not in values:
        hint = wording.suggestion(source.key, values, "it has")
        return _Fault(f"{key} has no value of {source.key}", hint, "key")
    value = values[source.key]
    if not _is_text(value):
        message = f"{key} has a value of {source.key} that is no text: no variable can have it"
        return _Fault(message, "correct it", "key")
    if program_limits.is_too_long(f"{variable}={value.decode()}"):
        return _Fault(f"{key} has a value of {source.key} that is too long for a variable", "make it shorter", "key")
    return None


def _is_text(value: bytes) -> bool:
    """Return whether a variable can have a value."""
    try:
        return "\0" not in value.decode()
    except UnicodeDecodeError:
        return False
