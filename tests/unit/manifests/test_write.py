"""Manifests written from configs mean just those configs, and spell out no default."""

import dataclasses
from typing import Any

import hypothesis
import pytest
import yaml
from hypothesis import strategies as st

from agent.manifests import pipeline, write
from agent.model import container, health, network, secret, state, volume
from tests import builders

WORDS = st.lists(st.text(st.characters(codec="ascii", exclude_characters="\0"), max_size=12), min_size=1, max_size=3)
TEXTS = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), max_size=15)
NAMES = st.from_regex(r"[a-z]([a-z0-9]{0,8}[a-z0-9])?", fullmatch=True)
PAIRS = st.dictionaries(NAMES, TEXTS, max_size=3).map(lambda values: tuple(sorted(values.items())))
SECONDS = st.integers(1, 10**9).map(lambda micro: micro / 10**6)
SIZES = st.integers(6, 4096).map(lambda size: size << 20) | st.integers(6 << 20, 1 << 40)
ACTIONS = st.one_of(
    WORDS.map(lambda words: health.ExecProbe(tuple(words))),
    st.builds(
        health.HttpProbe,
        port=st.integers(1, 65535),
        path=st.sampled_from(["/", "/healthz?a=b"]),
        scheme=st.sampled_from(["http", "https"]),
        headers=st.just((("X-Probe", "yes"),)) | st.just(()),
    ),
    st.builds(health.TcpProbe, port=st.integers(1, 65535)),
)
PROBES = st.none() | st.builds(
    health.Probe,
    action=ACTIONS,
    initial_delay=SECONDS | st.just(0.0),
    period=SECONDS,
    timeout=SECONDS,
    success_threshold=st.integers(1, 9),
    failure_threshold=st.integers(1, 9),
)
MOUNTS = st.one_of(
    st.builds(container.BindMount, source=st.just("/srv"), path=st.just("/a"), read_only=st.booleans()),
    st.builds(container.TmpfsMount, path=st.just("/a"), size=SIZES, read_only=st.booleans()),
)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "labels": PAIRS,
    "command": st.none() | WORDS.map(tuple),
    "args": st.none() | WORDS.map(tuple),
    "env": PAIRS,
    "working_dir": st.sampled_from(["", "/srv"]),
    "hostname": st.sampled_from(["web", "other"]),
    "mounts": st.just(()) | MOUNTS.map(lambda mount: (mount,)),
    "restart": st.builds(
        container.RestartConfig,
        policy=st.sampled_from(container.RestartPolicy),
        backoff=st.builds(container.BackoffConfig, initial=SECONDS, maximum=st.just(2000.0), reset=SECONDS),
    ),
    "health": st.builds(health.HealthConfig, startup=PROBES, readiness=PROBES, liveness=PROBES),
    "resources": st.builds(
        container.Resources,
        cpu_millis=st.none() | st.integers(1, 64_000),
        memory=st.none() | SIZES.map(lambda size: size + (1 << 41)),
        memory_reservation=st.none() | SIZES,
        pids=st.none() | st.integers(1, 4096),
    ),
    "security": st.builds(
        container.Security,
        user=st.sampled_from(["", "nobody", "1:1"]),
        cap_add=st.sampled_from([(), ("NET_ADMIN",)]),
        cap_drop=st.sampled_from([(), ("ALL",), ("CHOWN", "KILL")]),
        read_only_rootfs=st.booleans(),
        no_new_privileges=st.booleans(),
        seccomp=st.sampled_from(container.SeccompProfile),
    ),
    "stop": st.builds(container.StopConfig, signal=st.sampled_from(["", "SIGQUIT"]), grace_period=SECONDS),
}


def read(*documents: write.Json) -> state.DesiredState:
    """Return the desired state of a file of these documents."""
    parsed = pipeline.parse([pipeline.ManifestFile("a.yaml", "/", write.text(list(documents)).encode())])
    assert parsed.problems == ()
    return pipeline.lower(parsed, "r1", {})


def bridged(**fields: Any) -> container.ContainerConfig:
    return builders.config(networks=(container.NetworkAttachment("bridge"),), **fields)


@hypothesis.given(fields=st.fixed_dictionaries({}, optional=FIELDS))
def test_container__whatever_it_is__is_read_back_as_it_was(fields: dict[str, Any]) -> None:
    config = bridged(**fields)
    assert read(write.container_manifest(config)).containers == (config,)


