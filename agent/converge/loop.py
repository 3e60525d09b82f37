"""The agent's loop: what the source says is brought about and kept so, for ever."""

import asyncio
import contextlib
from typing import NoReturn

from agent.converge import cycle, describe, intake, reconcile, signals
from agent.converge import wish as wishes
from agent.sources import api

FIRST_READ = 10.0
"""Seconds that the first pass waits for the source, before it goes by the last good revision of an earlier run."""
ARCHIVES = 30.0
"""Seconds between two looks at image archives."""
STUCK = 120.0
"""A pass that takes so many seconds is not coming back."""
MISSED = 3
"""So many relists may be missed before the loop counts as dead."""


class Loop:
    """Runs until it is cancelled. Containers keep running then, and actions under way are cut off."""

    def __init__(self, parts: reconcile.Parts, source: api.Source) -> None:
        """Take the source, which must be open."""
        self._parts = parts
        around = intake.Surroundings(source, parts.book, parts.sink, parts.time, parts.terms)
        self._intake = intake.Intake(around, self._changed)
        self._cycle: cycle.Cycle | None = None
        self._wish = wishes.Wish.everything(self._intake.standing)
        self._applied = ""

    async def run(self) -> NoReturn:
        """Converge, for ever."""
        async with cycle.Cycle(self._parts, self._wished) as going:
            self._cycle = going
            going.keep("source", self._intake.watch)
            going.keep("archives", lambda: self._intake.watch_archives(ARCHIVES))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FIRST_READ):
                    await self._intake.attempted.wait()
            while True:
                made = await going.turn()
                if made is not None and made.converged:
                    self._note_applied(made)

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
        if not self.converged_once:
            return "no pass has been made yet"
        if self._cycle is not None and self._cycle.progress.failures:
            return "the runtime cannot be observed"
        return self._intake.trouble

    def describe(self) -> str:
        """Tell what is going on: tasks, what is under way, the last plan. For people who debug."""
        last = None if self._cycle is None else self._cycle.progress.last
        return describe.describe(last)

    def _wished(self) -> wishes.Wish:
        if self._wish.desired is not self._intake.standing:
            self._wish = wishes.Wish.everything(self._intake.standing)
        return self._wish

    def _changed(self) -> None:
        if self._cycle is not None:
            self._cycle.triggers.pull(signals.Trigger.SOURCE)

    def _note_applied(self, made: reconcile.Pass) -> None:
        revision = made.wish.desired.revision
        if revision and revision != self._applied:
            self._applied = revision
            reconcile.note_applied(self._parts, revision, self._intake.read_at)
