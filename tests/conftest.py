"""What every test needs."""

import asyncio
import pathlib

import pytest

from ops import quickstart_image


_TOGETHER = {"docker_engine": "engines", "podman_engine": "engines", "harness": "conformance"}
"""Fixtures whose tests share names of the kernel, or an engine that takes a while to start: (fixture, group)."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let tests that share something follow one another in one process; all others run beside each other."""
    for item in items:
        used = getattr(item, "fixturenames", ())
        group = next((name for fixture, name in _TOGETHER.items() if fixture in used), "")
        if item.get_closest_marker("engine") is not None:
            group = "engines"
        if group:
            item.add_marker(pytest.mark.xdist_group(group))


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
