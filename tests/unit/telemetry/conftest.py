"""Signals as the loop would tell them, and a scrape of what is made from them."""

import dataclasses
import re
from collections.abc import Mapping

import pytest

from agent.converge import goal as goals
from agent.converge import report, signals, verdicts
from agent.kit import disk_space as disk_spaces
from agent.kit import machine as machines
from agent.kit import resource_usage
from agent.model import state
from agent.plan import planner
from agent.runtime import api
from agent.telemetry import exporter, metrics_sink
from tests import builders

USAGE = resource_usage.Usage(
    cgroup="/trimtab-0/id-web",
    cpu=resource_usage.Cpu(1.5, 1.0, 0.5),
    throttling=resource_usage.Throttling(20, 10, 0.25),
    cpu_shares=1024,
    memory=resource_usage.Memory(3000, 2000, None, 1200, 1800, 0, 700, 0),
    processes=3,
    threads=7,
    oom_kills=2,
    devices=(resource_usage.Device("/dev/sda", 4096, 512, 3, 1),),
    interfaces=(resource_usage.Interface("eth0", 1, 2, 3, 4, 5, 6, 7, 8),),
)
"""Every figure that there is."""


@dataclasses.dataclass(slots=True)
class Clock:
    """A clock that stands still until a test moves it."""

    at: float = builders.NOW + 5.0
    """A moment after every other one here."""

    def now(self) -> float:
        """Return the moment."""
        return self.at

    def monotonic(self) -> float:
        """Return the same time."""
        return self.now()


@dataclasses.dataclass(slots=True)
class Usage:
    """A runtime of which only the usage is asked."""

    stats_by_id: dict[str, resource_usage.Usage] = dataclasses.field(default_factory=dict)
    failure: Exception | None = None
    disk_space: disk_spaces.DiskSpace | None = None
    size: machines.Machine | None = None

    @property
    def disk(self) -> "Usage":
        """The disk role."""
        return self

    async def space(self) -> disk_spaces.DiskSpace | None:
        """Return the disk space."""
        return self.disk_space

    @property
    def containers(self) -> "Usage":
        """The containers role."""
        return self

    @property
    def features(self) -> api.Features:
        """The memory runtime's features."""
        return api.Features("memory", frozenset())

    async def machine(self) -> machines.Machine | None:
        """Return the machine's size."""
        return self.size

    async def stats(self) -> Mapping[str, resource_usage.Usage]:
        """Return the stats, or raise the failure."""
        if self.failure is not None:
            raise self.failure
        return self.stats_by_id


def walked(desired: state.DesiredState, observed: state.ObservedState, **fields: object) -> signals.PassFinished:
    """Make a pass, as the loop would."""
    goal = goals.Goal.everything(desired)
    computed = planner.compute_plan(desired, observed, builders.rules(prune=goal.prune))
    facts = verdicts.Facts(goal, observed, computed, {}, {})
    base = signals.PassFinished(
        triggers=(signals.Trigger.RUNTIME,),
        duration=0.004,
        desired=desired,
        observed=observed,
        plan=computed,
        statuses=report.report(facts, {}),
        in_flight=0,
        converged=not computed.steps and not computed.blocked,
        at=observed.observed_at,
    )
    return dataclasses.replace(base, **fields)


@dataclasses.dataclass(slots=True)
class Stage:
    """A metrics sink with its exporter."""

    sink: metrics_sink.MetricsSink
    usage: Usage
    exporter: exporter.Exporter
    clock: Clock

    async def scrape(self) -> dict[str, float]:
        """Return every sample: name and sorted labels to value."""
        scrape = await self.exporter.render("text/plain", "")
        samples = {}
        for line in scrape.body.decode().splitlines():
            match = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
            if match and not line.startswith("#"):
                samples[f"{match[1]}{{{match[2] or ''}}}"] = float(match[3])
        return samples


@pytest.fixture
def stage() -> Stage:
    counted, usage, clock = metrics_sink.MetricsSink(), Usage(), Clock()
    scrapes = exporter.Exporter(counted, usage, clock)  # type: ignore[arg-type] - no more is asked of it
    return Stage(counted, usage, scrapes, clock)
