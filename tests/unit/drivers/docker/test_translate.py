"""The table between our nouns and the Engine API's: literal bodies, and the way back from what engines make of them."""

import dataclasses
import json
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from agent import errors
from agent.drivers.docker import names, sidecar, translate
from agent.kit import canonical
from agent.model import container, network, volume
from agent.model.key import DELETION_POLICY_LABEL, pairs
from agent.plan import diff
from tests import builders
from tests.unit.drivers import test_native_translate as drawn
from tests.unit.drivers.docker import twin

OWNED = builders.labels_for(builders.config())
NOTHING = sidecar.ContainerNote()
STATES = st.sampled_from(["created", "running"])
SECRET = "s3cr3t-"


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> names.Names:
    return twin.table(tmp_path_factory.mktemp("notes"))


def observe(
    inspected: dict[str, Any], table: names.Names, note: sidecar.ContainerNote = NOTHING
) -> container.ObservedContainer:
    """Observe an inspected container by what its labels remember."""
    remembered = translate.recalled(inspected["Config"]["Labels"])
    assert remembered is not None
    return translate.observed_container(remembered, inspected, note, table)


@pytest.mark.parametrize("flavour", twin.FLAVOURS)
@hypothesis.given(config=twin.configs(), status=STATES)
def test_container__made_by_each_engine__is_observed_as_it_was_wanted(
    table: names.Names, flavour: str, config: container.ContainerConfig, status: str
) -> None:
    observed = observe(twin.inspected(flavour, config, OWNED, table, status), table)
    assert observed.config == config
    assert diff.of_container(config, observed.config, frozenset()) == ()
    assert set(OWNED) <= set(observed.labels)


@hypothesis.given(config=twin.configs(), values=st.lists(st.text(max_size=9), max_size=3))
def test_container__whatever_its_environment__no_value_of_it_is_in_a_label(
    table: names.Names, config: container.ContainerConfig, values: list[str]
) -> None:
    env = pairs((f"V{number}", f"{SECRET}{value}") for number, value in enumerate(values))
    body = translate.container_body(dataclasses.replace(config, env=env), OWNED, table)
    assert SECRET not in json.dumps(body["Labels"])
    assert body["Env"] == [f"{name}={value}" for name, value in env]


def test_container__everything_said__in_the_engines_words(table: names.Names) -> None:
    config = builders.config(
        labels=(("app", "shop"),),
        command=("/app",),
        args=("-v", "two words"),
        env=(("A", "1"),),
        working_dir="/srv",
        ports=(
            container.PortMapping(8080, 80, container.TransportProtocol.TCP, "127.0.0.1"),
            container.PortMapping(8081, 80, container.TransportProtocol.TCP, "0.0.0.0"),
        ),
        networks=(container.NetworkAttachment("bridge", ("www",), "10.0.0.2"), container.NetworkAttachment("shop")),
        mounts=(
            container.VolumeMount("data", "/data", read_only=True),
            container.BindMount("/host", "/there", read_only=False),
            container.TmpfsMount("/scratch", 4096, read_only=True),
            container.TmpfsMount("/more", None),
        ),
        resources=container.Resources(500, 64 << 20, 32 << 20, 50),
        security=container.Security("1:2", ("SYS_TIME",), ("ALL",), True, True, container.SeccompProfile.UNCONFINED),
        stop=container.StopConfig("SIGINT", 6.2),
    )
    body = translate.container_body(config, OWNED, table)
    assert body.pop("Labels") == {
        "app": "shop",
        **dict(OWNED),
        translate.CONFIG_LABEL: translate.remembered(config),
        translate.FORMAT_LABEL: "1",
    }
    assert body == {
        "Image": builders.IMAGE,
        "Env": ["A=1"],
        "WorkingDir": "/srv",
        "User": "1:2",
        "StopTimeout": 7,
        "StopSignal": "SIGINT",
        "ExposedPorts": {"80/tcp": {}},
        "Hostname": "web",
        "Entrypoint": ["/app"],
        "Cmd": ["-v", "two words"],
        "HostConfig": {
            "NetworkMode": "trimtab-test1-bridge",
            "PortBindings": {
                "80/tcp": [
                    {"HostIp": "127.0.0.1", "HostPort": "8080"},
                    {"HostIp": "0.0.0.0", "HostPort": "8081"},
                ]
            },
            "Mounts": [
                {"Type": "volume", "Source": "data", "Target": "/data", "ReadOnly": True},
                {
                    "Type": "bind",
                    "Source": "/host",
                    "Target": "/there",
                    "ReadOnly": False,
                },
                {
                    "Type": "tmpfs",
                    "Target": "/scratch",
                    "ReadOnly": True,
                    "TmpfsOptions": {"SizeBytes": 4096, "Mode": 0o1777},
                },
                {"Type": "tmpfs", "Target": "/more", "ReadOnly": False, "TmpfsOptions": {"Mode": 0o1777}},
            ],
            "RestartPolicy": {"Name": "no"},
            "ReadonlyRootfs": True,
            "SecurityOpt": ["no-new-privileges", "seccomp=unconfined"],
            "CapAdd": ["SYS_TIME"],
            "CapDrop": ["ALL"],
            "CpuPeriod": 100_000,
            "CpuQuota": 50_000,
            "Memory": 64 << 20,
            "MemorySwap": 64 << 20,
            "MemoryReservation": 32 << 20,
            "PidsLimit": 50,
        },
        "NetworkingConfig": {
            "EndpointsConfig": {"trimtab-test1-bridge": {"Aliases": ["www"], "IPAMConfig": {"IPv4Address": "10.0.0.2"}}}
        },
    }


