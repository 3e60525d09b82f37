"""A world in which plans come true and containers live: the least that applies a plan's steps to an observed state."""

import dataclasses
from collections.abc import Callable

import pytest

from agent.converge import memory
from agent.kit import canonical
from agent.model import container, health, image, kinds, ledger, state, volume
from agent.model.key import Kind, Ownership, ownership_labels, pairs
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

    def __init__(self, observed: state.ObservedState) -> None:
        self.observed = observed
        self.containers = {container.id: container for container in observed.containers}
        self.images = {image.reference: image for image in observed.images}
        self.networks = {network.name: network for network in observed.networks}
        self.volumes = {volume.name: volume for volume in observed.volumes}
        self.health = {answer.container_id: answer for answer in observed.health}
        self.ledger = {entry.key: entry for entry in observed.ledger}

    def apply(self, action: actions.Action) -> None:
        """Perform one action and remember it; raise where a runtime would refuse it."""
        entry = self.ledger.get(action.key, ledger.LedgerEntry(action.key, ""))
        remembered = memory.after(memory.before(entry, action), action)
        if remembered != entry:
            self.ledger[action.key] = remembered
        self._perform(action)

    def _perform(self, action: actions.Action) -> None:  # noqa: C901, PLR0912 - one case an action
        match action:
            case actions.EnsureImage():
                self._ensure(action.config)
            case actions.RemoveImage():
                assert not any(container.config.image == action.reference for container in self.containers.values())
                del self.images[action.reference]
            case actions.CreateNetwork():
                created = builders.observed_network(action.config)
                before = self.networks.get(action.config.name, created)
                config = dataclasses.replace(before.config, labels=action.config.labels)
                self.networks[action.config.name] = dataclasses.replace(created, config=config)
            case actions.RemoveNetwork():
                assert not any(
                    network.network == action.name for c in self.containers.values() for network in c.config.networks
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
                target = self._find(action.ref)
                assert target.state is not RUNNING, "a running container is started"
                self.health.pop(target.id, None)
                run = {"state": RUNNING, "started_at": self.observed.observed_at, "finished_at": None}
                self._change(action.ref, **run, exit_code=None, stop_requested=False)
            case actions.StopContainer():
                self._change(
                    action.ref, state=EXITED, finished_at=self.observed.observed_at, exit_code=143, stop_requested=True
                )
            case actions.RemoveContainer():
                del self.containers[self._find(action.ref).id]
            case actions.RenameContainer():
                assert action.name not in {container.name for container in self.containers.values()}
                self._change(action.ref, name=action.name)
            case actions.UpdateContainer():
                fields = {"resources": action.resources, "labels": action.labels}
                self._reconfigure(action.ref, **{name: value for name, value in fields.items() if value is not None})
                if action.supervision is not None:
                    self._change(action.ref, config=self._find(action.ref).config.supervised(action.supervision))
            case actions.ConnectContainer():
                assert action.attachment.network in self.networks
                kept = self._find(action.ref).config.networks
                kept = tuple(attachment for attachment in kept if attachment.network != action.attachment.network)
                self._reconfigure(action.ref, networks=tuple(sorted((*kept, action.attachment))))
            case actions.DisconnectContainer():
                kept = self._find(action.ref).config.networks
                self._reconfigure(
                    action.ref,
                    networks=tuple(attachment for attachment in kept if attachment.network != action.network),
                )

    def state(self) -> state.ObservedState:
        """Return the observed state."""
        return dataclasses.replace(
            self.observed,
            objects=kinds.ByKind.of(
                (
                    *self.containers.values(),
                    *self.images.values(),
                    *self.networks.values(),
                    *self.volumes.values(),
                )
            ),
            ledger=tuple(sorted(self.ledger.values())),
            health=tuple(sorted(answer for key, answer in self.health.items() if key in self._runs())),
        )

    def _runs(self) -> set[str]:
        return {container.id for container in self.containers.values() if container.state is RUNNING}

    def _ensure(self, config: image.ImageConfig) -> None:
        identity = canonical.digest((config.reference, config.source))
        self.images[config.reference] = image.ObservedImage(identity, config.reference, _labels(config), 1)

    def _create(self, action: actions.CreateContainer) -> None:
        config = action.config
        assert action.name not in {container.name for container in self.containers.values()}, "the name is taken"
        assert config.image in self.images, "the image is not there"
        assert all(network.network in self.networks for network in config.networks), "a network is not there"
        assert all(mount.volume in self.volumes for mount in config.mounts if mount.type == "volume"), (
            "a volume is not there"
        )
        created = builders.observed(
            config,
            CREATED,
            id=f"id-{action.name}-{len(self.containers)}-{canonical.digest(config)[:6]}",
            name=action.name,
            labels=pairs((*config.labels, *_labels(config))),
            image_id=self.images[config.image].id,
        )
        self.containers[created.id] = created

    def _find(self, ref: str) -> container.ObservedContainer:
        return self.containers.get(ref) or next(
            container for container in self.containers.values() if container.name == ref
        )

    def _change(self, ref: str, **fields: object) -> None:
        target = self._find(ref)
        self.containers[target.id] = dataclasses.replace(target, **fields)

    def _reconfigure(self, ref: str, **fields: object) -> None:
        self._change(ref, config=dataclasses.replace(self._find(ref).config, **fields))


def _labels(config: kinds.Config) -> tuple[tuple[str, str], ...]:
    return ownership_labels(Ownership(builders.OWNER, state.key_of(config), canonical.digest(config)))


@pytest.fixture(scope="session")
def applied() -> Applier:
    """Apply a plan, or only its first so many steps, in an order that its edges allow."""

    def apply(observed: state.ObservedState, computed: plan.Plan, steps: int | None = None) -> state.ObservedState:
        world, done = World(observed), set()
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
        observed: state.ObservedState, desired: state.DesiredState, sick: frozenset[str] = frozenset()
    ) -> state.ObservedState:
        configs = {container.name: container for container in desired.containers}
        awaited = {
            dependency.container
            for config in desired.containers
            for dependency in config.depends_on
            if dependency.condition is container.DependencyCondition.COMPLETED
        }
        containers, healths = [], []
        for observed_container in observed.containers:
            config = configs.get(observed_container.name)
            running = config is not None and observed_container.state is RUNNING
            if (
                running
                and observed_container.name in awaited
                and config.restart.policy in JOBS
                and observed_container.name not in sick
            ):
                containers.append(
                    dataclasses.replace(observed_container, state=EXITED, exit_code=0, finished_at=observed.observed_at)
                )
                continue
            containers.append(observed_container)
            if running and config.health.readiness is not None:
                well = observed_container.name not in sick
                healths.append(
                    health.ObservedHealth(observed_container.id, True, well, True, "" if well else "no", None)
                )
        return dataclasses.replace(
            observed.with_objects({Kind.CONTAINER: tuple(containers)}), health=tuple(sorted(healths))
        )

    return live
