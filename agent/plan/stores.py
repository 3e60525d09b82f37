"""The table of planners of what containers stand on: each comes before the containers, and goes after them."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from agent.model import container, state
from agent.model.key import Kind, ObjectKey
from agent.plan import draft, ground, images, match, networks, volumes


class Planner(NamedTuple):
    """How objects of a kind are planned."""

    write: Callable[[match.World, draft.Draft, ground.Ground, Any], None]
    """Plans one that is declared, by its config."""
    leave: Callable[[match.World, draft.Draft, ground.Ground], None]
    """Plans the removal of those that are ours and no longer declared."""


PLANNERS: Mapping[Kind, Planner] = {
    Kind.IMAGE: Planner(images.write, images.leave),
    Kind.NETWORK: Planner(networks.write, networks.leave),
    Kind.VOLUME: Planner(volumes.write, volumes.leave),
}
"""By kind; containers, which stand on all of these, are planned by ``containers``."""


def write(world: match.World, sketch: draft.Draft) -> ground.Ground:
    """Plan everything that is no container."""
    steps = ground.Ground()
    for kind, planner in PLANNERS.items():
        for config in world.desired.objects[kind]:
            planner.write(world, sketch, steps, config)
    images.order_builds(sketch, steps)
    for planner in PLANNERS.values():
        planner.leave(world, sketch, steps)
    return steps


def used_by(config: container.ContainerConfig, world: match.World) -> tuple[ObjectKey, ...]:
    """Give the objects that a declared container stands on."""
    image_key = world.image_keys.get(config.image)
    return (*([image_key] if image_key else []), *state.used_by(config))
