"""Pulls over an engine: the engine is told who we are to the registry, as its API wants to hear it."""

import base64
import json
import os
import pathlib
from typing import Any

import pytest
from aiohttp import web

from agent import errors
from agent.drivers.docker import driver
from agent.model import image
from tests.unit.drivers.docker import http_engine

REFERENCE = "registry.example/shop/web:1"
CONFIG = image.ImageConfig("web", REFERENCE, image.PullSource(""))


@pytest.fixture(autouse=True)
def config(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """The folder that ``docker login`` would write to, instead of this machine's own."""
    for name in ("DOCKER_CONFIG", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path / "config.json"


async def _shown(folder: pathlib.Path) -> list[Any]:
    """Pull, and give what the engine was told of us at each pull."""
    headers: list[Any] = []

    async def pull(request: web.Request) -> web.Response:
        login = request.headers.get("X-Registry-Auth")
        headers.append(json.loads(base64.urlsafe_b64decode(login)) if login else None)
        return web.Response(body=b'{"status": "Pulling"}\n')

    answers = {"POST images/create": pull, f"GET images/{REFERENCE}/json": {"Id": "sha256:1", "Size": 7}}
    async with (
        http_engine.serving(folder / "engine.sock", **answers) as served,
        driver.open_runtime(served.where, driver.Instance("test1", folder / "docker.json")) as runtime,
    ):
        ensured = await runtime.images.ensure(CONFIG, (), lambda _: None)
        assert (ensured.id, ensured.size) == ("sha256:1", 7)
    return headers


async def test_pull__as_nobody__tells_nothing(tmp_path) -> None:
    assert await _shown(tmp_path) == [None]


@pytest.mark.parametrize(
    ("entry", "login"),
    [
        ({"auth": "cGlsb3Q6c2VjcmV0"}, {"username": "pilot", "password": "secret"}),
        ({"username": "x", "identitytoken": "t/+"}, {"identitytoken": "t/+"}),
    ],
)
@pytest.mark.parametrize("key", ["registry.example", "https://registry.example/v2/", "registry.example/shop"])
async def test_pull__with_a_login__tells_it(tmp_path, config, key: str, entry: dict[str, str], login) -> None:
    config.write_text(json.dumps({"auths": {key: entry, "other.example": {"auth": "eDp5"}}}))
    assert await _shown(tmp_path) == [login]


async def test_pull__the_program_that_keeps_the_login_fails__says_which(tmp_path, config) -> None:
    config.write_text(json.dumps({"credsStore": "broken"}))
    with pytest.raises(errors.InvalidArgument, match="docker-credential-broken") as missing:
        await _shown(tmp_path)
    (tmp_path / "docker-credential-broken").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "docker-credential-broken").chmod(0o755)
    with pytest.raises(errors.Unavailable, match=r"docker-credential-broken.* fails with 1") as failed:
        await _shown(tmp_path)
    assert {missing.value.reason, failed.value.reason} == {"CredentialHelperFailed"}
