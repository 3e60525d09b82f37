"""Nothing is lost between the house's nouns and the engine's: every field of every kind comes back as it was."""

import dataclasses
import pathlib
import typing
from typing import Any

import hypothesis
import pydantic
import pytest
from hypothesis import strategies as st

from agent.drivers.native import translate
from agent.engine.cgroups import usage
from agent.engine.containers import spec as specs
from agent.engine.containers import table
from agent.engine.network import spec as networks
from agent.engine.volumes import volumes
from agent.model import container, health, network, volume
from agent.model.key import DELETION_POLICY_LABEL, PREFIX, pairs
from agent.oci import image_config, platform
from agent.runtime import api
from tests import builders

SPEC = pydantic.TypeAdapter(specs.ContainerSpec)
OWNED = builders.labels_for(builders.config())
SECONDS = st.floats(min_value=0, max_value=1e9)
NAMES = st.text(max_size=20)
PAIRS = st.dictionaries(NAMES, NAMES, max_size=3).map(pairs)
LABELS = st.dictionaries(NAMES.filter(lambda name: not name.startswith(PREFIX)), NAMES, max_size=3).map(pairs)


def every(kind: type, **given: Any) -> st.SearchStrategy[Any]:
    """Give values of a dataclass in which every field varies, also one that is new; ``given`` say how."""
    hints = typing.get_type_hints(kind)
    fields = {field.name: given.get(field.name) for field in dataclasses.fields(kind)}
    found = {name: st.from_type(hints[name]) if how is None else how for name, how in fields.items()}
    return st.builds(kind, **found)


