"""Nothing is lost between the house's nouns and the engine's: every field of every kind comes back as it was."""

import dataclasses
import ipaddress
import json
import pathlib
import typing
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from agent import errors
from agent.drivers.native import failures, translate
from agent.engine.containers import table
from agent.engine.spec import container as engine_container
from agent.engine.spec import network as engine_network
from agent.engine.volumes import volumes
from agent.kit import canonical
from agent.model import container, health, instances, network, policy, state, volume
from agent.model.key import DELETION_POLICY_LABEL, PREFIX, pairs
from agent.oci import image_config, platform
from agent.plan import diff
from tests import addressing, builders

OWNED = builders.labels_for(builders.config())
SECONDS = st.floats(min_value=0, max_value=1e9)
NAMES = st.text(max_size=20)
PAIRS = st.dictionaries(NAMES, NAMES, max_size=3).map(pairs)
LABELS = st.dictionaries(NAMES.filter(lambda name: not name.startswith(PREFIX)), NAMES, max_size=3).map(pairs)


def every(kind: type, **strategies: Any) -> st.SearchStrategy[Any]:
    """Return values of a dataclass in which every field varies, also a new one; ``strategies`` say how."""
    hints = typing.get_type_hints(kind)
    fields = {field.name: strategies.get(field.name) for field in dataclasses.fields(kind)}
    arguments = {name: st.from_type(hints[name]) if how is None else how for name, how in fields.items()}
    return st.builds(kind, **arguments)


