"""What the agent costs over Docker Engine, and beside docker-compose on the same engine."""

import asyncio
import contextlib
import dataclasses
import os
import pathlib
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator

from agent.drivers.docker import driver, endpoint
from tests import engines, hostports
from tests.benchmarks import docker_engine, figures, images, trimtab_agent, workload

MANY = 200
PROJECT = 20
PASSES = 20
_RHYTHM = 0.5
"""Seconds between two looks."""
_READY = "everything is as declared"
"""What an agent logs once it has nothing left to do."""
_TOTAL = 'trimtab_reconcile_duration_seconds_sum{result="success"}'
_COUNT = 'trimtab_reconcile_duration_seconds_count{result="success"}'


@dataclasses.dataclass(frozen=True, slots=True)
class Side:
    """The command over an engine, with manifests of its own."""

    docker: docker_engine.Docker
    home: pathlib.Path
    pids: list[int] = dataclasses.field(default_factory=list)
    """Of the agents that were run, the last one last."""

    @property
    def source(self) -> pathlib.Path:
        """The manifests."""
        return self.home / "source"

    def command(self, *words: str) -> list[str]:
        """Give a command line."""
        flags = ["--runtime", "docker", "--root", str(self.home / "root"), "--run-dir", str(self.home / "run")]
        return [sys.executable, "-m", "agent", *flags, *words]

    @property
    def environment(self) -> dict[str, str]:
        """Where the engine is."""
        return {**os.environ, **self.docker.engine.environment}

    def run(self, word: str) -> float:
        """Run a command on the manifests and give its seconds."""
        begun = time.perf_counter()
        workload.run(self.command(word, str(self.source)), self.environment)
        return time.perf_counter() - begun

    def delete(self) -> None:
        """Take down what the manifests declare."""
        self.docker.recounted(lambda: self.run("delete"))

    def declare(self, count: int) -> None:
        """Write manifests of the image, and of a network with so many containers, or none of both."""
        self.source.mkdir(parents=True, exist_ok=True)
        (self.source / "image.yaml").write_text(workload.image(images.oci_archive(self.home)))
        containers = self.source / "bench.yaml"
        if count:
            containers.write_text(workload.manifests(count))
        else:
            containers.unlink(missing_ok=True)

    def up(self, count: int) -> float:
        """Bring a project up from nothing but its image by one command, and give its seconds; take it down after."""
        self.declare(0)
        self.run("apply")
        self.declare(count)
        seconds = self.run("apply")
        self.delete()
        return seconds

    def dropped(self, count: int) -> float:
        """Let a running agent bring a project up; seconds from the manifest until the engine says that all run."""
        self.declare(0)
        with self.agent() as log:
            trimtab_agent.wait(lambda: _READY in log.read_text(), "the image")
            begun = time.perf_counter()
            self.declare(count)
            trimtab_agent.wait(lambda: len(self.docker.engine.call("GET", "containers/json")) == count, "all")
            seconds = time.perf_counter() - begun
        self.delete()
        return seconds

    @contextlib.contextmanager
    def agent(self, *flags: str, **environment: str) -> Iterator[pathlib.Path]:
        """Run an agent on the manifests, and give its log."""
        log = self.home / "agent.log"
        words = self.command("run", str(self.source), *(flags or ("--listen", "off")))
        with log.open("wb") as file:
            agent = subprocess.Popen(words, stdout=file, stderr=file, env={**self.environment, **environment})
        try:
            self.pids.append(agent.pid)
            yield log
        finally:
            agent.send_signal(signal.SIGTERM)
            agent.wait()


def measure(work: pathlib.Path, rounds: int) -> list[figures.Figure]:
    """Measure passes with nothing to do over many containers, and a project from nothing beside docker-compose."""
    with docker_engine.running(work / "engine") as docker:
        ours, dropped, bare, theirs = [], [], [], []
        for _ in range(rounds):
            side = Side(docker, work / "project")
            ours.append(side.up(PROJECT))
            dropped.append(side.dropped(PROJECT))
            docker.load()  # ours has deleted it with all else
            bare.append(docker.bare(PROJECT))
            theirs.append(docker.compose(PROJECT)[0])
        wall, cpu, asked = _passes(Side(docker, work / "many"))
    beside, compose = f"{PROJECT} containers on {docker.name}:", {"docker-compose": tuple(theirs)}
    return [
        figures.Figure(f"{beside} a running agent", "s", tuple(dropped), compose, reach="1.5x"),
        figures.Figure(f"{beside} trimtab apply", "s", tuple(ours), compose),
        figures.Figure(f"{beside} bare calls of the API", "s", tuple(bare), compose),
        figures.Figure(
            f"pass without changes, {MANY} containers on {docker.name}", "ms", (wall * 1000,), reach="< 300 ms"
        ),
        figures.Figure("the agent's own CPU time in it", "ms", (cpu * 1000,), reach="< 300 ms"),
        figures.Figure("containers inspected in it", "", (float(asked),), reach="0"),
    ]


def _passes(side: Side) -> tuple[float, float, int]:
    """Give what a pass takes that finds nothing to do: seconds, CPU seconds, and how many containers it inspects."""
    side.declare(MANY)
    side.run("apply")
    try:
        with engines.entered(side.docker.engine):
            return *_timed(side), asyncio.run(_inspected(side))
    finally:
        side.delete()


def _timed(side: Side) -> tuple[float, float]:
    """Let an agent look again and again, and give a look's seconds and the agent's own of CPU time, by its metrics."""
    port = hostports.free_port()
    with side.agent("--listen", f"127.0.0.1:{port}", TRIMTAB_CONVERGE_RELIST=f"{_RHYTHM:g}s") as log:
        trimtab_agent.wait(lambda: _READY in log.read_text(), "a pass")
        begun = _passes_so_far(port)
        cpu = workload.cpu_seconds(side.pids[-1])
        time.sleep(PASSES * _RHYTHM)
        cpu = workload.cpu_seconds(side.pids[-1]) - cpu
        ended = _passes_so_far(port)
    passes = ended[1] - begun[1]
    return (ended[0] - begun[0]) / passes, cpu / passes


async def _inspected(side: Side) -> int:
    """Count the containers that a second look inspects."""
    instance = driver.Instance("bench", side.home / "nobody.json", read_only=True)
    async with driver.open_runtime(endpoint.Endpoint("docker", side.docker.engine.url), instance) as runtime:
        assert len(await runtime.containers.list()) == MANY
        before = runtime.containers.inspections.inspection_count
        await runtime.containers.list()
        return runtime.containers.inspections.inspection_count - before


def _passes_so_far(port: int) -> tuple[float, float]:
    """Give the seconds that all passes took, and their number."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        lines = dict(line.rpartition(" ")[::2] for line in answer.read().decode().splitlines())
    return float(lines[_TOTAL]), float(lines[_COUNT])