def test_container__nothing_said__leaves_the_image_its_program_and_the_engine_no_restarts(table: names.Names) -> None:
    body = translate.container_body(builders.config(), (), table)
    assert not {"Cmd", "Entrypoint", "StopSignal"} & body.keys()
    assert body["HostConfig"]["NetworkMode"] == "none"
    assert body["HostConfig"]["RestartPolicy"] == {"Name": "no"}
    assert {"CpuQuota", "Memory", "MemorySwap", "MemoryReservation"} & body["HostConfig"].keys() == set()
    assert body["HostConfig"]["PidsLimit"] == -1, "Podman limits them by itself"


@pytest.mark.parametrize(
    ("command", "args", "fields"),
    [
        (("/app",), None, {"Entrypoint": ["/app"], "Cmd": []}),
        ((), ("x",), {"Entrypoint": [""], "Cmd": ["x"]}),
        (None, ("x",), {"Cmd": ["x"]}),
    ],
)
def test_container__program_of_its_own__replaces_the_images(
    table: names.Names, command: tuple[str, ...] | None, args: tuple[str, ...] | None, fields: dict[str, Any]
) -> None:
    body = translate.container_body(builders.config(command=command, args=args), (), table)
    assert {name: body[name] for name in ("Entrypoint", "Cmd") if name in body} == fields


def test_container__in_the_hosts_network__has_the_hosts_name(table: names.Names) -> None:
    body = translate.container_body(builders.config(network_mode=container.NetworkMode.HOST), (), table)
    assert (body["HostConfig"]["NetworkMode"], "Hostname" in body) == ("host", False)


@pytest.mark.parametrize(
    ("add", "drop", "fields"),
    [
        (("ALL",), ("CHOWN",), {"CapAdd": ["ALL"], "CapDrop": ["CHOWN"]}),
        (("ALL", "CHOWN"), ("CHOWN",), {"CapAdd": ["ALL"], "CapDrop": []}),
        (("ALL",), ("ALL",), {"CapAdd": [], "CapDrop": ["ALL"]}),
        (("NET_ADMIN",), ("ALL",), {"CapAdd": ["NET_ADMIN"], "CapDrop": ["ALL"]}),
    ],
)
def test_capabilities__all_of_them__mean_what_the_native_engine_means(
    table: names.Names, add: tuple[str, ...], drop: tuple[str, ...], fields: dict[str, Any]
) -> None:
    security = dataclasses.replace(builders.config().security, cap_add=add, cap_drop=drop)
    host = translate.container_body(builders.config(security=security), (), table)["HostConfig"]
    assert {name: host[name] for name in ("CapAdd", "CapDrop")} == fields


