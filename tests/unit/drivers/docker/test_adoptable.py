"""What somebody else has made, as a manifest would say it: real answers of Docker 20.10 and Podman 4.3, cut short."""

import copy
from typing import Any

import pytest

from agent.drivers.docker import adoptable, names
from agent.model import container, health
from agent.model.key import Kind
from tests import builders
from tests.unit.drivers.docker import answers, twin

Json = answers.Json
COMPOSE, BY_HAND = answers.COMPOSE, answers.BY_HAND
NEVER = container.RestartConfig(container.RestartPolicy.NEVER, container.BackoffConfig(1.0, 300.0, 600.0))
LOOSE = container.Security("", (), (), False, False, container.SeccompProfile.DEFAULT)


@pytest.fixture
def table(tmp_path) -> names.Names:
    return twin.table(tmp_path)


def portrait_of(inspected_container: Json, table: names.Names, changes: Json | None = None) -> adoptable.Candidate:
    """Draw a container's portrait after some of its parts were changed: by part, then by key."""
    changed = copy.deepcopy(inspected_container)
    for part, fields in (changes or {}).items():
        changed[part] = {**changed[part], **fields} if isinstance(fields, dict) else fields
    return adoptable.candidate(changed, twin.IMAGE, table)


def test_portrait__of_compose__says_its_own_and_nothing_of_its_image(table: names.Names) -> None:
    table.state_file.note_name(Kind.CONTAINER, "my-shop-web-1", "my_shop_web_1")
    table.state_file.note_name(Kind.VOLUME, "my-shop-data", "my_shop_data")
    table.state_file.note_name(Kind.NETWORK, "my-shop-default", "my_shop_default")
    probe = health.Probe(health.ExecProbe(("curl", "-f")), 0.0, 5.0, 30.0, 1, 2)
    assert portrait_of(COMPOSE, table) == adoptable.Candidate(
        builders.config(
            "my-shop-web-1",
            image="docker.io/library/app:1",
            labels=(("com.docker.compose.project", "my_shop"),),
            command=("/bin/httpd",),
            args=("-f", "-p", "80"),
            env=(("WORDS", "two words"), ("ZONE", "UTC")),
            ports=(container.PortMapping(18090, 80, container.TransportProtocol.TCP, "127.0.0.1"),),
            networks=(container.NetworkAttachment("my-shop-default", ("web",)),),
            mounts=(container.VolumeMount("my-shop-data", "/data", read_only=False),),
            restart=container.RestartConfig(container.RestartPolicy.UNLESS_STOPPED, NEVER.backoff),
            health=health.HealthConfig(None, probe, None),
            security=LOOSE,
            stop=container.StopConfig("", 0.0),
        ),
        (),
    )


def test_portrait__by_hand_under_podman__leaves_out_what_podman_adds(table: names.Names) -> None:
    assert portrait_of(BY_HAND, table) == adoptable.Candidate(
        builders.config(
            "byhand",
            image="docker.io/library/app:1",
            args=("/bin/sleep", "1000"),
            env=(("X", "1"),),
            ports=(container.PortMapping(34841, 80, container.TransportProtocol.TCP, "0.0.0.0"),),
            networks=(container.NetworkAttachment("bridge"),),
            mounts=(container.BindMount("/tmp", "/x", read_only=True), container.TmpfsMount("/t", 1 << 20)),
            restart=NEVER,
            resources=container.Resources(500, 64 << 20, None, 2048),
            security=LOOSE,
        ),
        (),
    )


