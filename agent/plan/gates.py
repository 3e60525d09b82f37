"""What a container waits for before it is made, and before it starts."""

import dataclasses

from agent.kit import frozen
from agent.model import container
from agent.model.key import Kind, ObjectKey
from agent.plan import draft, match, plan, stores
from agent.plan import ground as grounds
from agent.reasons import Reason


@frozen.value
class Gate:
    """Open with steps to wait for, or closed with the reason."""

    after: tuple[int, ...] = ()
    closed: str = ""
    """A sentence: what it waits for; empty where it is open."""
    reason: Reason = Reason.WAITING_FOR_DEPENDENCY
    """Of one that is closed."""


@dataclasses.dataclass(slots=True)
class Progress:
    """What is known so far of the containers of this plan, in the order of their dependencies."""

    starts: dict[str, int] = dataclasses.field(default_factory=dict)
    """The step that starts a container."""
    stops: set[str] = dataclasses.field(default_factory=set)
    """Containers that this plan stops or replaces: what was seen of them no longer holds."""


def creation(world: match.World, ground: grounds.Ground, desired: container.ContainerConfig) -> Gate:
    """Tell what has to be there before a container can be made."""
    after = []
    for key in stores.used_by(desired, world):
        if key in ground.missing:
            return Gate(closed=f"{key} is not there: {ground.missing[key]}")
        if key in ground.ready:
            after.append(ground.ready[key])
    return _secrets(world, desired) or Gate(tuple(after))


def start(
    world: match.World,
    sketch: draft.Draft,
    ground: grounds.Ground,
    progress: Progress,
    desired: container.ContainerConfig,
    *,
    resumed: bool = False,
) -> Gate:
    """Return what has to have happened before a container may start.

    ``resumed``: we have stopped it ourselves, and for a change that may never come about. It does not wait for changes
    of what it depends on, either, where that is as it has to be now.
    """
    verified = image(world, ground, desired)
    if verified.closed:
        return verified
    if world.policy.secrets_at_start and (lacking := _secrets(world, desired)) is not None:
        return lacking
    after = list(verified.after)
    awaited = [
        dependency for dependency in desired.depends_on if not (resumed and _fulfilled(world, Progress(), dependency))
    ]
    for dependency in awaited:
        name = dependency.container
        blocked = sketch.blocked.get(ObjectKey(Kind.CONTAINER, name))
        if dependency.condition is container.DependencyCondition.STARTED and name in progress.starts:
            after.append(progress.starts[name])
        elif blocked is not None and not _fulfilled(world, progress, dependency):
            return Gate(closed=f"{name} is not {dependency.condition.value}: {blocked.reason}")
        elif not _fulfilled(world, progress, dependency):
            return Gate(closed=f"{name} is not {dependency.condition.value} yet")
    return Gate(tuple(after))


def image(world: match.World, ground: grounds.Ground, desired: container.ContainerConfig) -> Gate:
    """Tell what has to happen to an image before it is used; one that is not there keeps nobody."""
    observed, key = world.images.get(desired.image), world.image_keys.get(desired.image)
    if observed is None or observed.usable or key is None:
        return Gate()
    if key in ground.missing:
        state = "not on the disk" if observed.verified else "not verified"
        return Gate(closed=f"{key} is {state}: {ground.missing[key]}")
    return Gate((ground.ready[key],))


def _secrets(world: match.World, desired: container.ContainerConfig) -> Gate | None:
    """Return a closed gate where a Secret's value that a container refers to is not known; ``None`` where all are."""
    for variable in desired.secret_env:
        if (*variable.reference, variable.fingerprint) not in world.secrets:
            message = f"the value of {variable.name}, {variable}, is not known until the source has been read"
            return Gate(closed=message, reason=Reason.SECRET_UNAVAILABLE)
    return None


def _fulfilled(world: match.World, progress: Progress, dependency: container.Dependency) -> bool:
    """Tell whether a dependency's condition holds now, and goes on to hold under this plan."""
    name = dependency.container
    observed = next((candidate for candidate in world.owned_containers.get(name, ()) if candidate.name == name), None)
    if observed is None or name in progress.stops:
        return False
    running = observed.state is container.ContainerState.RUNNING
    completed = (
        observed.state is container.ContainerState.EXITED and observed.exit_code == 0 and name not in progress.starts
    )
    match dependency.condition:
        case container.DependencyCondition.STARTED:
            return running or completed
        case container.DependencyCondition.HEALTHY:
            return running and _ready(world, observed)
        case container.DependencyCondition.COMPLETED:
            return completed


def _ready(world: match.World, current: container.ObservedContainer) -> bool:
    """Tell whether a running container is ready: by its probes, or by running where it has none."""
    declared = world.declared.get(current.config.name, current.config)
    probed = declared.health.startup is not None or declared.health.readiness is not None
    if not probed and declared.health.liveness is None:
        return True
    health_state = world.health.get(current.id)
    return health_state is not None and health_state.ready and health_state.alive


def block(sketch: draft.Draft, key: ObjectKey, gate: Gate) -> None:
    """Say that a container waits."""
    sketch.block(plan.Blocked(key, gate.reason, gate.closed))
