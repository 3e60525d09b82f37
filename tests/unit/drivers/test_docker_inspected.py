"""What somebody else has made, as a manifest would say it; and what no manifest can say."""

from typing import Any

import pytest

from agent.drivers.docker import inspected, names, notes, references
from agent.model import container
from tests import builders

ID = "0d800de7a79ed731f5a29c84caced25d11f326ef56f0c5512f96ca302b2a41e4"
IMAGE: dict[str, Any] = {
    "RepoTags": ["localhost/app:1"],
    "RepoDigests": [],
    "Config": {
        "Cmd": ["/bin/serve"],
        "Entrypoint": None,
        "Env": ["PATH=/bin", "LANG=C"],
        "WorkingDir": "/srv",
        "User": "app",
        "Labels": {"of.the.image": "yes"},
    },
}


@pytest.fixture
def table(tmp_path) -> names.Names:
    return names.Names(notes.Book(tmp_path / "notes.json"), "test1")


def found(config: dict[str, Any] | None = None, host: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """Give an inspected container that says nothing of its own but this."""
    told = {**IMAGE["Config"], "Image": "localhost/app:1", "Hostname": ID[:12], **(config or {})}
    return {
        "Id": ID,
        "Name": "/web",
        "Image": "sha256:1",
        "Config": told,
        "HostConfig": {"NetworkMode": "shop", "ShmSize": 64 << 20, "IpcMode": "private", **(host or {})},
        "NetworkSettings": {"Networks": {"shop": {"Aliases": ["web", ID[:12]], "IPAMConfig": {}}}},
        "Mounts": [],
        **more,
    }


def test_portrait__nothing_of_its_own__is_its_image_its_network_and_no_restart(table: names.Names) -> None:
    told = inspected.portrait(found(), IMAGE, table)
    expected = builders.config(
        image="localhost/app:1",
        networks=(container.NetworkAttachment("shop"),),
        restart=container.RestartConfig(container.RestartPolicy.NEVER, container.BackoffConfig(1.0, 300.0, 600.0)),
        security=container.Security("", (), (), False, False, container.SeccompProfile.DEFAULT),
    )
    assert told == inspected.Portrait(expected, ())


def test_portrait__everything_of_its_own__is_said(table: names.Names) -> None:
    config = {
        "Entrypoint": ["/app"],
        "Cmd": ["-v"],
        "Env": ["PATH=/bin", "LANG=C", "A=1", "B=two words"],
        "WorkingDir": "/tmp",
        "User": "0:0",
        "Hostname": "shop",
        "Labels": {"of.the.image": "yes", "app": "shop"},
        "StopSignal": "SIGQUIT",
        "StopTimeout": 3,
        "Healthcheck": {"Test": ["CMD-SHELL", "curl -f localhost"], "Interval": 5_000_000_000},
    }
    host = {
        "PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}], "53/udp": [{"HostPort": ""}]},
        "RestartPolicy": {"Name": "unless-stopped"},
        "Memory": 64 << 20,
        "NanoCpus": 500_000_000,
        "CapAdd": ["CAP_NET_ADMIN"],
        "CapDrop": ["ALL"],
        "ReadonlyRootfs": True,
        "SecurityOpt": ["no-new-privileges", "seccomp=unconfined"],
        "Tmpfs": {"/scratch": "size=1m,mode=1777"},
    }
    mounts = [
        {"Type": "volume", "Name": "data", "Destination": "/data", "RW": False, "Driver": "local"},
        {"Type": "bind", "Source": "/etc/app", "Destination": "/etc/app", "RW": True},
    ]
    networks = {"shop": {"Aliases": ["web", "www", ID[:12]], "IPAMConfig": {"IPv4Address": "10.0.0.9"}}}
    ports = {"53/udp": [{"HostIp": "0.0.0.0", "HostPort": "49153"}]}
    told = inspected.portrait(
        found(config, host, Mounts=mounts, NetworkSettings={"Networks": networks, "Ports": ports}), IMAGE, table
    )
    assert told.unsaid == ()
    config_told = told.config
    assert (config_told.command, config_told.args) == (("/app",), ("-v",))
    assert config_told.env == (("A", "1"), ("B", "two words"))
    assert (config_told.working_dir, config_told.security.user, config_told.hostname) == ("/tmp", "0:0", "shop")
    assert config_told.labels == (("app", "shop"),)
    assert [str(port) for port in config_told.ports] == ["127.0.0.1:8080:80/tcp", "0.0.0.0:49153:53/udp"][::-1] or [
        str(port) for port in config_told.ports
    ] == ["127.0.0.1:8080:80/tcp", "0.0.0.0:49153:53/udp"]
    assert config_told.networks == (container.NetworkAttachment("shop", ("www",), "10.0.0.9"),)
    assert set(config_told.mounts) == {
        container.VolumeMount("data", "/data", read_only=True),
        container.BindMount("/etc/app", "/etc/app", read_only=False),
        container.TmpfsMount("/scratch", 1 << 20),
    }
    assert config_told.restart.policy is container.RestartPolicy.UNLESS_STOPPED
    assert (config_told.resources.cpu_millis, config_told.resources.memory) == (500, 64 << 20)
    assert config_told.stop == container.StopConfig("SIGQUIT", 3.0)
    assert config_told.security.cap_add == ("NET_ADMIN",)
    assert config_told.security.seccomp is container.SeccompProfile.UNCONFINED
    assert config_told.health.readiness is not None
    assert config_told.health.readiness.period == 5.0


@pytest.mark.parametrize(
    ("config", "host", "reason"),
    [
        ({}, {"Privileged": True}, "it is privileged"),
        ({}, {"Devices": [{"PathOnHost": "/dev/kvm"}]}, "it has devices"),
        ({}, {"PidMode": "host"}, "its PidMode is host"),
        ({}, {"NetworkMode": "container:abc"}, "it is in the network of another container"),
        ({}, {"SecurityOpt": ["apparmor=x"]}, "it has the security option apparmor=x"),
        ({}, {"ShmSize": 1 << 30}, "its /dev/shm has a size of its own"),
        ({}, {"PortBindings": {"9/sctp": [{"HostPort": "9"}]}}, "it publishes 9/sctp"),
        (
            {},
            {"PortBindings": {"9/tcp": [{"HostIp": "::1", "HostPort": "9"}]}},
            "it publishes a port on an IPv6 address",
        ),
        ({}, {"Tmpfs": {"/t": ""}}, "it has a tmpfs without a size"),
        ({}, {"AutoRemove": True}, "it is removed when it ends"),
        ({"Tty": True}, {}, "it has a terminal or an open standard input"),
        ({"Labels": {"com.docker.swarm.task.id": "t"}}, {}, "it belongs to an orchestrator"),
    ],
)
def test_portrait__what_no_manifest_can_say__is_named(
    table: names.Names, config: dict[str, Any], host: dict[str, Any], reason: str
) -> None:
    assert inspected.portrait(found(config, host), IMAGE, table).unsaid == (reason,)


def test_image_name__the_tag_has_moved_on__is_the_digest_or_nothing() -> None:
    digest = f"localhost/app@sha256:{'a' * 64}"
    assert references.name_of("localhost/app:1", {"RepoTags": [], "RepoDigests": [digest]}) == digest
    assert references.name_of("localhost/app:1", {"RepoTags": None, "RepoDigests": None}) == ""
    assert references.name_of("app:1", {"RepoTags": ["app:1"]}) == "docker.io/library/app:1"


def test_name_for__no_name_of_a_manifest__is_bent_and_never_given_twice() -> None:
    assert inspected.name_for("my_shop_web_1", ()) == "my-shop-web-1"
    assert inspected.name_for("Web", {"web"}) == "web-2"
    assert inspected.name_for("___", ()) == "unnamed"
    assert len(inspected.name_for("x" * 200, ())) == 63