@pytest.mark.parametrize(
    ("entrypoint", "cmd", "words", "command", "args"),
    [
        (["/entry"], ["/bin/serve", "--all"], ["/entry", "/bin/serve", "--all"], None, None),
        (["/entry"], ["x"], ["/entry", "x"], None, ("x",)),
        (["/entry"], None, ["/entry"], None, ()),
        (None, ["/bin/sh"], ["/bin/sh"], (), ("/bin/sh",)),
        ([""], ["/bin/sh"], ["/bin/sh"], (), ("/bin/sh",)),
        (["/app"], None, ["/app"], ("/app",), None),
        (["/app", "two", "words"], ["x"], ["/app", "two words", "x"], ("/app", "two words"), ("x",)),
    ],
)
def test_portrait__its_program__is_what_really_runs(
    table: names.Names, entrypoint: Any, cmd: Any, words: list[str], command: Any, args: Any
) -> None:
    changes = {"Config": {"Entrypoint": entrypoint, "Cmd": cmd}, "Path": words[0], "Args": words[1:]}
    config = portrait_of(BY_HAND, table, changes).config
    assert (config.command, config.args) == (command, args)


@pytest.mark.parametrize(
    ("key", "value", "field", "expected"),
    [
        ("WorkingDir", "/", "working_dir", "/"),
        ("WorkingDir", "", "working_dir", ""),
        ("Hostname", "shop", "hostname", "shop"),
        ("Env", ["PATH=/own", "HOME=/data", "LANG=C"], "env", (("HOME", "/data"), ("LANG", "C"), ("PATH", "/own"))),
        ("Image", "app:gone", "image", "docker.io/library/app:1"),
        ("Labels", {"app": "ours", "of.the.image": "yes"}, "labels", (("app", "ours"),)),
    ],
)
def test_portrait__of_its_own_settings__says_what_differs_from_its_image(
    table: names.Names, key: str, value: Any, field: str, expected: Any
) -> None:
    candidate = portrait_of(BY_HAND, table, {"Config": {key: value}})
    assert (getattr(candidate.config, field), candidate.unsupported) == (expected, ())


@pytest.mark.parametrize(
    ("signal", "signal_name"), [("15", "SIGTERM"), ("SIGTERM", "SIGTERM"), ("3", ""), ("SIGQUIT", "")]
)
def test_portrait__its_signal__is_named_where_it_is_not_the_images(
    table: names.Names, signal: str, signal_name: str
) -> None:
    assert portrait_of(BY_HAND, table, {"Config": {"StopSignal": signal}}).config.stop.signal == signal_name


def test_portrait__in_the_hosts_network__has_no_name_and_no_networks_of_its_own(table: names.Names) -> None:
    changes = {
        "HostConfig": {"NetworkMode": "host", "PortBindings": {}},
        "Config": {"Hostname": "vm"},
        "NetworkSettings": {"Networks": {"host": {}}},
    }
    config = portrait_of(BY_HAND, table, changes).config
    assert (config.network_mode, config.networks, config.hostname) == (container.NetworkMode.HOST, (), "byhand")


@pytest.mark.parametrize(
    ("options", "size"),
    [("size=1m", 1 << 20), ("rw,size=4096", 4096), ("size=2G,ro", 2 << 30), ("size=16K", 16 << 10), ("size=0", None)],
)
def test_portrait__a_tmpfs__has_its_size(table: names.Names, options: str, size: int | None) -> None:
    mounts = portrait_of(BY_HAND, table, {"HostConfig": {"Tmpfs": {"/t": options}}}).config.mounts
    assert mounts[1:] == (container.TmpfsMount("/t", size, "ro" in options.split(",")),)


def test_portrait__a_tmpfs_in_the_long_form__has_its_size(table: names.Names) -> None:
    mounts = [{"Type": "tmpfs", "Target": "/t", "ReadOnly": True, "TmpfsOptions": {"SizeBytes": 4096}}]
    config = portrait_of(BY_HAND, table, {"HostConfig": {"Tmpfs": None, "Mounts": mounts}, "Mounts": []}).config
    assert config.mounts == (container.TmpfsMount("/t", 4096, read_only=True),)


def test_portrait__read_only_under_podman__leaves_out_the_places_that_podman_makes_writable(table: names.Names) -> None:
    own = "rw,rprivate,nosuid,nodev,tmpcopyup"
    tmpfs = {"/run": own, "/tmp": own, "/var/tmp": own, "/t": f"size=1m,{own}"}
    candidate = portrait_of(BY_HAND, table, {"HostConfig": {"ReadonlyRootfs": True, "Tmpfs": tmpfs}})
    assert (candidate.config.mounts[1:], candidate.unsupported) == ((container.TmpfsMount("/t", 1 << 20),), ())


