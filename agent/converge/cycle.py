"""Pass after pass, whenever there is a reason; and everything that gives reasons while a runtime is watched."""

import asyncio
import contextlib
import dataclasses
import math
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Self

from agent import errors
from agent.converge import clock_steps, reconcile, restarts, signals, triggers
from agent.converge import goal as goals
from agent.kit import backoff, tasks
from agent.model import ledger
from agent.model.key import Kind, ObjectKey
from agent.observe import image_updates, probes, relist
from agent.plan import plan
from agent.reasons import Reason
from agent.runtime import events

COALESCE_WINDOW = 0.25
"""Seconds that the ends of our own actions may wait for each other while more actions are under way."""
PASS_PAUSE_FACTOR = 9.0
"""A pass is followed by a pause of so many times its length: observing must not take the actions' time."""
IDLE_PAUSE_FACTOR = 1.0
"""The same where no action is under way: whoever waits for the end waits no longer than needed."""
LONGEST_PAUSE = 1.0
OWN_EVENT_WINDOW = 1.0
"""For so many seconds after our own actions, what the runtime tells of their objects is taken as their echo."""
RETRY = 5.0
"""Seconds before a background task that broke is begun again."""

_ENDS = frozenset({events.EventAction.EXITED, events.EventAction.OOM_KILLED})


@dataclasses.dataclass(slots=True)
class Progress:
    """How the passes go; read by health endpoints."""

    began: float | None = None
    """Since when a pass is being made, by the event loop's time; ``None`` between passes."""
    ended: float | None = None
    """When the last one ended."""
    took: float = 0.0
    """How long it was, in seconds."""
    failures: int = 0
    """In a row."""
    number: int = 0
    """Of the pass that began last: they are counted from 1."""
    last: reconcile.PassResult | None = None


