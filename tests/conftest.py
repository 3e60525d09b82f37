"""What every test needs."""

import asyncio
import pathlib

import pytest

from ops import quickstart_image


@pytest.fixture(scope="session", autouse=True)
def _no_loop_by_accident() -> None:
    """Say that there is no event loop until a test runs one.

    looptime's plugin asks for the current loop before every test. In a session that has not set any, asyncio would
    answer with a new one that nobody closes.
    """
    asyncio.set_event_loop(None)


@pytest.fixture(scope="session")
def busybox_archive(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """An OCI archive with this machine's static busybox in it."""
    path = tmp_path_factory.mktemp("image") / "busybox.tar"
    quickstart_image.main(path)
    return path
