"""Ours and Docker's, in turns."""

import time

from tests.benchmarks import docker_engine, figures, trimtab_agent, workload

MANY = 50
PROJECT = 20
PASSES = 10


def measure(ours: trimtab_agent.Side, theirs: docker_engine.Docker, rounds: int) -> list[figures.Figure]:
    """Run all comparisons, alternating, so that both sides see the same machine."""
    samples: dict[str, tuple[list[float], list[float]]] = {
        name: ([], []) for name in ("many", "project", "again", "memory")
    }
    for _ in range(rounds):
        with ours.turn() as agent:
            samples["many"][0].append(agent.up(MANY) / MANY * 1000)
            sizes = [workload.resident(pid) for pid in workload.processes("conmon")]
            samples["memory"][0].append(sum(sizes) / len(sizes) / 1e6)
        samples["many"][1].append(theirs.run(MANY) / MANY * 1000)
        samples["memory"][1].append(theirs.shim_memory())
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
        "memory": ("monitor's memory a container", "MB", "< 2.5 MB"),
    }
    return [
        figures.Figure(name, unit, tuple(samples[key][0]), tuple(samples[key][1]), reach)
        for key, (name, unit, reach) in told.items()
    ]


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