class Cycle:
    """The circle of triggers and passes over one runtime. Used as an asynchronous context manager."""

    def __init__(self, parts: reconcile.Parts, goal: Callable[[], goals.Goal]) -> None:
        """``goal`` is asked at every pass."""
        self._parts = parts
        self._goal = goal
        self._stack = contextlib.AsyncExitStack()
        self.triggers = triggers.Triggers()
        self._awaited = False
        """Something waits for more than for what is under way."""
        self.progress = Progress()
        self.crew = tasks.Crew(lambda name, error: parts.sink(signals.TaskFailed(name, error)))
        self._prober = probes.Prober(
            parts.runtime,
            parts.time,
            lambda: self.triggers.request(signals.Trigger.HEALTH),
            lambda result: parts.sink(signals.ProbeFinished(result)),
        )
        self._relist = relist.Relist(parts.relist, parts.time)
        self._update_checker = image_updates.UpdateChecker(parts.runtime.images, parts.time, self._answered)
        self.restarts = restarts.Requests()
        self._reconciler = reconcile.Reconciler(parts, self.crew, self._prober, self.restarts, self._released)
        self._references: frozenset[str] = frozenset()
        self._ours: dict[ObjectKey, float] = {}

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self._prober)
        await self._stack.enter_async_context(self._update_checker)
        await self._stack.enter_async_context(self.crew)
        self.keep("runtime events", self._watch_events)
        self.keep("relist", self._watch_relist)
        self.keep("clock", self._watch_clock)
        self.triggers.request(signals.Trigger.START)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def keep(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Keep a task running for as long as the cycle goes: one that breaks is told of and begun again."""

        async def guarded() -> None:
            while True:
                try:
                    await work()
                except Exception as error:  # noqa: BLE001 - nothing that one of them does may end the agent
                    self._parts.sink(signals.TaskFailed(name, error))
                if tasks.is_ending():
                    return
                await asyncio.sleep(RETRY)

        self.crew.start(guarded(), name=name)

    async def run_pass(self) -> reconcile.PassResult | None:
        """Wait for a reason, and make a pass. ``None`` where the runtime could not be observed: it is tried again."""
        names = await self.triggers.wait(not_before=self._rested())
        loop = asyncio.get_running_loop()
        began = self.progress.began = loop.time()
        self.progress.number += 1
        thorough = self.progress.last is None or self.progress.failures > 0 or signals.Trigger.RELIST in names
        if thorough:
            self._parts.runtime.recheck()
        try:
            self._follow()
            result = await self._reconciler.reconcile(self._goal())
        except Exception as error:  # noqa: BLE001 - told, and tried again: nothing may end the agent
            self._failed(names, loop.time() - began, error)
            return None
        finally:
            self.progress.began, self.progress.ended = None, loop.time()
            self.progress.took = self.progress.ended - began
        if thorough:
            self._relist.done()
        self._succeeded(names, loop.time() - began, result)
        return result

    def look_at(self, moment: float | None) -> None:
        """Make a pass at a moment of the monotonic clock, whatever happens until then; ``None``: at none."""
        if moment is not None:
            within = max(0.0, moment - self._parts.time.monotonic())
            self.triggers.request(signals.Trigger.TIMER, within=within)

    async def preview(self, goal: goals.Goal, result: reconcile.PassResult) -> plan.Plan:
        """Return what a pass would do for a goal by what the last one has observed, without doing it."""
        return await self._reconciler.preview(goal, result)

    async def ask_registries(self, patience: float) -> None:
        """Wait for the first answers on images that follow their registries, so many seconds at most."""
        self._follow()
        await self._update_checker.answered(patience)

    def _follow(self) -> None:
        """Ask registries what is newest of what follows them, with the logins that are declared."""
        book, desired = self._parts.book, self._goal().desired
        self._parts.runtime.images.use(desired.logins)
        references = frozenset(image.reference for image in desired.images)
        for reference in self._references - references:
            self._forget(reference)
        self._references = references
        self._update_checker.track(desired.follows, lambda name: book.entry(ObjectKey(Kind.IMAGE, name)).newest)

    def _forget(self, reference: str) -> None:
        """Let go of what broken pulls have left of an image that is not declared any more."""
        name = f"forgetting {reference}"
        if name not in self.crew:
            self.crew.start(self._parts.runtime.images.forget(reference), name=name)

    def _answered(self, name: str, answer: ledger.LatestImage) -> None:
        book, key = self._parts.book, ObjectKey(Kind.IMAGE, name)
        before = book.entry(key)
        book.remember([dataclasses.replace(before, newest=answer)])
        self._parts.sink(signals.RegistryAnswered(key, before.newest, answer))
        if before.newest is None or dataclasses.replace(before.newest, checked_at=answer.checked_at) != answer:
            self.triggers.request(signals.Trigger.REGISTRY)

    def _rested(self) -> float:
        ended = self.progress.ended
        factor = PASS_PAUSE_FACTOR if self._reconciler.current else IDLE_PAUSE_FACTOR
        return 0.0 if ended is None else ended + min(factor * self.progress.took, LONGEST_PAUSE)

    def _succeeded(self, names: tuple[signals.Trigger, ...], duration: float, result: reconcile.PassResult) -> None:
        ended = asyncio.get_running_loop().time()
        self._ours = {key: at for key, at in self._ours.items() if at + OWN_EVENT_WINDOW > ended}
        self.progress.failures, self.progress.last = 0, result
        self._awaited = any(wait.reason != Reason.IN_PROGRESS for wait in result.plan.blocked)
        now = self._parts.time.now()
        for moment in (result.plan.wake_at, result.changes_at):
            if moment is not None:
                self.triggers.request(signals.Trigger.TIMER, within=max(0.0, moment - now))
        self._parts.sink(
            signals.PassFinished(
                triggers=names,
                duration=duration,
                desired=result.goal.desired,
                observed=result.observed,
                plan=result.plan,
                statuses=result.statuses,
                in_flight=len(result.busy),
                converged=result.converged,
                at=now,
                notices=(*self._parts.runtime.notices(), *self._parts.book.notices()),
            )
        )

    def _failed(self, names: tuple[signals.Trigger, ...], duration: float, error: Exception) -> None:
        self.progress.failures += 1
        self.triggers.request(
            signals.Trigger.TIMER, within=backoff.delay(self.progress.failures, initial=1.0, maximum=60.0)
        )
        self._parts.sink(signals.PassFailed(names, duration, error, self._parts.time.now()))

    def _released(self, keys: frozenset[ObjectKey]) -> None:
        now = asyncio.get_running_loop().time()
        self._ours |= dict.fromkeys(keys, now)
        more_to_come = bool(self._reconciler.current) and not self._awaited
        self.triggers.request(signals.Trigger.ACTION, within=COALESCE_WINDOW if more_to_come else 0.0)

    async def _watch_events(self) -> None:
        stream = self._parts.runtime.events.subscribe()
        try:
            self._parts.sink(signals.EventStream(connected=True, message="", at=self._parts.time.now()))
            self.triggers.request(
                signals.Trigger.RUNTIME, within=COALESCE_WINDOW
            )  # what happened while nobody listened
            async for event in stream:
                self._parts.sink(signals.RuntimeEvent(event))
                self.triggers.request(signals.Trigger.RUNTIME, within=COALESCE_WINDOW if self._is_echo(event) else 0.0)
            message = "the stream ended"
        except errors.Failure as error:
            message = str(error)
        finally:
            if isinstance(stream, AsyncGenerator):
                await stream.aclose()
        self._parts.sink(signals.EventStream(connected=False, message=message, at=self._parts.time.now()))

    def _is_echo(self, event: events.RuntimeEvent) -> bool:
        """Tell whether an event only says what our own action did: it can wait. An end that nobody asked for cannot."""
        key = ObjectKey(event.kind, event.name)
        recent = self._ours.get(key, -math.inf) + OWN_EVENT_WINDOW > asyncio.get_running_loop().time()
        return key in self._reconciler.current or (recent and event.action not in _ENDS)

    async def _watch_clock(self) -> None:
        async for _ in clock_steps.steps(self._parts.time):
            self.triggers.request(signals.Trigger.TIMER)

    async def _watch_relist(self) -> None:
        async for _ in self._relist.hints():
            self.triggers.request(signals.Trigger.RELIST)
