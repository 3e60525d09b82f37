"""Where an engine is: what people have set for its own command line holds, and no password is ever shown."""

import hashlib
import json
import pathlib
import socket
from collections.abc import Iterator

import pytest

from agent.drivers.docker import endpoint


def context(folder: pathlib.Path, name: str, metadata: str) -> None:
    """Write a context's file as ``docker context create`` does."""
    context_folder = folder / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest()
    context_folder.mkdir(parents=True)
    (context_folder / "meta.json").write_text(metadata)


def host(url: str) -> str:
    return json.dumps({"Name": "x", "Metadata": {}, "Endpoints": {"docker": {"Host": url, "SkipTLSVerify": False}}})


@pytest.fixture
def usual_socket(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pathlib.Path]:
    """An engine's socket where it usually is, for both kinds."""
    path = tmp_path / "engine.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        monkeypatch.setattr(endpoint, "DOCKER_SOCKETS", (str(tmp_path / "missing"), str(path)))
        monkeypatch.setattr(endpoint, "PODMAN_SOCKETS", (str(path),))
        yield path


@pytest.mark.parametrize(
    ("flavour", "variable"), [("docker", "DOCKER_HOST"), ("podman", "CONTAINER_HOST")], ids=["docker", "podman"]
)
@pytest.mark.parametrize(
    ("url", "local", "shown"),
    [
        ("unix:///run/e.sock", True, "unix:///run/e.sock"),
        ("tcp://10.0.0.1:2376", False, "tcp://10.0.0.1:2376"),
        ("https://me:s3cr3t@host:2376/x", False, "https://host:2376/x"),
        ("ssh://me:s3cr3t@far/run/podman.sock", False, "ssh://far/run/podman.sock"),
        ("ssh://[fd00::1]:22", False, "ssh://[fd00::1]:22"),
    ],
)
def test_find__the_host_is_set__is_that_one(flavour: str, variable: str, url: str, local: bool, shown: str) -> None:
    engine_endpoint = endpoint.find(flavour, {variable: url, "DOCKER_CONTEXT": "ignored"})
    assert (
        engine_endpoint.flavour,
        engine_endpoint.url,
        engine_endpoint.context,
        engine_endpoint.is_local,
        str(engine_endpoint),
    ) == (flavour, url, "", local, shown)
    assert endpoint.is_local(flavour, {variable: url}) is local


@pytest.mark.parametrize(
    "url",
    [
        "nonsense",
        "ftp://host",
        "tcp:/host",
        "unix",
        "://",
        "ssh://[broken",
        "ssh://host:99999",
        "ssh://h:x",
        "tcp//a:s3cr3t@h",
    ],
)
def test_find__nonsense_is_set__is_refused_without_showing_a_password(url: str) -> None:
    with pytest.raises(endpoint.BadEndpoint, match="is no address of an engine") as caught:
        endpoint.find("docker", {"DOCKER_HOST": url})
    assert "s3cr3t" not in str(caught.value)
    with pytest.raises(endpoint.BadEndpoint):
        endpoint.is_local("podman", {"CONTAINER_HOST": url})


@pytest.mark.parametrize("url", ["foo://me:s3cr3t@host", "ssh://me:s3cr3t@[x", "me:s3cr3t@host"])
def test_find__a_password_in_nonsense__is_not_shown(url: str) -> None:
    with pytest.raises(endpoint.BadEndpoint) as caught:
        endpoint.find("docker", {"DOCKER_HOST": url})
    assert "s3cr3t" not in str(caught.value)


