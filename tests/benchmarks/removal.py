"""Removing running containers: from the manifest that no longer declares them until nothing of them is left.

A directory is believed about what it no longer declares after it has said the same for a second
(``converge/acceptance``): that wait is ours alone and on purpose, so that both are measured, with and without it.
"""

import contextlib
import dataclasses
import pathlib
import sqlite3
import time
from collections.abc import Iterator

from agent.engine import layout
from agent.engine.cgroups import hierarchy
from tests.benchmarks import trimtab_agent, workload


@dataclasses.dataclass(frozen=True, slots=True)
class Removal:
    """How long it took to remove all containers."""

    seconds: float
    """From the change of the manifest."""
    work: float
    """From when the agent has believed it."""


def measure(agent: trimtab_agent.Agent) -> Removal:
    """Declare the network alone, as Docker keeps its own too, and wait until nothing of the containers is left."""
    before = _believed(agent)
    begun = time.time()
    agent.drop("bench.yaml", workload.manifests(0))
    trimtab_agent.wait(lambda: next(remains(agent), None) is None, "nothing left of the containers")
    ended = time.time()
    believed = _believed(agent)
    if believed <= before:
        raise RuntimeError("the containers are gone, but the agent has taken no new revision")
    return Removal(ended - begun, ended - believed)


def remains(agent: trimtab_agent.Agent) -> Iterator[str]:
    """Name what is left of an agent's containers: in its records, in the kernel and on the disk.

    What is cheap to look at comes first: whoever waits for nothing to be left asks for the first name only, and takes
    little CPU time from what is measured. A process without a monitor is in a cgroup, which cannot go before it.
    """
    where = layout.of(agent.root, agent.run)
    if count := agent.containers():
        yield f"{count} records"
    for folder in (where.namespaces, where.bundles, where.containers):
        yield from map(str, folder.iterdir())
    yield from (f"veth {link.name}" for link in pathlib.Path("/sys/class/net").glob(f"v{where.instance}*"))
    for root in hierarchy.of_host().roots():
        yield from (f"cgroup {path}" for path in _folders(root / where.cgroup))
    for line in pathlib.Path(f"/proc/{agent.pid}/mountinfo").read_text().splitlines():
        if f" {where.root}/" in line or f" {where.run}/" in line:
            yield f"mount {line.split()[4]}"
    yield from (f"monitor {pid}" for pid in agent.monitors())


def _folders(cgroup: pathlib.Path) -> Iterator[pathlib.Path]:
    with contextlib.suppress(FileNotFoundError):  # the parent of all goes with the last one
        yield from (path for path in cgroup.iterdir() if path.is_dir())


def _believed(agent: trimtab_agent.Agent) -> float:
    """Return when the agent has taken its newest revision, by its own journal."""
    with contextlib.closing(sqlite3.connect(f"file:{agent.root / 'agent.sqlite'}?mode=ro", uri=True)) as journal:
        return float(journal.execute("SELECT max(read_at) FROM revisions").fetchone()[0])
