"""Ours and Docker's of both generations, in turns."""

import dataclasses
import statistics
import time
from collections.abc import Iterable, Mapping

from tests.benchmarks import docker_engine, figures, removal, trimtab_agent, workload

MANY = 50
PROJECT = 20
PASSES = 10


@dataclasses.dataclass(frozen=True, slots=True)
class Comparison:
    """What is measured of every side, with so many containers."""

    many: int
    project: int
    start: figures.Series
    removal: figures.Series
    removal_work: figures.Series
    up: figures.Series
    unchanged: figures.Series
    resident: figures.Series
    proportional: figures.Series

    def take_ours(self, side: trimtab_agent.Side) -> None:
        """Measure us once."""
        with side.turn() as agent:
            self.start.add(agent.up(self.many) / self.many * 1000)
            self._take_memory(agent.monitors())
            removed = removal.measure(agent)
            self.removal.add(removed.seconds)
            self.removal_work.add(removed.work)
        with side.turn() as agent:
            self.up.add(agent.up(self.project))
            self.unchanged.add(_nothing_to_change(agent) * 1000)

    def take_rival(self, name: str, docker: docker_engine.Docker) -> None:
        """Measure a rival once."""
        self.start.add(docker.run(self.many) / self.many * 1000, name)
        self._take_memory(docker.monitors(), name)
        removed = docker.remove()
        self.removal.add(removed, name)
        self.removal_work.add(removed, name)
        docker.clean()
        up, unchanged = docker.compose(self.project)
        self.up.add(up, name)
        self.unchanged.add(unchanged * 1000, name)

    def figures(self) -> list[figures.Figure]:
        """Return all of it."""
        fields = (getattr(self, field.name) for field in dataclasses.fields(self))
        return [field.figure() for field in fields if isinstance(field, figures.Series)]

    def _take_memory(self, monitors: Iterable[int], rival: str = "") -> None:
        """Note what one monitor takes on average."""
        pids = list(monitors)
        self.resident.add(statistics.fmean(workload.resident(pid) for pid in pids), rival)
        self.proportional.add(statistics.fmean(workload.proportional(pid) for pid in pids), rival)


def measure(
    ours: trimtab_agent.Side,
    theirs: Mapping[str, docker_engine.Docker],
    rounds: int,
    many: int = MANY,
    project: int = PROJECT,
) -> list[figures.Figure]:
    """Run all comparisons, alternating, so that all sides see the same machine."""
    comparison = _comparison(many, project)
    for _ in range(rounds):
        comparison.take_ours(ours)
        for name, docker in theirs.items():
            comparison.take_rival(name, docker)
    return comparison.figures()


def _comparison(many: int, project: int) -> Comparison:
    removing = f"removing {many} running ones"
    return Comparison(
        many,
        project,
        start=figures.Series(f"{many} containers with bridge network, each", "ms", "8x Docker 26.1, < 24 ms"),
        removal=figures.Series(f"{removing}, with the second of a directory's rest", "s"),
        removal_work=figures.Series(f"{removing}, once the directory is believed", "s", "< 0.4 s"),
        up=figures.Series(f"{project} containers, docker-compose up", "s", "< 0.6 s"),
        unchanged=figures.Series(f"nothing to change, {project} containers", "ms", "< 20 ms"),
        resident=figures.Series("monitor's resident memory a container", "MiB", "< 2.5 MB"),
        proportional=figures.Series("the same, shared pages counted once", "MiB"),
    )


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
