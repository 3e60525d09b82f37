"""From manifests to the desired state, kind by kind; what each kind becomes is in ``lowering``."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from agent.manifests import registry
from agent.manifests.lowering import containers, draft, images, networks, secrets, volumes
from agent.model import external_input, instances, state
from agent.model.key import Kind

LOWERINGS: Mapping[Kind, Callable[[registry.Manifest, Any, draft.Draft], None]] = {
    Kind.IMAGE: images.lower,
    Kind.NETWORK: networks.lower,
    Kind.VOLUME: volumes.lower,
    Kind.SECRET: secrets.lower,
    Kind.CONTAINER: containers.lower,
}
"""By kind: adds a manifest, whose object is of the kind's model, to a draft. What others refer to comes before them."""
_INSTANCES: Mapping[str, int] = {}
"""How many instances containers have, by name, where it is not one: no manifest can say so yet."""


def lower(
    manifests: Iterable[registry.Manifest],
    revision: str,
    states: external_input.Inputs,
    default_registry: str,
    host_key: bytes,
) -> state.DesiredState:
    """Return the desired state of valid manifests. ``states`` says what the files are that they name.

    ``default_registry`` is the registry of image references that name none. ``host_key`` keys the fingerprints of
    Secrets' values; where it is empty they have none.
    """
    sketch = draft.Draft(states, default_registry, host_key)
    order = {kind: position for position, kind in enumerate(LOWERINGS)}
    for manifest in sorted(manifests, key=lambda manifest: order[manifest.key.kind]):
        LOWERINGS[manifest.key.kind](manifest, manifest.object, sketch)
    images.add_implicit(sketch)
    networks.add_implicit(sketch)
    used = {variable.reference for config in sketch.containers for variable in config.secret_env}
    return state.DesiredState.of(
        revision,
        (
            *instances.expand(sketch.containers, _INSTANCES),
            *sketch.images.values(),
            *sketch.networks.values(),
            *sketch.others,
        ),
        follows=tuple(sorted(sketch.follows, key=lambda follow: follow.name)),
        logins=tuple(sorted(sketch.logins)),
        secrets=tuple(sketch.values[reference] for reference in sorted(used & sketch.values.keys())),
    )
