"""Registries that do what a test says, and an image store that pulls from them."""

import pathlib
from collections.abc import AsyncIterator

import pytest

from tests import faulty_registry as faulty
from tests import registry


@pytest.fixture
async def server() -> AsyncIterator[faulty.Server]:
    """A registry."""
    async with faulty.served() as made:
        yield made


@pytest.fixture
async def other() -> AsyncIterator[faulty.Server]:
    """Another host, as far as HTTP goes."""
    async with faulty.served() as made:
        yield made


@pytest.fixture
async def store(tmp_path: pathlib.Path) -> AsyncIterator[registry.Store]:
    """An image store; when it is closed, nothing lies in it half written and no answer is left open."""
    async with registry.opened(tmp_path / "store") as opened:
        yield opened


@pytest.fixture(autouse=True)
def docker_config(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """Where ``docker login`` would write."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return tmp_path
