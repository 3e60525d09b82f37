"""What ``docker login`` has written, and what registries challenge us with."""

import base64
import json
import pathlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.engine.registry import credentials


def encoded(text: str) -> dict[str, str]:
    """Give an entry as ``docker login`` writes it."""
    return {"auth": base64.b64encode(text.encode()).decode()}


@pytest.fixture
def config(tmp_path: pathlib.Path) -> pathlib.Path:
    """A configuration file that is not there yet."""
    return tmp_path / "config.json"


@pytest.mark.parametrize(
    ("registry", "key"),
    [
        ("ghcr.io", "ghcr.io"),
        ("ghcr.io", "https://ghcr.io"),
        ("127.0.0.1:5000", "127.0.0.1:5000"),
        ("docker.io", "docker.io"),
        ("docker.io", "https://index.docker.io/v1/"),
    ],
)
def test_find__an_entry_for_the_registry__is_read(config, registry: str, key: str) -> None:
    config.write_text(json.dumps({"auths": {"other.example": encoded("x:y"), key: encoded("me:a:b\0")}}))
    assert credentials.find(registry, config) == credentials.Credentials("me", "a:b")


@pytest.mark.parametrize("key", ["docker.io", "ghcr.io.example", "https://index.docker.io/v1/", "GHCR.IO", ""])
def test_find__entries_for_others__are_not_shown_to_it(config, key: str) -> None:
    config.write_text(json.dumps({"auths": {key: encoded("me:secret")}}))
    assert credentials.find("ghcr.io", config) is None


def test_find__an_entry_that_is_empty__gives_way_to_the_next(config) -> None:
    auths: dict[str, Any] = {"docker.io": {}, "https://index.docker.io/v1/": encoded("me:secret")}
    config.write_text(json.dumps({"auths": auths}))
    assert credentials.find("docker.io", config) == credentials.Credentials("me", "secret")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '"auths"',
        "{}",
        '{"auths": null}',
        '{"auths": []}',
        '{"auths": {"ghcr.io": null}}',
        '{"auths": {"ghcr.io": {"auth": 1}}}',
        '{"auths": {"ghcr.io": {"auth": "not base64"}}}',
        '{"auths": {"ghcr.io": {"auth": "bWU6c2Vj cmV0"}}}',
        '{"auths": {"ghcr.io": {"auth": "/w=="}}}',
        '{"auths": {"ghcr.io": {"auth": "bm8gY29sb24="}}}',
    ],
)
def test_find__nothing_usable__is_nothing(config, text: str) -> None:
    config.write_text(text)
    assert credentials.find("ghcr.io", config) is None


def test_find__no_file_or_no_text__is_nothing(config, tmp_path) -> None:
    assert credentials.find("ghcr.io", config) is None
    assert credentials.find("ghcr.io", tmp_path) is None
    config.write_bytes(b"\xff\xfe")
    assert credentials.find("ghcr.io", config) is None


def test_config_path__is_where_docker_keeps_it(monkeypatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", "/etc/docker-config")
    assert credentials.config_path() == pathlib.Path("/etc/docker-config/config.json")
    monkeypatch.delenv("DOCKER_CONFIG")
    monkeypatch.setenv("HOME", "/home/pilot")
    assert credentials.config_path() == pathlib.Path("/home/pilot/.docker/config.json")


def test_credentials__are_sent_in_utf8_and_never_printed() -> None:
    known = credentials.Credentials("måns", "пароль")
    assert known.basic() == "Basic bcOlbnM60L/QsNGA0L7Qu9GM"
    assert "måns" not in repr(known)
    assert "пароль" not in f"{known} {[known]}"


@pytest.mark.parametrize(
    ("header", "meant"),
    [
        ('Basic realm="x"', ("basic", "x", "", "")),
        ("BASIC realm=x", ("basic", "x", "", "")),
        ("basic", ("basic", "", "", "")),
        (
            'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push"',
            ("bearer", "https://auth.docker.io/token", "registry.docker.io", "repository:a/b:pull,push"),
        ),
        ('bearer  Realm = "r" , SERVICE=s', ("bearer", "r", "s", "")),
        ('Bearer realm="first", Basic realm="second"', ("bearer", "first", "", "")),
        ('Bearer error="invalid_token",realm="r"', ("bearer", "r", "", "")),
        ('Bearer realm="never closed', ("bearer", "", "", "")),
    ],
)
def test_challenge__that_we_know__is_read(header: str, meant: tuple[str, str, str, str]) -> None:
    assert credentials.challenge(header) == credentials.Challenge(*meant)


@pytest.mark.parametrize("header", ["", " ", "Negotiate", 'Digest realm="x"', "Bearerrealm=x", 'realm="x"'])
def test_challenge__that_we_do_not_know__is_none(header: str) -> None:
    assert credentials.challenge(header) is None


@given(st.text(max_size=200))
def test_challenge__whatever_it_says__is_read_or_none(text: str) -> None:
    read = credentials.challenge(f"Bearer {text}")
    assert read is not None
    assert read.scheme == "bearer"
    assert '"' not in read.realm
