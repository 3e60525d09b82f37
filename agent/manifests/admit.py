"""Checks across objects: what each manifest alone could not know."""

import ipaddress
from collections.abc import Iterable, Iterator

from agent.kit import graph
from agent.manifests import lower, problem, registry, wording
from agent.manifests.v1 import container, forms, image, network, secret
from agent.model.key import Kind, ObjectKey
from agent.oci import reference

Manifests = dict[ObjectKey, registry.Manifest]


def admit(manifests: Iterable[registry.Manifest]) -> list[problem.Problem]:
    """Give everything that is wrong with objects as a whole, in the order of files and lines."""
    every = list(manifests)
    by_key: Manifests = {}
    found = []
    for manifest in every:
        first = by_key.setdefault(manifest.key, manifest)
        if first is not manifest:
            where = f"{first.document.path}:{first.document.place('metadata', 'name')[0]}"
            hint = f"it is declared in {where} already: rename or remove one"
            found.append(manifest.document.problem(f"duplicate {manifest.key}", hint, "metadata", "name"))
    for manifest in by_key.values():
        found += _one(manifest, by_key)
    found += _cycles(by_key)
    found += _ports(by_key)
    found += _subnets(by_key)
    found += _addresses(by_key)
    found += _logins(by_key)
    return sorted(set(found))


def _one(manifest: registry.Manifest, by_key: Manifests) -> Iterator[problem.Problem]:
    if isinstance(manifest.object, container.Container):
        yield from _references(manifest, manifest.object.spec, by_key)
        yield from _container(manifest, manifest.object.spec)
        yield from _reached(manifest, manifest.object.spec, by_key)
        yield from _completed(manifest, manifest.object.spec, by_key)
    if isinstance(manifest.object, image.Image) and manifest.object.spec.pull is not None:
        yield from _reference(manifest, manifest.object.spec.pull.reference, "spec", "pull", "reference")


def _references(
    manifest: registry.Manifest, spec: container.ContainerSpec, by_key: Manifests
) -> Iterator[problem.Problem]:
    wanted: list[tuple[ObjectKey, tuple[str | int, ...]]] = []
    if isinstance(spec.image, container.ImageName):
        wanted.append((ObjectKey(Kind.IMAGE, spec.image.name), ("spec", "image", "name")))
    else:
        yield from _reference(manifest, spec.image, "spec", "image")
    for number, entry in enumerate(spec.networks if isinstance(spec.networks, list) else ()):
        name = entry if isinstance(entry, str) else entry.name
        wanted.append((ObjectKey(Kind.NETWORK, name), ("spec", "networks", number)))
    for number, mount in enumerate(spec.mounts):
        if mount.volume is not None:
            wanted.append((ObjectKey(Kind.VOLUME, mount.volume), ("spec", "mounts", number, "volume")))
    for number, dependency in enumerate(spec.depends_on):
        key = ObjectKey(Kind.CONTAINER, dependency.container)
        wanted.append((key, ("spec", "dependsOn", number, "container")))
    for key, place in wanted:
        if key not in by_key and key != lower.DEFAULT_NETWORK:
            known = [other.name for other in by_key if other.kind is key.kind]
            article = "an" if key.kind is Kind.IMAGE else "a"
            hint = wording.close(key.name, known, "declared are") if known else f"declare {article} {key.kind.value}"
            yield manifest.document.problem(f"{key} is not declared", hint, *place)


def _reference(manifest: registry.Manifest, text: str, *place: str | int) -> Iterator[problem.Problem]:
    try:
        reference.parse(text)
    except reference.InvalidReference as error:
        yield manifest.document.problem(f"no image reference: {error}", "write registry/name:tag", *place)


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


def _reached(
    manifest: registry.Manifest, spec: container.ContainerSpec, by_key: Manifests
) -> Iterator[problem.Problem]:
    """Find ports and probes that need a network which the container does not have."""
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


