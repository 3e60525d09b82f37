"""What is measured of Docker Engine from Debian's packages, by its own command lines."""

import concurrent.futures
import contextlib
import dataclasses
import os
import pathlib
import subprocess
import tempfile
import time
from collections.abc import Iterator

from tests import engines
from tests.benchmarks import images, workload

_PARALLEL = 8


@dataclasses.dataclass(frozen=True, slots=True)
class Docker:
    """A running daemon with the benchmark's image in it."""

    engine: engines.Engine
    work: pathlib.Path
    archive: pathlib.Path
    """The image."""

    def load(self) -> None:
        """Load the image."""
        self._docker("load", "-i", str(self.archive))

    def run(self, count: int) -> float:
        """Start containers by ``docker run -d``, eight at a time; seconds until the last one runs."""

        def start(number: int) -> None:
            self._docker("run", "-d", "--name", f"c{number}", "--network", "bench", images.NAME, *workload.COMMAND)

        self._docker("network", "create", "bench")
        begun = time.perf_counter()
        with concurrent.futures.ThreadPoolExecutor(_PARALLEL) as pool:
            list(pool.map(start, range(count)))
        return time.perf_counter() - begun

    def clean(self) -> None:
        """Remove all containers and the network."""
        containers = self._docker("ps", "-aq").split()
        if containers:
            self._docker("rm", "-f", *containers)
        with contextlib.suppress(subprocess.CalledProcessError):
            self._docker("network", "rm", "bench")

    def compose(self, count: int) -> tuple[float, float]:
        """Bring a project up and, with nothing to change, up again; the seconds of both."""
        file = self.work / "docker-compose.yaml"
        file.write_text(workload.compose(count, images.NAME))
        seconds = []
        for _ in range(2):
            begun = time.perf_counter()
            self._compose(file, "up", "-d")
            seconds.append(time.perf_counter() - begun)
        self._compose(file, "down", "-t", "0")
        return seconds[0], seconds[1]

    def bare(self, count: int) -> float:
        """Create and start containers by calls of the API and nothing else, eight at a time: what any client pays."""

        def start(number: int) -> None:
            host = {"NetworkMode": "bench"}
            body = {"Image": images.NAME, "Cmd": list(workload.COMMAND), "HostConfig": host}
            made = self.engine.call("POST", f"containers/create?name=c{number}", body)
            self.engine.call("POST", f"containers/{made['Id']}/start")

        begun = time.perf_counter()
        self.engine.call("POST", "networks/create", {"Name": "bench"})
        with concurrent.futures.ThreadPoolExecutor(_PARALLEL) as pool:
            list(pool.map(start, range(count)))
        seconds = time.perf_counter() - begun
        self.clean()
        return seconds

    def monitors(self) -> list[int]:
        """Give the pids of what a container costs beside its own program: its containerd-shim."""
        return workload.processes("containerd-shim", self.work)

    def _docker(self, *words: str) -> str:
        return subprocess.run(
            ["docker", "-H", self.engine.url, *words], check=True, capture_output=True, text=True
        ).stdout

    def _compose(self, file: pathlib.Path, *words: str) -> None:
        environment = {**os.environ, "DOCKER_HOST": self.engine.url, "COMPOSE_PROJECT_NAME": "bench"}
        subprocess.run(["docker-compose", "-f", str(file), *words], check=True, capture_output=True, env=environment)


@contextlib.contextmanager
def running(work: pathlib.Path) -> Iterator[Docker]:
    """Run a daemon with the benchmark's image in it, and end it with all that it has made."""
    with tempfile.TemporaryDirectory(prefix="trimtab-bench-", dir=workload.volatile()) as volatile:
        work.mkdir(parents=True)
        (work / "exec").symlink_to(volatile)
        with engines.running("docker", work) as engine:
            docker = Docker(engine, work, images.docker_archive(work))
            docker.load()
            yield docker
            docker.clean()