def test_documents__of_a_state_with_logins__have_no_secret() -> None:
    login = secret.Login("registry.example", "db", "me", "pa55word")
    desired = dataclasses.replace(read(write.container_manifest(bridged())), logins=(login,))
    text = write.text(write.documents(desired))
    assert "pa55word" not in text
    assert [document["kind"] for document in yaml.safe_load_all(text)] == ["Network", "Container"]


WHERE = [f"/{letter}" for letter in "abc"]
SEVERAL_MOUNTS = st.lists(
    st.one_of(MOUNTS, st.builds(container.VolumeMount, st.just("data"), st.just(""), st.booleans())), max_size=3
).map(lambda mounts: tuple(dataclasses.replace(mount, path=path) for mount, path in zip(mounts, WHERE, strict=False)))
PORTS = (
    st.lists(
        st.builds(
            container.PortMapping,
            st.integers(1, 65535),
            st.integers(1, 65535),
            st.sampled_from(container.TransportProtocol),
            st.sampled_from(["0.0.0.0", "127.0.0.1"]),
        ),
        max_size=3,
        unique_by=lambda port: (port.host_port, port.protocol),
    )
    .map(sorted)
    .map(tuple)
)
PLACES = st.sets(st.sampled_from(["shop", "lan", "bridge"]), min_size=1).flatmap(
    lambda names: st.tuples(
        *(
            st.builds(container.NetworkAttachment, st.just(name), st.sets(NAMES, max_size=3).map(sorted).map(tuple))
            for name in sorted(names)
        )
    )
)
SUBNETS = (
    network.Subnet("10.90.0.0/24", None, None),
    network.Subnet("10.90.1.0/24", "10.90.1.9", None),
    network.Subnet("10.90.2.0/24", None, "10.90.2.128/25"),
    network.Subnet("10.90.3.0/24", "10.90.3.1", "10.90.3.128/25"),
)
NETWORK = st.builds(
    network.NetworkConfig,
    name=NAMES,
    driver=st.sampled_from(network.NetworkDriver),
    labels=PAIRS,
    subnets=st.sets(st.sampled_from(SUBNETS)).map(lambda values: tuple(sorted(values, key=str))),
    internal=st.booleans(),
    dns=st.booleans(),
    mtu=st.none() | st.integers(68, 65535),
)
VOLUME = st.builds(
    volume.VolumeConfig,
    name=NAMES,
    driver=st.sampled_from(volume.VolumeDriver),
    labels=PAIRS,
    deletion_policy=st.sampled_from(volume.DeletionPolicy),
)
ODD_TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30) | st.sampled_from(
    [
        "1",
        "true",
        "null",
        "~",
        "2026-01-01",
        "0x1F",
        "1e3",
        " ",
        "a: b",
        "- a",
        "#",
        "%",
        "\n",
        "a\n\nb\n",
        "\x85",
        "\u2028",
        "\ufeff",
    ]
)


@hypothesis.given(mounts=SEVERAL_MOUNTS, ports=PORTS, networks=PLACES)
def test_container__with_what_it_uses__is_read_back_as_it_was(
    mounts: tuple[container.Mount, ...],
    ports: tuple[container.PortMapping, ...],
    networks: tuple[container.NetworkAttachment, ...],
) -> None:
    config = builders.config(mounts=mounts, ports=ports, networks=networks)
    used = [write.network_manifest(builders.network_config(name)) for name in ("shop", "lan")]
    desired = read(*used, write.volume_manifest(builders.volume_config()), write.container_manifest(config))
    assert desired.containers == (config,)


@hypothesis.given(values=st.lists(ODD_TEXTS, max_size=4), word=ODD_TEXTS)
def test_container__whatever_its_texts_look_like_in_yaml__is_read_back_as_it_was(values: list[str], word: str) -> None:
    odd = tuple((f"V{number}", value) for number, value in enumerate(values))
    config = bridged(env=odd, labels=odd, args=(word, *values), command=(word,))
    assert read(write.container_manifest(config)).containers == (config,)


@hypothesis.given(config=NETWORK)
def test_network__whatever_it_is__is_read_back_as_it_was(config: network.NetworkConfig) -> None:
    assert config in read(write.network_manifest(config)).networks


@hypothesis.given(config=VOLUME)
def test_volume__whatever_it_is__is_read_back_as_it_was(config: volume.VolumeConfig) -> None:
    assert read(write.volume_manifest(config)).volumes == (config,)


def test_container__all_defaults__is_written_by_its_image_alone() -> None:
    assert write.container_manifest(bridged()) == {
        "apiVersion": "trimtab.dev/v1",
        "kind": "Container",
        "metadata": {"name": "web"},
        "spec": {"image": builders.IMAGE},
    }


