"""What every test needs."""

import asyncio
import pathlib
import tempfile
from collections.abc import Iterator

import hypothesis
import pytest

from tests import engines, quickstart_image

_TOGETHER = {"docker_engine": "engines", "podman_engine": "engines", "harness": "conformance"}
"""Fixtures whose tests share names of the kernel, or an engine that takes a while to start: (fixture, group)."""

hypothesis.settings.load_profile("ci")  # here too: the same cases each time, and no clock decides


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
    """Unset the event loop until a test runs one.

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


@pytest.fixture(scope="session")
def docker_switch() -> Iterator[engines.Running]:
    """A Docker Engine of the tests' own, started for the first who asks for it; whoever stops it starts it again."""
    with (
        tempfile.TemporaryDirectory(prefix="tt-") as folder,
        engines.controlled("docker", pathlib.Path(folder)) as engine,
    ):
        yield engine


@pytest.fixture(scope="session")
def podman_switch() -> Iterator[engines.Running]:
    """A Podman service of the tests' own, started for the first who asks for it; whoever stops it starts it again.

    Podman takes no path of more than 50 characters for what runs.
    """
    with (
        tempfile.TemporaryDirectory(prefix="tt-") as folder,
        engines.controlled("podman", pathlib.Path(folder)) as engine,
    ):
        yield engine


@pytest.fixture(scope="session")
def docker_engine(docker_switch: engines.Running) -> engines.Engine:
    """The Docker Engine, for those who only use it."""
    return docker_switch.engine


@pytest.fixture(scope="session")
def podman_engine(podman_switch: engines.Running) -> engines.Engine:
    """The Podman service, for those who only use it."""
    return podman_switch.engine