def test_capabilities__one_that_is_none__is_refused(table: names.Names) -> None:
    security = dataclasses.replace(builders.config().security, cap_add=("NOPE",))
    with pytest.raises(errors.InvalidArgument, match="there is no capability NOPE"):
        translate.container_body(builders.config(security=security), (), table)


@pytest.mark.parametrize("more", [{}, {translate.FORMAT_LABEL: "1"}, {translate.FORMAT_LABEL: "of others"}])
def test_recalled__of_ours__is_what_it_was_made_from(more: dict[str, str]) -> None:
    labels = {translate.CONFIG_LABEL: translate.remembered(builders.config()), **more}
    assert translate.recalled(labels) == builders.config()


def test_recalled__of_others__is_nothing() -> None:
    assert translate.recalled({}) is None


@pytest.mark.parametrize(
    ("labels", "newer"),
    [
        ({translate.CONFIG_LABEL: "no JSON"}, False),
        ({translate.CONFIG_LABEL: '{"name":"web"}'}, False),
        ({translate.CONFIG_LABEL: '{"name":"web","new":1}'}, True),
        ({translate.CONFIG_LABEL: translate.remembered(builders.config()), translate.FORMAT_LABEL: "2"}, True),
    ],
)
def test_recalled__damaged_or_of_a_newer_release__is_said(labels: dict[str, str], newer: bool) -> None:
    with pytest.raises(canonical.Unreadable) as failure:
        translate.recalled(labels)
    assert isinstance(failure.value, canonical.Unknown) is newer


@pytest.mark.parametrize("flavour", twin.FLAVOURS)
@hypothesis.given(config=twin.NETWORKS)
def test_network__made_by_each_engine__plans_nothing(
    table: names.Names, flavour: str, config: network.NetworkConfig
) -> None:
    observed = translate.observed_network(twin.inspected_network(flavour, config, OWNED, table), (), table)
    assert diff.of_network(config, observed.config) == ()
    assert dataclasses.replace(observed.config, subnets=config.subnets) == config
    assert observed.labels == pairs((*config.labels, *OWNED))


def test_network__labels_noted_later__count_more_than_the_engines(table: names.Names) -> None:
    config = builders.network_config(labels=(("a", "old"),), subnets=(twin.SUBNETS[2],))
    inspected = twin.inspected_network("podman-4.3", config, OWNED, table)
    observed = translate.observed_network(inspected, pairs((("a", "new"), *OWNED)), table)
    assert observed.config.labels == (("a", "new"),)
    assert [subnet.range for subnet in observed.config.subnets] == ["10.90.2.128/25"], "Podman does not tell it"


@hypothesis.given(config=drawn.VOLUMES)
def test_volume__with_its_note__is_observed_as_it_was_wanted(table: names.Names, config: volume.VolumeConfig) -> None:
    body = translate.volume_body(config, OWNED, table)
    assert DELETION_POLICY_LABEL not in body["Labels"]
    noted = pairs((*config.labels, *OWNED, (DELETION_POLICY_LABEL, config.deletion_policy.value)))
    assert translate.observed_volume({**body, "Mountpoint": "/m"}, noted, table).config == config


@pytest.mark.parametrize("label", ["Delete", "Retain", "something new"])
def test_volume__without_a_note__is_retained_whatever_its_labels_say(table: names.Names, label: str) -> None:
    answer = {"Name": "data", "Labels": {DELETION_POLICY_LABEL: label}}
    assert translate.observed_volume(answer, None, table).config.deletion_policy is volume.DeletionPolicy.RETAIN
    odd = translate.observed_volume(answer, ((DELETION_POLICY_LABEL, "something new"),), table)
    assert odd.config.deletion_policy is volume.DeletionPolicy.RETAIN