def test_container__networks_ports_volumes_and_dependencies__are_read_back() -> None:
    shop = builders.network_config(
        subnets=(
            network.Subnet("10.90.0.0/24", "10.90.0.1", "10.90.0.128/25"),
            network.Subnet("10.91.0.0/24", None, None),
        ),
        internal=False,
        mtu=1400,
    )
    data = dataclasses.replace(builders.volume_config(policy=volume.DeletionPolicy.DELETE), labels=(("a", "b"),))
    db = dataclasses.replace(bridged(), name="db", hostname="db")
    web = builders.config(
        networks=(container.NetworkAttachment("shop", ("www", "x"), "10.90.0.9"),),
        ports=(
            container.PortMapping(53, 53, container.TransportProtocol.UDP, "127.0.0.1"),
            container.PortMapping(8080, 80, container.TransportProtocol.TCP, "0.0.0.0"),
        ),
        mounts=(container.VolumeMount("data", "/data", read_only=True),),
        depends_on=(container.Dependency("db", container.DependencyCondition.HEALTHY),),
    )
    documents = [write.container_manifest(config) for config in (db, web)]
    desired = read(write.network_manifest(shop), write.volume_manifest(data), *documents)
    assert desired.containers == (db, web)
    assert desired.volumes == (data,)
    assert shop in desired.networks


def test_container__without_a_network_of_its_own__says_which_kind() -> None:
    for mode in (container.NetworkMode.HOST, container.NetworkMode.NONE):
        config = builders.config(network_mode=mode)
        assert write.container_manifest(config)["spec"]["networks"] == mode.value
        assert read(write.container_manifest(config)).containers == (config,)
    alone = builders.config()
    assert read(write.container_manifest(alone)).containers == (alone,)


def test_text__several_documents__is_one_file_that_yaml_reads() -> None:
    documents = [write.volume_manifest(builders.volume_config()), write.container_manifest(bridged())]
    assert list(yaml.safe_load_all(write.text(documents))) == documents


def test_text__is_written_as_people_write_it() -> None:
    long = f"x {' '.join(f'w{number:02}' for number in range(40))}"
    documents = [{"name": "\u00fc", "kind": "x", "list": ["1e3", "abc", "a\u2028b", "t\x85u", "a\rb"]}, {"long": long}]
    lines = [
        *("name: \u00fc", "kind: x", "list:", "- '1e3'", "- abc", r'- "a\Lb"', r'- "t\Nu"', r'- "a\rb"', "---"),
        "long: x " + " ".join(f"w{number:02}" for number in range(26)),
        "  " + " ".join(f"w{number:02}" for number in range(26, 40)),
    ]
    assert write.text(documents).split("\n") == [*lines, ""]


IMAGES = [
    {"pull": {"reference": "docker.io/library/app:1"}},
    {"pull": {"reference": "docker.io/library/app:1", "platform": "linux/arm64"}},
    {"pull": {"reference": "docker.io/library/app:1", "policy": "Always"}},
    {"pull": {"reference": "docker.io/library/app:1", "policy": "Never"}},
    {"pull": {"reference": "docker.io/library/app:1", "update": {"interval": "90s"}}},
    {
        "pull": {
            "reference": "docker.io/library/app:1",
            "platform": "linux/arm/v7",
            "policy": "Always",
            "update": {"track": "^1.2", "interval": "1.5s"},
        }
    },
    {"archive": {"path": "/srv/app.tar"}},
]


@pytest.mark.parametrize("spec", IMAGES, ids=str)
def test_image__whatever_its_source__is_written_as_it_was_declared(spec: write.Json) -> None:
    document = {"apiVersion": "trimtab.dev/v1", "kind": "Image", "metadata": {"name": "app"}, "spec": spec}
    assert write.documents(read(document)) == [document]


def test_documents__of_a_whole_state__come_in_the_order_of_reading() -> None:
    used = builders.config("web", networks=(container.NetworkAttachment("shop"),))
    image = {"archive": {"path": "/srv/app.tar"}}
    declared = [
        {"apiVersion": "trimtab.dev/v1", "kind": "Image", "metadata": {"name": "app"}, "spec": image},
        write.network_manifest(builders.network_config()),
        write.volume_manifest(builders.volume_config()),
        write.container_manifest(used),
    ]
    assert [document["kind"] for document in declared] == ["Image", "Network", "Volume", "Container"]
    assert write.documents(read(*reversed(declared))) == declared
