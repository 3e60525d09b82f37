"""Docker Engine from Debian's packages, started under a root, a socket and a network namespace of its own."""

import concurrent.futures
import contextlib
import dataclasses
import os
import pathlib
import shutil
import subprocess
import time
from collections.abc import Iterator

from tests.benchmarks import images, workload

_PARALLEL = 8
_PATIENCE = 60.0


@dataclasses.dataclass(frozen=True, slots=True)
class Docker:
    """A running daemon."""

    socket: pathlib.Path
    pid: int
    work: pathlib.Path
    run_folder: pathlib.Path

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

    def monitors(self) -> list[int]:
        """Give the pids of what a container costs beside its own program: its containerd-shim."""
        return workload.processes("containerd-shim", self.run_folder)

    def _docker(self, *words: str) -> str:
        return subprocess.run(
            ["docker", "-H", f"unix://{self.socket}", *words], check=True, capture_output=True, text=True
        ).stdout

    def _compose(self, file: pathlib.Path, *words: str) -> None:
        environment = {**os.environ, "DOCKER_HOST": f"unix://{self.socket}", "COMPOSE_PROJECT_NAME": "bench"}
        subprocess.run(["docker-compose", "-f", str(file), *words], check=True, capture_output=True, env=environment)


@contextlib.contextmanager
def running(work: pathlib.Path) -> Iterator[Docker]:
    """Start a daemon with the benchmark's image in it, and end it with all that it has made."""
    work.mkdir(parents=True)
    socket = work / "docker.sock"
    log = (work / "dockerd.log").open("wb")
    run_folder = workload.volatile() / f"{work.parent.name}-docker"
    command = ["dockerd", "--data-root", str(work / "data"), "--exec-root", str(run_folder)]
    command += ["--pidfile", str(work / "pid"), "-H", f"unix://{socket}", "--storage-driver", "overlay2"]
    daemon = subprocess.Popen(
        ["unshare", "--net", "--mount", "sh", "-c", 'ip link set lo up; exec "$@"', "dockerd", *command],
        stdout=log,
        stderr=log,
    )
    docker = Docker(socket, daemon.pid, work, run_folder)
    try:
        _await(docker, daemon, work / "dockerd.log")
        archive = images.docker_archive(work)
        subprocess.run(
            ["docker", "-H", f"unix://{socket}", "load", "-i", str(archive)], check=True, capture_output=True
        )
        yield docker
        docker.clean()
    finally:
        daemon.terminate()
        daemon.wait(_PATIENCE)
        log.close()
        shutil.rmtree(run_folder, ignore_errors=True)


def _await(docker: Docker, daemon: "subprocess.Popen[bytes]", log: pathlib.Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        if daemon.poll() is not None:
            break
        with contextlib.suppress(subprocess.CalledProcessError):
            docker._docker("version")
            return
        time.sleep(0.1)
    raise RuntimeError(f"dockerd does not answer: {log.read_text()[-2000:]}")