def several(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return tuples."""
    return st.lists(strategy, max_size=3).map(tuple)


ACTIONS = st.one_of(every(health.ExecProbe), every(health.HttpProbe, headers=PAIRS), every(health.TcpProbe))
PROBES = st.none() | every(health.Probe, action=ACTIONS, initial_delay=SECONDS, period=SECONDS, timeout=SECONDS)
IMAGES = st.sampled_from(("docker.io/library/app:1", "localhost:5000/team/app:2"))
"""As lowering leaves them: every reference has been given its registry and tag by then."""
ADDRESSES = st.ip_addresses(v=4).map(str)
RANGES = st.builds(
    lambda number, prefix: str(ipaddress.IPv4Network((number >> 32 - prefix << 32 - prefix, prefix))),
    st.integers(0, (1 << 32) - 1),
    st.integers(1, 32),
)
SUBNETS = every(network.Subnet, subnet=RANGES, gateway=st.none() | ADDRESSES, range=st.none() | RANGES)
CONTAINERS = every(
    container.ContainerConfig,
    image=IMAGES,
    labels=LABELS,
    env=PAIRS,
    ports=several(every(container.PortMapping, address=ADDRESSES)),
    networks=several(every(container.NetworkAttachment, ipv4=st.none() | ADDRESSES)),
    mounts=several(st.one_of(every(container.VolumeMount), every(container.BindMount), every(container.TmpfsMount))),
    restart=every(
        container.RestartConfig,
        backoff=every(container.BackoffConfig, initial=SECONDS, maximum=SECONDS, reset=SECONDS),
    ),
    health=every(health.HealthConfig, startup=PROBES, readiness=PROBES, liveness=PROBES),
    stop=every(container.StopConfig, grace_period=SECONDS),
    depends_on=several(every(container.Dependency)),
    ordinal=st.integers(0, 999),
)
NETWORKS = every(network.NetworkConfig, labels=LABELS, subnets=several(SUBNETS))
VOLUMES = every(volume.VolumeConfig, labels=LABELS)


@hypothesis.given(config=CONTAINERS)
def test_container__every_field_comes_back(config: container.ContainerConfig) -> None:
    labels = builders.labels_for(config)
    spec = translate.container_spec(config, labels)
    assert translate.container_config(spec) == config
    assert translate.owned(spec.labels) == labels


@hypothesis.given(config=CONTAINERS)
def test_container__every_field_survives_the_engines_records(config: container.ContainerConfig) -> None:
    spec = translate.container_spec(config, builders.labels_for(config))
    read = canonical.loads(engine_container.ContainerSpec, canonical.dumps(spec))
    assert read == spec
    assert translate.container_config(read) == config


@hypothesis.given(config=NETWORKS, number=st.integers())
def test_network__every_field_comes_back(config: network.NetworkConfig, number: int) -> None:
    spec = translate.network_spec(config, OWNED)
    observed = translate.observed_network(engine_network.NetworkRecord(number, "br0", spec), healthy=True)
    assert observed.config == config
    assert observed == network.ObservedNetwork(
        "br0", config.name, config, pairs((*config.labels, *OWNED)), healthy=True
    )


@hypothesis.given(config=VOLUMES)
def test_volume__every_field_comes_back(config: volume.VolumeConfig) -> None:
    labels = pairs((*config.labels, *OWNED, (DELETION_POLICY_LABEL, config.deletion_policy.value)))
    observed = translate.observed_volume(volumes.VolumeRecord(config.name, labels, pathlib.Path("/data"), 5.0))
    assert observed == volume.ObservedVolume(config.name, config, labels, "/data", 5.0)


@hypothesis.given(resources=every(container.Resources))
def test_resources__come_back(resources: container.Resources) -> None:
    assert translate.resources(translate.limits(resources)) == resources


@pytest.mark.parametrize("labels", [(), ((DELETION_POLICY_LABEL, "of a newer release"),)])
def test_volume__without_a_policy_that_is_known__is_retained(labels: tuple[tuple[str, str], ...]) -> None:
    observed = translate.observed_volume(volumes.VolumeRecord("data", labels, pathlib.Path("/data"), 5.0))
    assert observed.config.deletion_policy is volume.DeletionPolicy.RETAIN


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
    spec = translate.container_spec(config, OWNED)
    assert dataclasses.replace(spec, annotations=()) == engine_container.ContainerSpec(
        image=builders.IMAGE,
        process=engine_container.Process(("/app",), ("-v",), (("A", "1"),), "/srv", "1:2"),
        hostname="web",
        network_mode=engine_container.NetworkMode.ATTACHED,
        attachments=(engine_container.Attachment("shop", ("www",), ipaddress.IPv4Address("10.0.0.2")),),
        ports=(addressing.port("127.0.0.1", 8080, 80, "tcp"),),
        mounts=(
            engine_container.Mount("volume", "data", "/data", read_only=True),
            engine_container.Mount("bind", "/host", "/there"),
            engine_container.Mount("tmpfs", "", "/tmp", read_only=True, size=4096),
        ),
        limits=engine_container.Limits(1, 2, 3, 4),
        confinement=engine_container.Confinement(
            ("A",), ("B",), read_only_rootfs=True, no_new_privileges=False, seccomp=False
        ),
        stop_signal="SIGINT",
        labels=pairs((("app", "shop"), *OWNED)),
    )
    assert [name for name, _ in spec.annotations] == ["trimtab.dev/agent-side"]


@pytest.mark.parametrize(
    ("mode", "engine_mode"),
    [
        (container.NetworkMode.NETWORKS, engine_container.NetworkMode.ATTACHED),
        (container.NetworkMode.NONE, engine_container.NetworkMode.ATTACHED),
        (container.NetworkMode.HOST, engine_container.NetworkMode.HOST),
    ],
)
def test_network_mode__none_is_a_namespace_without_networks(
    mode: container.NetworkMode, engine_mode: engine_container.NetworkMode
) -> None:
    assert translate.container_spec(builders.config(network_mode=mode), ()).network_mode is engine_mode


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
    run = table.Run("epoch", 41, 1, 42, 2, (("shop", ipaddress.IPv4Address("10.0.0.2")),))
    observed = translate.observed_container(
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
    assert observed == container.ObservedContainer(
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
    """Return a container's record."""
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


def test_labels_of_an_image__are_none_of_its_containers() -> None:
    """CVE-2026-53488: what an image says of itself decides nothing about a container of it."""
    image = dataclasses.replace(record().image_config, labels=(*OWNED, ("logger", "binary:///bin/sh")))
    spec = translate.container_spec(builders.config(), ())
    observed = translate.observed_container(record(image_config=image, spec=spec))
    assert observed.labels == ()


def _annotated(
    change: dict[str, Any] | str | None, spec: engine_container.ContainerSpec | None = None
) -> engine_container.ContainerSpec:
    """Return a container whose annotation was changed: replaced by a text, taken out, or with fields taken out."""
    spec = spec or translate.container_spec(SUPERVISED, OWNED)
    ((name, text),) = spec.annotations
    if change is None:
        return dataclasses.replace(spec, annotations=())
    if not isinstance(change, str):
        fields = {**json.loads(text), **change}
        change = json.dumps({key: value for key, value in fields.items() if value is not ABSENT})
    return dataclasses.replace(spec, annotations=((name, change),))


ABSENT = object()
SUPERVISED = builders.config(stop=container.StopConfig("SIGINT", 90.0), network_mode=container.NetworkMode.NONE)
FIELDS = [field.name for field in dataclasses.fields(translate.AgentSide)]


@pytest.mark.parametrize("name", FIELDS)
def test_container__its_annotation_lacks_a_field__differs_in_what_is_recorded_only(name: str) -> None:
    config = translate.container_config(_annotated({name: ABSENT}))
    differences = diff.of_container(SUPERVISED, config, frozenset(policy.InPlace))
    assert {difference.change for difference in differences} <= {diff.Change.RECORD}
    assert config.name == "web"


@pytest.mark.parametrize("change", [{}, {"name": ABSENT}], ids=["annotated", "no name in the annotation"])
def test_container__is_an_instance__comes_back_as_that(change: dict[str, Any]) -> None:
    _, second = instances.expand([SUPERVISED], {SUPERVISED.name: 2})
    spec = translate.container_spec(second, builders.labels_for(second))
    config = translate.container_config(_annotated(change, spec))
    assert (config, state.key_of(config).ordinal) == (second, 1)


@pytest.mark.parametrize("damage", [None, "", "{", "[]", '{"grace_period":"long"}', '{"restart":{}}'])
def test_container__its_annotation_is_damaged__is_written_anew_and_touches_nothing(damage: str | None) -> None:
    spec = _annotated(damage)
    config = translate.container_config(spec)
    differences = diff.of_container(SUPERVISED, config, frozenset(policy.InPlace))
    assert {difference.change for difference in differences} == {diff.Change.RECORD}
    assert translate.container_config(translate.supervised(spec, SUPERVISED.supervision)) == SUPERVISED


@pytest.mark.parametrize("change", [{"added": 1}, {"update": "Canary"}])
def test_container__its_annotation_is_of_a_newer_release__is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(canonical.Unknown, match="container called: AgentSide"):
        translate.observed_container(record(spec=_annotated(change)))


@pytest.mark.parametrize(
    "change",
    [
        {"mounts": (engine_container.Mount("image", "x", "/x"),)},
        {"ports": (addressing.port("0.0.0.0", 80, 80, "sctp"),)},
    ],
)
def test_container__the_engine_has_what_is_not_known__is_refused_and_not_taken_for_something_else(
    change: dict[str, Any],
) -> None:
    spec = dataclasses.replace(translate.container_spec(builders.config(), OWNED), **change)
    with pytest.raises(canonical.Unknown, match="container called: there is no"):
        translate.observed_container(record(spec=spec))


def test_failures__a_newer_release_has_written_there__is_a_failure_of_the_runtime_with_a_way_out() -> None:
    with (
        pytest.raises(errors.Unavailable, match="upgrade trimtab, or give another --root") as failure,
        failures.translated(),
    ):
        translate.observed_container(record(spec=_annotated({"added": 1})))
    assert failure.value.reason == "NewerState"
