"""Ours and Docker's, in turns."""

import statistics
import time

from tests.benchmarks import docker_engine, figures, trimtab_agent, workload

MANY = 50
PROJECT = 20
PASSES = 10


def measure(ours: trimtab_agent.Side, theirs: docker_engine.Docker, rounds: int) -> list[figures.Figure]:
    """Run all comparisons, alternating, so that both sides see the same machine."""
    samples: dict[str, tuple[list[float], list[float]]] = {
        name: ([], []) for name in ("many", "project", "again", "memory", "shared")
    }
    for _ in range(rounds):
        with ours.turn() as agent:
            samples["many"][0].append(agent.up(MANY) / MANY * 1000)
            _take_memory(agent.monitors(), samples["memory"][0], samples["shared"][0])
        samples["many"][1].append(theirs.run(MANY) / MANY * 1000)
        _take_memory(theirs.monitors(), samples["memory"][1], samples["shared"][1])
        theirs.clean()
        with ours.turn() as agent:
            samples["project"][0].append(agent.up(PROJECT))
            samples["again"][0].append(_nothing_to_change(agent) * 1000)
        up, again = theirs.compose(PROJECT)
        samples["project"][1].append(up)
        samples["again"][1].append(again * 1000)
    told = {
        "many": (f"{MANY} containers with bridge network, each", "ms", "5x, < 24 ms"),
        "project": (f"{PROJECT} containers, docker-compose up", "s", "< 0.6 s"),
        "again": (f"nothing to change, {PROJECT} containers", "ms", "< 20 ms"),
        "memory": ("monitor's resident memory a container", "MiB", "< 2.5 MB"),
        "shared": ("the same, shared pages counted once", "MiB", ""),
    }
    return [
        figures.Figure(name, unit, tuple(samples[key][0]), tuple(samples[key][1]), reach)
        for key, (name, unit, reach) in told.items()
    ]


def _take_memory(monitors: list[int], resident: list[float], proportional: list[float]) -> None:
    """Note what one monitor takes on average."""
    resident.append(statistics.fmean(workload.resident(pid) for pid in monitors))
    proportional.append(statistics.fmean(workload.proportional(pid) for pid in monitors))


def _nothing_to_change(agent: trimtab_agent.Agent) -> float:
    """Give the seconds of a pass that finds nothing to do: the agent's own figure, over passes that we provoke."""
    total = 'trimtab_reconcile_duration_seconds_sum{result="success"}'
    count = 'trimtab_reconcile_duration_seconds_count{result="success"}'
    begun, passes = agent.metric(total), agent.metric(count)
    text = (agent.source / "bench.yaml").read_text()
    for number in range(PASSES):
        agent.drop("bench.yaml", f"{text}# look again: {number}\n")
        time.sleep(0.2)
    return (agent.metric(total) - begun) / (agent.metric(count) - passes)
