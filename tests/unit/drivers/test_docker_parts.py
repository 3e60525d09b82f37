"""The small parts of the driver for engines: notes, names, addresses, complaints, logs, usage."""

import hashlib
import json
import pathlib
import struct

import pytest

from agent.drivers.docker import endpoint, failures, logs, names, notes, ssh, usage
from agent.model.key import Kind
from agent.runtime import api, errors

LABELS = (("trimtab.dev/owner", "test1"),)


def test_notes__written__are_there_again_and_closed_to_others(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "notes.json"
    book = notes.Book(path)
    book.note_image("docker.io/library/nginx:1", LABELS)
    book.note_volume("data", LABELS)
    book.note_name(Kind.CONTAINER, "shop-web-1", "shop_web_1")
    book.note_container("c1", notes.ContainerNote(stop_requested_at=5.0))
    assert path.stat().st_mode & 0o777 == 0o600
    again = notes.Book(path)
    assert (again.images(), again.volume("data")) == ({"docker.io/library/nginx:1": LABELS}, LABELS)
    assert again.container("c1").stop_requested_at == 5.0
    assert again.engine_name(Kind.CONTAINER, "shop-web-1") == "shop_web_1"
    assert again.declared_name(Kind.CONTAINER, "shop_web_1") == "shop-web-1"
    again.forget(Kind.CONTAINER, "shop_web_1")
    again.forget(Kind.VOLUME, "data")
    assert notes.Book(path).engine_name(Kind.CONTAINER, "shop-web-1") == "shop-web-1"
    assert notes.Book(path).volume("data") is None


def test_notes__damaged_or_only_read__are_as_good_as_none_and_stay_as_they_are(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "notes.json"
    path.write_text("{nonsense")
    book = notes.Book(path, read_only=True)
    book.note_volume("data", LABELS)
    assert path.read_text() == "{nonsense"
    assert notes.Book(path).volume("data") is None


def test_names__an_engines_own_networks__are_no_objects_unless_adopted(tmp_path: pathlib.Path) -> None:
    book = notes.Book(tmp_path / "notes.json")
    table = names.Names(book, "test1")
    assert (table.network("bridge"), table.network("shop")) == ("trimtab-test1-bridge", "shop")
    assert table.declared_network("trimtab-test1-bridge") == "bridge"
    assert table.declared_network("trimtab-other-bridge") == "trimtab-other-bridge"
    assert table.is_built_in("bridge")
    book.note_name(Kind.NETWORK, "bridge", "bridge")
    assert (table.network("bridge"), table.is_built_in("bridge"), table.is_built_in("host")) == ("bridge", False, True)


@pytest.mark.parametrize(
    ("status", "said", "kind", "reason"),
    [
        (404, "No such container: x", errors.NotFound, "NotFound"),
        (
            409,
            'Conflict. The container name "/web" is already in use by container "1"',
            errors.AlreadyExists,
            "NameTaken",
        ),
        (500, "Bind for 127.0.0.1:80 failed: port is already allocated", errors.Conflict, "PortInUse"),
        (500, "rootlessport listen tcp 0.0.0.0:80: bind: address already in use", errors.Conflict, "PortInUse"),
        (500, "IPAM error: requested ip address 10.0.0.9 is already allocated", errors.Conflict, "AddressInUse"),
        (403, "Pool overlaps with other one on this address space", errors.Conflict, "SubnetInUse"),
        (403, "error while removing network: network x has active endpoints", errors.InUse, "InUse"),
        (
            400,
            "invalid mount config: bind source path does not exist: /x",
            errors.InvalidArgument,
            "MountSourceMissing",
        ),
        (409, "Container 1 is not running", errors.Conflict, "NotRunning"),
        (500, "write /var/lib/docker/tmp: no space left on device", errors.Unavailable, "DiskFull"),
        (500, 'exec: "/nope": stat /nope: no such file or directory: unknown', errors.InvalidArgument, "StartFailed"),
        (404, "manifest for app:9 not found: manifest unknown", errors.NotFound, "ImageNotFound"),
        (500, "pull access denied for app", errors.InvalidArgument, "ImagePullDenied"),
        (
            500,
            "Get https://r/: dial tcp 127.0.0.1:1: connect: connection refused",
            errors.Unavailable,
            "ImagePullFailed",
        ),
        (500, "unable to find network with name or ID shop", errors.NotFound, "NetworkNotFound"),
        (500, "something that nobody has seen", errors.Unavailable, "EngineFailure"),
        (900, "Cannot connect to Docker Engine", errors.Unavailable, "EngineDown"),
    ],
)
def test_failure__an_engines_words__mean_a_kind_and_a_reason(
    status: int, said: str, kind: type[errors.RuntimeFailure], reason: str
) -> None:
    failure = failures.of(status, said, "container web")
    assert (type(failure), failure.reason) == (kind, reason)
    assert said in str(failure)


def test_endpoint__as_the_command_line_would_choose(tmp_path: pathlib.Path) -> None:
    assert endpoint.find("docker", {"DOCKER_HOST": "tcp://10.0.0.1:2376"}).url == "tcp://10.0.0.1:2376"
    assert endpoint.find("podman", {"CONTAINER_HOST": "unix:///run/p.sock"}).local
    meta = tmp_path / "contexts" / "meta" / hashlib.sha256(b"far").hexdigest()
    meta.mkdir(parents=True)
    (meta / "meta.json").write_text(json.dumps({"Endpoints": {"docker": {"Host": "ssh://me@far"}}}))
    (tmp_path / "config.json").write_text('{"currentContext": "far"}')
    chosen = endpoint.find("docker", {"DOCKER_CONFIG": str(tmp_path)})
    assert (chosen.url, chosen.context, chosen.local) == ("ssh://me@far", "far", False)
    with pytest.raises(endpoint.BadEndpoint, match="there is no Docker context 'near'"):
        endpoint.find("docker", {"DOCKER_CONFIG": str(tmp_path), "DOCKER_CONTEXT": "near"})
    with pytest.raises(endpoint.BadEndpoint, match="is no address of an engine"):
        endpoint.find("docker", {"DOCKER_HOST": "nonsense"})


def test_endpoint__with_a_password__never_shows_it() -> None:
    assert str(endpoint.Endpoint("docker", "tcp://me:s3cr3t@host:2375")) == "tcp://host:2375"


def test_ssh__hosts_and_paths__become_one_command_and_options_cannot_be_smuggled_in() -> None:
    words = ssh.command(endpoint.Endpoint("podman", "ssh://me@far:2222/run/podman/podman.sock"))
    assert words[words.index("-p") :] == [
        *(
            "-p",
            "2222",
            "-l",
            "me",
            "--",
            "far",
            "podman",
            "--url",
            "unix:///run/podman/podman.sock",
            "system",
            "dial-stdio",
        ),
    ]
    assert ssh.command(endpoint.Endpoint("docker", "ssh://far"))[-5:] == ["--", "far", "docker", "system", "dial-stdio"]
    for bad in ("ssh://", "ssh://-oProxyCommand=x", "ssh://-l@far", "ssh://me:pw@far"):
        with pytest.raises(endpoint.BadEndpoint):
            ssh.command(endpoint.Endpoint("docker", bad))


def frame(stream: int, text: str) -> bytes:
    return struct.pack(">BxxxL", stream, len(text.encode())) + text.encode()


def test_logs__cut_anywhere__come_out_as_whole_lines() -> None:
    data = b"".join(
        [
            frame(1, "2026-11-25T02:03:51.5Z one\n"),
            frame(2, "2026-11-25T02:03:52Z a long "),
            frame(1, "2026-11-25T02:03:52.1Z two\n"),
            frame(2, "2026-11-25T02:03:52Z line\n"),
        ]
    )
    for cut in range(len(data)):
        frames = logs.Frames()
        told = [*frames.lines(data[:cut]), *frames.lines(data[cut:])]
        assert [(line.stream, line.text) for line in told] == [
            ("stdout", "one"),
            ("stdout", "two"),
            ("stderr", "a long line"),
        ]
    assert told[0].time == 1795572231.5


def test_usage__of_docker_and_of_podman__in_the_same_words() -> None:
    docker = {
        "cpu_stats": {"cpu_usage": {"total_usage": 2_000_000_000}},
        "memory_stats": {"usage": 1000, "limit": 10**12, "stats": {"total_inactive_file": 200}},
        "pids_stats": {"current": 3},
        "networks": {"eth0": {"rx_bytes": 1, "tx_dropped": 2}},
    }
    told = usage.stats(docker, None)
    assert (told.cpu_seconds, told.memory_working_set, told.memory_limit, told.pids) == (2.0, 800, None, 3)
    assert told.networks == (api.NetworkStats("eth0", 1, 0, 0, 0, 0, 0, 0, 2),)
    podman = usage.stats_of_podman({"CPUNano": 10**9, "MemUsage": 5, "PIDs": 1, "NetInput": 7}, 64)
    assert (podman.cpu_seconds, podman.memory_usage, podman.memory_limit, podman.networks[0].receive_bytes) == (
        1.0,
        5,
        64,
        7,
    )
