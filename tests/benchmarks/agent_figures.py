"""What an agent costs by itself: memory, CPU at rest, and how soon a change is a running container."""

import pathlib
import statistics
import time

from tests.benchmarks import figures, trimtab_agent, workload

CONTAINERS = 50
CHANGES = 15
REST = 20.0
"""Seconds of doing nothing over which CPU time is counted."""


def measure(work: pathlib.Path, rounds: int) -> list[figures.Figure]:
    """Measure an agent with fifty containers, and a container's way from file to running."""
    memory, rest, latency = [], [], []
    for _ in range(rounds):
        with trimtab_agent.Side(work).turn() as agent:
            agent.up(CONTAINERS)
            time.sleep(2)  # what start-up has left over is not rest
            begun = workload.cpu_seconds(agent.pid)
            time.sleep(REST)
            rest.append((workload.cpu_seconds(agent.pid) - begun) / REST * 100)
            memory.append(workload.resident(agent.pid))
            latency.append(statistics.median(_latencies(agent)) * 1000)
    return [
        figures.Figure(f"agent's memory with {CONTAINERS} containers", "MiB", tuple(memory), reach="< 80 MB"),
        figures.Figure(f"agent's CPU at rest with {CONTAINERS} containers", "%", tuple(rest), reach="< 0.5 %"),
        figures.Figure("change to running container, cached image", "ms", tuple(latency), reach="< 200 ms"),
    ]


def _latencies(agent: trimtab_agent.Agent) -> list[float]:
    found = []
    for number in range(CHANGES):
        before = agent.running()
        begun = time.perf_counter()
        agent.drop(f"one-{number}.yaml", _one(number))
        trimtab_agent.wait(lambda before=before: agent.running() == before + 1, "one more container")
        found.append(time.perf_counter() - begun)
    return found


def _one(number: int) -> str:
    return (
        f"apiVersion: trimtab.dev/v1\nkind: Container\nmetadata: {{name: one-{number}}}\n"
        f"spec:\n  image: {{name: bench}}\n  command: [{workload.WORDS}]\n  networks: [bench]\n"
        "  stop: {gracePeriod: 0s}\n"
    )
