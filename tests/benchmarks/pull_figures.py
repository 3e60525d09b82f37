"""Images from a registry to ready to run, and back: beside Docker Engine, from the same registry's data."""

import contextlib
import dataclasses
import pathlib
import subprocess
import time
from collections.abc import Iterator

from tests import engines, registry
from tests.benchmarks import docker_engine, figures, layers, trimtab_agent, workload

FILES, PACKED = 8400, 115_000_000
"""Of the layer that is pulled: about a small distribution with an interpreter."""
SMALL = 1_000_000
LARGE = 1_000_000_000
"""Bytes of a layer that shows that memory does not grow with it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Registries:
    """One registry's data, served to both sides: each side's network has a door of its own to it."""

    ours: str
    theirs: str


def measure(work: pathlib.Path, rounds: int) -> list[figures.Figure]:
    """Measure pulls of one large image, of one that differs in a small layer, and memory meanwhile."""
    _images(work, rounds)
    ours, theirs, changed, memory, large = [], [], [], [], []
    with docker_engine.running(work / "engine") as docker, _served(work, docker.engine) as doors:
        for name in _names(rounds):
            layers.push(work / name, f"{doors.ours}/{name}:1")
        for turn in range(rounds):
            with trimtab_agent.Side(work).turn() as agent:
                ours.append(_pull(agent, doors.ours, f"app-{turn}"))
                changed.append(_pull(agent, doors.ours, f"changed-{turn}"))
                memory.append(workload.peak(agent.pid))
            theirs.append(_docker_pull(docker, f"{doors.theirs}/app-{turn}:1"))
        with trimtab_agent.Side(work).turn() as agent:
            _pull(agent, doors.ours, "large")
            large.append(workload.peak(agent.pid))
    return [
        figures.Figure(f"pull of {PACKED // 10**6} MB, {FILES} files", "s", tuple(ours), tuple(theirs), "3x"),
        figures.Figure("pull with one small layer changed", "s", tuple(changed), reach="< 0.5 s"),
        figures.Figure(f"peak memory, {PACKED // 10**6} MB layer", "MiB", tuple(memory), reach="< 150 MB"),
        figures.Figure(f"peak memory, {LARGE // 10**6} MB layer", "MiB", tuple(large), reach="< 150 MB"),
    ]


def _names(rounds: int) -> list[str]:
    return ["large", *(f"{kind}-{turn}" for kind in ("app", "changed") for turn in range(rounds))]


def _images(work: pathlib.Path, rounds: int) -> None:
    big, small, large = work / "big.gz", work / "small.gz", work / "large.gz"
    layers.real(big, FILES, PACKED)
    layers.random(small, SMALL)
    layers.random(large, LARGE)
    layers.layout(work / "large", [large])
    for turn in range(rounds):
        layer = work / f"layer-{turn}.gz"
        layers.variant(layer, big, f"turn-{turn}")
        layers.layout(work / f"app-{turn}", [layer])
        layers.layout(work / f"changed-{turn}", [layer, small])


@contextlib.contextmanager
def _served(work: pathlib.Path, engine: engines.Engine) -> Iterator[Registries]:
    (work / "door").mkdir()
    (work / "door" / "data").symlink_to(work / "registry" / "data")
    with registry.running(work / "registry") as ours:
        with engines.entered(engine):
            door = contextlib.ExitStack()
            theirs = door.enter_context(registry.running(work / "door"))
        with door:
            yield Registries(ours, theirs)


def _pull(agent: trimtab_agent.Agent, address: str, name: str) -> float:
    """Give the seconds from a manifest to an image that is ready to run."""
    before = agent.images()
    begun = time.perf_counter()
    agent.drop(
        f"{name}.yaml",
        f"apiVersion: trimtab.dev/v1\nkind: Image\nmetadata: {{name: {name}}}\n"
        f"spec: {{pull: {{reference: '{address}/{name}:1'}}}}\n",
    )
    trimtab_agent.wait(lambda: agent.images() == before + 1, f"image {name}")
    return time.perf_counter() - begun


def _docker_pull(docker: docker_engine.Docker, reference: str) -> float:
    begun = time.perf_counter()
    subprocess.run(["docker", "-H", docker.engine.url, "pull", reference], check=True, capture_output=True)
    return time.perf_counter() - begun
