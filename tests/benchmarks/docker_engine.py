"""What is measured of Docker Engine from Debian's packages, of both generations, by its own command lines.

Docker 20.10 is this host's (Debian 12), Docker 26.1 that of the Debian 13 tree (``ops/debian13``). Each is used by the
client of its own Debian, as its users do: a client of another generation asks for other things. Clients are started by
``nsenter`` in the mount namespace in which their daemon runs, those of this host as well, so that both pay the same for
it. Entering the tree anew by ``ops/debian13/enter.sh`` would charge Docker for a shell and a dozen mounts a command.
Clients are called by path, because another ``docker`` may come first in PATH.
"""

import concurrent.futures
import contextlib
import dataclasses
import os
import pathlib
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator

from tests import engines
from tests.benchmarks import images, workload

_PARALLEL = 8
_CLIENT, _COMPOSE = "/usr/bin/docker", "/usr/bin/docker-compose"
_MISCOUNTED = "has active endpoints"
_MAKE_DEBIAN_13 = pathlib.Path(__file__).parents[2] / "ops" / "debian13" / "make.sh"


@dataclasses.dataclass(frozen=True, slots=True)
class Docker:
    """A running daemon with the benchmark's image in it."""

    switch: engines.Running
    work: pathlib.Path
    archive: pathlib.Path
    """The image."""
    version: str
    """As the daemon names it: ``20.10.24+dfsg1``."""

    @property
    def engine(self) -> engines.Engine:
        """Where it is, and its API."""
        return self.switch.engine

    @property
    def name(self) -> str:
        """What people call it: ``Docker 20.10``."""
        return f"Docker {'.'.join(self.version.split('.')[:2])}"

    def load(self) -> None:
        """Load the image."""
        self.client("load", "-i", str(self.archive))

    def run(self, count: int) -> float:
        """Start containers by ``docker run -d``, eight at a time; seconds until the last one runs."""

        def start(number: int) -> None:
            self.client("run", "-d", "--name", f"c{number}", "--network", "bench", images.NAME, *workload.COMMAND)

        self.client("network", "create", "bench")
        begun = time.perf_counter()
        with concurrent.futures.ThreadPoolExecutor(_PARALLEL) as pool:
            list(pool.map(start, range(count)))
        return time.perf_counter() - begun

    def remove(self) -> float:
        """Remove all containers, which run, by one ``docker rm -f``; seconds until it has returned."""
        containers = self.client("ps", "-aq", "--no-trunc").split()
        begun = time.perf_counter()
        self.client("rm", "-f", *containers)
        seconds = time.perf_counter() - begun
        if left_over := self.client("ps", "-aq"):
            raise RuntimeError(f"{self.name} has returned from rm -f and still has {left_over.split()}")
        return seconds

    def recounted(self, removal: Callable[[], object]) -> None:
        """Remove a network, and restart the daemon first where it takes containers that are gone to be still in it.

        Docker 20.10 loses count now and then where many that run are removed side by side, the more often the busier
        the machine is, and counts again when it starts.
        """
        try:
            removal()
        except RuntimeError as failure:
            if _MISCOUNTED not in str(failure):
                raise
            self.switch.restart()
            removal()

    def clean(self) -> None:
        """Remove all containers and the network."""
        containers = self.client("ps", "-aq").split()
        if containers:
            self.client("rm", "-f", *containers)
        networks = self.client("network", "ls", "-q", "--filter", "name=^bench$").split()
        if networks:
            self.recounted(lambda: self.client("network", "rm", *networks))

    def compose(self, count: int) -> tuple[float, float]:
        """Bring a project up and, with nothing to change, up again; the seconds of both."""
        file = self.work / "docker-compose.yaml"
        file.write_text(workload.compose(count, images.NAME))
        seconds = []
        for _ in range(2):
            begun = time.perf_counter()
            self._compose(file, "up", "-d")
            seconds.append(time.perf_counter() - begun)
        self.recounted(lambda: self._compose(file, "down", "-t", "0"))
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

    def client(self, *words: str) -> str:
        """Run a command of its own client, and return what it prints."""
        return workload.run(self.command(*words))

    def command(self, *words: str) -> list[str]:
        """Return the command line of its own client."""
        return self.engine.with_own_programs(_CLIENT, "-H", self.engine.url, *words)

    def _compose(self, file: pathlib.Path, *words: str) -> None:
        environment = {**os.environ, "DOCKER_HOST": self.engine.url, "COMPOSE_PROJECT_NAME": "bench"}
        workload.run(self.engine.with_own_programs(_COMPOSE, "-f", file, *words), environment)


@contextlib.contextmanager
def both(work: pathlib.Path) -> Iterator[dict[str, Docker]]:
    """Run a daemon of each generation at the same time, and return them by name.

    One that is not asked for anything takes next to no CPU time. On a host with the same Docker as Debian 13's there is
    one rival only.
    """
    with running(work / engines.THIS) as host, running(work / engines.DEBIAN_13, engines.DEBIAN_13) as debian_13:
        yield {docker.name: docker for docker in (host, debian_13)}


@contextlib.contextmanager
def running(work: pathlib.Path, generation: str = engines.THIS) -> Iterator[Docker]:
    """Run a daemon with the benchmark's image in it, and end it with all that it has made."""
    if generation == engines.DEBIAN_13:
        subprocess.run([_MAKE_DEBIAN_13], check=True)  # nothing to do where it is there
    with tempfile.TemporaryDirectory(prefix="trimtab-bench-", dir=workload.volatile()) as volatile:
        work.mkdir(parents=True)
        (work / "exec").symlink_to(volatile)
        with engines.controlled("docker", work, generation) as switch:
            version = str(switch.engine.call("GET", "version")["Version"])
            docker = Docker(switch, work, images.docker_archive(work), version)
            docker.load()
            yield docker
            docker.clean()