def test_portrait__ports_that_the_engine_chose__are_those_that_it_has_chosen(table: names.Names) -> None:
    bindings = {"80/tcp": [{"HostPort": ""}, {"HostIp": "127.0.0.1", "HostPort": "0"}], "53/udp": [{"HostPort": "8-9"}]}
    actual = {
        "80/tcp": [
            {"HostIp": "0.0.0.0", "HostPort": "49153"},
            {"HostIp": "::", "HostPort": "49153"},
            {"HostIp": "127.0.0.1", "HostPort": "49154"},
        ],
        "53/udp": [{"HostIp": "0.0.0.0", "HostPort": "8"}],
    }
    networks = BY_HAND["NetworkSettings"]["Networks"]
    changes = {"HostConfig": {"PortBindings": bindings}, "NetworkSettings": {"Ports": actual, "Networks": networks}}
    candidate = portrait_of(BY_HAND, table, changes)
    assert [str(port) for port in candidate.config.ports] == [
        "0.0.0.0:8:53/udp",
        "0.0.0.0:49153:80/tcp",
        "127.0.0.1:49154:80/tcp",
    ]
    stopped = portrait_of(BY_HAND, table, {"HostConfig": {"PortBindings": bindings}})
    assert stopped.unsupported == (
        "it publishes 80/tcp wherever the engine likes",
        "it publishes 53/udp wherever the engine likes",
    )


@pytest.mark.parametrize(
    ("check", "command"),
    [
        ({"Test": ["CMD-SHELL", "curl -f localhost"]}, ("/bin/sh", "-c", "curl -f localhost")),
        ({"Test": ["CMD", "curl", "-f"]}, ("curl", "-f")),
        ({"Test": ["NONE"]}, None),
        ({}, None),
    ],
)
def test_portrait__a_health_check__is_a_readiness_probe(table: names.Names, check: Json, command: Any) -> None:
    probe = portrait_of(BY_HAND, table, {"Config": {"Healthcheck": check}}).config.health.readiness
    assert (None if probe is None else probe.action.command) == command


def test_portrait__its_image_has_lost_its_name__cannot_be_said(table: names.Names) -> None:
    image = {**twin.IMAGE, "RepoTags": ["<none>:<none>"]}
    assert adoptable.candidate(BY_HAND, image, table).unsupported == ("its image has no name any more",)


def test_name_for__no_name_of_a_manifest__is_bent_and_never_given_twice() -> None:
    assert adoptable.name_for("web", ()) == "web"
    assert adoptable.name_for("my_Shop.web_1", ()) == "my-shop-web-1"
    assert adoptable.name_for("a_b", {"a-b", "a-b-2"}) == "a-b-3"
    assert adoptable.name_for("___", ()) == "unnamed"
    assert adoptable.name_for("x" * 70, ()) == "x" * 63
    assert adoptable.name_for("x" * 70, {"x" * 63}) == "x" * 58 + "-2"


def test_portrait__a_mount_of_dockers_own_root__is_what_docker_makes_of_it(table: names.Names) -> None:
    mounts = [{"Type": "bind", "Source": "/", "Destination": "/host", "RW": False, "Propagation": "rslave"}]
    candidate = portrait_of(BY_HAND, table, {"Mounts": mounts, "HostConfig": {"Binds": ["/:/host:ro"], "Tmpfs": None}})
    assert (candidate.config.mounts, candidate.unsupported) == (
        (container.BindMount("/", "/host", read_only=True),),
        (),
    )
    asked = portrait_of(
        BY_HAND, table, {"Mounts": mounts, "HostConfig": {"Binds": ["/:/host:ro,rslave"], "Tmpfs": None}}
    )
    assert asked.unsupported == ("its mount /host is rslave",)
