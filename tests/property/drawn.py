"""What is drawn: desired states that admission would let pass, and what happens to a world behind our back."""

import dataclasses
from typing import Any

from hypothesis import strategies as st

from agent.model import container, health, instances, state, volume
from agent.model.key import Kind
from tests import builders

NAMES = ("a", "b", "c")
NETWORKS = ("net", "lan")
VOLUMES = ("data", "logs")
REFERENCES = (builders.IMAGE, "docker.io/library/app:2")
POLICIES = st.sampled_from(container.RestartPolicy)
LABELS = st.sampled_from([(), (("app", "shop"),)])
PROBE = health.Probe(health.TcpProbe(80), 0.0, 1.0, 1.0, 1, 3)
UNPROBED, PROBED = health.HealthConfig(None, None, None), health.HealthConfig(None, PROBE, None)
SICK = st.frozensets(st.sampled_from(NAMES), max_size=2)
STARTED, HEALTHY, COMPLETED = container.DependencyCondition
JOBS = (container.RestartPolicy.ON_FAILURE, container.RestartPolicy.NEVER)


@st.composite
def configs(draw: Any, name: str, least: int = 0) -> container.ContainerConfig:
    """Return some container that depends only on those before it, on so many at least."""
    earlier = [other for other in NAMES if other < name]
    conditions = st.sampled_from((STARTED, HEALTHY, HEALTHY, COMPLETED))
    lowest = min(least, len(earlier))
    dependencies = st.sets(st.sampled_from(earlier), min_size=lowest, max_size=2) if earlier else st.just(set())
    return builders.config(
        name,
        image=draw(st.sampled_from(REFERENCES)),
        args=draw(st.sampled_from([None, ("x",), ("y",)])),
        labels=draw(LABELS),
        restart=container.RestartConfig(draw(POLICIES), container.BackoffConfig(1.0, 60.0, 600.0)),
        health=draw(st.sampled_from([UNPROBED, PROBED])),
        resources=container.Resources(draw(st.sampled_from([None, 500])), None, None, None),
        networks=tuple(
            container.NetworkAttachment(network)
            for network in sorted(draw(st.sets(st.sampled_from(NETWORKS), max_size=2)))
        ),
        mounts=tuple(
            container.VolumeMount(volume, f"/{volume}", read_only=False)
            for volume in sorted(draw(st.sets(st.sampled_from(VOLUMES), max_size=1)))
        ),
        depends_on=tuple(container.Dependency(name, draw(conditions)) for name in sorted(draw(dependencies))),
    )


def admitted(
    config: container.ContainerConfig, others: dict[str, container.ContainerConfig]
) -> container.ContainerConfig:
    """Leave out dependencies on what is not declared, on the end of what never ends, and on the health of what ends."""
    ending = {
        other.container for user in others.values() for other in user.depends_on if other.condition is COMPLETED
    } & {name for name, other in others.items() if other.restart.policy in JOBS}
    return dataclasses.replace(
        config,
        depends_on=tuple(
            other
            for other in config.depends_on
            if other.container in others
            and (other.condition is not COMPLETED or others[other.container].restart.policy in JOBS)
            and (other.condition is not HEALTHY or other.container not in ending)
        ),
    )


@st.composite
def desired_states(draw: Any, most: int = 2) -> state.DesiredState:
    """Return some desired state without a dangling reference: every other one is of containers that all depend.

    ``most``: so many instances has a container at most.
    """
    least = draw(st.sampled_from([0, 1]))
    names = list(NAMES) if least else sorted(draw(st.sets(st.sampled_from(NAMES))))
    drawn = {name: draw(configs(name, least)) for name in names}
    counts = {name: draw(st.sampled_from([1, 1, 1, most])) for name in names}
    containers = instances.expand((admitted(config, drawn) for config in drawn.values()), counts)
    references = {container.image for container in containers}
    networks = {network.network for config in containers for network in config.networks} | draw(
        st.sets(st.sampled_from(NETWORKS))
    )
    volumes = {mount.volume for config in containers for mount in config.mounts} | draw(
        st.sets(st.sampled_from(VOLUMES))
    )
    return state.DesiredState.of(
        "r1",
        (
            *containers,
            *(builders.image_config(reference) for reference in sorted(references)),
            *(
                builders.network_config(name, internal=draw(st.booleans()), labels=draw(LABELS))
                for name in sorted(networks)
            ),
            *(builders.volume_config(name, draw(st.sampled_from(volume.DeletionPolicy))) for name in sorted(volumes)),
        ),
    )


@st.composite
def changed(draw: Any, before: state.DesiredState) -> state.DesiredState:
    """Return a state that is declared next: the same objects, some of them otherwise, so that dependencies are kept."""
    containers = []
    for declared in before.containers:
        fields = draw(
            st.sampled_from(
                [
                    {},
                    {"args": ("z",)},
                    {"args": ("w",), "labels": (("app", "new"),)},
                    {"hostname": "other"},
                    {"image": REFERENCES[0]},
                    {"image": REFERENCES[1]},
                    {"labels": (("app", "new"),)},
                    {"stop": container.StopConfig("SIGINT", 120.0)},
                    {"args": ("z",), "stop": container.StopConfig("", 60.0)},
                ]
            )
        )
        containers.append(dataclasses.replace(declared, **fields))
    references = sorted({container.image for container in containers})
    networks = tuple(dataclasses.replace(network, internal=draw(st.booleans())) for network in before.networks)
    images = tuple(builders.image_config(reference) for reference in references)
    return before.with_objects({Kind.CONTAINER: tuple(containers), Kind.IMAGE: images, Kind.NETWORK: networks})


@st.composite
def disturbed(draw: Any, observed: state.ObservedState) -> state.ObservedState:
    """Let things happen behind our back: ends, stops, removals, failing probes, broken networks."""
    containers, healths = [], {answer.container_id: answer for answer in observed.health}
    for observed_container in observed.containers:
        fate = draw(st.sampled_from(["keep", "end", "end", "stop", "remove", "limits", "sicken"]))
        running = observed_container.state is container.ContainerState.RUNNING
        if fate in {"end", "stop"} and running:
            code = draw(st.sampled_from([0, 1, 137, None]))
            fields = {"exit_code": code, "finished_at": observed.observed_at, "stop_requested": fate == "stop"}
            containers.append(dataclasses.replace(observed_container, state=container.ContainerState.EXITED, **fields))
            healths.pop(observed_container.id, None)
        elif fate == "limits":
            changed = dataclasses.replace(observed_container.config, resources=container.Resources(1, 2, 3, 4))
            containers.append(dataclasses.replace(observed_container, config=changed))
        elif fate != "remove":
            containers.append(observed_container)
            if fate == "sicken" and running:
                healths[observed_container.id] = health.ObservedHealth(
                    observed_container.id, True, False, False, "dead", observed.observed_at
                )
    used = {attached.network for container in containers for attached in container.config.networks}
    networks = tuple(
        dataclasses.replace(network, healthy=draw(st.booleans()))
        for network in observed.networks
        if network.name in used or draw(st.booleans())
    )
    present = {container.id for container in containers}
    answers = tuple(sorted(answer for key, answer in healths.items() if key in present))
    return dataclasses.replace(
        observed.with_objects({Kind.CONTAINER: tuple(containers), Kind.NETWORK: networks}), health=answers
    )
