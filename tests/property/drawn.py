"""What is drawn: desired states that admission would let pass, and what happens to a world behind our back."""

import dataclasses
from typing import Any

from hypothesis import strategies as st

from agent.model import container, health, state, volume
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
def configs(draw: Any, name: str) -> container.ContainerConfig:
    """Give some container that depends only on those before it."""
    earlier = [other for other in NAMES if other < name]
    conditions = st.sampled_from(container.DependencyCondition)
    return builders.config(
        name,
        image=draw(st.sampled_from(REFERENCES)),
        args=draw(st.sampled_from([None, ("x",), ("y",)])),
        labels=draw(LABELS),
        restart=container.RestartConfig(draw(POLICIES), container.BackoffConfig(1.0, 60.0, 600.0)),
        health=draw(st.sampled_from([UNPROBED, PROBED])),
        resources=container.Resources(draw(st.sampled_from([None, 500])), None, None, None),
        networks=tuple(
            container.NetworkAttachment(one) for one in sorted(draw(st.sets(st.sampled_from(NETWORKS), max_size=2)))
        ),
        mounts=tuple(
            container.VolumeMount(one, f"/{one}", read_only=False)
            for one in sorted(draw(st.sets(st.sampled_from(VOLUMES), max_size=1)))
        ),
        depends_on=tuple(
            container.Dependency(one, draw(conditions))
            for one in sorted(draw(st.sets(st.sampled_from(earlier), max_size=2)) if earlier else [])
        ),
    )


def admitted(one: container.ContainerConfig, others: dict[str, container.ContainerConfig]) -> container.ContainerConfig:
    """Leave out dependencies on what is not declared, and on the end of what never ends."""
    return dataclasses.replace(
        one,
        depends_on=tuple(
            other
            for other in one.depends_on
            if other.container in others
            and (other.condition is not COMPLETED or others[other.container].restart.policy in JOBS)
        ),
    )


@st.composite
def desired_states(draw: Any) -> state.DesiredState:
    """Give some desired state in which every reference leads somewhere."""
    names = sorted(draw(st.sets(st.sampled_from(NAMES))))
    drawn = {name: draw(configs(name)) for name in names}
    containers = [admitted(one, drawn) for one in drawn.values()]
    references = {one.image for one in containers}
    networks = {one.network for config in containers for one in config.networks} | draw(
        st.sets(st.sampled_from(NETWORKS))
    )
    volumes = {one.volume for config in containers for one in config.mounts} | draw(st.sets(st.sampled_from(VOLUMES)))
    return state.DesiredState(
        "r1",
        containers=tuple(containers),
        images=tuple(builders.image_config(reference) for reference in sorted(references)),
        networks=tuple(
            builders.network_config(name, internal=draw(st.booleans()), labels=draw(LABELS))
            for name in sorted(networks)
        ),
        volumes=tuple(
            builders.volume_config(name, draw(st.sampled_from(volume.DeletionPolicy))) for name in sorted(volumes)
        ),
    )


@st.composite
def disturbed(draw: Any, found: state.ObservedState) -> state.ObservedState:
    """Let things happen behind our back: ends, stops, removals, failing probes, broken networks."""
    containers, healths = [], {one.container_id: one for one in found.health}
    for one in found.containers:
        fate = draw(st.sampled_from(["keep", "end", "stop", "remove", "limits", "sicken"]))
        running = one.state is container.ContainerState.RUNNING
        if fate in {"end", "stop"} and running:
            code = draw(st.sampled_from([0, 1, 137, None]))
            fields = {"exit_code": code, "finished_at": found.observed_at, "stop_requested": fate == "stop"}
            containers.append(dataclasses.replace(one, state=container.ContainerState.EXITED, **fields))
            healths.pop(one.id, None)
        elif fate == "limits":
            changed = dataclasses.replace(one.config, resources=container.Resources(1, 2, 3, 4))
            containers.append(dataclasses.replace(one, config=changed))
        elif fate != "remove":
            containers.append(one)
            if fate == "sicken" and running:
                healths[one.id] = health.ObservedHealth(one.id, True, False, False, "dead", found.observed_at)
    used = {attached.network for one in containers for attached in one.config.networks}
    networks = tuple(
        dataclasses.replace(one, healthy=draw(st.booleans()))
        for one in found.networks
        if one.name in used or draw(st.booleans())
    )
    there = {one.id for one in containers}
    left = tuple(sorted(one for key, one in healths.items() if key in there))
    return dataclasses.replace(found, containers=tuple(containers), networks=networks, health=left)
