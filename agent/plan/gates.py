"""What a container waits for before it is made, and before it starts."""

import dataclasses

from agent.model import container
from agent.model.key import Kind, ObjectKey
from agent.plan import draft, match, plan, stores


@dataclasses.dataclass(frozen=True, slots=True)
class Gate:
    """Open with steps to wait for, or closed with the reason."""

    after: tuple[int, ...] = ()
    closed: str = ""
    """A sentence: what it waits for; empty where it is open."""


@dataclasses.dataclass(slots=True)
class Progress:
    """What is known so far of the containers of this plan, in the order of their dependencies."""

    starts: dict[str, int] = dataclasses.field(default_factory=dict)
    """The step that starts a container."""
    stops: set[str] = dataclasses.field(default_factory=set)
    """Containers that this plan stops or replaces: what was seen of them no longer holds."""


def creation(world: match.World, ground: stores.Ground, wanted: container.ContainerConfig) -> Gate:
    """Tell what has to be there before a container can be made."""
    after = []
    for key in stores.used_by(wanted, world):
        if key in ground.missing:
            return Gate(closed=f"{key} is not there: {ground.missing[key]}")
        if key in ground.ready:
            after.append(ground.ready[key])
    return Gate(tuple(after))


def start(
    world: match.World,
    sketch: draft.Draft,
    ground: stores.Ground,
    progress: Progress,
    wanted: container.ContainerConfig,
) -> Gate:
    """Tell what has to have happened before a container may start."""
    verified = image(world, ground, wanted)
    if verified.closed:
        return verified
    after = list(verified.after)
    for dependency in wanted.depends_on:
        name = dependency.container
        blocked = sketch.blocked.get(ObjectKey(Kind.CONTAINER, name))
        if dependency.condition is container.DependencyCondition.STARTED and name in progress.starts:
            after.append(progress.starts[name])
        elif blocked is not None and not _fulfilled(world, progress, dependency):
            return Gate(closed=f"{name} is not {dependency.condition.value}: {blocked.reason}")
        elif not _fulfilled(world, progress, dependency):
            return Gate(closed=f"{name} is not {dependency.condition.value} yet")
    return Gate(tuple(after))


def image(world: match.World, ground: stores.Ground, wanted: container.ContainerConfig) -> Gate:
    """Tell what has to happen to an image that is there and must be verified; one that is not there keeps nobody."""
    found, key = world.images.get(wanted.image), world.image_keys.get(wanted.image)
    if found is None or found.verified or key is None:
        return Gate()
    if key in ground.missing:
        return Gate(closed=f"{key} is not verified: {ground.missing[key]}")
    return Gate((ground.ready[key],))


def _fulfilled(world: match.World, progress: Progress, dependency: container.Dependency) -> bool:
    """Tell whether a dependency's condition holds now, and goes on to hold under this plan."""
    name = dependency.container
    found = next((one for one in world.owned_containers.get(name, ()) if one.name == name), None)
    if found is None or name in progress.stops:
        return False
    running = found.state is container.ContainerState.RUNNING
    completed = found.state is container.ContainerState.EXITED and found.exit_code == 0 and name not in progress.starts
    match dependency.condition:
        case container.DependencyCondition.STARTED:
            return running or completed
        case container.DependencyCondition.HEALTHY:
            return running and _ready(world, found)
        case container.DependencyCondition.COMPLETED:
            return completed


def _ready(world: match.World, found: container.ObservedContainer) -> bool:
    """Tell whether a running container is ready: by its probes, or by running where it has none."""
    declared = world.declared.get(found.config.name, found.config)
    probed = declared.health.startup is not None or declared.health.readiness is not None
    if not probed and declared.health.liveness is None:
        return True
    seen = world.health.get(found.id)
    return seen is not None and seen.ready and seen.alive


def block(sketch: draft.Draft, key: ObjectKey, gate: Gate) -> None:
    """Say that a container waits."""
    sketch.block(plan.Blocked(key, "WaitingForDependency", gate.closed))
