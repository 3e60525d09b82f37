"""A Trimtab agent as users run it: ``trimtab run`` on a directory, under a root and a run directory of its own."""

import contextlib
import dataclasses
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator

from tests import hostports
from tests.benchmarks import images, workload

_PATIENCE = 120.0
_POLL = 0.005
"""Seconds between two looks: a hundredth of what is measured, and few enough to cost it nothing."""


@dataclasses.dataclass(frozen=True, slots=True)
class Agent:
    """A running agent."""

    source: pathlib.Path
    root: pathlib.Path
    pid: int
    port: int
    run: pathlib.Path
    records: sqlite3.Connection
    """Kept open: opening it at each look would take CPU from what is measured."""

    def drop(self, name: str, text: str) -> None:
        """Put a manifest into the watched directory, whole."""
        temporary = self.source / f".{name}"
        temporary.write_text(text)
        temporary.rename(self.source / name)

    def running(self) -> int:
        """Count the containers that run, by the engine's own records."""
        return self._count('SELECT count(*) FROM containers WHERE body LIKE \'%"phase":"running"%\'')

    def containers(self) -> int:
        """Count the containers, whatever they do."""
        return self._count("SELECT count(*) FROM containers")

    def networks(self) -> int:
        """Count the networks."""
        return self._count("SELECT count(*) FROM networks")

    def images(self) -> int:
        """Count the images."""
        return self._count("SELECT count(*) FROM images")

    def monitors(self) -> list[int]:
        """Give the pids of the containers' monitors."""
        return workload.processes("conmon", self.run)

    def up(self, count: int) -> float:
        """Drop so many containers and give the seconds until all of them run."""
        begun = time.perf_counter()
        self.drop("bench.yaml", workload.manifests(count))
        wait(lambda: self.running() == count, f"{count} running containers")
        return time.perf_counter() - begun

    def metric(self, name: str) -> float:
        """Read one sample of the agent's own metrics; ``name`` with its labels, as it is printed."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as answer:
            for line in answer.read().decode().splitlines():
                if line.startswith(name + " "):
                    return float(line.rpartition(" ")[2])
        raise KeyError(name)

    def _count(self, query: str) -> int:
        return int(self.records.execute(query).fetchone()[0])


@dataclasses.dataclass(frozen=True, slots=True)
class Side:
    """Our side of the comparison: a new agent each turn, with the image loaded before anything is measured."""

    work: pathlib.Path

    @contextlib.contextmanager
    def turn(self) -> Iterator[Agent]:
        """Start an agent that has the image, and remove it with all that it made."""
        home = self.work / "trimtab"
        run = workload.volatile() / self.work.name
        shutil.rmtree(home, ignore_errors=True)
        (home / "source").mkdir(parents=True)
        port = hostports.free_port()
        flags = ["--root", str(home / "root"), "--run-dir", str(run)]
        command = [sys.executable, "-m", "agent", *flags]
        with (home / "agent.log").open("wb") as log:
            process = subprocess.Popen(
                [*command, "run", str(home / "source"), "--listen", f"127.0.0.1:{port}"], stdout=log, stderr=log
            )
        records = home / "root" / "engine.sqlite"
        try:
            wait(lambda: records.exists() and records.stat().st_size > 0, "the agent")
            with contextlib.closing(sqlite3.connect(f"file:{records}?mode=ro", uri=True)) as connection:
                agent = Agent(home / "source", home / "root", process.pid, port, run, connection)
                agent.drop("image.yaml", workload.image(images.oci_archive(self.work)))
                wait(lambda: agent.images() == 1, "the image")
                yield agent
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(_PATIENCE)
            workload.run([*command, "delete", str(home / "source")])
            shutil.rmtree(run)


def wait(condition: Callable[[], bool], what: str, poll: float = _POLL) -> None:
    """Wait until something is so, looking every ``poll`` seconds."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        with contextlib.suppress(sqlite3.OperationalError):
            if condition():
                return
        time.sleep(poll)
    raise TimeoutError(f"{what}: not within {_PATIENCE:g} s")
