"""A world in which plans come true and containers live: the least that applies a plan's steps to an observed state."""

import dataclasses
from collections.abc import Callable

import pytest

from agent.kit import canonical
from agent.model import container, health, image, state, volume
from agent.model.key import Ownership, ownership_labels, pairs
from agent.plan import actions, plan
from tests import builders

RUNNING, CREATED, EXITED = (
    container.ContainerState.RUNNING,
    container.ContainerState.CREATED,
    container.ContainerState.EXITED,
)
Applier = Callable[[state.ObservedState, plan.Plan, int | None], state.ObservedState]
Liver = Callable[[state.ObservedState, state.DesiredState, frozenset[str]], state.ObservedState]
JOBS = (container.RestartPolicy.ON_FAILURE, container.RestartPolicy.NEVER)
"""Under these a container may run to its end."""


class World:
    """Objects by name, changed by actions."""

    def __init__(self, found: state.ObservedState) -> None:
        self.found = found
        self.containers = {one.id: one for one in found.containers}
        self.images = {one.reference: one for one in found.images}
        self.networks = {one.name: one for one in found.networks}
        self.volumes = {one.name: one for one in found.volumes}
        self.health = {one.container_id: one for one in found.health}

    def apply(self, action: actions.Action) -> None:  # noqa: C901, PLR0912 - one case an action
        """Let one action come true, and fail where a runtime would refuse it."""
        match action:
            case actions.EnsureImage():
                self._ensure(action.config)
            case actions.RemoveImage():
                assert not any(one.config.image == action.reference for one in self.containers.values())
                del self.images[action.reference]
            case actions.CreateNetwork():
                made = builders.observed_network(action.config)
                before = self.networks.get(action.config.name, made)
                config = dataclasses.replace(before.config, labels=action.config.labels)
                self.networks[action.config.name] = dataclasses.replace(made, config=config)
            case actions.RemoveNetwork():
                assert not any(
                    one.network == action.name for c in self.containers.values() for one in c.config.networks
                ), "a network is removed while somebody is in it"
                del self.networks[action.name]
            case actions.CreateVolume():
                self.volumes[action.config.name] = builders.observed_volume(action.config)
            case actions.RemoveVolume():
                assert self.volumes[action.name].config.deletion_policy is volume.DeletionPolicy.DELETE
                del self.volumes[action.name]
            case actions.CreateContainer():
                self._create(action)
            case actions.StartContainer():
                found = self._find(action.ref)
                assert found.state is not RUNNING, "a running container is started"
                self.health.pop(found.id, None)
                run = {"state": RUNNING, "started_at": self.found.observed_at, "finished_at": None}
                self._change(action.ref, **run, exit_code=None, stop_requested=False)
            case actions.StopContainer():
                self._change(
                    action.ref, state=EXITED, finished_at=self.found.observed_at, exit_code=143, stop_requested=True
                )
            case actions.RemoveContainer():
                del self.containers[self._find(action.ref).id]
            case actions.RenameContainer():
                assert action.name not in {one.name for one in self.containers.values()}
                self._change(action.ref, name=action.name)
            case actions.UpdateContainer():
                fields = {"resources": action.resources, "labels": action.labels}
                self._reconfigure(action.ref, **{name: value for name, value in fields.items() if value is not None})
            case actions.ConnectContainer():
                assert action.attachment.network in self.networks
                kept = self._find(action.ref).config.networks
                kept = tuple(one for one in kept if one.network != action.attachment.network)
                self._reconfigure(action.ref, networks=tuple(sorted((*kept, action.attachment))))
            case actions.DisconnectContainer():
                kept = self._find(action.ref).config.networks
                self._reconfigure(action.ref, networks=tuple(one for one in kept if one.network != action.network))

    def state(self) -> state.ObservedState:
        """Give the world as it is now."""
        return dataclasses.replace(
            self.found,
            containers=tuple(sorted(self.containers.values(), key=lambda one: one.name)),
            images=tuple(sorted(self.images.values(), key=lambda one: one.reference)),
            networks=tuple(sorted(self.networks.values(), key=lambda one: one.name)),
            volumes=tuple(sorted(self.volumes.values(), key=lambda one: one.name)),
            health=tuple(sorted(one for key, one in self.health.items() if key in self._runs())),
        )

    def _runs(self) -> set[str]:
        return {one.id for one in self.containers.values() if one.state is RUNNING}

    def _ensure(self, config: image.ImageConfig) -> None:
        identity = canonical.digest((config.reference, config.source))
        self.images[config.reference] = image.ObservedImage(identity, config.reference, _labels(config), 1)

    def _create(self, action: actions.CreateContainer) -> None:
        config = action.config
        assert action.name not in {one.name for one in self.containers.values()}, "the name is taken"
        assert config.image in self.images, "the image is not there"
        assert all(one.network in self.networks for one in config.networks), "a network is not there"
        assert all(one.volume in self.volumes for one in config.mounts if one.type == "volume"), "a volume is not there"
        made = builders.observed(
            config,
            CREATED,
            id=f"id-{action.name}-{len(self.containers)}-{canonical.digest(config)[:6]}",
            name=action.name,
            labels=pairs((*config.labels, *_labels(config))),
            image_id=self.images[config.image].id,
        )
        self.containers[made.id] = made

    def _find(self, ref: str) -> container.ObservedContainer:
        return self.containers.get(ref) or next(one for one in self.containers.values() if one.name == ref)

    def _change(self, ref: str, **fields: object) -> None:
        found = self._find(ref)
        self.containers[found.id] = dataclasses.replace(found, **fields)

    def _reconfigure(self, ref: str, **fields: object) -> None:
        self._change(ref, config=dataclasses.replace(self._find(ref).config, **fields))


def _labels(config: state.Config) -> tuple[tuple[str, str], ...]:
    return ownership_labels(Ownership(builders.OWNER, state.key_of(config), canonical.digest(config)))


@pytest.fixture(scope="session")
def applied() -> Applier:
    """Apply a plan, or only its first so many steps, in an order that its edges allow."""

    def apply(found: state.ObservedState, computed: plan.Plan, steps: int | None = None) -> state.ObservedState:
        world, done = World(found), set()
        for step in computed.steps[:steps]:
            assert set(step.after) <= done, "a step stands before one that it waits for"
            world.apply(step.action)
            done.add(step.id)
        return world.state()

    return apply


@pytest.fixture(scope="session")
def lived() -> Liver:
    """Let time pass: probes give their answers (those of the sick never succeed), and jobs run to their end."""

    def live(
        found: state.ObservedState, wanted: state.DesiredState, sick: frozenset[str] = frozenset()
    ) -> state.ObservedState:
        configs = {one.name: one for one in wanted.containers}
        awaited = {
            one.container
            for config in wanted.containers
            for one in config.depends_on
            if one.condition is container.DependencyCondition.COMPLETED
        }
        containers, healths = [], []
        for one in found.containers:
            config = configs.get(one.name)
            running = config is not None and one.state is RUNNING
            if running and one.name in awaited and config.restart.policy in JOBS and one.name not in sick:
                containers.append(dataclasses.replace(one, state=EXITED, exit_code=0, finished_at=found.observed_at))
                continue
            containers.append(one)
            if running and config.health.readiness is not None:
                well = one.name not in sick
                healths.append(health.ObservedHealth(one.id, True, well, True, "" if well else "no", None))
        return dataclasses.replace(found, containers=tuple(containers), health=tuple(sorted(healths)))

    return live