def several(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Give tuples."""
    return st.lists(strategy, max_size=3).map(tuple)


ACTIONS = st.one_of(every(health.ExecProbe), every(health.HttpProbe, headers=PAIRS), every(health.TcpProbe))
PROBES = st.none() | every(health.Probe, action=ACTIONS, initial_delay=SECONDS, period=SECONDS, timeout=SECONDS)
CONTAINERS = every(
    container.ContainerConfig,
    labels=LABELS,
    env=PAIRS,
    ports=several(every(container.PortMapping)),
    networks=several(every(container.NetworkAttachment)),
    mounts=several(st.one_of(every(container.VolumeMount), every(container.BindMount), every(container.TmpfsMount))),
    restart=every(
        container.RestartConfig,
        backoff=every(container.BackoffConfig, initial=SECONDS, maximum=SECONDS, reset=SECONDS),
    ),
    health=every(health.HealthConfig, startup=PROBES, readiness=PROBES, liveness=PROBES),
    stop=every(container.StopConfig, grace_period=SECONDS),
    depends_on=several(every(container.Dependency)),
)
NETWORKS = every(network.NetworkConfig, labels=LABELS, subnets=several(every(network.Subnet)))
VOLUMES = every(volume.VolumeConfig, labels=LABELS)


@hypothesis.given(config=CONTAINERS)
def test_container__every_field_comes_back(config: container.ContainerConfig) -> None:
    told = translate.container_spec(config, OWNED)
    assert translate.container_config(told) == config
    assert translate.owned(told.labels) == OWNED


@hypothesis.given(config=CONTAINERS)
def test_container__every_field_survives_the_engines_records(config: container.ContainerConfig) -> None:
    told = translate.container_spec(config, OWNED)
    read = SPEC.validate_json(SPEC.dump_json(told))
    assert read == told
    assert translate.container_config(read) == config


@hypothesis.given(config=NETWORKS, number=st.integers())
def test_network__every_field_comes_back(config: network.NetworkConfig, number: int) -> None:
    told = translate.network_spec(config, OWNED)
    seen = translate.observed_network(networks.NetworkRecord(number, "br0", told), healthy=True)
    assert seen.config == config
    assert seen == network.ObservedNetwork("br0", config.name, config, pairs((*config.labels, *OWNED)), healthy=True)


@hypothesis.given(config=VOLUMES)
def test_volume__every_field_comes_back(config: volume.VolumeConfig) -> None:
    labels = pairs((*config.labels, *OWNED, (DELETION_POLICY_LABEL, config.deletion_policy.value)))
    seen = translate.observed_volume(volumes.VolumeRecord(config.name, labels, pathlib.Path("/data"), 5.0))
    assert seen == volume.ObservedVolume(config.name, config, labels, "/data", 5.0)


@hypothesis.given(resources=every(container.Resources))
def test_resources__come_back(resources: container.Resources) -> None:
    assert translate.resources(translate.limits(resources)) == resources


def test_volume__without_a_policy__is_retained() -> None:
    seen = translate.observed_volume(volumes.VolumeRecord("data", (), pathlib.Path("/data"), 5.0))
    assert seen.config.deletion_policy is volume.DeletionPolicy.RETAIN


def test_container__in_the_engines_words() -> None:
    config = builders.config(
        labels=(("app", "shop"),),
        command=("/app",),
        args=("-v",),
        env=(("A", "1"),),
        working_dir="/srv",
        ports=(container.PortMapping(8080, 80, container.TransportProtocol.TCP, "127.0.0.1"),),
        networks=(container.NetworkAttachment("shop", ("www",), "10.0.0.2"),),
        mounts=(
            container.VolumeMount("data", "/data", read_only=True),
            container.BindMount("/host", "/there", read_only=False),
            container.TmpfsMount("/tmp", 4096, read_only=True),
        ),
        resources=container.Resources(1, 2, 3, 4),
        security=container.Security("1:2", ("A",), ("B",), True, False, container.SeccompProfile.UNCONFINED),
        stop=container.StopConfig("SIGINT", 7.0),
    )
    told = translate.container_spec(config, OWNED)
    assert dataclasses.replace(told, annotations=()) == specs.ContainerSpec(
        image=builders.IMAGE,
        process=specs.Process(("/app",), ("-v",), (("A", "1"),), "/srv", "1:2"),
        hostname="web",
        network_mode=specs.NetworkMode.ATTACHED,
        attachments=(specs.Attachment("shop", ("www",), "10.0.0.2"),),
        ports=(specs.Port("127.0.0.1", 8080, 80, "tcp"),),
        mounts=(
            specs.Mount("volume", "data", "/data", read_only=True),
            specs.Mount("bind", "/host", "/there"),
            specs.Mount("tmpfs", "", "/tmp", read_only=True, size=4096),
        ),
        limits=specs.Limits(1, 2, 3, 4),
        confinement=specs.Confinement(("A",), ("B",), read_only_rootfs=True, no_new_privileges=False, seccomp=False),
        stop_signal="SIGINT",
        labels=pairs((("app", "shop"), *OWNED)),
    )
    assert [name for name, _ in told.annotations] == ["trimtab.dev/agent-side"]


@pytest.mark.parametrize(
    ("mode", "told"),
    [
        (container.NetworkMode.NETWORKS, specs.NetworkMode.ATTACHED),
        (container.NetworkMode.NONE, specs.NetworkMode.ATTACHED),
        (container.NetworkMode.HOST, specs.NetworkMode.HOST),
    ],
)
def test_network_mode__none_is_a_namespace_without_networks(
    mode: container.NetworkMode, told: specs.NetworkMode
) -> None:
    assert translate.container_spec(builders.config(network_mode=mode), ()).network_mode is told


@pytest.mark.parametrize(
    ("phase", "state"),
    [
        (table.Phase.CREATED, container.ContainerState.CREATED),
        (table.Phase.STARTING, container.ContainerState.CREATED),
        (table.Phase.RUNNING, container.ContainerState.RUNNING),
        (table.Phase.EXITED, container.ContainerState.EXITED),
        (table.Phase.REMOVING, container.ContainerState.EXITED),
    ],
)
def test_observed_container__each_phase_is_a_state(phase: table.Phase, state: container.ContainerState) -> None:
    assert translate.observed_container(record(phase=phase)).state is state


def test_observed_container__says_all_of_a_run() -> None:
    run = table.Run("epoch", 41, 1, 42, 2, (("shop", "10.0.0.2"),))
    found = translate.observed_container(
        record(
            phase=table.Phase.RUNNING,
            run=run,
            started_at=2.0,
            finished_at=3.0,
            exit_code=4,
            oom_killed=True,
            stop_requested=True,
        )
    )
    assert found == container.ObservedContainer(
        id="1",
        name="called",
        config=builders.config(),
        labels=OWNED,
        image_id="sha256:1",
        state=container.ContainerState.RUNNING,
        pid=41,
        exit_code=4,
        oom_killed=True,
        stop_requested=True,
        created_at=1.0,
        started_at=2.0,
        finished_at=3.0,
        addresses=(("shop", "10.0.0.2"),),
    )


def record(**fields: Any) -> table.ContainerRecord:
    """Give a container's record."""
    base = table.ContainerRecord(
        id="1",
        name="called",
        spec=translate.container_spec(builders.config(), OWNED),
        image_id="sha256:1",
        image_config=image_config.ImageConfig(platform.Platform("linux", "", ""), (), (), (), "", "", "", (), (), ()),
        lower_dirs=(),
        stop_signal="SIGTERM",
        phase=table.Phase.CREATED,
        created_at=1.0,
    )
    return dataclasses.replace(base, **fields)


def test_stats__every_figure_in_its_place() -> None:
    interface = usage.Interface("eth0", 1, 2, 3, 4, 5, 6, 7, 8)
    told = translate.stats(usage.Usage(1.5, 20, 10, None, 3, 4, (interface,)))
    assert told == api.ContainerStats(
        cpu_seconds=1.5,
        memory_usage=20,
        memory_working_set=10,
        memory_limit=None,
        pids=3,
        oom_kills=4,
        networks=(
            api.NetworkStats(
                *("eth0", 1, 2, 3, 4),
                *(5, 6, 7, 8),
            ),
        ),
    )
