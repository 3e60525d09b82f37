"""The agent's loop: what the source says is brought about and kept so, for ever."""

import asyncio
import contextlib
import dataclasses
from typing import NoReturn

from agent.converge import cycle, describe, intake, once, reconcile, requests, restarts, signals
from agent.converge import goal as goals
from agent.converge import reading as readings
from agent.kit import frozen, tasks
from agent.model import state
from agent.model.key import ObjectKey
from agent.plan import plan
from agent.sources import api

FIRST_READ = 10.0
"""Seconds that the first pass waits for the source, before it goes by the last good revision of an earlier run."""
STUCK = 120.0
"""A pass that takes so many seconds is not coming back."""
MISSED = 3
"""So many relists may be missed before the loop counts as dead."""


@frozen.value
class Changed:
    """What a suspend or resume has come to."""

    subjects: tuple[str, ...]
    """What it has changed: ``KIND/NAME``, or ``Source``."""
    result: reconcile.PassResult | None
    """The first pass that goes by it; ``None``: none was made, or the runtime could not be observed."""


class Loop:
    """Runs until it is cancelled. Containers keep running then, and actions under way are cut off."""

    def __init__(self, parts: reconcile.Parts, source: api.Source) -> None:
        """Take the source, which must be open."""
        self._parts = parts
        around = intake.Surroundings(source, parts.book, parts.sink, parts.time, parts.parse_options)
        self._intake = intake.Intake(around, self._changed)
        self._cycle: cycle.Cycle | None = None
        self._applied: state.DesiredState | None = None
        """What was brought about last: another reading of the same revision may declare something else."""
        self._requests = requests.Requests()

    async def run(self) -> NoReturn:
        """Converge, for ever."""
        async with cycle.Cycle(self._parts, self._current_goal) as going:
            self._cycle = going
            going.keep("source", self._intake.watch)
            going.keep("source confirmation", self._intake.confirm)
            going.keep("external inputs", self._intake.watch_inputs)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FIRST_READ):
                    await self._intake.attempted.wait()
            while True:
                result = await going.run_pass()
                self._requests.note(going.progress.number, result)
                if result is not None and result.converged:
                    self._note_applied(result)

    def wake(self) -> None:
        """Look at the source and at the runtime now, whatever they hint."""
        self._intake.wake()
        if self._cycle is not None:
            self._cycle.triggers.request(signals.Trigger.REQUEST)

    async def look_now(self) -> tuple[reconcile.PassResult | None, ...]:
        """Look at the source and at the runtime now; return the passes until both were looked at.

        The last one began after the look at the source had ended. ``None``: the runtime could not be observed.
        """
        with self._requests.opened() as request:
            await self._intake.look_now()
            if self._cycle is not None:  # or nothing would have looked
                number = self._cycle.progress.number
                self._cycle.triggers.request(signals.Trigger.REQUEST)
                await request.ended_after(number)
            return tuple(request.passes)

    async def suspend(self, keys: frozenset[ObjectKey] | None) -> Changed:
        """Suspend objects, or the source (``None``). Raises ``JournalUnavailable``."""
        return Changed(self._parts.book.suspend(keys, self._parts.time.now()), await self._next_pass())

    async def resume(self, keys: frozenset[ObjectKey] | None) -> Changed:
        """Resume objects, or the source (``None``). Raises ``JournalUnavailable``."""
        return Changed(self._parts.book.resume(keys, self._parts.time.now()), await self._next_pass())

    async def preview(self) -> tuple[readings.Reading, plan.Plan | None]:
        """Return what the source says now, and what a pass would do by that; ``None`` where no pass could be made.

        Raises ``SourceUnavailable``.
        """
        reading = await self._intake.peek()
        result = None if reading.problems else await self._next_pass()
        if result is None or self._cycle is None:
            return reading, None
        goal = await tasks.in_thread(lambda: goals.Goal.everything(reading.desired, self._intake.goal))
        return reading, await self._cycle.preview(goal, result)

    async def apply(self, seconds: float) -> once.Converged:
        """Bring about what the source says now, and wait until all of that is up, or known not to be, or time is over.

        Raises ``SourceUnavailable`` and ``reading.BadManifests``, also where the source does not come to rest.
        """
        until = asyncio.get_running_loop().time() + seconds
        attempt, timed_out = once.Attempt(), False
        desired = await self._intake.read_certain()
        if self._cycle is None:
            return attempt.converged(desired.revision, timed_out=True)
        with self._requests.watched() as passes:
            first = self._cycle.progress.number
            self._cycle.triggers.request(signals.Trigger.REQUEST)
            while not timed_out and not attempt.is_settled:
                try:
                    async with asyncio.timeout_at(until):
                        number, result = await passes.get()
                except TimeoutError:
                    timed_out = True
                else:
                    if number > first and result is not None:
                        attempt.take(result)
                        self._cycle.look_at(attempt.next_look_at)
        converged = attempt.converged(desired.revision, timed_out=timed_out)
        return dataclasses.replace(converged, declares_nothing=not any(True for _ in desired))

    async def restart(self, keys: frozenset[ObjectKey], seconds: float) -> restarts.Request:
        """Restart containers, and return what has become of it: at the end, or so many seconds later.

        What has not begun by then never does.
        """
        if self._cycle is None:
            return restarts.Request(keys)
        with self._cycle.restarts.opened(keys) as request, contextlib.suppress(TimeoutError):
            self._cycle.triggers.request(signals.Trigger.REQUEST)
            async with asyncio.timeout(seconds):
                await request.over()
        return request

    async def _next_pass(self) -> reconcile.PassResult | None:
        """Make a pass now, and return it: it goes by everything that was requested before."""
        if self._cycle is None:
            return None
        with self._requests.opened() as request:
            number = self._cycle.progress.number
            self._cycle.triggers.request(signals.Trigger.REQUEST)
            await request.ended_after(number)
            return request.passes[-1]

    @property
    def converged_once(self) -> bool:
        """Tell whether a pass has been made at all."""
        return self._cycle is not None and self._cycle.progress.last is not None

    def alive(self) -> str:
        """Say what is wrong with the loop itself; empty while it goes round."""
        if self._cycle is None:
            return "the loop has not begun"
        now = asyncio.get_running_loop().time()
        progress = self._cycle.progress
        if progress.began is not None and now - progress.began > STUCK:
            return f"a pass has been under way for {now - progress.began:.0f} s"
        if progress.ended is not None and now - progress.ended > max(MISSED * self._parts.relist, STUCK):
            return f"the last pass was {now - progress.ended:.0f} s ago"
        return ""

    def ready(self) -> str:
        """Say why the agent is not in charge yet or any more; empty when a pass was made and the source is good."""
        if self._cycle is None or self._cycle.progress.last is None:
            return "no pass has been made yet"
        if self._cycle.progress.failures:
            return "the runtime cannot be observed"
        return self._intake.trouble

    @property
    def source_health(self) -> api.SourceHealth:
        """How the last look at the source went."""
        return self._intake.health

    def describe(self) -> str:
        """Tell what is going on: tasks, what is under way, the last plan. For people who debug."""
        last = None if self._cycle is None else self._cycle.progress.last
        return describe.describe(last)

    def _current_goal(self) -> goals.Goal:
        return self._intake.goal

    def _changed(self) -> None:
        if self._cycle is not None:
            self._cycle.triggers.request(signals.Trigger.SOURCE)

    def _note_applied(self, result: reconcile.PassResult) -> None:
        desired, standing = result.goal.desired, self._intake.standing
        is_outdated = desired is not standing and desired.revision == standing.revision
        if desired.revision and desired is not self._applied and not is_outdated:
            self._applied = desired
            reconcile.note_applied(self._parts, desired.revision, self._intake.read_at)
