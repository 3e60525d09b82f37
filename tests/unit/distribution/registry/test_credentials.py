"""What ``docker login`` and ``podman login`` have kept for whom, and that none of it is ever printed."""

import base64
import json
import pathlib
from typing import Any

import pytest

from agent.distribution.registry import credentials

ME = credentials.Credentials("me", "secret")


def encoded(text: str) -> dict[str, str]:
    """Return an entry as ``docker login`` writes it."""
    return {"auth": base64.b64encode(text.encode()).decode()}


@pytest.fixture
def config(tmp_path: pathlib.Path) -> pathlib.Path:
    """A configuration file that is not there yet."""
    return tmp_path / "config.json"


async def _look_up(config: pathlib.Path, registry: str, repository: str = "app") -> credentials.Credentials | None:
    return await credentials.find(registry, repository, [config])


@pytest.mark.parametrize(
    ("registry", "key"),
    [
        ("ghcr.io", "ghcr.io"),
        ("ghcr.io", "https://ghcr.io"),
        ("ghcr.io", "http://ghcr.io/"),
        ("ghcr.io", "https://ghcr.io/v2/"),
        ("ghcr.io", "ghcr.io/v1/"),
        ("127.0.0.1:5000", "127.0.0.1:5000"),
        ("docker.io", "docker.io"),
        ("docker.io", "https://index.docker.io/v1/"),
        ("docker.io", "registry-1.docker.io"),
        ("docker.io", "Docker.io"),
        ("ghcr.io", "GHCR.IO"),
        ("ghcr.io", "ghcr.io:443"),
        ("ghcr.io:5000", "ghcr.io:05000"),
    ],
)
async def test_find__an_entry_for_the_registry__is_read(config, registry: str, key: str) -> None:
    config.write_text(json.dumps({"auths": {"other.example": encoded("x:y"), key: encoded("me:a:b\0")}}))
    assert await _look_up(config, registry) == credentials.Credentials("me", "a:b")


@pytest.mark.parametrize(
    "key",
    [
        "docker.io",
        "ghcr.io.example",
        "https://index.docker.io/v1/",
        "",
        "ghcr.io:80",
        "ghcr.io:8443",
        "ghcr.io/ap",
        "ghcr.io/app/more",
        "io",
    ],
)
async def test_find__entries_for_others__are_not_shown_to_it(config, key: str) -> None:
    config.write_text(json.dumps({"auths": {key: encoded("me:secret")}}))
    assert await _look_up(config, "ghcr.io") is None


async def test_find__an_entry_that_is_empty__gives_way_to_the_next(config) -> None:
    auths: dict[str, Any] = {"docker.io": {}, "https://index.docker.io/v1/": encoded("me:secret")}
    config.write_text(json.dumps({"auths": auths}))
    assert await _look_up(config, "docker.io") == ME


async def test_find__an_address_and_a_name__is_what_the_name_has(config) -> None:
    auths = {"https://ghcr.io": encoded("old:old"), "ghcr.io": encoded("me:secret")}
    config.write_text(json.dumps({"auths": auths}))
    assert await _look_up(config, "ghcr.io") == ME


@pytest.mark.parametrize(
    ("repository", "user"),
    [
        ("app", "all"),
        ("shop/web", "shop"),
        ("shop/web/admin", "admin"),
        ("shop/web/admin/deep", "admin"),
        ("shopping/web", "all"),
        ("shop", "shop"),
    ],
)
async def test_find__parts_of_a_registry__have_their_own_and_the_narrowest_counts(config, repository, user) -> None:
    auths = {"r.example": "all", "r.example/shop": "shop", "r.example/shop/web/admin": "admin", "r.example/x": "x"}
    config.write_text(json.dumps({"auths": {key: encoded(f"{name}:pw") for key, name in auths.items()}}))
    assert await _look_up(config, "r.example", repository) == credentials.Credentials(user, "pw")


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"username": "me", "password": "secret"}, ME),
        ({"username": "other", "password": "other", **encoded("me:secret")}, ME),
        ({"auth": "", "username": "me", "password": "secret"}, ME),
        ({"identitytoken": "t"}, credentials.Credentials(identity_token="t")),
        ({**encoded("0-0:"), "identitytoken": "t"}, credentials.Credentials("0-0", "", "t")),
        ({"auth": "not base64", "identitytoken": "t"}, credentials.Credentials(identity_token="t")),
    ],
)
async def test_find__every_form_of_entry__is_read(config, entry: dict[str, str], expected) -> None:
    config.write_text(json.dumps({"auths": {"ghcr.io": entry}}))
    assert await _look_up(config, "ghcr.io") == expected


