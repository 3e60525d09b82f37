"""Refusal of features that the chosen runtime does not support, at their position in the manifest."""

from collections.abc import Iterable, Iterator

from agent.manifests import problem, registry
from agent.manifests.v1 import container, forms, image, network, secret, volume
from agent.model.features import Feature, Unsupported

_Path = tuple[str | int, ...]


def check(
    manifests: Iterable[registry.Manifest], unsupported: Unsupported, *, limits_builds: bool = False
) -> Iterator[problem.Problem]:
    """Yield a problem for each feature that a manifest uses and the runtime does not support.

    ``limits_builds``: there are things that the Dockerfiles of this source may not do.
    """
    reasons = dict(unsupported)
    if not limits_builds:
        reasons.pop(Feature.ADMITTED_BUILDS, None)
    for manifest in manifests:
        for feature, path, hint in _used(manifest):
            if feature in reasons:
                yield manifest.document.problem(f"{'.'.join(map(str, path))}: {reasons[feature]}", hint, *path)


def _used(manifest: registry.Manifest) -> Iterator[tuple[Feature, _Path, str]]:
    """Yield the features that a manifest uses: (feature, path of the field, hint)."""
    name = manifest.key.name
    if len(name) == 1 and isinstance(manifest.object, container.Container | volume.Volume):
        yield Feature.SHORT_NAMES, ("metadata", "name"), "give it a longer one"
    match manifest.object:
        case network.Network(spec=spec):
            if not spec.dns:
                yield Feature.NETWORK_WITHOUT_DNS, ("spec", "dns"), "leave it out"
            if len(spec.subnets) > 1:
                yield Feature.SEVERAL_SUBNETS, ("spec", "subnets"), "keep one, or make another Network"
        case container.Container(spec=spec):
            yield from _used_by_container(spec)
        case image.Image(spec=spec):
            if spec.build is not None:
                yield from _used_by_build(spec.build)
        case secret.Secret() | volume.Volume():
            pass  # whatever these declare, every runtime can


def _used_by_build(build: image.BuildSpec) -> Iterator[tuple[Feature, _Path, str]]:
    for feature in (Feature.BUILDS, Feature.ADMITTED_BUILDS):
        yield feature, ("spec", "build"), "name the image by pull or archive"
    for field, texts in (("cacheFrom", build.cache_from), ("cacheTo", build.cache_to)):
        if texts:
            yield Feature.BUILD_CACHES, ("spec", "build", field), "leave it out"


def _used_by_container(spec: container.ContainerSpec) -> Iterator[tuple[Feature, _Path, str]]:
    reservation = spec.resources.memory_reservation
    if reservation is not None and reservation < forms.LEAST_MEMORY:
        path = ("spec", "resources", "memoryReservation")
        yield Feature.SMALL_RESERVATIONS, path, "reserve 6Mi, or leave it out"
    for name in ("startup", "readiness", "liveness"):
        probe = getattr(spec.health, name)
        if probe is not None and probe.exec is None:
            yield Feature.NETWORK_PROBES, ("spec", "health", name), "use exec"
