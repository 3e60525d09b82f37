"""Declared configurations in short: what operators look for, and no values that may be secrets."""

import dataclasses

import pytest

from agent.agent_api import declared
from agent.model import container, health, image, secret, state, volume
from agent.model.key import Kind, ObjectKey
from tests import builders

PROBE = health.Probe(health.ExecProbe(("check", "hunter2")), 0.0, 5.0, 1.0, 1, 3)
BIND = container.BindMount("/srv", "/srv", read_only=True)
WEB = dataclasses.replace(
    builders.config("web"),
    env=(("PASSWORD", "hunter2"),),
    args=("--password", "hunter2"),
    labels=(("note", "hunter2"),),
    ports=(container.PortMapping(8080, 80, container.TransportProtocol.TCP, "127.0.0.1"),),
    networks=(container.NetworkAttachment("shop"),),
    mounts=(BIND, container.VolumeMount("data", "/data", read_only=False), container.TmpfsMount("/tmp", None)),
    health=health.HealthConfig(None, PROBE, None),
    resources=container.Resources(500, 2**20, None, 7),
    depends_on=(container.Dependency("db", container.DependencyCondition.HEALTHY),),
    secret_env=(secret.SecretVariable("TOKEN", "api", "token", "hmac-sha256:1"),),
)
WEB_KEY = ObjectKey(Kind.CONTAINER, "web")


def test_summary__of_a_container__has_what_it_uses_and_no_values() -> None:
    fields = declared.summary(builders.desired(WEB), WEB_KEY)
    assert fields is not None
    assert dict(fields) == {
        "image": (builders.IMAGE,),
        "ports": ("127.0.0.1:8080:80/tcp",),
        "networks": ("shop",),
        "secrets": ("TOKEN (key token of Secret/api)",),
        "mounts": ("bind /srv at /srv (read-only)", "volume data at /data", "tmpfs at /tmp"),
        "dependsOn": ("db (Healthy)",),
        "restart": (WEB.restart.policy.value,),
        "probes": ("readiness (exec every 5s)",),
        "resources": ("cpu 500m", "memory 1048576", "pids 7"),
    }
    assert "hunter2" not in str(fields)


def test_summary__of_an_image__has_its_source_and_update_policy() -> None:
    config = builders.image_config()
    follow = builders.follow("1.x", name=config.name)
    desired = state.DesiredState.of("r1", (config,), follows=(follow,))
    fields = dict(declared.summary(desired, state.key_of(config)) or ())
    assert fields["reference"] == (config.reference,)
    assert fields["source"][0].startswith("pull")
    assert fields["update"] == ("Always 1.x",)


def test_summary__of_networks_volumes_and_archives__is_short() -> None:
    archive = dataclasses.replace(builders.image_config(), source=image.ArchiveSource("/srv/a.tar", "stamp"))
    configs = builders.network_config(), builders.volume_config(), archive
    desired = state.DesiredState.of("r1", configs)
    network_fields, volume_fields, image_fields = (
        dict(declared.summary(desired, state.key_of(config)) or ()) for config in configs
    )
    assert network_fields["driver"] == ("bridge",)
    assert "internal" not in network_fields
    assert volume_fields["deletionPolicy"][0] in [policy.value for policy in volume.DeletionPolicy]
    assert image_fields["source"] == ("archive /srv/a.tar",)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (image.BuildSource("/app", "/app/Dockerfile", "1"), "build of /app by /app/Dockerfile"),
        (image.BuildSource("/app", "/D", "1", target="web"), "build of /app by /D, stage web"),
        (image.BuildSource("/app", "/D", "1", inline="FROM a"), "build of /app by a Dockerfile in the manifest"),
    ],
)
def test_summary__of_a_build__says_what_it_is_built_of(source: image.BuildSource, expected: str) -> None:
    config = dataclasses.replace(builders.image_config(), source=source)
    desired = state.DesiredState.of("r1", (config,))
    assert dict(declared.summary(desired, state.key_of(config)) or ())["source"] == (expected,)


def test_summary__not_declared__is_none() -> None:
    assert declared.summary(builders.desired(WEB), ObjectKey(Kind.CONTAINER, "db")) is None


def test_image_key__of_a_container__is_that_of_its_image() -> None:
    desired = builders.desired(WEB)
    assert declared.image_key(desired, WEB_KEY) == state.key_of(desired.images[0])
    other = ObjectKey(Kind.VOLUME, "data")
    assert declared.image_key(desired, other) == other
