"""Docker as the benchmarks use it: by its own client, and whatever state it gets into."""

import pathlib
import tempfile
from collections.abc import Iterator

import pytest

from tests import engines
from tests.benchmarks import docker_engine

pytestmark = [pytest.mark.root, pytest.mark.engine]


@pytest.fixture(scope="module")
def docker() -> Iterator[docker_engine.Docker]:
    """A daemon of this host's Docker for this file: the one that all tests share would be emptied of its images."""
    with (
        tempfile.TemporaryDirectory(prefix="tt-") as folder,
        docker_engine.running(pathlib.Path(folder) / engines.THIS) as running,
    ):
        yield running


def test_client__is_of_the_daemon_s_own_release(docker: docker_engine.Docker) -> None:
    assert docker.client("version", "--format", "{{.Client.Version}}").strip() == docker.version
    assert docker.version.startswith(docker.name.removeprefix("Docker ") + ".")


def test_remove__containers_that_run__none_is_left(docker: docker_engine.Docker) -> None:
    docker.run(2)
    assert len(docker.monitors()) == 2
    assert docker.remove() > 0
    assert docker.engine.call("GET", "containers/json?all=true") == []
    docker.clean()


def test_recounted__a_network_is_in_use_until_the_daemon_ends__goes_after_a_restart(
    docker: docker_engine.Docker,
) -> None:
    docker.run(1)  # as one that Docker has lost count of
    docker.recounted(lambda: docker.client("network", "rm", "bench"))
    assert "bench" not in {network["Name"] for network in docker.engine.call("GET", "networks")}
    docker.clean()


def test_recounted__any_other_failure__is_told(docker: docker_engine.Docker) -> None:
    with pytest.raises(RuntimeError, match="nobody"):
        docker.recounted(lambda: docker.client("network", "rm", "nobody"))