def test_find__a_context__is_where_it_says(tmp_path: pathlib.Path) -> None:
    context(tmp_path, "far", host("ssh://me@far"))
    context(tmp_path, "near", host("unix:///run/near.sock"))
    (tmp_path / "config.json").write_text('{"currentContext": "far"}')
    chosen = {"DOCKER_CONFIG": str(tmp_path)}
    assert endpoint.find("docker", chosen) == endpoint.Endpoint("docker", "ssh://me@far", "far")
    assert endpoint.find("docker", {**chosen, "DOCKER_CONTEXT": "near"}).url == "unix:///run/near.sock"
    assert endpoint.find("docker", {**chosen, "DOCKER_HOST": "tcp://x:1"}).url == "tcp://x:1"
    assert not endpoint.is_local("docker", chosen)
    assert endpoint.is_local("docker", {**chosen, "DOCKER_CONTEXT": "near"})


def test_find__the_configuration_in_the_home__counts(tmp_path: pathlib.Path) -> None:
    context(tmp_path / ".docker", "far", host("tcp://far:2376"))
    (tmp_path / ".docker" / "config.json").write_text('{"currentContext": "far"}')
    assert endpoint.find("docker", {"HOME": str(tmp_path)}).url == "tcp://far:2376"


def test_find__a_context_that_is_not_there__is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(endpoint.BadEndpoint, match="there is no Docker context 'far'") as caught:
        endpoint.find("docker", {"DOCKER_CONFIG": str(tmp_path), "DOCKER_CONTEXT": "far"})
    assert "docker context ls" in str(caught.value)
    with pytest.raises(endpoint.BadEndpoint):
        endpoint.is_local("docker", {"DOCKER_CONFIG": str(tmp_path), "DOCKER_CONTEXT": "far"})


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", '{"Endpoints": {"docker": {}}}', '{"Endpoints": []}'])
def test_find__a_context_that_says_nothing__is_refused(tmp_path: pathlib.Path, text: str) -> None:
    context(tmp_path, "far", text)
    with pytest.raises(endpoint.BadEndpoint, match="the Docker context 'far' cannot be read"):
        endpoint.find("docker", {"DOCKER_CONFIG": str(tmp_path), "DOCKER_CONTEXT": "far"})


def test_find__configuration_is_half_written__is_refused_and_no_other_engine_taken(
    tmp_path: pathlib.Path, usual_socket: pathlib.Path
) -> None:
    assert usual_socket.exists()
    for text in ("", '{"currentContext": "f'):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(endpoint.BadEndpoint, match="does not say which context is current"):
            endpoint.find("docker", {"DOCKER_CONFIG": str(tmp_path)})


@pytest.mark.parametrize("text", ["[]", '{"currentContext": 5}', '{"currentContext": "default"}', "{}"])
def test_find__no_context_is_current__is_the_usual_socket(
    tmp_path: pathlib.Path, usual_socket: pathlib.Path, text: str
) -> None:
    (tmp_path / "config.json").write_text(text)
    assert endpoint.find("docker", {"DOCKER_CONFIG": str(tmp_path)}).url == f"unix://{usual_socket}"


def test_find__nothing_is_set__is_the_usual_socket(tmp_path: pathlib.Path, usual_socket: pathlib.Path) -> None:
    for flavour in ("docker", "podman"):
        assert endpoint.find(flavour, {"HOME": str(tmp_path)}).url == f"unix://{usual_socket}"
        assert endpoint.is_local(flavour, {"HOME": str(tmp_path)})


def test_find__no_engine_listens__is_told_with_the_way_out(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(endpoint, "DOCKER_SOCKETS", (str(tmp_path / "file"),))
    monkeypatch.setattr(endpoint, "PODMAN_SOCKETS", (str(tmp_path / "missing"),))
    with pytest.raises(endpoint.BadEndpoint, match="no engine listens on") as caught:
        endpoint.find("docker", {"HOME": str(tmp_path)})
    assert "systemctl start docker, or set DOCKER_HOST" in str(caught.value)
    with pytest.raises(endpoint.BadEndpoint, match=r"systemctl start podman\.socket"):
        endpoint.find("podman", {})
    assert endpoint.is_local("docker", {"HOME": str(tmp_path)}), "manifests can be checked all the same"