async def test_find__several_files__are_asked_in_order_until_one_knows(tmp_path) -> None:
    files = [tmp_path / "missing", tmp_path / "docker", tmp_path / "podman", tmp_path / "last"]
    for path, auths in zip(
        files[1:], ({"a.example": "docker:1"}, {"a.example": "podman:2", "b.example": "podman:3"}, {}), strict=True
    ):
        path.write_text(json.dumps({"auths": {key: encoded(text) for key, text in auths.items()}}))
    assert await credentials.find("a.example", "app", files) == credentials.Credentials("docker", "1")
    assert await credentials.find("b.example", "app", files) == credentials.Credentials("podman", "3")
    assert await credentials.find("c.example", "app", files) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '"auths"',
        "{}",
        "[" * 100_000,
        '{"auths": null}',
        '{"auths": []}',
        '{"auths": {"ghcr.io": null}}',
        '{"auths": {"ghcr.io": {"auth": 1}}}',
        '{"auths": {"ghcr.io": {"auth": "not base64"}}}',
        '{"auths": {"ghcr.io": {"auth": "bWU6c2Vj cmV0"}}}',
        '{"auths": {"ghcr.io": {"auth": "/w=="}}}',
        '{"auths": {"ghcr.io": {"auth": "bm8gY29sb24="}}}',
        '{"auths": {"ghcr.io": {"username": 1, "password": "x", "identitytoken": {}}}}',
        '{"credHelpers": []}',
        '{"credHelpers": {"ghcr.io": 1, "GHCR.IO": ""}}',
        '{"credHelpers": {"ghcr.io": ""}, "credsStore": ""}',
        '{"credsStore": ["desktop"]}',
    ],
)
async def test_find__nothing_usable__is_nothing(config, text: str) -> None:
    config.write_text(text)
    assert await _look_up(config, "ghcr.io") is None


async def test_find__no_file_or_no_text__is_nothing(config, tmp_path) -> None:
    assert await _look_up(config, "ghcr.io") is None
    assert await _look_up(tmp_path, "ghcr.io") is None
    config.write_bytes(b"\xff\xfe")
    assert await _look_up(config, "ghcr.io") is None


def test_paths__are_docker_s_and_then_podman_s__or_the_one_that_is_named(monkeypatch) -> None:
    monkeypatch.delenv("REGISTRY_AUTH_FILE", raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", "/etc/docker-config")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    monkeypatch.setenv("XDG_CONFIG_HOME", "/home/pilot/own")
    assert [str(path) for path in credentials.paths()] == [
        "/etc/docker-config/config.json",
        "/run/user/7/containers/auth.json",
        "/home/pilot/own/containers/auth.json",
    ]
    for name in ("DOCKER_CONFIG", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", "/home/pilot")
    monkeypatch.setattr("os.getuid", lambda: 1000)
    assert [str(path) for path in credentials.paths()] == [
        "/home/pilot/.docker/config.json",
        "/run/containers/1000/auth.json",
        "/home/pilot/.config/containers/auth.json",
    ]
    monkeypatch.setenv("REGISTRY_AUTH_FILE", "/etc/registries/auth.json")
    assert [str(path) for path in credentials.paths()] == ["/etc/registries/auth.json"]


async def test_known__asks_the_files_of_this_host(config, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    config.write_text(json.dumps({"auths": {"ghcr.io/app": encoded("me:secret")}}))
    assert await credentials.find_on_host("ghcr.io", "app/web") == ME


def test_credentials__are_sent_in_utf8_and_never_printed() -> None:
    secrets = credentials.Credentials("måns", "пароль", "жетон")
    assert secrets.basic() == "Basic bcOlbnM60L/QsNGA0L7Qu9GM"
    shown = f"{secrets} {[secrets]} {secrets!r}"
    assert not [secret for secret in ("måns", "пароль", "жетон") if secret in shown]


def test_credentials__of_an_identity_token_alone__are_no_password() -> None:
    assert credentials.Credentials(identity_token="t").basic() == ""
    assert credentials.Credentials("0-0", "", "t").basic() == ""
    assert credentials.Credentials("me", "").basic() == "Basic bWU6"


async def test_credential_store__what_is_declared__comes_before_what_the_host_knows(config, monkeypatch) -> None:
    config.write_text(json.dumps({"auths": {"r.example": encoded("host:1"), "other.example": encoded("host:2")}}))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(config))
    credential_store = credentials.CredentialStore()
    narrow, wide = credentials.Credentials("narrow", "3"), credentials.Credentials("wide", "4")
    assert credential_store.declare({"r.example/team": narrow, "r.example": wide})
    assert not credential_store.declare({"r.example": wide, "r.example/team": narrow}), "it is nothing new"
    assert await credential_store.find("r.example", "team/app") == narrow
    assert await credential_store.find("r.example", "teams/app") == wide
    assert await credential_store.find("other.example", "app") == credentials.Credentials("host", "2")
    assert credential_store.declare({})
    assert await credential_store.find("r.example", "team/app") == credentials.Credentials("host", "1")