def _completed(
    manifest: registry.Manifest, spec: container.ContainerSpec, by_key: Manifests
) -> Iterator[problem.Problem]:
    """Find waiting for the end of what is started again whenever it ends."""
    for number, dependency in enumerate(spec.depends_on):
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
        key.name: [dependency.container for dependency in manifest.object.spec.depends_on]
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
    claims: dict[tuple[int, str], list[tuple[str, registry.Manifest]]] = {}
    for _, manifest in sorted(by_key.items()):
        if not isinstance(manifest.object, container.Container):
            continue
        for number, port in enumerate(manifest.object.spec.ports):
            mapping = lower.port(port)
            others = claims.setdefault((mapping.host_port, mapping.protocol.value), [])
            for address, other in others:
                if container.EVERYWHERE in (address, mapping.address) or address == mapping.address:
                    hint = f"{other.key} claims it in {other.document.path}:{other.document.place('spec', 'ports')[0]}"
                    message = f"host port {mapping.host_port}/{mapping.protocol.value} is claimed twice"
                    yield manifest.document.problem(message, hint, "spec", "ports", number)
                    break
            others.append((mapping.address, manifest))


def _subnets(by_key: Manifests) -> Iterator[problem.Problem]:
    seen: list[tuple[ipaddress.IPv4Network, registry.Manifest]] = []
    for _, manifest in sorted(by_key.items()):
        if not isinstance(manifest.object, network.Network):
            continue
        for number, entry in enumerate(manifest.object.spec.subnets):
            subnet = ipaddress.IPv4Network(lower.subnet(entry).subnet)
            for other, owner in seen:
                if subnet.overlaps(other):
                    hint = f"{owner.key} has {other} in {owner.document.path}: choose another range"
                    yield manifest.document.problem(f"subnet {subnet} overlaps", hint, "spec", "subnets", number)
                    break
            seen.append((subnet, manifest))


def _addresses(by_key: Manifests) -> Iterator[problem.Problem]:
    """Find fixed addresses outside of their network, the gateway's, or claimed twice."""
    claimed: dict[tuple[str, str], registry.Manifest] = {}
    for _, manifest in sorted(by_key.items()):
        if not isinstance(manifest.object, container.Container) or not isinstance(manifest.object.spec.networks, list):
            continue
        for number, entry in enumerate(manifest.object.spec.networks):
            if isinstance(entry, str) or entry.ipv4 is None:
                continue
            place = ("spec", "networks", number, "ipv4")
            wrong, hint = _address_problem(entry, by_key)
            other = claimed.setdefault((entry.name, entry.ipv4), manifest)
            if wrong:
                yield manifest.document.problem(f"address {entry.ipv4} {wrong}", hint, *place)
            elif other is not manifest:
                hint = f"{other.key} claims it in {other.document.path}"
                yield manifest.document.problem(f"address {entry.ipv4} is claimed twice", hint, *place)


def _address_problem(wanted: container.NetworkRef, by_key: Manifests) -> tuple[str, str]:
    """Say what is wrong with a fixed address, and the way out; nothing where nothing is."""
    key, address = ObjectKey(Kind.NETWORK, wanted.name), ipaddress.IPv4Address(wanted.ipv4 or "")
    manifest = by_key.get(key)
    if manifest is None or not isinstance(manifest.object, network.Network):
        if key == lower.DEFAULT_NETWORK:
            return f"needs a network with subnets, and {key} is not declared", "declare one, and name it here"
        return "", ""
    subnets = [lower.subnet(entry) for entry in manifest.object.spec.subnets]
    if not subnets:
        return f"needs a network with subnets, and {key} has none", f"give {key} subnets"
    inside = [one for one in subnets if address in ipaddress.IPv4Network(one.subnet)]
    if not inside:
        return f"is not in {key}'s subnets", f"choose one in {', '.join(one.subnet for one in subnets)}"
    range_ = ipaddress.IPv4Network(inside[0].subnet)
    gateway = range_.network_address + 1 if inside[0].gateway is None else ipaddress.IPv4Address(inside[0].gateway)
    if address in (range_.network_address, range_.broadcast_address, gateway):
        return f"is the network's own or the gateway's in {key}", "choose another one"
    return "", ""


def _logins(by_key: Manifests) -> Iterator[problem.Problem]:
    """Find two logins for one place."""
    said: dict[str, registry.Manifest] = {}
    for _, manifest in sorted(by_key.items()):
        if isinstance(manifest.object, secret.Secret):
            for place in manifest.object.auths().entries:
                other = said.setdefault(place, manifest)
                if other is not manifest:
                    hint = f"{other.key} in {other.document.path} has one: remove one of them"
                    field = "stringData" if manifest.object.string_data else "data"
                    yield manifest.document.problem(f"a second login for {place}", hint, field)
