"""Signals as the loop would tell them, and a scrape of what is made from them."""

import dataclasses
import re
from collections.abc import Mapping

import pytest

from agent.converge import report, signals, verdicts
from agent.converge import wish as wishes
from agent.model import state
from agent.plan import planner
from agent.runtime import api
from agent.runtime import disk as disks
from agent.telemetry import exporter, tally
from tests import builders


@dataclasses.dataclass(slots=True)
class Clock:
    """A clock that stands still until a test moves it."""

    at: float = builders.NOW + 5.0
    """A moment after every other one here."""

    def now(self) -> float:
        """Give it."""
        return self.at

    def monotonic(self) -> float:
        """Give the same."""
        return self.now()


@dataclasses.dataclass(slots=True)
class Usage:
    """A runtime of which only the usage is asked."""

    given: dict[str, api.ContainerStats] = dataclasses.field(default_factory=dict)
    failure: Exception | None = None
    room: disks.Space | None = None

    @property
    def disk(self) -> "Usage":
        """Be that role as well."""
        return self

    async def space(self) -> disks.Space | None:
        """Give it."""
        return self.room

    @property
    def containers(self) -> "Usage":
        """Be that role too."""
        return self

    @property
    def features(self) -> api.Features:
        """Be the memory runtime."""
        return api.Features("memory", frozenset())

    async def stats(self) -> Mapping[str, api.ContainerStats]:
        """Give it, or fail."""
        if self.failure is not None:
            raise self.failure
        return self.given


def walked(desired: state.DesiredState, observed: state.ObservedState, **fields: object) -> signals.PassFinished:
    """Make a pass, as the loop would."""
    wish = wishes.Wish.everything(desired)
    computed = planner.compute_plan(desired, observed, builders.rules(prune=wish.prune))
    facts = verdicts.Facts(wish, observed, computed, {}, {})
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
class Known:
    """What is told, and what is scraped."""

    tally: tally.Tally
    usage: Usage
    exporter: exporter.Exporter
    clock: Clock

    async def scrape(self) -> dict[str, float]:
        """Give every sample: its name with its labels sorted -> its value."""
        body, _ = await self.exporter.render("text/plain")
        found = {}
        for line in body.decode().splitlines():
            match = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
            if match and not line.startswith("#"):
                found[f"{match[1]}{{{match[2] or ''}}}"] = float(match[3])
        return found


@pytest.fixture
def known() -> Known:
    told, usage, clock = tally.Tally(), Usage(), Clock()
    scrapes = exporter.Exporter(told, usage, clock)  # type: ignore[arg-type] - no more is asked of it
    return Known(told, usage, scrapes, clock)
