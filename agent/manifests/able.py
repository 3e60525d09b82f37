"""What the chosen runtime cannot do, refused where it is written."""

from collections.abc import Iterable, Iterator

from agent.manifests import problem, registry
from agent.manifests.v1 import container, forms, network, volume
from agent.model.abilities import Ability, Lacking

_Place = tuple[str | int, ...]


def refused(manifests: Iterable[registry.Manifest], lacking: Lacking) -> Iterator[problem.Problem]:
    """Give a problem for everything that is asked for and lacking."""
    reasons = dict(lacking)
    for manifest in manifests:
        for ability, place, hint in _asked(manifest):
            if ability in reasons:
                yield manifest.document.problem(f"{'.'.join(map(str, place))}: {reasons[ability]}", hint, *place)


def _asked(manifest: registry.Manifest) -> Iterator[tuple[Ability, _Place, str]]:
    """Give what a manifest asks for: (ability, where, the way out)."""
    name = manifest.key.name
    if len(name) == 1 and isinstance(manifest.object, container.Container | volume.Volume):
        yield Ability.SHORT_NAMES, ("metadata", "name"), "give it a longer one"
    match manifest.object:
        case network.Network(spec=spec):
            if not spec.dns:
                yield Ability.NETWORK_WITHOUT_DNS, ("spec", "dns"), "leave it out"
            if len(spec.subnets) > 1:
                yield Ability.SEVERAL_SUBNETS, ("spec", "subnets"), "keep one, or make another Network"
        case container.Container(spec=spec):
            reservation = spec.resources.memory_reservation
            if reservation is not None and reservation < forms.LEAST_MEMORY:
                place = ("spec", "resources", "memoryReservation")
                yield Ability.SMALL_RESERVATIONS, place, "reserve 6Mi, or leave it out"
            for name in ("startup", "readiness", "liveness"):
                probe = getattr(spec.health, name)
                if probe is not None and probe.exec is None:
                    yield Ability.NETWORK_PROBES, ("spec", "health", name), "use exec"
