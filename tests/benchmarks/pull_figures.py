"""Images from a registry to ready to run, and back: beside Docker Engine, from the same registry's data."""

import contextlib
import dataclasses
import os
import pathlib
import subprocess
import sys
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
    ours, theirs, changed, pushed, their_push = [], [], [], [], []
    with docker_engine.running(work / "engine") as docker, _served(work, docker.engine) as doors:
        for name in _names(rounds):
            layers.push(work / name, f"{doors.ours}/{name}:1")
        # One agent for all turns, as there is one daemon: ext4 is slow at making files where many were just removed.
        with trimtab_agent.Side(work).turn() as agent, workload.peak(agent.pid) as memory:
            for turn in range(rounds):
                ours.append(_pull(agent, doors.ours, f"app-{turn}"))
                changed.append(_pull(agent, doors.ours, f"changed-{turn}"))
                with registry.running(work / f"empty-ours-{turn}") as empty:
                    pushed.append(_push(agent, f"{doors.ours}/app-{turn}:1", f"{empty}/app:1"))
                theirs.append(_docker_pull(docker, f"{doors.theirs}/app-{turn}:1"))
                with _beside(work / f"empty-theirs-{turn}", docker.engine) as empty:
                    their_push.append(_docker_push(docker, f"{doors.theirs}/app-{turn}:1", f"{empty}/app:1"))
        with trimtab_agent.Side(work).turn() as agent, workload.peak(agent.pid) as large:
            _pull(agent, doors.ours, "large")
    return [
        figures.Figure(f"pull of {PACKED // 10**6} MB, {FILES} files", "s", tuple(ours), tuple(theirs), "3x"),
        figures.Figure("push of the same to an empty registry", "s", tuple(pushed), tuple(their_push), "> 1x"),
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
    with registry.running(work / "registry") as ours, _beside(work / "door", engine) as theirs:
        yield Registries(ours, theirs)


@contextlib.contextmanager
def _beside(folder: pathlib.Path, engine: engines.Engine) -> Iterator[str]:
    """Run a registry where an engine is, in its network."""
    with contextlib.ExitStack() as stack:
        with engines.entered(engine):
            address = stack.enter_context(registry.running(folder))
        yield address


def _pull(agent: trimtab_agent.Agent, address: str, name: str) -> float:
    """Give the seconds from a manifest to an image that is ready to run."""
    os.sync()  # what was written before is nobody's to wait for
    before = agent.images()
    begun = time.perf_counter()
    agent.drop(
        f"{name}.yaml",
        f"apiVersion: trimtab.dev/v1\nkind: Image\nmetadata: {{name: {name}}}\n"
        f"spec: {{pull: {{reference: '{address}/{name}:1'}}}}\n",
    )
    trimtab_agent.wait(lambda: agent.images() == before + 1, f"image {name}")
    return time.perf_counter() - begun


def _push(agent: trimtab_agent.Agent, source: str, target: str) -> float:
    return _timed(
        *(sys.executable, "-m", "agent", "image", "push", source, target),
        *("--root", str(agent.root), "--run-dir", str(agent.run)),
    )


def _docker_pull(docker: docker_engine.Docker, reference: str) -> float:
    return _timed("docker", "-H", docker.engine.url, "pull", reference)


def _docker_push(docker: docker_engine.Docker, source: str, target: str) -> float:
    subprocess.run(["docker", "-H", docker.engine.url, "tag", source, target], check=True, capture_output=True)
    return _timed("docker", "-H", docker.engine.url, "push", target)


def _timed(*command: str) -> float:
    os.sync()
    begun = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - begun
