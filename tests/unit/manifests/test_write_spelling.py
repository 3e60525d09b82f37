"""Written manifests spell out what is no default, and nothing else."""

import dataclasses
from typing import Any

import pytest

from agent.manifests import write
from agent.model import container, health, network, volume
from agent.model import secret as container_secret
from tests import builders

SUBNETS = (network.Subnet("10.90.0.0/24", None, None), network.Subnet("10.90.1.0/24", "10.90.1.9", None))
PLAIN = builders.config(networks=(container.NetworkAttachment("bridge"),))
RHYTHM = {"initialDelay": "0s", "period": "10s", "timeout": "1s", "successThreshold": 1, "failureThreshold": 3}


def test_network_and_volume__of_defaults__are_written_by_their_names_alone() -> None:
    head = {"apiVersion": "trimtab.dev/v1"}
    assert write.network_manifest(builders.network_config()) == {
        **head,
        "kind": "Network",
        "metadata": {"name": "shop"},
    }
    assert write.volume_manifest(builders.volume_config()) == {**head, "kind": "Volume", "metadata": {"name": "data"}}
    labelled = dataclasses.replace(builders.volume_config(policy=volume.DeletionPolicy.DELETE), labels=(("a", "b"),))
    assert write.volume_manifest(labelled) == {
        **head,
        "kind": "Volume",
        "metadata": {"name": "data", "labels": {"a": "b"}},
        "spec": {"deletionPolicy": "Delete"},
    }


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"mounts": (container.BindMount("/srv", "/a", False),)}, {"mounts": [{"bind": "/srv", "path": "/a"}]}),
        (
            {"mounts": (container.TmpfsMount("/a", 64 << 20, True),)},
            {"mounts": [{"tmpfs": 64 << 20, "path": "/a", "readOnly": True}]},
        ),
        (
            {"restart": dataclasses.replace(builders.config().restart, policy=container.RestartPolicy.NEVER)},
            {"restart": {"policy": "Never"}},
        ),
        (
            {
                "restart": container.RestartConfig(
                    container.RestartPolicy.ALWAYS, container.BackoffConfig(0.000001, 100.0, 1234.5)
                )
            },
            {"restart": {"backoff": {"initial": "0.000001s", "max": "100s", "reset": "1234.5s"}}},
        ),
        ({"stop": container.StopConfig("SIGQUIT", 10.0)}, {"stop": {"signal": "SIGQUIT"}}),
        ({"stop": container.StopConfig("", 30.0)}, {"stop": {"gracePeriod": "30s"}}),
        (
            {"resources": container.Resources(1500, 8 << 20, (7 << 20) + 1, 5)},
            {"resources": {"cpus": "1500m", "memory": "8Mi", "memoryReservation": (7 << 20) + 1, "pids": 5}},
        ),
        (
            {"security": dataclasses.replace(builders.config().security, cap_drop=("ALL",))},
            {"security": {"capabilities": {"drop": ["ALL"]}}},
        ),
        (
            {"security": dataclasses.replace(builders.config().security, cap_add=("CHOWN",), read_only_rootfs=True)},
            {"security": {"capabilities": {"add": ["CHOWN"]}, "readOnlyRootfs": True}},
        ),
        (
            {"security": dataclasses.replace(builders.config().security, user="1")},
            {"security": {"user": "1"}},
        ),
        (
            {
                "command": ("run",),
                "args": ("a", "b"),
                "env": (("A", "1"),),
                "secret_env": (container_secret.SecretVariable("P", "db", "key", "f"),),
                "working_dir": "/srv",
                "hostname": "www",
            },
            {
                "command": ["run"],
                "args": ["a", "b"],
                "env": {"A": "1", "P": {"secret": "db", "key": "key"}},
                "workingDir": "/srv",
                "hostname": "www",
            },
        ),
        ({"command": (), "args": ()}, {"command": [], "args": []}),
        (
            {
                "security": dataclasses.replace(
                    PLAIN.security, no_new_privileges=False, seccomp=container.SeccompProfile.UNCONFINED
                )
            },
            {"security": {"noNewPrivileges": False, "seccomp": "Unconfined"}},
        ),
        (
            {
                "health": health.HealthConfig(
                    health.Probe(health.ExecProbe(("a", "b")), 1.0, 60.0, 1.0, 1, 30),
                    health.Probe(health.HttpProbe(80, "/up", "https", (("X", "y"),)), 0.0, 10.0, 1.0, 2, 3),
                    None,
                )
            },
            {
                "health": {
                    "startup": {
                        "exec": ["a", "b"],
                        **RHYTHM,
                        "initialDelay": "1s",
                        "period": "60s",
                        "failureThreshold": 30,
                    },
                    "readiness": {
                        "http": {"port": 80, "path": "/up", "scheme": "https", "headers": {"X": "y"}},
                        **RHYTHM,
                        "successThreshold": 2,
                    },
                }
            },
        ),
        ({"resources": container.Resources(None, None, 0, None)}, {"resources": {"memoryReservation": 0}}),
        (
            {
                "networks": (
                    container.NetworkAttachment("lan", ("x",), "10.9.0.9"),
                    container.NetworkAttachment("shop"),
                )
            },
            {"networks": [{"name": "lan", "aliases": ["x"], "ipv4": "10.9.0.9"}, "shop"]},
        ),
        (
            {"health": health.HealthConfig(None, None, health.Probe(health.TcpProbe(80), 0.0, 10.0, 0.5, 1, 3))},
            {
                "health": {
                    "liveness": {
                        "tcp": {"port": 80},
                        "initialDelay": "0s",
                        "period": "10s",
                        "timeout": "0.5s",
                        "successThreshold": 1,
                        "failureThreshold": 3,
                    }
                }
            },
        ),
    ],
)
def test_container__what_is_no_default__is_all_that_is_written(fields: dict[str, Any], expected: write.Json) -> None:
    spec = write.container_manifest(dataclasses.replace(PLAIN, **fields))["spec"]
    assert {name: value for name, value in spec.items() if name != "image"} == expected


def test_network__its_ranges__are_written_in_short_where_nothing_else_is_said() -> None:
    spec = write.network_manifest(builders.network_config(subnets=SUBNETS, internal=True, dns=False, mtu=1400))["spec"]
    assert spec == {
        "subnets": ["10.90.0.0/24", {"subnet": "10.90.1.0/24", "gateway": "10.90.1.9"}],
        "internal": True,
        "dns": False,
        "mtu": 1400,
    }


def test_container__that_no_manifest_can_have__is_refused() -> None:
    with pytest.raises(ValueError, match=r"^plain:4:9: metadata\.name must be a name of small letters"):
        write.container_manifest(builders.config("My_App"))
