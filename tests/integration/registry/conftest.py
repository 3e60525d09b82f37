"""Registries that do what a test says, and an image store that pulls from them."""

import pathlib
from collections.abc import AsyncIterator

import pytest

from agent.distribution.registry import client, retries
from tests import faulty_registry as faulty
from tests import registry


@pytest.fixture
async def server() -> AsyncIterator[faulty.Server]:
    """A registry."""
    async with faulty.served() as faulty_server:
        yield faulty_server


@pytest.fixture
async def other() -> AsyncIterator[faulty.Server]:
    """Another host, as far as HTTP goes."""
    async with faulty.served() as faulty_server:
        yield faulty_server


@pytest.fixture
async def asking() -> AsyncIterator[client.RegistryClient]:
    """A client that asks three times at most, and does not wait long in between."""
    async with client.RegistryClient(attempts=retries.Retries(pauses=(0.01, 0.01))) as registry_asking:
        yield registry_asking


@pytest.fixture
async def store(tmp_path: pathlib.Path) -> AsyncIterator[registry.Store]:
    """An image store; when it is closed, nothing lies in it half written and no answer is left open."""
    async with registry.opened(tmp_path / "store") as opened:
        yield opened


@pytest.fixture(autouse=True)
def docker_config(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """The folder that ``docker login`` would write to, instead of this machine's own."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "none"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    return tmp_path
