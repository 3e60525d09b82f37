"""What many containers cost: a thousand on three networks, from nothing, at rest, scraped, and removed."""

import dataclasses
import pathlib
import statistics
import time
import urllib.request

from tests.benchmarks import figures, trimtab_agent, workload

CONTAINERS = 1000
NETWORKS = 3
EDGE = 200
"""Containers of the first and of the last part, whose pace is compared."""
REST = 20.0
"""Seconds of doing nothing over which CPU time is counted."""
SCRAPES = 5
_POLL = 0.05
"""Seconds between two looks: reading a thousand records takes CPU from what is measured."""
GRACE = 10
"""Seconds that each container uses up where it is not to be killed at once."""
_COUNT = 'trimtab_reconcile_duration_seconds_count{result="success"}'
_TOTAL = 'trimtab_reconcile_duration_seconds_sum{result="success"}'
_PASSES = 5


@dataclasses.dataclass(frozen=True, slots=True)
class Rise:
    """How a number of containers came up."""

    seconds: float
    cpu: float
    """The agent's own, without its children's."""
    pace: float
    """Seconds of the last part, as a multiple of those of the first."""


def measure(work: pathlib.Path, rounds: int, count: int = CONTAINERS) -> list[figures.Figure]:
    """Measure a thousand containers; rounds of up, rest, scrape and down."""
    rises: list[Rise] = []
    removals, slow_removals, memory, rest, passes, scrapes = [], [], [], [], [], []
    for _ in range(rounds):
        with trimtab_agent.Side(work).turn() as agent:
            rises.append(_rise(agent, count, grace=0))
            time.sleep(3)  # what starting has left over is not rest
            begun = workload.cpu_seconds(agent.pid)
            time.sleep(REST)
            rest.append((workload.cpu_seconds(agent.pid) - begun) / REST * 100)
            memory.append(workload.resident(agent.pid))
            passes.append(_pass_without_changes(agent, count) * 1000)
            scrapes.append(_scrape(agent))
            removals.append(_fall(agent))
            _rise(agent, count, grace=GRACE)
            slow_removals.append(_fall(agent))
    name = f"{count} containers on {NETWORKS} networks"
    return [
        figures.Figure(f"{name}, from nothing", "s", tuple(rise.seconds for rise in rises), reach="< 18 s"),
        figures.Figure("the agent's own CPU time in it", "s", tuple(rise.cpu for rise in rises)),
        figures.Figure(
            f"the last {EDGE} as long as the first times", "", tuple(rise.pace for rise in rises), reach="< 1.2"
        ),
        figures.Figure(f"pass without changes, {count} containers", "ms", tuple(passes), reach="< 60 ms"),
        figures.Figure(f"agent's memory with {count} containers", "MiB", tuple(memory), reach="< 110 MiB"),
        figures.Figure(f"agent's CPU at rest with {count} containers", "%", tuple(rest), reach="< 0.5 %"),
        figures.Figure(f"a scrape of {count} containers", "s", tuple(scrapes), reach="< 0.25 s"),
        figures.Figure(f"removing {count}, no grace needed", "s", tuple(removals), reach="< 12 s"),
        figures.Figure(f"removing {count}, each uses up {GRACE} s of grace", "s", tuple(slow_removals), reach="< 30 s"),
    ]


def manifests(count: int, grace: int) -> str:
    """Return the manifests of the networks and so many containers, spread over them in turn."""
    documents = [
        f"apiVersion: trimtab.dev/v1\nkind: Network\nmetadata: {{name: net{number}}}\n"
        f"spec: {{driver: bridge, subnets: [10.213.{4 * number}.0/22]}}\n"
        for number in range(NETWORKS)
    ]
    documents += [
        f"apiVersion: trimtab.dev/v1\nkind: Container\nmetadata: {{name: c{number}}}\n"
        f"spec:\n  image: {{name: bench}}\n  command: [{workload.WORDS}]\n  networks: [net{number % NETWORKS}]\n"
        f"  stop: {{gracePeriod: {grace}s}}\n"
        for number in range(count)
    ]
    return "---\n".join(documents)


def _rise(agent: trimtab_agent.Agent, count: int, grace: int) -> Rise:
    """Drop the manifests and return how the containers came up."""
    begun, cpu = time.perf_counter(), workload.cpu_seconds(agent.pid)
    agent.drop("bench.yaml", manifests(count, grace))
    marks = {}
    for mark in (EDGE, count - EDGE, count):
        trimtab_agent.wait(lambda mark=mark: agent.running() >= mark, f"{mark} running containers", _POLL)
        marks[mark] = time.perf_counter() - begun
    last = marks[count] - marks[count - EDGE]
    return Rise(marks[count], workload.cpu_seconds(agent.pid) - cpu, last / marks[EDGE])


def _fall(agent: trimtab_agent.Agent) -> float:
    """Take the manifests away and return the seconds until nothing of the containers is left."""
    begun = time.perf_counter()
    (agent.source / "bench.yaml").unlink()
    trimtab_agent.wait(lambda: agent.containers() == 0, "no container", _POLL)
    seconds = time.perf_counter() - begun
    trimtab_agent.wait(lambda: agent.networks() == 0, "no network", _POLL)
    return seconds


def _pass_without_changes(agent: trimtab_agent.Agent, count: int) -> float:
    """Return the seconds of a pass that finds nothing to do, by the agent's own metric."""
    text = manifests(count, 0)
    begun, passes = agent.metric(_TOTAL), agent.metric(_COUNT)
    for number in range(_PASSES):
        agent.drop("bench.yaml", f"{text}# look again: {number}\n")
        time.sleep(3)
    return (agent.metric(_TOTAL) - begun) / (agent.metric(_COUNT) - passes)


def _scrape(agent: trimtab_agent.Agent) -> float:
    """Return the median seconds of a scrape."""
    seconds = []
    for _ in range(SCRAPES):
        begun = time.perf_counter()
        with urllib.request.urlopen(f"http://127.0.0.1:{agent.port}/metrics", timeout=30) as answer:
            answer.read()
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds)
