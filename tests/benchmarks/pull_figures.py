"""Images from a registry to ready to run, and back: beside both Dockers, from one registry's data."""

import contextlib
import dataclasses
import os
import pathlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping

from tests import engines, registry
from tests.benchmarks import docker_engine, figures, layers, trimtab_agent, workload

FILES, PACKED = 8400, 115_000_000
"""Of the layer that is pulled: about a small distribution with an interpreter."""
SMALL = 1_000_000
LARGE = 1_000_000_000
"""Bytes of a layer that shows that memory does not grow with it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Registries:
    """One registry's data, served to all sides: each side's network has a door of its own to it."""

    ours: str
    theirs: Mapping[str, str]
    """By the rival's name."""


@dataclasses.dataclass(frozen=True, slots=True)
class Transfers:
    """Pulls and pushes of all sides, in turns."""

    work: pathlib.Path
    doors: Registries
    pulls: figures.Series
    pushes: figures.Series
    changed: figures.Series

    def take_ours(self, agent: trimtab_agent.Agent, turn: int) -> None:
        """Measure us once."""
        self.pulls.add(_pull(agent, self.doors.ours, f"app-{turn}"))
        self.changed.add(_pull(agent, self.doors.ours, f"changed-{turn}"))
        with registry.running(self.work / f"empty-ours-{turn}") as empty:
            self.pushes.add(_push(agent, f"{self.doors.ours}/app-{turn}:1", f"{empty}/app:1"))

    def take_rival(self, name: str, docker: docker_engine.Docker, turn: int) -> None:
        """Measure a rival once."""
        reference = f"{self.doors.theirs[name]}/app-{turn}:1"
        self.pulls.add(_timed(lambda: docker.client("pull", reference)), name)
        with _beside(self.work / f"empty-{turn}" / name, docker.engine) as empty:
            target = f"{empty}/app:1"
            docker.client("tag", reference, target)
            self.pushes.add(_timed(lambda: docker.client("push", target)), name)


def measure(work: pathlib.Path, rounds: int) -> list[figures.Figure]:
    """Measure pulls of one large image, of one that differs in a small layer, and memory meanwhile."""
    _images(work, rounds)
    megabytes = PACKED // 10**6
    with docker_engine.both(work / "engines") as rivals, _served(work, rivals) as doors:
        for name in _names(rounds):
            layers.push(work / name, f"{doors.ours}/{name}:1")
        transfers = Transfers(
            work,
            doors,
            figures.Series(f"pull of {megabytes} MB, {FILES} files", "s", "3x"),
            figures.Series("push of the same to an empty registry", "s", "> 1x"),
            figures.Series("pull with one small layer changed", "s", "< 0.5 s"),
        )
        # One agent for all turns, as there is one daemon: ext4 is slow at making files where many were just removed.
        with trimtab_agent.Side(work).turn() as agent, workload.peak(agent.pid) as memory:
            for turn in range(rounds):
                transfers.take_ours(agent, turn)
                for name, docker in rivals.items():
                    transfers.take_rival(name, docker, turn)
        with trimtab_agent.Side(work).turn() as agent, workload.peak(agent.pid) as large:
            _pull(agent, doors.ours, "large")
    return [
        *(series.figure() for series in (transfers.pulls, transfers.pushes, transfers.changed)),
        figures.Figure(f"peak memory, {megabytes} MB layer", "MiB", tuple(memory), reach="< 150 MB"),
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
def _served(work: pathlib.Path, rivals: Mapping[str, docker_engine.Docker]) -> Iterator[Registries]:
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(registry.running(work / "registry"))
        theirs = {}
        for name, docker in rivals.items():
            door = work / "doors" / name
            door.mkdir(parents=True)
            (door / "data").symlink_to(work / "registry" / "data")
            theirs[name] = stack.enter_context(_beside(door, docker.engine))
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
    command = [sys.executable, "-m", "agent", "image", "push", source, target]
    flags = ["--root", str(agent.root), "--run-dir", str(agent.run)]
    return _timed(lambda: workload.run([*command, *flags]))


def _timed(work: Callable[[], object]) -> float:
    os.sync()
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun
